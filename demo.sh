#!/usr/bin/env bash
# Sets up, builds the release preset and runs the demonstration. Arguments go to it: ./demo.sh --quick
# BACKLIGHT_PRESET=ci takes another preset's build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export OMP_WAIT_POLICY=passive

onednn=$(scripts/setup.sh | tail -n 1)
preset=${BACKLIGHT_PRESET:-release}
cmake --preset "$preset" -DONEDNN_ROOT="$onednn"
cmake --build --preset "$preset" -j"$(nproc)" --target backlight_app

# The photographs need a network trained on ImageNet; without one, the digits alone.
weights=$onednn/share/backlight/efficientnet_lite0.safetensors
photographs=(--weights "$weights" --photos datasets/data/photos)
if [[ ! -e $weights ]] && ! said=$("$onednn/bin/python3" scripts/efficientnet_lite0.py "$weights" 2>&1); then
    echo "demo: goes on without photographs: ${said##*$'\n'}" >&2
    photographs=()
fi
exec "build/$preset/backlight" demo "${photographs[@]}" "$@"
