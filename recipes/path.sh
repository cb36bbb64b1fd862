# Finds or makes the Python environment and puts its commands on PATH. To be sourced: . recipes/path.sh
#
# An active virtual environment or conda environment with audioroto in it is used as it is. Otherwise .venv at the root
# of the checkout is used: made and filled at the first run, mended after an interruption or a change of pyproject.toml.
# AUDIOROTO_EXTRAS=dev asks for the tools of tests/run.sh as well.

audioroto_environment() {
    local root extras=${AUDIOROTO_EXTRAS:-} modules=audioroto prefix lock
    root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P) || return
    if [[ $extras == dev ]]; then modules+=', hypothesis, mypy, pytest, ruff, xdist'; fi

    for prefix in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}"; do
        if [[ -z $prefix || $prefix -ef $root/.venv ]]; then continue; fi
        # Note: -P, or the import would find the checkout in the current folder and miss that nothing is installed.
        if [[ -x $prefix/bin/audioroto ]] && "$prefix/bin/python" -P -c "import $modules" 2>/dev/null; then
            export PATH="$prefix/bin:$PATH"
            return 0
        fi
        printf 'path.sh: not all of %s is in the active environment %s; using %s\n' \
            "$modules" "$prefix" "$root/.venv" >&2
    done

    if ! _audioroto_is_filled; then
        mkdir -p -- "$root/.venv" && exec {lock}<"$root/.venv" || return
        if command -v flock >/dev/null && ! flock -n "$lock"; then
            printf 'path.sh: another run is filling %s; waiting for it\n' "$root/.venv" >&2
            flock "$lock" || return
        fi
        _audioroto_is_filled || _audioroto_fill || return
        exec {lock}<&-
    fi
    export VIRTUAL_ENV="$root/.venv" PATH="$root/.venv/bin:$PATH"
}

# The two below read `root` and `extras` of audioroto_environment. The stamp is written last and holds what was
# installed: a hash of pyproject.toml and of the place (scripts in bin/ name it), and the extras.
_audioroto_wanted() {
    { printf '%s\n' "$root" && cat -- "$root/pyproject.toml"; } | sha256sum | cut -c 1-64
}

_audioroto_is_filled() {
    local wanted installed
    wanted=$(_audioroto_wanted) || return
    installed=$(cat -- "$root/.venv/audioroto-installed" 2>/dev/null) || return
    # Whatever extra was installed, what needs none can run; dev has the others in it.
    [[ $installed == "$wanted $extras" || $installed == "$wanted dev" || (-z $extras && $installed == "$wanted "*) ]] &&
        "$root/.venv/bin/python" -P -c '' 2>/dev/null
}

_audioroto_fill() {
    local python=$root/.venv/bin/python base
    rm -f -- "$root/.venv/audioroto-installed"
    if ! "$python" -P -c '' 2>/dev/null; then
        base=$(_audioroto_find_python) || return
        printf 'path.sh: making %s with %s\n' "$root/.venv" "$base" >&2
        "$base" -m venv --clear "$root/.venv" || return
    fi
    if ! "$python" -P -c 'import pip' 2>/dev/null; then
        "$python" -P -m ensurepip --default-pip >&2 || return
    fi
    printf 'path.sh: filling %s: about 3 GB to download (PyTorch is most of it), 6 GB on disk, a few minutes, once\n' \
        "$root/.venv" >&2
    if ! (cd -- "$root" && "$python" -P -m pip install --disable-pip-version-check -e ".${extras:+[$extras]}") >&2; then
        printf 'path.sh: the installation did not finish (see above); the same command goes on with it\n' >&2
        return 1
    fi
    printf '%s %s\n' "$(_audioroto_wanted)" "$extras" >"$root/.venv/audioroto-installed"
}

# The first Python that can make a virtual environment for audioroto, on standard output.
_audioroto_find_python() {
    local candidate version without_venv='' too_old=''
    for candidate in python3.13 python3.12 python3.11 python3; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            too_old=" ($candidate is $version)"
        elif "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        else
            without_venv=$version
        fi
    done
    if [[ -n $without_venv ]]; then
        printf 'path.sh: Python %s cannot make virtual environments: its venv or ensurepip module is missing. %s\n' \
            "$without_venv" "On Debian or Ubuntu: apt install python$without_venv-venv" >&2
    else
        printf 'path.sh: audioroto needs Python 3.11 or newer, and none is on PATH%s. %s\n' "$too_old" \
            "Install one (python.org, your distribution, or: conda create -n audioroto python=3.12), then run this again" >&2
    fi
    return 2
}

audioroto_environment || return
