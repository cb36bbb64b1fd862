#!/usr/bin/env bash
# From a corpus to a word error rate: the stages, once, for every corpus. It names files and calls `audioroto` verbs;
# what it prints with --dry-run is a script of its own. egs/<corpus>/asr/run.sh is the front for a corpus.
set -euo pipefail
shopt -s inherit_errexit
shopt -u patsub_replacement 2>/dev/null || true # bash 5.2: & in a path would stand for what is replaced
trap 'printf "\nasr.sh: interrupted; the same command goes on from here\n" >&2; exit 130' INT

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
stages=(download prepare validate tokenizer lm train average recognize score transcribe)
switches=(download choose-splits restart dry-run)
options=("${switches[@]}" stage stop-stage front run notes corpus corpus-dir data-dir train-set train-hours valid-set
    tune-set test-sets modes lm-text lm-order lm-prune lm-normalizer lm-updates tune-mode config set init-from
    num-processes exp-dir help)

download=false choose_splits=false restart=false dry_run=false
stage=download stop_stage=transcribe front="bash recipes/asr.sh" run='' notes='' exp_dir=''
corpus='' corpus_dir='' data_dir='' train_set=train train_hours='' valid_set=valid tune_set='' test_sets=test
modes='' lm_text='' lm_order=3 lm_prune="0 1" lm_normalizer='' lm_updates=0 tune_mode=ctc_beam
config='' overrides=() asked=() init_from='' num_processes=1

usage() {
    cat <<USAGE
Usage: $0 [--name value | --name=value ...]

  --stage N|name       first stage to run                                 (${stage})
  --stop-stage N|name  last stage to run                                  (${stop_stage})
  --corpus NAME        what 'audioroto prepare' calls the corpus; without it
                       the data directories are expected in --data-dir    (${corpus:-none})
  --corpus-dir DIR     where the corpus lies                              (${corpus_dir:-none})
  --download           first download what the sets below need, there or to
                       data/downloaded/CORPUS                             (${download})
  --choose-splits      the sets below are splits of the corpus, A+B two of
                       them as one: prepare only these                    (${choose_splits})
  --data-dir DIR       data directories, one for each set                 (${data_dir:-data/prepared/${corpus:-CORPUS}})
  --train-set NAME     set to train on                                    (${train_set})
  --train-hours H      train on so many hours of it alone                 (${train_hours:-all})
  --valid-set NAME     set to validate on                                 (${valid_set})
  --tune-set NAME      set to weigh the n-gram on                         (${tune_set:-the set to validate on})
  --test-sets "A B"    sets to recognize and score                        (${test_sets})
  --modes "A B"        searches to recognize with                         (${modes:-ctc_greedy, with an n-gram ctc_beam as well})
  --lm-text "F G"      text to estimate a word n-gram from                (${lm_text:-none})
  --lm-order N         words in its longest n-gram                        (${lm_order})
  --lm-prune "N N"     for each order, drop what the text has so few times (${lm_prune})
  --lm-normalizer NAME normaliser of that text                            (${lm_normalizer:-the default of audioroto lm})
  --lm-updates N       train a neural language model on it too, for the
                       modes attention and joint                          (${lm_updates})
  --tune-mode NAME     search to weigh it for                             (${tune_mode})
  --config "F G"       TOML files, later ones win                         (${config:-defaults})
  --set KEY=VALUE      one setting, wins over files; may be repeated      (${overrides[*]:-none})
  --init-from MODEL    model to train further, with its own tokenizer     (${init_from:-none})
  --num-processes N    processes of this machine that share out training
                       and recognition                                    (${num_processes})
  --exp-dir DIR        where the model and the results go                 (${exp_dir:-none})
  --run NAME           keep the scores in results/NAME.json beside --exp-dir
                       and make RESULTS.md anew                           (${run:-no})
  --notes TEXT         what a reader of these results should know         (${notes:-none})
  --restart            train afresh, whatever run lies in --exp-dir       (${restart})
  --dry-run            print the commands, run nothing

Stages: $(list_stages)
USAGE
}

list_stages() {
    local number listed=()
    for number in "${!stages[@]}"; do listed+=("$number ${stages[number]}"); done
    printf '%s' "${listed[0]}"
    printf ' · %s' "${listed[@]:1}"
}

die() {
    printf 'asr.sh: %s\n' "$*" >&2
    exit 2
}

# What stands before the word -- is the front's; what follows it was asked for by a user, and the
# record of a run keeps that of it which makes the run again.
parse_options() {
    local name value words
    while (($#)); do
        if [[ $1 == -- ]]; then
            asked=()
            shift
            continue
        fi
        [[ $1 == --* ]] || die "unexpected argument '$1'; options are written --name value"
        words=("$1")
        name=${1%%=*}
        name=${name#--}
        [[ " ${options[*]} " == *" $name "* ]] ||
            die "unknown option '--$name'; the options are:$(printf ' --%s' "${options[@]}")"
        if [[ " ${switches[*]} help " == *" $name "* ]]; then
            [[ $1 != *=* ]] || die "option '--$name' takes no value"
            if [[ $name == help ]]; then usage && exit 0; fi
            value=true
        elif [[ $1 == *=* ]]; then
            value=${1#*=}
        else
            [[ $# -ge 2 && $2 != --* ]] || die "option '--$name' needs a value"
            value=$2
            words+=("$2")
            shift
        fi
        shift
        [[ $name == @(notes|stage|stop-stage|restart|dry-run) ]] || asked+=("${words[@]}")
        if [[ $name == set ]]; then
            overrides+=(--set "$value")
        else
            printf -v "${name//-/_}" '%s' "$value"
        fi
    done
}

# The number of the stage that is given by name or number.
number_of() {
    local number
    for number in "${!stages[@]}"; do
        if [[ $1 == "$number" || $1 == "${stages[number]}" ]]; then
            printf '%s' "$number"
            return
        fi
    done
    die "unknown stage '$1'; the stages are: $(list_stages)"
}

# A path as the commands name it: relative to the root when it lies below, so that stamps hold from any current folder.
name_of() {
    realpath -ms --relative-base="$root" -- "$1"
}

# shellcheck source=recipes/step.sh
. "$root/recipes/step.sh"

{ # Note: bash reads all that is in braces before it begins, so that a change of this file leaves a long run alone.
parse_options "$@"
first=$(number_of "$stage")
last=$(number_of "$stop_stage")
((first <= last)) || die "--stage $stage comes after --stop-stage $stop_stage"
[[ -n $exp_dir ]] || die "give --exp-dir DIR, the folder where the model and the results go"
[[ -n $data_dir || -n $corpus ]] || die "give --corpus NAME to prepare, or --data-dir DIR with data directories in it"
[[ $run != */* ]] || die "--run $run is no name for a file; give one without /"
[[ -n $corpus ]] || ! $download || die "give --corpus NAME, what 'audioroto download' calls the corpus"
exp_dir=$(name_of "$exp_dir")
# Note: what is neither a file nor looks like one is the name of a model that comes with audioroto.
if [[ -e $init_from || $init_from == */* ]]; then init_from=$(name_of "$init_from"); fi
data_dir=$(name_of "${data_dir:-$root/data/prepared/$corpus}")
if $download; then corpus_dir=${corpus_dir:-$root/data/downloaded/$corpus}; fi
if [[ -n $corpus_dir ]]; then corpus_dir=$(name_of "$corpus_dir"); fi
configs=()
configuration=()
for file in $config; do
    # Note: a relative name holds from the current folder or else from the root of the checkout.
    if [[ -e $file ]]; then file=$(name_of "$file"); fi
    configs+=("$file")
    configuration+=(--config "$file")
done
configuration+=("${overrides[@]}")
shared=()
if [[ $num_processes != 1 ]]; then shared=(--num-processes "$num_processes"); fi
lm_texts=()
for file in $lm_text; do lm_texts+=("$(name_of "$file")"); done
cd -- "$root"
read -ra test_sets <<<"$test_sets"
((${#test_sets[@]})) || die "give --test-sets at least one name"
if ((${#lm_texts[@]})); then export AUDIOROTO_EXTRAS=${AUDIOROTO_EXTRAS:-lm}; fi
if [[ -z $modes ]]; then modes=ctc_greedy${lm_text:+ ctc_beam}; fi
read -ra modes <<<"${modes//,/ }"
if [[ -n $lm_text && ${modes[*]} == ctc_greedy ]]; then
    die "--modes ctc_greedy asks no n-gram; add a mode such as ctc_beam, or leave --lm-text out"
fi
neural_lm=() neural_lm_files=()
if [[ $lm_updates != 0 ]]; then
    ((${#lm_texts[@]})) || die "--lm-updates trains on the text in --lm-text; give that too"
    [[ " ${modes[*]} " == *\ @(joint|attention)\ * ]] ||
        die "--lm-updates is for the modes joint and attention; give one of them in --modes"
    neural_lm_files=("$exp_dir/lm/lm.safetensors")
    neural_lm=(--set "search.neural_lm=${neural_lm_files[0]}")
fi
if [[ -n $corpus ]] && ((first <= $(number_of prepare))); then
    [[ -n $corpus_dir ]] || die "give --corpus-dir DIR, the folder where the corpus lies (or start at a later --stage)"
    $download || $dry_run || [[ -d $corpus_dir ]] ||
        die "--corpus-dir $corpus_dir is not a folder; give the one where the corpus lies"
fi
if [[ -z $tune_set ]] || ((!${#lm_texts[@]})); then tune_set=$valid_set; fi
sets=() # each once
for set in "$train_set" "$valid_set" "$tune_set" "${test_sets[@]}"; do
    if [[ " ${sets[*]} " != *" $set "* ]]; then sets+=("$set"); fi
done
set_dirs=("${sets[@]/#/$data_dir/}")
whole_dir=$data_dir/$train_set
if [[ -n $train_hours ]]; then train_set+=_${train_hours}h; fi
train_dir=$data_dir/$train_set
valid_dir=$data_dir/$valid_set

# Whether the stage is asked for; prints its header.
begin() {
    local number
    number=$(number_of "$1")
    ((number >= first && number <= last)) || return
    printf '\n# %s %s\n' "$number" "$1"
}

printf 'cd %s\n. recipes/path.sh\n' "$(quote "$root")"
# shellcheck source=recipes/path.sh
if ! $dry_run; then . "$root/recipes/path.sh"; fi
transcript='' again=()

if begin download; then
    if $download; then
        read -ra splits <<<"${sets[*]//+/ }"
        inputs=()
        outputs=("${splits[@]/#/$corpus_dir/}")
        step download audioroto download "$corpus" --parts "$(IFS=, && printf '%s' "${splits[*]}")" --out "$corpus_dir"
    else
        printf '# no --download: the corpus is used where it lies\n'
    fi
fi

if begin prepare; then
    if [[ -n $corpus ]]; then
        splits=()
        inputs=("$corpus_dir")
        if $choose_splits; then
            splits=("${sets[@]}")
            read -ra inputs <<<"${sets[*]//+/ }"
            inputs=("${inputs[@]/#/$corpus_dir/}")
        fi
        outputs=("${set_dirs[@]/%//wav.scp}")
        step prepare audioroto prepare "$corpus" "${splits[@]}" --corpus-dir "$corpus_dir" --out-dir "$data_dir"
    else
        printf '# no --corpus: the data directories in %s are used as they are\n' "$data_dir"
    fi
    if [[ -n $train_hours ]]; then
        mapfile -t inputs < <(tables_of "$whole_dir")
        outputs=("$train_dir/wav.scp")
        step "subset-$train_hours" audioroto prepare subset "$whole_dir" --hours "$train_hours" --out "$train_dir"
    fi
fi

if begin validate; then
    mapfile -t inputs < <(tables_of "${set_dirs[@]}")
    outputs=()
    step validate audioroto validate "${set_dirs[@]}"
fi

begun_from=(--tokenizer "$exp_dir/tokenizer.model")
if [[ -n $init_from ]]; then begun_from=(--init-from "$init_from"); fi

if begin tokenizer && [[ -z $init_from ]]; then
    inputs=("$train_dir/text" "${configs[@]}")
    outputs=("$exp_dir/tokenizer.model")
    step tokenizer audioroto tokenizer --text "$train_dir" --out "$exp_dir/tokenizer.model" "${configuration[@]}"
fi

lm=$exp_dir/lm.arpa.gz
if begin lm; then
    if ((${#lm_texts[@]})); then
        inputs=("${lm_texts[@]}")
        outputs=("$lm")
        step lm audioroto lm "${lm_texts[@]/#/--text=}" --order "$lm_order" --prune "$lm_prune" \
            ${lm_normalizer:+--normalizer "$lm_normalizer"} --out "$lm"
        if ((${#neural_lm[@]})); then
            inputs+=("${begun_from[1]}" "$valid_dir/text")
            outputs=("${neural_lm_files[@]}")
            step train-lm audioroto train-lm "${lm_texts[@]/#/--text=}" --tokenizer "${begun_from[1]}" \
                --valid-text "$valid_dir" --max-updates "$lm_updates" \
                ${lm_normalizer:+--normalizer "$lm_normalizer"} --exp-dir "$exp_dir/lm"
        fi
    else
        printf '# no --lm-text: recognition without a language model\n'
    fi
fi

if begin train; then
    mapfile -t inputs < <(tables_of "$train_dir" "$valid_dir")
    inputs+=("${begun_from[1]}" "${configs[@]}")
    outputs=("$exp_dir/metrics.jsonl")
    if $restart; then again=(--restart); fi
    step train audioroto train "${shared[@]}" --train-dir "$train_dir" --valid-dir "$valid_dir" \
        "${begun_from[@]}" --exp-dir "$exp_dir" "${configuration[@]}"
    again=()
fi

if begin average; then
    # The record of the training run stands for the checkpoints, which may be deleted once they are averaged.
    inputs=("$exp_dir/metrics.jsonl")
    outputs=("$exp_dir/model.safetensors")
    step average audioroto average --exp-dir "$exp_dir" --out "$exp_dir/model.safetensors"
fi

if begin recognize; then
    search=()
    if ((${#lm_texts[@]})); then
        mapfile -t inputs < <(tables_of "$data_dir/$tune_set")
        inputs+=("$exp_dir/model.safetensors" "$lm" "${neural_lm_files[@]}")
        outputs=("$exp_dir/search.toml")
        step tune audioroto tune --model "$exp_dir/model.safetensors" --data-dir "$data_dir/$tune_set" --lm "$lm" \
            --mode "$tune_mode" "${neural_lm[@]}" --out "$exp_dir/search.toml"
        search=(--lm "$lm" --config "$exp_dir/search.toml")
    fi
    for set in "${test_sets[@]}"; do
        mapfile -t inputs < <(tables_of "$data_dir/$set")
        inputs+=("$exp_dir/model.safetensors")
        if ((${#search[@]})); then inputs+=("$lm" "${neural_lm_files[@]}" "$exp_dir/search.toml"); fi
        outputs=("${modes[@]/#/$exp_dir/recognize/$set/}")
        outputs=("${outputs[@]/%//text}")
        step "recognize-$set" audioroto recognize --model "$exp_dir/model.safetensors" --data-dir "$data_dir/$set" \
            --out-dir "$exp_dir/recognize/$set" --modes "$(IFS=, && printf '%s' "${modes[*]}")" "${search[@]}" \
            "${shared[@]}"
    done
fi

scored=() # each test set in each mode
for set in "${test_sets[@]}"; do scored+=("${modes[@]/#/$set/}"); done
if begin score; then
    for name in "${scored[@]}"; do
        recognized=$exp_dir/recognize/$name
        reference=$data_dir/${name%/*}/text
        inputs=("$reference" "$recognized"/{text,words.ctm,recognition.json})
        transcript=$recognized/score.txt
        outputs=("$transcript")
        step "score-${name%/*}-${name##*/}" audioroto score "$reference" "$recognized/text" \
            --ctm "$recognized/words.ctm" --out-dir "$recognized"
    done
    transcript=''

    if [[ -n $run ]]; then
        results_dir=$(dirname -- "$exp_dir")/results
        command=$front${asked[*]:+ $(quote "${asked[@]}")}
        inputs=("$exp_dir/model.safetensors" "${test_sets[@]/#/$exp_dir/recognize/}")
        outputs=("$results_dir/$run.json")
        step record audioroto record --run "$run" --corpus "${data_dir##*/}" --train-set "$train_set" \
            --valid-set "$valid_set" --curve "$exp_dir/curves.png" --model "$exp_dir/model.safetensors" \
            --data-dir "$data_dir" --recognize-dir "$exp_dir/recognize" \
            "${test_sets[@]/#/--test-set=}" --results-dir "$results_dir" --command "$command" --notes "$notes" \
            "${configuration[@]}"
        inputs=("$results_dir")
        outputs=("${results_dir%/*}/RESULTS.md")
        step results audioroto results "$results_dir" --out "${results_dir%/*}/RESULTS.md"
    fi
fi

if begin transcribe; then
    sample=FILE
    wav_scp=$data_dir/${test_sets[0]}/wav.scp
    if [[ -e $wav_scp ]]; then
        read -r _ sample <"$wav_scp"
    else
        printf '# FILE is the first clip of %s\n' "$wav_scp"
    fi
    inputs=("$sample" "$exp_dir/model.safetensors")
    transcript=$exp_dir/transcribe.txt
    outputs=("$transcript")
    step transcribe audioroto transcribe "$sample" --model "$exp_dir/model.safetensors"
fi

if ! $dry_run && ((last >= $(number_of score))); then
    printf '\n# word error rates, from %s/recognize\n' "$exp_dir"
    for name in "${scored[@]}"; do
        transcript=$exp_dir/recognize/$name/score.txt
        if [[ -e $transcript ]]; then
            printf '%s %s: %s\n' "${name%/*}" "${name##*/}" "$(grep -m 1 WER "$transcript")"
        fi
    done
fi
exit
}
