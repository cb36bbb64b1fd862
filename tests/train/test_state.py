import errno
import logging
import shutil

import pytest
import torch
from torch import nn

from audioroto.config import Config, Train
from audioroto.errors import UserError
from audioroto.model import tensor_file
from audioroto.train import state
from audioroto.train.optimizer import make_optimizer
from audioroto.train.state import Progress, load_state, previous_state, save_state


@pytest.fixture
def run():
    model = nn.Linear(40, 30)
    optimizer = make_optimizer(model, Train())
    model(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def path(run, tmp_path):
    """States of updates 1 and 2, the weights all 1.0 and 2.0."""
    for update in (1, 2):
        save(tmp_path / "resume.safetensors", run, update)
    return tmp_path / "resume.safetensors"


def save(path, run, update):
    model, optimizer = run
    nn.init.constant_(model.weight, float(update))
    progress = Progress(update=update, init_from=[{"model": "m", "sha256": "0", "step": 5}])
    save_state(path, model, optimizer, progress, Config(), "inputs", {})


def load(path, run):
    return load_state(path, *run, Config(), "inputs", {})


def change_byte(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_last_two_are_kept(path, run):
    progress = load(path, run)
    assert progress.update == 2
    assert progress.init_from == [{"model": "m", "sha256": "0", "step": 5}]
    assert (run[0].weight == 2).all()
    assert load(previous_state(path), run).update == 1
    assert sorted(path.parent.iterdir()) == [previous_state(path), path]


@pytest.mark.parametrize("place", [5, 40, -1, -1000])
def test_a_changed_bit_is_noticed_and_the_one_before_is_used(place, path, run, caplog):
    change_byte(path, place)
    with caplog.at_level(logging.WARNING):
        assert load(path, run).update == 1
    assert (run[0].weight == 1).all()
    assert f"{path} is damaged" in caplog.text
    assert "going on from the one before it, update 1" in caplog.text
    save(path, run, 3)
    assert load(previous_state(path), run).update == 1  # not the damaged one
    assert load(path, run).update == 3


def test_a_truncated_one_is_noticed(path, run, caplog):
    path.write_bytes(path.read_bytes()[:-7])
    assert load(path, run).update == 1
    assert f"{path} is damaged" in caplog.text


def test_where_all_are_damaged_they_are_named(path, run):
    change_byte(path, -1)
    change_byte(previous_state(path), -1)
    with pytest.raises(UserError, match=rf"{path} is damaged.*{previous_state(path)} is damaged"):
        load(path, run)
    previous_state(path).unlink()
    with pytest.raises(UserError, match=rf"{path} is damaged.*remove it to start"):
        load(path, run)


def test_a_full_disk_loses_nothing(path, run, monkeypatch):
    def write_a_part(tensors, temporary, metadata):
        temporary.write_bytes(b"part")
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with monkeypatch.context() as patched:
        patched.setattr(tensor_file, "save_file", write_a_part)
        with pytest.raises(OSError, match="No space left"):
            save(path, run, 3)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    assert load(path, run).update == 2


def test_without_hard_links_files_are_copied(path, run, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(state.os, "link", refuse)
    save(path, run, 3)
    assert load(previous_state(path), run).update == 2

    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(OSError, match="No space left"):
        save(path, run, 4)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
