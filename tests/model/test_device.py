import pytest
import torch

from audioroto.errors import UserError
from audioroto.model.device import choose_device, choose_precision


def test_names_are_taken_at_their_word():
    assert choose_device("cpu").type == "cpu"
    assert choose_precision("float32", torch.device("cpu")) == torch.float32
    assert choose_precision("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: torch.ones(1))
    assert choose_device(name) == torch.device("cuda:0")
    for rank, gpu in ((1, 1), (2, 0)):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert choose_device(name) == torch.device(f"cuda:{gpu}")
    assert choose_device("cuda:0") == torch.device("cuda:0")


@pytest.mark.parametrize("name", ["gpu", "xpu", "cpu:one", "meta", ""])
def test_a_device_that_torch_does_not_have_is_refused(name):
    with pytest.raises(UserError, match="use auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_refused():
    assert choose_device("auto").type == "cpu"
    with pytest.raises(UserError, match="sees no CUDA device"):
        choose_device("cuda")
