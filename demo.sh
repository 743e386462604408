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
exec "build/$preset/backlight" demo "$@"
