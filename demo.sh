#!/usr/bin/env bash
# Sets up, builds the release preset and runs the demonstration. Arguments go to it: ./demo.sh --quick
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export OMP_WAIT_POLICY=passive

onednn=$(scripts/setup.sh | tail -n 1)
cmake --preset release -DONEDNN_ROOT="$onednn"
cmake --build --preset release -j"$(nproc)" --target backlight_app
exec build/release/backlight demo "$@"
