#!/usr/bin/env bash
# What pseudo-box pretraining is worth on hit_uav: 15 runs side by side, a row a run.
# usage: [TINY=1] [PYTHON=python3] 20_pseudo_boxes.sh DATA BOXES OUT
#   DATA: folder of hit_uav/; BOXES: round_0/boxes.json of a run of configs/detector_paste_coco.py on it
set -euo pipefail
usage="usage: 20_pseudo_boxes.sh DATA BOXES OUT"
data=$(realpath "${1:?$usage}")/hit_uav boxes=$(realpath "${2:?$usage}") out=${3:?$usage}
mkdir -p "$out/checkpoints"
out=$(realpath "$out")
cd "$(dirname "$0")/../../.."
annotated=$data/annotations/instances_train.json
detector=projects/detection_transfer/configs/tiles_r18.py
: "${PYTHON:=python3}" "${MANY:=10%}" "${FEW:=1%}" "${LIMIT:=560}"
export OMP_NUM_THREADS=1 PYTHON PYTHONPATH=$PWD:${PYTHONPATH:-} data boxes out annotated detector MANY FEW TINY=${TINY:-}

steps() { if [[ -n $TINY ]]; then echo 2; else echo "$1"; fi; }
learn() { # NAME SEED FILE OPTION...: a detector of one category, from the boxes of a file
  local name=$1 seed=$2 file=$3; shift 3
  "$PYTHON" tools/train.py configs/detector_paste_coco.py --data-root "$data" --seed "$seed" --work-dir "$out/work_dirs/$name$seed" --resume \
    --cfg-options pseudo_boxes.file="$file" train_cfg.max_iters="$(steps 2000)" "$@"
  cp "$out/work_dirs/$name$seed"/round_0/iter_*.pth "$out/checkpoints/$name$seed.pth"
}
tune() { # NAME SEED LABELS ITERATIONS: a row; starts from NAME's detector as soon as there is one
  local init=()
  if [[ $1 != random ]]; then
    until [[ -f $out/checkpoints/$1$2.pth ]]; do sleep 1; done
    init=(--pretrain "$1=$out/checkpoints/$1$2.pth")
  fi
  local run=$1_$3_$4_$2
  "$PYTHON" tools/compare.py "$detector" --data-root "$data" --labels "$3" --seeds "$2" --iterations "$(steps "$4")" \
    --no-long --lr-factors 1 "${init[@]}" --arms "$1" --tflop 50 --csv "$out/$run.csv" --work-dirs "$out/work_dirs/$1_$4"
}
run() {
  case $1 in
    paste) learn paste "$2" "$boxes" ;;
    ceiling) learn ceiling "$2" "$annotated" pseudo_boxes.max_boxes=1000 ;;
    tune) shift; tune "$@" ;;
  esac > "$out/$(tr ' ' _ <<< "$*").log" 2>&1
}
export -f steps learn tune run

if [[ -n $TINY ]]; then
  runs=$'paste 0\ntune paste 0 10% 4000\ntune random 0 1% 2000'
else
  each() { for seed in 0 1 2; do printf "$1\n" "$seed"; done; }
  runs=$(each 'paste %s'; each 'ceiling %s'; each "tune random %s $MANY 6000"; each "tune random %s $MANY 4000"; each "tune random %s $FEW 4000"
         each "tune paste %s $MANY 4000"; each "tune ceiling %s $MANY 4000"; each "tune paste %s $FEW 2000"; each "tune random %s $FEW 2000"
         each "tune ceiling %s $FEW 2000")
fi
timeout "$LIMIT" xargs -P 15 -L 1 bash -c 'run "$@"' _ <<< "$runs" || echo "stopped: call again to go on"
