"""The speech that the English model is trained on: LibriSpeech splits, AN4, Common Voice and single readers."""

from pathlib import Path

from audioroto.corpus.datadir import DatadirSummary, Utterance, read_datadir, summarize, write_datadir
from audioroto.corpus.prepare.an4 import prepare_an4
from audioroto.corpus.prepare.librispeech import prepare_librispeech
from audioroto.corpus.prepare.table import prepare_table
from audioroto.errors import UserError

LIBRISPEECH_TRAIN = ("train-clean-5", "train-clean-7spk")
LIBRISPEECH_VALID = "dev-clean"
LIBRISPEECH_TEST = ("test-clean", "test-other")
TABLES = ("commonvoice", "readers")
VALID_STRIDE = 6  # every sixth utterance of dev-clean chooses checkpoints; all of it weighs the language model


def prepare_english(corpus_dir: Path, out_dir: Path) -> dict[str, DatadirSummary]:
    """Write OUT_DIR/{train,valid} and each test set from a folder with LibriSpeech/, an4/, commonvoice/ and readers/.

    `train` is all that may be trained on; its parts stay beside it as data directories of their own. `valid` is every
    sixth utterance of dev-clean. Raises UserError for a part that is missing, and for an id that two parts share.
    """
    prepare_librispeech(corpus_dir / "LibriSpeech", out_dir, [*LIBRISPEECH_TRAIN, LIBRISPEECH_VALID, *LIBRISPEECH_TEST])
    prepare_an4(corpus_dir / "an4", out_dir / "an4", num_valid_speakers=0)
    for table in TABLES:
        prepare_table(corpus_dir / table / "transcripts.tsv", out_dir, split=table)
    parts = [*LIBRISPEECH_TRAIN, "an4/train", *TABLES]
    splits = {
        "train": _combine([out_dir / part for part in parts]),
        "valid": read_datadir(out_dir / LIBRISPEECH_VALID)[::VALID_STRIDE],
    }
    for split, utterances in splits.items():
        write_datadir(out_dir / split, utterances)
    tests = {name: read_datadir(out_dir / name) for name in (LIBRISPEECH_VALID, *LIBRISPEECH_TEST, "an4/test")}
    return {split: summarize(utterances) for split, utterances in {**splits, **tests}.items()}


def _combine(data_dirs: list[Path]) -> list[Utterance]:
    combined: dict[str, Utterance] = {}
    for data_dir in data_dirs:
        for utterance in read_datadir(data_dir):
            if utterance.id in combined:
                raise UserError(f"{data_dir}: utterance {utterance.id} is in another part of the corpus, too")
            combined[utterance.id] = utterance
    return list(combined.values())
