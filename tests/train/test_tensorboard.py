import sys
from types import ModuleType

import pytest
from rich.console import Console

from audioroto.config import Config
from audioroto.errors import UserError
from audioroto.train.metrics import MetricsLog
from audioroto.train.tensorboard import TensorBoard
from audioroto.train.trainer import train


class Recorder:
    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.append((tag, value, step))

    def flush(self) -> None:
        pass


def test_each_line_of_the_diary_is_shown(tmp_path, monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Recorder
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    board = TensorBoard(tmp_path / "tensorboard", 7)
    log = MetricsLog(tmp_path / "metrics.jsonl", 7)
    log.followers.append(board.write)
    log.append(update=8, train_loss=0.5, valid_wer=12.0, gradient_norm=1.5)
    assert board.writer.purge_step == 8
    assert board.writer.scalars == [("train/loss", 0.5, 8), ("valid/wer", 12.0, 8), ("run/gradient_norm", 1.5, 8)]


def test_without_the_package_the_next_step_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'audioroto\[tensorboard\]'"):
        train(
            Config(),
            "none",
            "none",
            None,
            tmp_path / "exp",
            restart=True,
            tensorboard=True,
            console=Console(quiet=True),
        )
    assert not (tmp_path / "exp").exists()  # refused before anything is done


def test_event_files_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    board = TensorBoard(tmp_path / "tensorboard", 0)
    board.write({"update": 1, "train_loss": 0.5})
    assert any(path.stat().st_size > 0 for path in (tmp_path / "tensorboard").iterdir())
