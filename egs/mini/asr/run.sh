#!/usr/bin/env bash
# mini: connected numbers and short commands, synthesised, in git; minutes on two cores.
# Options on the command line win over those below; --help lists them, --dry-run shows what would run.
set -euo pipefail
root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)

exec bash "$root/recipes/asr.sh" \
    --front "bash egs/mini/asr/run.sh" \
    --corpus mini \
    --corpus-dir "$root/data/mini" \
    --config recipes/conf/tiny.toml \
    --exp-dir "$root/egs/mini/asr/exp" \
    -- "$@"
