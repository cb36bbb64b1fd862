import pytest
import torch

from audioroto.bench.peers import PEERS, PeerModel
from audioroto.bench.step import BatchShape, build, make_step
from audioroto.errors import UserError
from audioroto.model.asr import count_parameters

MODULES = {"torchaudio": "torchaudio", "speechbrain": "speechbrain", "espnet": "espnet2"}


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_of_eight_million_parameters_trains(peer, tiny_config):
    pytest.importorskip(MODULES[peer])
    assert 7.4e6 < count_parameters(build(tiny_config, peer)) < 8.6e6
    step = make_step(tiny_config, BatchShape(2, 0.5, 1.0), torch.device("cpu"), peer)
    assert step() > 0


def test_what_is_missing_or_unknown_is_refused(tiny_config, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "espnet2", None)
    with pytest.raises(UserError, match=r"pip install espnet==202511"):
        PeerModel("espnet", tiny_config, 20)
    with pytest.raises(UserError, match="there are torchaudio, speechbrain, espnet"):
        PeerModel("kaldi", tiny_config, 20)
