"""Training that begins where another ended: the weights of a model file, and the chain of models behind a model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audioroto.config import Config, find_changes
from audioroto.errors import UserError
from audioroto.files import sha256_of
from audioroto.model.checkpoint import Checkpoint, load_checkpoint
from audioroto.model.pretrained import find_model
from audioroto.text.tokenizer import Tokenizer

_ARCHITECTURE = ("features", "encoder", "position", "rotation", "decoder")  # sections of the configuration
_WITHOUT_WEIGHTS = {  # their settings that are free: only training hears of them, or who attends to whom
    *(
        "dropout",
        "layer_drop",
        "checkpoint_blocks",
        "checkpoint",
        "local_heads",
        "window_frames",
        "global_keys",
        "pooled_share",
    ),
    *("probe_every_updates", "probe_factor", "probe_threshold", "min_base", "max_base"),
}


@dataclass(frozen=True)
class Origin:
    """A model to begin from, and `chain`, the models it comes from in turn, itself last: model, sha256, step."""

    path: Path
    checkpoint: Checkpoint
    chain: list[dict[str, Any]]

    def refuse_unless_fit(self, config: Config, tokenizer: Tokenizer) -> None:
        """Raise UserError, with the settings to give, for another architecture or another tokenizer."""
        if changed := find_architecture_changes(self.checkpoint.config, config):
            differences = "; ".join(f"{key} was {saved!r}, is {value!r}" for key, saved, value in changed)
            settings = " ".join(f"--set {key}={saved}" for key, saved, _ in changed)
            raise UserError(f"--init-from {self.path} has another architecture: {differences}. Give {settings}")
        if self.checkpoint.tokenizer.model != tokenizer.model:
            raise UserError(
                f"--init-from {self.path} has another tokenizer; leave --tokenizer out to take the model's own"
            )

    def refuse_unless_begun_from(self, chain: list[dict[str, Any]], state: Path) -> None:
        """Raise UserError when a run to go on, of this `chain`, began from another model."""
        if not chain or chain[-1]["sha256"] != self.chain[-1]["sha256"]:
            began = f"from {chain[-1]['model']}" if chain else "from fresh weights"
            raise UserError(
                f"{state} belongs to a run that began {began}, not from {self.path}; "
                "give another --exp-dir, or --restart"
            )


def find_architecture_changes(earlier: Config, later: Config) -> list[tuple[str, Any, Any]]:
    """Settings (name, earlier, later) in which two configurations differ, of those that weights depend on."""
    return [
        (name, theirs, ours)
        for name, theirs, ours in find_changes(earlier, later)
        if name.partition(".")[0] in _ARCHITECTURE and name.partition(".")[2] not in _WITHOUT_WEIGHTS
    ]


def load_origin(path: str | Path) -> Origin:
    """Read a model file to begin from. Raises UserError as `load_checkpoint` does."""
    path = find_model(path)
    checkpoint = load_checkpoint(path)
    link = {"model": path.name, "sha256": sha256_of(path), "step": checkpoint.step}
    return Origin(path, checkpoint, [*checkpoint.notes.get("init_from", []), link])


def choose_seed(seed: int, chain: list[dict[str, Any]]) -> int:
    """The seed of what a run does to speech, by that of its settings and the `chain` of models that it begins from.

    Speech that is perturbed, masked and mixed with noise just as a model of the chain has heard it is learned by heart.
    """
    if not chain:
        return seed
    digest = hashlib.blake2b(f"{seed}/{chain[-1]['sha256']}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def choose_tokenizer(path: str | Path | None, origin: Origin | None) -> Tokenizer:
    """The tokenizer in the file `path`, or else that of the model to begin from; UserError without either."""
    if path:
        return Tokenizer.load(path)
    if origin:
        return origin.checkpoint.tokenizer
    raise UserError("training needs a tokenizer: give --tokenizer, or --init-from a model that has one")
