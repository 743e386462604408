#!/usr/bin/env bash
# Installs the oneDNN of the CPU backend (docs/onednn.md says why this one) in a Python virtual environment.
# The last line of the output is its prefix:
#
#   cmake -S . -B build -DONEDNN_ROOT="$(scripts/onednn.sh | tail -n 1)"
#
# usage: scripts/onednn.sh [VENV]      default: ${BACKLIGHT_VENV:-$HOME/.cache/backlight/venv}
#
# The environment is made when it is missing. A second run installs nothing.
set -euo pipefail

package_version=2023.2.0  # oneDNN 3.2.0
venv=${1:-${BACKLIGHT_VENV:-$HOME/.cache/backlight/venv}}

fail() {
    echo "onednn: $*" >&2
    exit 1
}

python=$venv/bin/python3
if [[ ! -x $python ]]; then
    echo "onednn: making the virtual environment $venv" >&2
    python3 -m venv "$venv" || fail "cannot make $venv; on Debian and Ubuntu this needs python3-venv"
fi

installed() {
    "$python" - "$package_version" <<'PY'
import importlib.metadata as metadata, sys
try:
    ok = all(metadata.version(name) == sys.argv[1] for name in ("onednn-cpu-gomp", "onednn-devel-cpu-gomp"))
except metadata.PackageNotFoundError:
    ok = False
sys.exit(not ok)
PY
}

if ! installed; then
    echo "onednn: installing onednn-cpu-gomp $package_version in $venv" >&2
    "$python" -m pip install --quiet --disable-pip-version-check \
        "onednn-cpu-gomp==$package_version" "onednn-devel-cpu-gomp==$package_version" >&2
fi

# The wheels put include/ and lib/ at the root of the environment.
prefix=$("$python" -c 'import sysconfig; print(sysconfig.get_path("data"))')
for file in include/oneapi/dnnl/dnnl.hpp lib/libdnnl.so.3 lib/cmake/dnnl/dnnl-config.cmake; do
    [[ -e $prefix/$file ]] || fail "the packages left no $prefix/$file"
done
echo "$prefix"
