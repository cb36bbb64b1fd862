"""The stages of recipes/asr.sh: which run, in which order, and when again."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest


def test_what_is_printed_runs_when_pasted(checkout):
    printed = checkout.run_mini("--dry-run", "--stop-stage", "score").stdout
    assert checkout.run("-euc", printed).returncode == 0
    assert checkout.take_calls() == checkout.stages[:-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stag", "3"], "unknown option '--stag'; the options are: --download --choose-splits"),
        (["--stage"], "option '--stage' needs a value"),
        (["--stage", "--dry-run"], "option '--stage' needs a value"),
        (["--dry-run=yes"], "option '--dry-run' takes no value"),
        (["train"], "unexpected argument 'train'"),
        (["--stage", "training"], "unknown stage 'training'; the stages are: 0 download · 1 prepare"),
        (["--stage", "score", "--stop-stage", "2"], "--stage score comes after --stop-stage 2"),
        (["--corpus-dir", ""], "give --corpus-dir DIR"),
        (["--corpus-dir", "/no/such/folder"], "/no/such/folder is not a folder"),
        (["--exp-dir="], "give --exp-dir DIR"),
        (["--download", "--corpus=", "--data-dir=x"], "give --corpus NAME, what 'audioroto download' calls the corpus"),
        (["--test-sets", " "], "give --test-sets at least one name"),
        (["--lm-text", "books.txt", "--modes", "ctc_greedy"], "--modes ctc_greedy asks no n-gram"),
        (["--lm-updates", "9"], "give that too"),
        (["--lm-text", "books.txt", "--lm-updates", "9"], "give one of them in --modes"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(checkout, options, said):
    done = checkout.run_mini(*options, VIRTUAL_ENV="")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[0]
    assert done.stdout == ""
    assert checkout.take_calls() == []


def test_stages_are_chosen_by_name_or_number(checkout):
    checkout.run_mini("--stop-stage", "tokenizer")
    assert checkout.take_calls() == checkout.stages[:3]
    checkout.run_mini("--stage", "5", "--stop-stage=average")
    assert checkout.take_calls() == checkout.stages[3:5]


def test_a_second_run_does_nothing_twice_from_any_folder(checkout):
    first = checkout.run_mini()
    assert checkout.take_calls() == checkout.stages
    assert first.stdout.endswith(
        "\n# word error rates, from egs/mini/asr/exp/recognize\ntest ctc_greedy: WER 4.00 % (25 words)\n"
    )
    options = ("--corpus-dir", "../../my speech", "--config", "../../conf.toml", "--exp-dir", "../egs/mini/asr/exp")
    second = checkout.run("../egs/mini/asr/run.sh", *options, cwd=checkout.root / "recipes")
    assert checkout.take_calls() == []
    assert second.stdout.count("\n# up to date\n") == len(checkout.stages)
    assert "\nWORDS\n" in second.stdout
    assert second.stdout.endswith("test ctc_greedy: WER 4.00 % (25 words)\n")


def test_a_model_to_begin_from_brings_its_tokenizer(checkout):
    printed = checkout.run_mini("--dry-run", "--init-from", "weights/first.safetensors").stdout
    (train,) = [line for line in printed.splitlines() if line.startswith("audioroto train")]
    assert re.search(r" --init-from \S*weights/first.safetensors ", train)
    assert "tokenizer.model" not in printed
    assert "audioroto tokenizer" not in printed
    named = checkout.run_mini("--dry-run", "--init-from", "english-small").stdout
    assert " --init-from english-small " in named, "the name of a model that comes with audioroto is no path"


def test_each_mode_is_scored_and_all_are_recognized_at_once(checkout):
    done = checkout.run_mini("--modes", "ctc_greedy,ctc_beam")
    assert checkout.take_calls() == [*checkout.stages[:6], "score", "score", "transcribe"]
    assert "test ctc_greedy: WER 4.00 % (25 words)\ntest ctc_beam: WER 4.00 % (25 words)\n" in done.stdout
    (checkout.root / "egs/mini/asr/exp/recognize/test/ctc_beam/text").unlink()
    checkout.run_mini("--modes", "ctc_greedy ctc_beam")
    assert checkout.take_calls() == ["recognize"]


def test_with_text_an_n_gram_is_made_weighed_and_used(checkout):
    (checkout.root.parent / "books.txt").write_text("words\n")
    done = checkout.run_mini("--lm-text", "../books.txt")
    assert checkout.take_calls() == [
        *checkout.stages[:3],
        "lm",
        *checkout.stages[3:5],
        "tune",
        "recognize",
        "score",
        "score",
        "transcribe",
    ]
    assert "--lm egs/mini/asr/exp/lm.arpa.gz --config egs/mini/asr/exp/search.toml" in done.stdout
    assert "test ctc_beam: WER" in done.stdout
    checkout.run_mini("--lm-text", "../books.txt")
    assert checkout.take_calls() == []


def test_with_updates_a_neural_language_model_is_trained_weighed_and_used(checkout):
    (checkout.root.parent / "books.txt").write_text("words\n")
    asked = ("--lm-text", "../books.txt", "--lm-updates", "9", "--modes", "ctc_greedy joint")
    done = checkout.run_mini(*asked)
    calls = checkout.take_calls()
    assert [calls[number] for number in (3, 4, 7)] == ["lm", "train-lm", "tune"]
    assert re.search(
        r"audioroto train-lm --text=\S+ --tokenizer egs/mini/asr/exp/tokenizer.model --valid-text \S+/valid "
        r"--max-updates 9 \S*\s*--exp-dir egs/mini/asr/exp/lm\n",
        done.stdout.replace("\\\n", " "),
    )
    assert " --set search.neural_lm=egs/mini/asr/exp/lm/lm.safetensors" in done.stdout
    checkout.run_mini(*asked)
    assert checkout.take_calls() == []


def test_only_what_has_changed_runs_again(checkout):
    checkout.run_mini()
    checkout.take_calls()

    checkout.config.write_text("[train]\nseed = 2\n")
    checkout.run_mini()
    assert checkout.take_calls() == checkout.stages[2:]

    checkout.run_mini("--set", "train.seed=3")
    assert checkout.take_calls() == checkout.stages[2:]

    (checkout.corpus_dir / "table.tsv").write_text("another\n")
    checkout.run_mini("--set", "train.seed=3")
    assert checkout.take_calls() == ["prepare"], "the same data directories came out"

    (checkout.root / "egs/mini/asr/exp/model.safetensors").unlink()
    checkout.run_mini("--set", "train.seed=3")
    assert checkout.take_calls() == ["average"], "the same model came out"


def test_training_is_restarted_where_nothing_has_changed(checkout):
    checkout.run_mini()
    checkpoint = checkout.root / "egs/mini/asr/exp/checkpoints/best.safetensors"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    checkout.take_calls()
    printed = checkout.run_mini("--restart", "--dry-run").stdout
    assert re.search(r"^audioroto train .* --restart$", printed, re.MULTILINE)
    restarted = checkout.run_mini("--restart")
    assert checkout.take_calls() == ["train"], "the same model came out"
    assert "--restart\n" in restarted.stdout
    assert checkpoint.exists(), "what lies in the folder is for audioroto train to remove"
    assert "--restart" not in checkout.run_mini().stdout
    assert checkout.take_calls() == [], "the stamp is that of any run"


def test_a_failed_stage_ends_the_run_and_is_repeated(checkout):
    failed = checkout.run_mini(FAIL_IN="score")
    assert failed.returncode == 2
    assert checkout.take_calls() == checkout.stages[:7]
    assert checkout.run_mini().returncode == 0
    assert checkout.take_calls() == checkout.stages[6:]


def test_an_interrupted_stage_leaves_no_stamp_even_of_an_earlier_run(checkout):
    checkout.run_mini()
    checkout.take_calls()
    command = ["env", "--default-signal=INT", "bash", str(checkout.root / "egs/mini/asr/run.sh")]
    command += ["--corpus-dir", str(checkout.corpus_dir), "--config", str(checkout.config), "--set", "train.seed=9"]
    environment = checkout.environment | {"SLEEP_IN": "train"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=checkout.root, start_new_session=True, **pipes) as running:
        give_up = time.monotonic() + 30
        while not Path(f"{checkout.calls_file}.asleep").exists() and time.monotonic() < give_up:
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGINT)
        said = running.communicate(timeout=30)[1]
    assert running.returncode == 130
    assert "the same command goes on from here" in said
    checkout.take_calls()
    assert checkout.run_mini().returncode == 0
    assert checkout.take_calls()[:2] == ["tokenizer", "train"]


def test_a_script_that_changes_under_a_run_does_not_disturb_it(checkout):
    done = checkout.run_mini(CLEAR_IN="train", CLEARED=str(checkout.root / "recipes/asr.sh"))
    assert (done.returncode, done.stderr) == (0, "")
    assert checkout.take_calls() == checkout.stages


def test_data_directories_of_ones_own_need_no_corpus(checkout):
    data_dir = checkout.corpus_dir / "data"
    (data_dir / "test").mkdir(parents=True)
    (data_dir / "test/wav.scp").write_text("a /audio/a.wav\n")
    script = checkout.root / "recipes/asr.sh"
    checkout.run(script, "--data-dir", data_dir, "--exp-dir", "exp", "--config", "conf.toml")
    assert checkout.take_calls() == checkout.stages[1:]
    assert (checkout.root.parent / "exp/model.safetensors").exists(), "relative to where the user stands"


def test_a_download_comes_first_and_once(checkout):
    done = checkout.run_mini("--download", "--corpus-dir", "", "--stop-stage", "prepare")
    assert checkout.take_calls() == ["download", "prepare"]
    assert "download mini --parts train,valid,test --out data/downloaded/mini\n" in done.stdout
    checkout.run_mini("--download", "--corpus-dir", "", "--stop-stage", "prepare")
    assert checkout.take_calls() == []


def test_the_n_gram_may_be_weighed_on_a_set_of_its_own(checkout):
    (checkout.root.parent / "books.txt").write_text("words\n")
    weighed = checkout.run_mini("--dry-run", "--tune-set", "other", "--lm-text", "../books.txt").stdout
    assert "audioroto tune --model egs/mini/asr/exp/model.safetensors --data-dir data/prepared/mini/other " in weighed
    assert "validate data/prepared/mini/train data/prepared/mini/valid data/prepared/mini/other " in weighed
    assert "other" not in checkout.run_mini("--dry-run", "--tune-set", "other").stdout, "there is nothing to weigh"


def test_fewer_hours_of_the_training_set(checkout):
    lines = checkout.run_mini("--dry-run", "--train-hours", "2.50").stdout.splitlines()
    part, train = "data/prepared/mini/train_2.50h", "audioroto train --train-dir data/prepared/mini/train_2.50h "
    assert f"audioroto prepare subset data/prepared/mini/train --hours 2.50 --out {part}" in lines
    assert any(line.startswith(train) for line in lines)
    assert any(line.startswith(f"audioroto tokenizer --text {part} ") for line in lines), (
        "what is not heard is not read"
    )
