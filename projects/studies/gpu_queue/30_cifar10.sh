#!/usr/bin/env bash
# ContrastiveCrop's single box against random crops with SimSiam on CIFAR-10: kNN and linear accuracy, a row a run.
# usage: [TINY=1] [PYTHON=python3] [EPOCHS=150] 30_cifar10.sh DATA OUT
#   DATA: folder of cifar10/, as published or as folders train/CLASS and test/CLASS; OUT: takes rows, and goes on from what is there
set -euo pipefail
usage="usage: 30_cifar10.sh DATA OUT"
data=$(realpath "${1:?$usage}")/cifar10 out=${2:?$usage}
mkdir -p "$out/pieces"
out=$(realpath "$out")
cd "$(dirname "$0")/../../.."
: "${PYTHON:=python3}" "${EPOCHS:=150}" "${LIMIT:=660}"
export OMP_NUM_THREADS=1 PYTHON PYTHONPATH=$PWD:${PYTHONPATH:-} data out EPOCHS TINY=${TINY:-}

run() { # CROP
  local tiny=()
  if [[ -n $TINY ]]; then
    EPOCHS=2 tiny=(model.backbone.base_channels=8 model.backbone.stem_channels=8 train_dataloader.dataset.subset=1024
      default_hooks.knn.bank.subset=500 default_hooks.knn.queries.subset=200)
  fi
  "$PYTHON" tools/compare.py "configs/simsiam_$1_cifar10.py" --data-root "$data" --epochs "$EPOCHS" --seeds 0 \
    --csv "$out/cifar10.csv" --work-dirs "$out/work_dirs" --cfg-options train_dataloader.resident=True \
    optim_wrapper.type=ccrop.mixed_precision.AutocastOptimWrapper model.channels_last=True default_hooks.checkpoint.interval=0.1 \
    default_hooks.checkpoint.keep=1 "${tiny[@]}" > "$out/$1.log" 2>&1
}
export -f run

# checkpoints travel in pieces of 16 MB
for first in "$out"/pieces/*.aa; do
  [[ -f $first ]] || continue
  place=$(base64 -d <<< "$(basename "${first%.aa}" | tr _ /)")
  mkdir -p "$(dirname "$out/work_dirs/$place")"
  [[ -f $out/work_dirs/$place ]] || cat "${first%aa}"* > "$out/work_dirs/$place"
done
timeout "$LIMIT" xargs -P 2 -L 1 bash -c 'run "$@"' _ <<< $'rcrop\nsingle' || echo "stopped: call again to go on"
rm -f "$out"/pieces/*
(cd "$out/work_dirs" && find . -name 'epoch_*.pth') | while read -r place; do
  split -b 16m "$out/work_dirs/$place" "$out/pieces/$(base64 -w0 <<< "$place" | tr / _)."
done
