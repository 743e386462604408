#!/usr/bin/env bash
# Installs what Backlight needs to build, on Debian 12 or Ubuntu 24.04: packages (as root, or through sudo) and
# oneDNN in a virtual environment. Installs nothing that is there already. The last line is oneDNN's prefix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The names are the same in Debian 12 and Ubuntu 24.04.
packages=(
    build-essential cmake ninja-build ccache git ca-certificates
    python3 python3-venv python3-pip
    doctest-dev nlohmann-json3-dev libcli11-dev libstb-dev libpugixml-dev zlib1g-dev libjpeg-dev libbenchmark-dev
)

fail() {
    echo "setup: $*" >&2
    exit 1
}

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=absent
    [[ $status == installed ]] || missing+=("$package")
done

if ((${#missing[@]})); then
    as_root=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "missing: ${missing[*]}; run as root, or install sudo"
        as_root=(sudo)
    fi
    echo "setup: installing ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 </dev/null
fi

exec scripts/onednn.sh
