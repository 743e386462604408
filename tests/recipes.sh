#!/usr/bin/env bash
# Runs every command of docs/recipes.md for two steps and its evaluation, on the data sets below $DATA.
#   DATA=... [BUILD=build/release] [WEIGHTS=...] tests/recipes.sh [TEXT]
# Only commands that contain TEXT. Without WEIGHTS the networks start from random ones, which are written first; Adience
# without its pictures gets every 60th of its rows, all with the same stand-in picture, and the output says so. Not part
# of the test run: takes some minutes and 8 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATA:?the folder of the data sets, see docs/recipes.md}"
only=${1:-}
export DATA SEED=0 REDUCED="--max-steps 2"
export MEASURE=entropy MAP="epsilon_plus(start=one)" ARM="edda(explainer=grad_cam, mask=keep)"
PATH="$PWD/${BUILD:-build/release}:$PATH"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export RUNS="$scratch/runs"
if [ -z "${WEIGHTS:-}" ]; then
    export WEIGHTS="$scratch"
    for model in vgg16 vgg16_bn resnet50; do
        backlight train --model $model --classes 1000 --data "zoom32(n=8, n_test=4)" --max-steps 1 --lr 1e-6 \
            --run "$scratch/$model" > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
        mv "$scratch/$model/weights.safetensors" "$scratch/$model.safetensors"
    done
fi

if [ -d "$DATA/adience" ] && [ ! -d "$DATA/adience/aligned" ]; then
    echo "Adience has no pictures here: its commands run on stand-ins"
    mkdir -p "$scratch/data/adience"
    ln -s "$DATA"/* "$scratch/data/" 2> "$scratch/log" || true  # all but the folder that is there
    picture=$(find "$DATA/" -name '*.jpg' | sort | sed -n 1p)
    for fold in "$DATA"/adience/*.txt; do
        rows="$scratch/data/adience/${fold##*/}"
        awk 'NR == 1 || NR % 60 == 0' "$fold" > "$rows"
        tail -n +2 "$rows" | while IFS=$'\t' read -r user image face _; do
            mkdir -p "$scratch/data/adience/aligned/$user"
            ln -sf "$picture" "$scratch/data/adience/aligned/$user/landmark_aligned_face.$face.$image"
        done
    done
    DATA="$scratch/data"
fi

count=0 failed=0
while IFS= read -r command; do
    case $command in *"$only"*) ;; *) continue ;; esac
    count=$((count + 1))
    start=$SECONDS
    if bash -c "$command" > "$scratch/log" 2>&1 && [ -s "$RUNS"/*/report.html ]; then
        echo "passed, $((SECONDS - start)) s: $command"
    else
        failed=$((failed + 1))
        echo "FAILED: $command"
        tail -n 3 "$scratch/log"
    fi
    rm -rf "$RUNS"
done < <(sed -n -e ':join' -e '/^    .*\\$/{N;s/\\\n */ /;bjoin' -e '}' -e 's/^    \(backlight .*\)/\1/p' docs/recipes.md |
    tr -s ' ')
echo "$count commands, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
