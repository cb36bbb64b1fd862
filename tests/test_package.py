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


def test_the_wheel_holds_the_model_and_the_page(root):
    pytest.importorskip("hatchling")
    from hatchling.builders.wheel import WheelBuilder

    names = {file.distribution_path for file in WheelBuilder(str(root)).recurse_included_files()}
    models = {
        f"audioroto/pretrained/english-small{suffix}"
        for suffix in (".safetensors", ".lm.safetensors", ".arpa.gz", ".toml")
    }
    assert models | {"audioroto/pretrained/README.md", "audioroto/serve/page/index.html"} <= names
    assert {name.partition("/")[0] for name in names} == {"audioroto"}
