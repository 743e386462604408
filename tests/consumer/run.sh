#!/usr/bin/env bash
# run.sh <build directory>: installs that build into a fresh prefix, moves the prefix, builds the project beside this
# file against it and runs it. A temporary folder holds everything.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:?usage: run.sh <build directory>}" && pwd)
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing but the installed package may say where oneDNN is.
unset LD_LIBRARY_PATH ONEDNN_ROOT BACKLIGHT_VENV CMAKE_PREFIX_PATH
export HOME=$work
cmake --install "$build" --prefix "$work/staging" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
mv "$work/staging" "$work/prefix"  # nothing installed may know where it was installed

cmake -S "$here" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$work/prefix"
cmake --build "$work/build"
"$work/build/consumer"

if [[ -x $work/prefix/bin/backlight ]]; then
    "$work/prefix/bin/backlight" --help >/dev/null
fi
