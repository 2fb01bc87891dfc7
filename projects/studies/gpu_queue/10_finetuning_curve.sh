#!/usr/bin/env bash
# Learning curves of fine-tuning on hit_uav, 10 % of the labels, 3 seeds: 8 runs side by side, a row a run.
# usage: [TINY=1] [PYTHON=python3] 10_finetuning_curve.sh DATA OUT
set -euo pipefail
data=${1:?usage: 10_finetuning_curve.sh DATA OUT} out=${2:?usage: 10_finetuning_curve.sh DATA OUT}
mkdir -p "$out"
data=$(realpath "$data") out=$(realpath "$out")
cd "$(dirname "$0")/../../.."
configs=projects/detection_transfer/configs
export OMP_NUM_THREADS=1 PYTHON=${PYTHON:-python3} PYTHONPATH=$PWD data out configs

measure() { # CONFIG ITERATIONS SEED: a CSV of one row, so that runs side by side do not meet
  "$PYTHON" tools/compare.py "$configs/$1.py" --data-root "$data/hit_uav" --labels 10% --seeds "$3" \
    --iterations "$2" --no-long --lr-factors 1 --csv "$out/$1-seed$3_$2.csv" --work-dirs "$out/work_dirs/$1_$2" \
    --cfg-options train_dataloader.num_workers=0 train_dataloader.persistent_workers=False > "$out/$1-seed$3_$2.log" 2>&1
}
export -f measure

if [[ -n ${TINY:-} ]]; then
  runs="tiles_r18 2 0"
else
  runs=$(for seed in 0 1 2; do for n in 1000 4000 16000; do echo "tiles_r18 $n $seed"; done; done
         for seed in 0 1 2; do for n in 500 2000; do echo "tiles_r50 $n $seed"; done; done)
fi
timeout 700 xargs -P 8 -L 1 bash -c 'measure "$@"' _ <<< "$runs" || echo "stopped: call again to go on"
"$PYTHON" projects/studies/finetuning_recipe/curve.py "$out"/*.csv --out "$out/curves"
