#!/usr/bin/env bash
# Time and memory of a training step of the LiDAR configs on a GPU, in float32 and in bf16, a row a config.
# usage: [TINY=1] [PYTHON=python3] 40_lidar_steps.sh OUT     needs Open3D, and spconv for centerpoint_voxel_nuscenes
set -euo pipefail
out=${1:?usage: 40_lidar_steps.sh OUT}
mkdir -p "$out"
out=$(realpath "$out")
cd "$(dirname "$0")/../../.."
export OMP_NUM_THREADS=1 PYTHONPATH=$PWD:${PYTHONPATH:-}
configs=() device=cuda
[[ -n ${TINY:-} ]] && configs=(centerpoint_pillar_demo) device=cpu
for precision in "" "--amp bf16"; do
  # shellcheck disable=SC2086
  timeout "${LIMIT:-300}" "${PYTHON:-python3}" projects/studies/speed/lidar_steps.py "${configs[@]}" --device $device $precision \
    --csv "$out/lidar_steps.csv" >> "$out/lidar_steps.log" 2>&1 || echo "stopped: see $out/lidar_steps.log"
done
