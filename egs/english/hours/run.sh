#!/usr/bin/env bash
# The learning curve: the smallest recipe on 1, 2.5 and 5 hours of the English speech, then on all of it; as many updates
# each. Takes what egs/english/asr/run.sh takes, --corpus-dir DIR above all; ends in RESULTS.md and hours.png beside this.
set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
here=${here#"$(pwd -P)/"}  # from the root of the checkout: its place stays out of the record of a run

for hours in 1 2.5 5 all; do
    part=()
    if [[ $hours != all ]]; then part=(--train-hours "$hours"); fi
    bash "$here/../asr/run.sh" "${part[@]}" --config recipes/conf/quick.toml --test-sets test-clean \
        --exp-dir "$here/exp_$hours" --run "hours-$hours" "$@"
done
