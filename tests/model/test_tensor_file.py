import resource
import signal

import pytest
import torch

from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.model.tensor_file import DamagedFileError, read_tensors, write_tensors

TENSORS = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.tensor(7)}


def test_what_is_written_is_read(tmp_path):
    write_tensors(tmp_path / "t.safetensors", TENSORS, {"key": "value"})
    metadata, tensors = read_tensors(tmp_path / "t.safetensors")
    assert metadata == {"key": "value"}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "t.safetensors"
    write_tensors(path, TENSORS, {"key": "value"})
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedFileError):
            read_tensors(path)


def test_a_file_without_a_hash_is_not_taken(tmp_path):
    from safetensors.torch import save_file

    save_file({"b": torch.tensor(7)}, tmp_path / "t.safetensors")
    with pytest.raises(DamagedFileError, match="hash"):
        read_tensors(tmp_path / "t.safetensors")


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """No room is made by a limit on the size of files, which writes meet as they meet the end of the disk."""
    path = tmp_path / "t.safetensors"
    write_tensors(path, TENSORS, {})
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(UserError, match="cannot write there"), atomic_path(path) as temporary:
            write_tensors(temporary, {"large": torch.ones(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
