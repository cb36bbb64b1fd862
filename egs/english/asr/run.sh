#!/usr/bin/env bash
# The English model: LibriSpeech's train-clean-5 and seven more speakers, AN4, Common Voice and single readers, 15.9 h.
# The speech lies in --corpus-dir DIR, or else in the folder that AUDIOROTO_SPEECH names, with LibriSpeech/, an4/,
# commonvoice/ and readers/ in it. Options on the command line win over those below; --help lists them.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)

exec bash "$root/recipes/asr.sh" \
    --front "bash egs/english/asr/run.sh" \
    --corpus english \
    --corpus-dir "${AUDIOROTO_SPEECH:-}" \
    --test-sets "test-clean test-other an4/test" \
    --config "recipes/conf/small.toml egs/english/asr/conf/english.toml" \
    --exp-dir "$root/egs/english/asr/exp" \
    -- "$@"
