#!/usr/bin/env bash
# mini LibriSpeech: the five hours of train-clean-5 alone, from scratch, as in Kaldi's recipe of this name.
# It lies in --corpus-dir DIR, or else in the folder that AUDIOROTO_SPEECH names; --download fetches what is missing.
# Options on the command line win over those below; --help lists them, --dry-run shows what would run.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)

corpus_dir=${AUDIOROTO_SPEECH:+$AUDIOROTO_SPEECH/LibriSpeech}
chosen_on=(--valid-set dev-clean-2)
if [[ -d $corpus_dir/train-clean-7spk ]]; then chosen_on=(--valid-set train-clean-7spk --tune-set dev-clean); fi

exec bash "$root/recipes/asr.sh" \
    --front "bash egs/mini_librispeech/asr/run.sh" \
    --corpus librispeech \
    --corpus-dir "$corpus_dir" \
    --data-dir "$root/data/prepared/mini_librispeech" \
    --choose-splits \
    --train-set train-clean-5 \
    "${chosen_on[@]}" \
    --test-sets test-clean \
    --config "recipes/conf/small.toml egs/mini_librispeech/asr/conf/mini_librispeech.toml" \
    --exp-dir "$root/egs/mini_librispeech/asr/exp" \
    -- "$@"
