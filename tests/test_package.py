"""What `import audioroto` gives, and what it costs."""

import subprocess
import sys

import pytest

import audioroto

HEAVY = ("torch", "torchaudio", "librosa", "matplotlib", "sentencepiece", "jiwer")


@pytest.mark.parametrize(
    "arguments", [["-c", "import audioroto; audioroto.__version__"], ["-m", "audioroto", "--help"]]
)
def test_import_and_help_are_cheap(arguments):
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & set(HEAVY)


def test_public_names_are_sorted_and_there():
    assert audioroto.__all__ == sorted(audioroto.__all__)
    assert all(getattr(audioroto, name) is not None for name in audioroto.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = audioroto.nonsense
