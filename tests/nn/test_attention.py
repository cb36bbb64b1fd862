import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from audioroto.nn.attention import HybridAttention, attend
from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlanner
from audioroto.nn.rotation import apply_rotary, random_rotation, rotary_angles_at, rotary_frequencies

WIDTH, HEADS = 32, 4
FREQUENCIES = rotary_frequencies(WIDTH // HEADS)


def make_planner(**chosen) -> AttentionPlanner:
    """All heads global, all frames keys, unless chosen otherwise; a bias is not zero."""
    planner = AttentionPlanner(HEADS, **{"local_heads": 0, "window_frames": 4, "global_keys": 1000} | chosen)
    with torch.no_grad():
        for parameter in planner.parameters():
            parameter.normal_()
    return planner


def make_attention(seed: int = 0, **chosen: bool) -> HybridAttention:
    torch.manual_seed(seed)
    attention = HybridAttention(WIDTH, HEADS, **chosen)
    if attention.gains is not None:
        torch.nn.init.uniform_(attention.gains, 0.5, 2)
    return attention


def run(attention, planner, frames, lengths=None, frequencies=FREQUENCIES, rotation=None):
    lengths = [frames.shape[1]] * len(frames) if lengths is None else lengths
    return apply(attention, frames, planner(torch.tensor(lengths), frames.shape[1], frequencies), lengths, rotation)


def apply(attention, frames, plan, lengths, rotation=None):
    """Padded frames (B, T, D) in and out."""
    packing = Packing(torch.tensor(lengths), frames.shape[1])
    return packing.unpack(attention(packing.pack(frames), packing, plan, rotation))


def attend_naively(attention, planner, frames, frequencies=FREQUENCIES, rotation=None):
    """One utterance (T, D), a head, a query and a key at a time, as the docstrings have it."""
    num_frames = len(frames)
    parts = functional.linear(frames, attention.project_in.weight).view(num_frames, 3, HEADS, -1)
    min_stride = planner.min_stride if planner.training else 1
    outputs = []
    for head in range(HEADS):
        queries, keys, values = (parts[:, part, head] for part in range(3))  # (T, K)
        if attention.gains is not None:
            gains = attention.gains.view(2, HEADS, -1)
            queries = functional.rms_norm(queries, queries.shape[-1:]) * gains[0, head]
            keys = functional.rms_norm(keys, keys.shape[-1:]) * gains[1, head]
        if rotation is not None:
            queries, keys = queries @ rotation[head], keys @ rotation[head]
            values = values @ rotation[head] if attention.rotate_values else values
        stride = 1
        if head >= planner.local_heads:
            stride = max(min_stride, math.ceil(num_frames / planner.global_keys))
        spans = [range(start, min(start + stride, num_frames)) for start in range(0, num_frames, stride)]
        keys = torch.stack([keys[span.start : span.stop].mean(0) for span in spans])
        values = torch.stack([values[span.start : span.stop].mean(0) for span in spans])
        centres = torch.tensor([sum(span) / len(span) for span in spans])
        positions = torch.arange(num_frames).float()
        if frequencies is not None:
            own = frequencies if frequencies.ndim == 1 else frequencies[head]
            queries = apply_rotary(queries, *rotary_angles_at(positions, own))
            keys = apply_rotary(keys, *rotary_angles_at(centres, own))
        rows = []
        for query in range(num_frames):
            seen = [
                number
                for number, span in enumerate(spans)
                if (head >= planner.local_heads or abs(query - span.start) <= planner.window_frames)
                and (not planner.causal or span.start + stride - 1 <= query)
            ]
            scores = queries[query] @ keys[seen].T / math.sqrt(keys.shape[-1])
            if planner.bias is not None:
                scores = scores + planner.bias(query - centres[seen])[head]
            rows.append(scores.softmax(-1) @ values[seen])
        outputs.append(torch.stack(rows))
    return attention.project_out(torch.cat(outputs, dim=-1))


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    local_heads=st.integers(0, HEADS),
    window_frames=st.sampled_from([1, 2, 3, 5, 8, 50]),
    global_keys=st.sampled_from([1, 5, 16, 100]),
    min_stride=st.sampled_from([1, 1, 3]),
    causal=st.booleans(),
    bias=st.sampled_from(["none", "buckets", "dynamic"]),
    qk_norm=st.booleans(),
    rotated=st.sampled_from(["no", "queries and keys", "values too"]),
    positions=st.sampled_from(["none", "rotary", "a frequency each head"]),
)
def test_padded_equals_alone_equals_the_naive_loop(
    lengths, local_heads, window_frames, global_keys, min_stride, causal, bias, qk_norm, rotated, positions
):
    attention = make_attention(qk_norm=qk_norm, rotate_values=rotated == "values too")
    planner = make_planner(
        local_heads=local_heads, window_frames=window_frames, global_keys=global_keys, causal=causal, bias=bias
    )
    planner.min_stride = min_stride
    rotation = None if rotated == "no" else random_rotation(WIDTH // HEADS, (HEADS,))
    frequencies = {
        "none": None,
        "rotary": FREQUENCIES,
        "a frequency each head": FREQUENCIES * torch.linspace(0.5, 2, HEADS)[:, None],
    }[positions]
    frames = torch.randn(len(lengths), max(lengths), WIDTH)  # padding is not zero here
    outputs = run(attention, planner, frames, lengths, frequencies, rotation)
    for index, length in enumerate(lengths):
        own = frames[index, :length]
        alone = run(attention, planner, own[None], None, frequencies, rotation)[0]
        naive = attend_naively(attention, planner, own, frequencies, rotation)
        assert (outputs[index, :length] - alone).abs().max() < 1e-4
        assert (alone - naive).abs().max() < 1e-4


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window_frames", [1, 4, 7])
def test_windows_equal_a_band_over_all_frames(window_frames, causal, monkeypatch):
    attention = make_attention()
    planner = make_planner(local_heads=HEADS, window_frames=window_frames, causal=causal, bias="dynamic")
    around = {multiple * window_frames + offset for multiple in range(5) for offset in (-1, 0, 1)}
    for num_frames in sorted(around | set(range(1, window_frames + 2))):
        if num_frames < 1:
            continue
        frames = torch.randn(2, num_frames, WIDTH)
        lengths = [num_frames, (num_frames + 1) // 2]
        monkeypatch.setattr(AttentionPlanner, "DENSE_WINDOWS", 0)
        plan = planner(torch.tensor(lengths), num_frames, FREQUENCIES)
        assert plan.frame_bias is None
        by_windows = apply(attention, frames, plan, lengths)
        monkeypatch.setattr(AttentionPlanner, "DENSE_WINDOWS", 10**6)
        plan = planner(torch.tensor(lengths), num_frames, FREQUENCIES)
        assert plan.window_bias is None
        by_band = apply(attention, frames, plan, lengths)
        for index, length in enumerate(lengths):
            torch.testing.assert_close(by_windows[index, :length], by_band[index, :length], rtol=0, atol=1e-5)


@pytest.mark.parametrize("chosen", [{"local_heads": HEADS}, {"local_heads": 2, "global_keys": 9}, {"local_heads": 2}])
def test_inference_equals_training(chosen):
    attention, planner, frames = make_attention(qk_norm=True), make_planner(**chosen), torch.randn(3, 50, WIDTH)
    training = run(attention, planner, frames, [50, 1, 33])
    with torch.inference_mode():
        inference = run(attention, planner, frames, [50, 1, 33])
    torch.testing.assert_close(inference, training, rtol=0, atol=1e-6)


@pytest.mark.parametrize("local_heads", [0, 2, HEADS])
@pytest.mark.parametrize("global_keys", [9, 100])
@pytest.mark.parametrize("num_frames", [12, 45])
def test_causal_hears_nothing_of_the_future(local_heads, global_keys, num_frames):
    attention = make_attention(qk_norm=True)
    planner = make_planner(local_heads=local_heads, global_keys=global_keys, causal=True, bias="buckets")
    frames = torch.randn(1, num_frames, WIDTH, requires_grad=True)
    outputs = run(attention, planner, frames)
    for query in (0, 1, num_frames // 2, num_frames - 1):
        (gradient,) = torch.autograd.grad(outputs[0, query].sum(), frames, retain_graph=True)
        assert (gradient[0, query + 1 :] == 0).all()
    later = frames.detach().clone()
    later[0, 8:] = torch.randn(num_frames - 8, WIDTH)
    torch.testing.assert_close(run(attention, planner, later)[0, :8], outputs[0, :8])


def test_a_causal_query_before_the_first_block_has_ended_hears_nothing():
    attention = make_attention()
    planner = make_planner(global_keys=5, causal=True)
    outputs = run(attention, planner, torch.randn(1, 20, WIDTH))  # blocks of 4
    assert (outputs[0, :3] == 0).all()
    assert (outputs[0, 3:] != 0).all()


@pytest.mark.parametrize("num_frames", [10, 30])
def test_all_heads_local_or_none_switches_the_other_branch_off_exactly(num_frames):
    attention, frames = make_attention(), torch.randn(1, num_frames, WIDTH)
    plans = {
        local_heads: make_planner(local_heads=local_heads, global_keys=12)(torch.tensor([num_frames]), num_frames, None)
        for local_heads in (0, HEADS)
    }
    assert plans[0].window_bias is None
    assert plans[0].num_windowed == 0
    assert plans[HEADS].blocks is None
    changed = frames.clone()
    changed[0, 9] += 1
    differs = {}
    for local_heads, plan in plans.items():
        before, after = (apply(attention, inputs, plan, [num_frames]) for inputs in (frames, changed))
        differs[local_heads] = (before != after).any(-1)[0].nonzero().flatten().tolist()
    assert differs[0] == list(range(num_frames))
    assert differs[HEADS] == [query for query in range(num_frames) if abs(query - 9) <= 4]


@pytest.mark.parametrize("local_heads", [0, 2])
@pytest.mark.parametrize("num_frames", [1, 19, 20])
def test_as_many_keys_as_frames_equal_dense(num_frames, local_heads):
    attention, frames = make_attention(), torch.randn(2, num_frames + 5, WIDTH)
    lengths = [num_frames, num_frames]
    few = make_planner(local_heads=local_heads, global_keys=20)(torch.tensor(lengths), num_frames + 5, FREQUENCIES)
    many = make_planner(local_heads=local_heads, global_keys=99)(torch.tensor(lengths), num_frames + 5, FREQUENCIES)
    outputs, dense = (apply(attention, frames, plan, lengths) for plan in (few, many))
    torch.testing.assert_close(outputs[:, :num_frames], dense[:, :num_frames], rtol=0, atol=1e-5)


@pytest.mark.parametrize("window_frames", [30, 31, 200])
def test_a_window_over_everything_is_global(window_frames):
    attention, frames = make_attention(), torch.randn(2, 30, WIDTH)
    local = run(attention, make_planner(local_heads=HEADS, window_frames=window_frames), frames, [30, 17])
    everything = run(attention, make_planner(), frames, [30, 17])
    torch.testing.assert_close(local[0], everything[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(local[1, :17], everything[1, :17], rtol=0, atol=1e-5)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("bias", ["none", "dynamic"])
@pytest.mark.parametrize("chosen", [{}, {"local_heads": 2}, {"local_heads": 2, "global_keys": 7}, {"causal": True}])
@pytest.mark.parametrize("lengths", [[0], [0, 40]])
def test_an_utterance_without_frames_gives_no_nan(lengths, chosen, bias, autocast):
    attention, planner = make_attention(qk_norm=True), make_planner(bias=bias, **chosen)
    frames = torch.zeros(len(lengths), 40, WIDTH)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        outputs = run(attention, planner, frames, lengths)
    outputs.float().sum().backward()
    assert outputs.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in attention.parameters())


@pytest.mark.parametrize("needs_gradient", [False, True])
def test_both_ways_to_attend_agree_under_autocast(needs_gradient):
    torch.manual_seed(0)
    queries, keys, values = (torch.randn(2, 3, 50, 16, requires_grad=True) for _ in range(3))
    bias = torch.randn(1, 3, 50, 50).masked_fill(torch.rand(3, 50, 50) < 0.3, -30000.0)
    weights = torch.randn(2, 3, 50, 16)
    exact = attend(queries, keys, values, bias)
    half = attend(
        *(part.bfloat16() for part in (queries, keys, values)), bias.bfloat16().requires_grad_(needs_gradient)
    )
    assert (exact - half).abs().max() < 0.05
    for exact_gradient, half_gradient in zip(
        torch.autograd.grad((exact * weights).sum(), (queries, keys, values)),
        torch.autograd.grad((half * weights).sum(), (queries, keys, values)),
        strict=True,
    ):
        assert (exact_gradient - half_gradient).norm() < 0.02 * exact_gradient.norm()


def test_rotation_by_the_identity_changes_nothing():
    attention, planner, frames = make_attention(), make_planner(), torch.randn(1, 20, WIDTH)
    identity = torch.eye(WIDTH // HEADS).expand(HEADS, -1, -1)
    rotated = run(attention, planner, frames, rotation=identity)
    torch.testing.assert_close(rotated, run(attention, planner, frames), rtol=0, atol=1e-6)


@pytest.mark.parametrize("local_heads", [0, 2])
def test_transformer_xl_equals_the_papers_sum_and_padding_changes_nothing(local_heads):
    attention = make_attention(transformer_xl=True)
    torch.nn.init.normal_(attention.relative.for_content)
    torch.nn.init.normal_(attention.relative.for_distance)
    planner = make_planner(local_heads=local_heads, window_frames=2, global_keys=5, distance_width=WIDTH)
    frames = torch.randn(2, 15, WIDTH)
    outputs = run(attention, planner, frames, [15, 9], frequencies=None)
    for index, length in enumerate([15, 9]):
        own = frames[index, :length]
        parts = functional.linear(own, attention.project_in.weight).view(length, 3, HEADS, -1)
        heads = []
        for head in range(HEADS):
            span = slice(8 * head, 8 * head + 8)
            u, v = attention.relative.for_content[span], attention.relative.for_distance[span]
            scores = torch.full((length, length), -torch.inf)
            for query in range(length):
                for key in range(length):
                    if head >= local_heads or abs(query - key) <= 2:
                        turn = torch.cat(rotary_angles_at(torch.tensor([query - key]), rotary_frequencies(WIDTH)), -1)
                        distance = attention.relative.project(turn)[0, span]
                        content = (parts[query, 0, head] + u) @ parts[key, 1, head]
                        scores[query, key] = content + (parts[query, 0, head] + v) @ distance
            heads.append((scores / math.sqrt(8)).softmax(-1) @ parts[:, 2, head])
        expected = attention.project_out(torch.cat(heads, -1))
        torch.testing.assert_close(outputs[index, :length], expected, rtol=0, atol=1e-5)
    outputs.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in attention.relative.parameters())


@pytest.mark.parametrize("chosen", [{}, {"local_heads": 2}, {"local_heads": 2, "global_keys": 7}])
def test_values_under_the_weights_are_what_the_layer_gives(chosen):
    attention, planner = make_attention(qk_norm=True).eval(), make_planner(bias="dynamic", **chosen).eval()
    frames = torch.randn(2, 45, WIDTH)
    plan = planner(torch.tensor([45, 45]), 45, FREQUENCIES)
    with torch.no_grad():
        packing = Packing(torch.tensor([45, 45]), 45)
        weights = attention.compute_weights(packing.pack(frames), packing, plan)  # (H, B, T, T)
        values = attention.project_in(frames)[..., 2 * WIDTH :].unflatten(-1, (HEADS, -1))  # (B, T, H, K)
        joined = torch.einsum("hbts,bshk->bthk", weights, values).flatten(2)
        outputs = packing.unpack(attention(packing.pack(frames), packing, plan))
        torch.testing.assert_close(attention.project_out(joined), outputs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(HEADS, 2, 45))


def test_optimizer_decays_no_gain():
    assert make_attention(qk_norm=True).gains.ndim == 1


@pytest.mark.parametrize("chosen", [{}, {"bias": "dynamic"}, {"local_heads": 2, "window_frames": 3}, {"causal": True}])
def test_a_product_for_each_utterance_gives_what_one_for_all_gives(chosen, monkeypatch):
    attention, planner = make_attention(qk_norm=True), make_planner(**chosen)
    frames, found = torch.randn(3, 40, WIDTH), []
    for most in (0.0, 2.0):
        monkeypatch.setattr("audioroto.nn.attention.MOST_SCORES_TO_SPLIT", most)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = run(attention, planner, frames, [40, 0, 11])
        outputs.float().square().sum().backward()
        parameters = [*attention.parameters(), *planner.parameters()]
        found.append([outputs.float(), *(parameter.grad for parameter in parameters)])
        for parameter in parameters:
            parameter.grad = None
    for together, apart in zip(*found, strict=True):
        assert (together - apart).norm() <= 0.02 * together.norm() + 1e-5
