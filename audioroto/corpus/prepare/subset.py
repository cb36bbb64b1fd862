"""Fewer hours of a data directory, for learning curves and quick runs."""

import hashlib
import os
from itertools import accumulate
from pathlib import Path

from audioroto.corpus.datadir import DatadirSummary, read_datadir, summarize, write_datadir
from audioroto.errors import UserError


def prepare_subset(source_dir: Path, hours: float, out_dir: Path) -> DatadirSummary:
    """Write as many whole utterances of SOURCE_DIR to OUT_DIR as fit into `hours`.

    They are taken in the order of the hashes of their ids: spread over all speakers, the same on every machine, and
    a smaller subset always lies within a larger one. Raises UserError where SOURCE_DIR has fewer hours, or no
    utterance fits.
    """
    if os.path.realpath(out_dir) == os.path.realpath(source_dir):
        raise UserError(f"{out_dir} is the data directory to take from; give another --out")
    utterances = sorted(read_datadir(source_dir), key=lambda each: hashlib.blake2b(each.id.encode()).digest())
    ends = list(accumulate(utterance.seconds for utterance in utterances))
    if ends[-1] < 3600 * hours:
        raise UserError(f"{source_dir} has {ends[-1] / 3600:.4f} hours, not {hours:g}: give fewer --hours")
    chosen = [utterance for utterance, end in zip(utterances, ends, strict=True) if end <= 3600 * hours]
    if not chosen:
        raise UserError(f"not one utterance of {source_dir} fits into {hours:g} hours: give more --hours")
    write_datadir(out_dir, chosen)
    return summarize(chosen)
