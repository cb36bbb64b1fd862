#!/usr/bin/env bash
# AN4 (CMU): spelled letters, numbers and commands; validation on held-out speakers of its training part.
# The corpus lies in --corpus-dir DIR, or else in the folder that AUDIOROTO_SPEECH names.
# Options on the command line win over those below; --help lists them, --dry-run shows what would run.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)

exec bash "$root/recipes/asr.sh" \
    --front "bash egs/an4/asr/run.sh" \
    --corpus an4 \
    --corpus-dir "${AUDIOROTO_SPEECH:+$AUDIOROTO_SPEECH/an4}" \
    --config "recipes/conf/small.toml egs/an4/asr/conf/an4.toml" \
    --exp-dir "$root/egs/an4/asr/exp" \
    -- "$@"
