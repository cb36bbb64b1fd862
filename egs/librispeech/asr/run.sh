#!/usr/bin/env bash
# LibriSpeech, or any folder in its layout: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac and .trans.txt.
# It lies in --corpus-dir DIR, or else in the folder that AUDIOROTO_SPEECH names; --download fetches what is missing.
# As it stands here, the 100 hours of train-clean-100; README.md has all 960.
# Options on the command line win over those below; --help lists them, --dry-run shows what would run.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)

exec bash "$root/recipes/asr.sh" \
    --front "bash egs/librispeech/asr/run.sh" \
    --corpus librispeech \
    --corpus-dir "${AUDIOROTO_SPEECH:+$AUDIOROTO_SPEECH/LibriSpeech}" \
    --choose-splits \
    --train-set train-clean-100 \
    --valid-set dev-clean+dev-other \
    --test-sets "test-clean test-other" \
    --config recipes/conf/base.toml \
    --exp-dir "$root/egs/librispeech/asr/exp" \
    -- "$@"
