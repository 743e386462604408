#!/usr/bin/env bash
# Sets up, builds the ci preset (release, warnings are errors) and runs every test, the one against a fresh
# install included. Arguments go to ctest: ./test.sh -L quick
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export OMP_WAIT_POLICY=passive

onednn=$(scripts/setup.sh | tail -n 1)
cmake --preset ci -DONEDNN_ROOT="$onednn"
cmake --build --preset ci -j"$(nproc)"
ctest --preset ci --no-tests=error "$@"
