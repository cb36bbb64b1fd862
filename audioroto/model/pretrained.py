"""The models that come with the package: a name to a file, to its n-gram, and to settings of the search that suit it.

Each is a few files of one name in the folder `pretrained`, whose README is the model card: NAME.safetensors, and
where there is one NAME.arpa.gz (a word n-gram), NAME.lm.safetensors (a neural language model) and NAME.toml (a
configuration with a section `search`).
"""

from collections.abc import Iterable
from pathlib import Path

from audioroto.config import Search, load_config
from audioroto.errors import UserError

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
DEFAULT_MODEL = Path("english-small")
_NEURAL_LM = ".lm.safetensors"


def find_model(model: str | Path) -> Path:
    """The model file at a path or, where no file is, of a model that comes with the package, by its name.

    Raises UserError that lists the names.
    """
    path = Path(model) if Path(model).is_file() else _find(model, ".safetensors")
    if path is None:
        raise UserError(
            f"there is no model file {model}; give the path of a model file, or the name of a model that comes with "
            f"audioroto: {', '.join(list_models())}"
        )
    return path


def find_lm(model: str | Path) -> Path | None:
    """The n-gram that comes with a model of the package; None for any other model."""
    return _find(model, ".arpa.gz")


def find_neural_lm(model: str | Path) -> Path | None:
    """The neural language model that comes with a model of the package; None for any other model."""
    return _find(model, _NEURAL_LM)


def load_search(model: str | Path, paths: Iterable[str | Path] = (), overrides: Iterable[str] = ()) -> Search:
    """The section `search` of a configuration, as `load_config` reads it, over what a model of the package sets."""
    own = _find(model, ".toml")
    return load_config([*([own] if own else []), *paths], overrides).search


def list_models() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors") if not path.name.endswith(_NEURAL_LM))


def _find(model: str | Path, suffix: str) -> Path | None:
    """The file of that suffix of a model in the package, unless `model` is a file or no such name."""
    if Path(model).is_file() or str(model) not in list_models():
        return None
    path = FOLDER / f"{model}{suffix}"
    return path if path.is_file() else None
