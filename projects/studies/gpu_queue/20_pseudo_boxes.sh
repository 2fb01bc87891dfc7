#!/usr/bin/env bash
# What pseudo-boxes and self-training are worth on hit_uav: 15 runs side by side, 6,400 steps in each arm.
# usage: [TINY=1] [PYTHON=python3] 20_pseudo_boxes.sh DATA BOXES OUT
#   DATA: folder of hit_uav/; BOXES: round_0/boxes.json of a run of configs/detector_paste_coco.py on it
set -euo pipefail
usage="usage: 20_pseudo_boxes.sh DATA BOXES OUT"
data=$(realpath "${1:?$usage}")/hit_uav boxes=$(realpath "${2:?$usage}") out=${3:?$usage}
mkdir -p "$out/checkpoints"
out=$(realpath "$out")
cd "$(dirname "$0")/../../.."
detector=projects/detection_transfer/configs/tiles_r18.py
: "${PYTHON:=python3}" "${MANY:=10%}" "${FEW:=1%}" "${LIMIT:=560}" "${SURE:=${TINY:+0.03}}" "${SURE:=0.35}"
export OMP_NUM_THREADS=1 PYTHON PYTHONPATH=$PWD:${PYTHONPATH:-} data boxes out detector MANY FEW SURE TINY=${TINY:-}

steps() { if [[ -n $TINY ]]; then echo 60; else echo "$1"; fi; }
learn() { # NAME SEED OPTION...: a detector of one category, from pseudo-boxes
  local name=$1 seed=$2; shift 2
  [[ -n $TINY ]] || set -- param_scheduler.1.end=2400 "$@"
  "$PYTHON" tools/train.py configs/detector_paste_coco.py --data-root "$data" --seed "$seed" --work-dir "$out/work_dirs/$name$seed" --resume \
    --cfg-options train_cfg.max_iters="$(steps 2400)" "$@"
  cp "$out/work_dirs/$name$seed"/round_0/iter_*.pth "$out/checkpoints/$name$seed.pth"
}
tune() { # NAME SEED LABELS ITERATIONS [OPTION...]: a row; starts from NAME's detector as soon as there is one
  local init=()
  if [[ $1 != random ]]; then
    until [[ -f $out/checkpoints/$1$2.pth ]]; do sleep 1; done
    init=(--pretrain "$1=$out/checkpoints/$1$2.pth")
  fi
  local run=$1_$3_$4_$2 options=()
  [[ $# -le 4 ]] || options=(--cfg-options "${@:5}")
  "$PYTHON" tools/compare.py "$detector" --data-root "$data" --labels "$3" --seeds "$2" --iterations "$(steps "$4")" \
    --no-long --lr-factors 1 "${init[@]}" --arms "$1" --tflop 50 --csv "$out/$run.csv" --work-dirs "$out/work_dirs/$1_${3%\%}_$4" "${options[@]}"
}
self_train() { # SEED LABELS: the detector that was pretrained and fine-tuned finds boxes on the other images, and learns both
  local name=self_${2%\%}_ teacher
  tune paste "$1" "$2" 800
  teacher=$(echo "$out/work_dirs/paste_${2%\%}_800"/*/*/"paste_$1")
  cp "$teacher"/iter_*.pth "$out/checkpoints/$name$1.pth"
  tune "$name" "$1" "$2" 3200 self_training.teacher="$teacher" self_training.min_score="$SURE"
}
run() {
  case $1 in
    paste) learn paste "$2" pseudo_boxes.file="$boxes" ;;
    *) "$@" ;;
  esac > "$out/$(tr ' ' _ <<< "$*").log" 2>&1
}
export -f steps learn tune self_train run

if [[ -n $TINY ]]; then
  runs=$'paste 0\nself_train 0 10%\ntune random 0 1% 6400'
else
  each() { for seed in 0 1 2; do printf "$1\n" "$seed"; done; }
  runs=$(each 'paste %s'; each "tune random %s $FEW 6400"; each "tune random %s $MANY 6400"; each "self_train %s $FEW"; each "self_train %s $MANY")
fi
timeout "$LIMIT" xargs -P "${JOBS:-15}" -L 1 bash -c 'run "$@"' _ <<< "$runs" || echo "stopped: call again to go on"
