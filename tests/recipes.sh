#!/usr/bin/env bash
# Runs every command of docs/recipes.md for two steps and its evaluation, on the data sets below $DATA.
#   DATA=... [BUILD=build/release] [WEIGHTS=...] [ALL=1] tests/recipes.sh [TEXT]
# Only commands that contain TEXT, and the trainings whose runs they read. Of ARM, MEASURE and MAP one value each; with
# ALL=1 all that the page lists. Without WEIGHTS the networks start from random ones, which are written first; Adience
# without its pictures gets every 60th of its rows, all with the same stand-in picture, and the output says so. Not part
# of the test run: takes one to two hours on 2 cores and 8 GB, with ALL=1 a day.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATA:?the folder of the data sets, see docs/recipes.md}"
only=${1:-}
export DATA SEED=0 REDUCED="--max-steps 2" ARM MEASURE MAP
# shellcheck disable=SC2034  # values_for reads them by name
arms=("edda(explainer=grad_cam, mask=keep)") measures=(entropy) maps=("epsilon_plus(start=one)")
if [ "${ALL:-}" = 1 ]; then
    arms=()
    for explainer in grad_cam saliency; do
        for mask in "" ", mask=keep"; do
            for control in "" ", control=shuffled" ", target=predicted"; do
                arms+=("edda(explainer=$explainer$mask$control)")
            done
        done
    done
    arms+=(cutout "cutout(size=8)" cutmix mixup)
    # shellcheck disable=SC2034
    measures=(entropy mse)
    # shellcheck disable=SC2034
    maps=("saliency(reduce=none)" guided_backprop "z_plus(start=one)" "epsilon_plus(start=one)"
        "epsilon_gamma_box(start=one)")
fi
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

# A command a line, as the page has them: variables are not put in yet.
mapfile -t commands < <(sed -n -e ':join' -e '/^    .*\\$/{N;s/\\\n */ /;bjoin' -e '}' \
    -e '/^    .*backlight /s/^    //p' docs/recipes.md | tr -s ' ')

# The run folder that a command writes; nothing where it writes none.
run_of() {
    case $1 in *"--run "*) local rest=${1#*--run }; echo "${rest%% *}" ;; esac
}

# Whether command $1 reads the run $2.
reads() { [ -n "$2" ] && [ -z "$(run_of "$1")" ] && [[ $1 == *"$2"[/\;]* ]]; }

wanted=()
for i in "${!commands[@]}"; do
    if [[ ${commands[i]} == *"$only"* ]]; then
        wanted[i]=1
        for j in "${!commands[@]}"; do
            reads "${commands[i]}" "$(run_of "${commands[j]}")" && wanted[j]=1
        done
    fi
done

count=0 failed=0
run_once() {  # command, its folder
    local start=$SECONDS values="" command=$1
    case $1 in  # acts between mini-epochs: these two steps are two of them
        *"--augment"*"(measure="*) command=${1/--mini-epoch 10000/--mini-epoch 32} ;;
    esac
    for name in ARM MEASURE MAP; do
        [[ $1 == *"\$$name"* ]] && values+="$name=${!name} "
    done
    count=$((count + 1))
    [ -z "$2" ] || rm -rf "$2"
    if bash -c "$command" > "$scratch/log" 2>&1 && { [ -z "$2" ] || [ -s "$2/report.html" ]; }; then
        echo "passed, $((SECONDS - start)) s: $values$command"
    else
        failed=$((failed + 1))
        echo "FAILED: $values$command"
        tail -n 3 "$scratch/log"
    fi
}

# The values of a variable that the command needs: one, if it does not name it.
values_for() {
    local -n all=$3
    if [[ $1 == *"\$$2"* ]]; then printf '%s\n' "${all[@]}"; else echo "${all[0]}"; fi
}

for i in "${!wanted[@]}"; do
    command=${commands[i]}
    run=$(run_of "$command")
    folder=$(eval "echo \"$run\"")
    while IFS= read -r ARM; do
        while IFS= read -r MEASURE; do
            while IFS= read -r MAP; do
                run_once "$command" "$folder" < /dev/null
            done < <(values_for "$command" MAP maps)
        done < <(values_for "$command" MEASURE measures)
    done < <(values_for "$command" ARM arms)
    is_read=""
    for later in "${commands[@]:i + 1}"; do
        reads "$later" "$run" && is_read=1
    done
    if [ -n "$is_read" ]; then
        rm -f "$folder/checkpoint.safetensors"  # as large as two sets of weights
    elif [ -n "$folder" ]; then
        rm -rf "$folder"
    fi
done
echo "$count commands, $failed failed"
[ "$count" -gt 0 ] && [ "$failed" -eq 0 ]
