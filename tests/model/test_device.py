import pytest
import torch

from audioroto.errors import UserError
from audioroto.model.device import choose_device, choose_precision


def test_names_are_taken_at_their_word():
    assert choose_device("cpu").type == "cpu"
    assert choose_precision("float32", torch.device("cpu")) == torch.float32
    assert choose_precision("auto", torch.device("cpu")) in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("name", ["gpu", "xpu", "cpu:one", ""])
def test_a_device_that_torch_does_not_have_is_refused(name):
    with pytest.raises(UserError, match="use auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_refused():
    assert choose_device("auto").type == "cpu"
    with pytest.raises(UserError, match="sees no CUDA device"):
        choose_device("cuda")
