#!/usr/bin/env bash
# The one check before a commit, and what CI calls: format, lint, types, tests. Arguments go to pytest, which divides the
# files of tests over processes of one thread each (`-n 0`: one process, whose output `-s` shows).
set -euo pipefail
cd -- "$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"

export AUDIOROTO_EXTRAS=dev
. recipes/path.sh

check() {
    printf '\n== %s\n' "$*"
    local status=0
    "$@" || status=$?
    if ((status)); then
        printf '\ntests/run.sh: failed at: %s\n' "$*" >&2
        exit "$status"
    fi
}

check python -m ruff format --check audioroto tests
check python -m ruff check audioroto tests
check python -m mypy audioroto
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
check python -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"
