# Steps that run only when something has changed: sourced by asr.sh. They read its `exp_dir`, `dry_run`, and what it sets
# for each step: `inputs` and `outputs` (paths), `transcript` (a file for what is printed, or nothing), and `again` (words
# behind the command that have it done again whatever its stamp says, and that its stamp leaves out; mostly none).
# shellcheck shell=bash disable=SC2154

# Words as they can be pasted into a shell.
quote() {
    local word line=()
    for word; do
        if [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]]; then line+=("$word"); else line+=("${word@Q}"); fi
    done
    printf '%s\n' "${line[*]}"
}

# What a step depends on: its command, and the content of its inputs (of folders: names, sizes and times).
describe() {
    local path
    printf 'command: %s' "$(quote "$@")"
    for path in "${inputs[@]}"; do
        printf '\n%s: ' "$path"
        if [[ -d $path ]]; then
            find "$path/" ! -type d -printf '%P %s %T@\n' | LC_ALL=C sort | sha256sum | cut -c 1-64 | tr -d '\n'
        elif [[ -e $path ]]; then
            sha256sum <"$path" | cut -c 1-64 | tr -d '\n'
        else
            printf 'none'
        fi
    done
}

# step NAME COMMAND...: run the command, unless its stamp says that it ran on the same `inputs` and left its `outputs`.
# What it prints is kept in the file `transcript`, if that is set.
step() {
    local stamp=$exp_dir/stamps/$1 description path fresh=true
    shift
    if [[ -n $transcript ]]; then
        printf '%s | tee %s\n' "$(quote "$@" "${again[@]}")" "$(quote "$transcript")"
    else
        quote "$@" "${again[@]}"
    fi
    if $dry_run; then return; fi

    description=$(describe "$@")
    for path in "${outputs[@]}"; do if [[ ! -e $path ]]; then fresh=false; fi; done
    if ((${#again[@]})); then fresh=false; fi
    if $fresh && [[ -e $stamp && $(<"$stamp") == "$description" ]]; then
        if [[ -n $transcript ]]; then cat -- "$transcript"; fi
        printf '# up to date\n'
        return
    fi
    # Note: an interrupted step leaves no stamp, not even that of an earlier run with other settings.
    rm -f -- "$stamp"
    mkdir -p -- "${stamp%/*}"
    if [[ -n $transcript ]]; then
        mkdir -p -- "${transcript%/*}"
        "$@" "${again[@]}" | tee -i -- "$transcript"
    else
        "$@" "${again[@]}"
    fi
    printf '%s\n' "$description" >"$stamp.part"
    mv -- "$stamp.part" "$stamp"
}

# The tables of data directories, one path a line.
tables_of() {
    local dir
    for dir; do printf '%s\n' "$dir"/{wav.scp,segments,text,utt2spk}; done
}
