import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audioroto.model.ctc import ctc_loss
from audioroto.search.ctc_align import align_tokens
from audioroto.search.ctc_beam import ctc_beam
from audioroto.search.ctc_greedy import ctc_greedy
from audioroto.search.word_model import WordModel
from audioroto.text.arpa import read_arpa, write_arpa
from audioroto.text.ngram import estimate_ngrams
from audioroto.text.tokenizer import WORD_START, Tokenizer, train_tokenizer

SENTENCES = ["AB A", "B AB", "A A B", "BAB AB", "B"]


def make_log_probs(seed: int, num_frames: int, vocab_size: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 2, (num_frames, vocab_size))
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def sum_alignments(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every token sequence with its log-probability, by going through every alignment there is."""
    num_frames, vocab_size = log_probs.shape
    sums: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(vocab_size), repeat=num_frames):
        tokens = tuple(token for token, _ in itertools.groupby(path) if token)
        probability = float(log_probs[np.arange(num_frames), path].sum()) if path else 0.0
        sums[tokens] = np.logaddexp(sums.get(tokens, -math.inf), probability)
    return sums


@pytest.fixture(scope="module")
def arpa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    write_arpa(path, estimate_ngrams(SENTENCES, 3))
    return path


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES, "char", 10)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(2, 4))
def test_equals_the_sum_over_all_alignments(seed, num_frames, vocab_size):
    log_probs = make_log_probs(seed, num_frames, vocab_size)
    expected = sum_alignments(log_probs)
    found = {hypothesis.tokens: hypothesis.score for hypothesis in ctc_beam(log_probs, beam_size=9999, num_best=9999)}
    assert found == pytest.approx(expected, abs=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, 5), st.sampled_from([False, True]))
def test_with_words_equals_all_texts_weighed(arpa, tokenizer, seed, num_frames, open_vocabulary):
    pytest.importorskip("flashlight.lib.text")
    lm_weight, word_bonus = 0.7, 0.4
    log_probs = make_log_probs(seed, num_frames, tokenizer.vocab_size)
    model = read_arpa(arpa)
    expected = {}
    for tokens, log_probability in sum_alignments(log_probs).items():
        words = tokenizer.decode(tokens).split()
        spelled = tuple(tokenizer.encode(" ".join(words)))
        if tokens not in (spelled, (*spelled, tokenizer.pieces.index(WORD_START))):
            continue  # special tokens, or spelled otherwise; a mark of a word's start at the end says nothing
        if open_vocabulary or model.vocabulary.issuperset(words):
            lm = sum(model.score_sentence(words)) * math.log(10) if words else 0.0  # silence is no sentence
            expected[tokens] = log_probability + lm_weight * lm + word_bonus * len(words)
    hypotheses = ctc_beam(
        log_probs,
        beam_size=99999,
        num_best=99999,
        words=WordModel(arpa, tokenizer, open_vocabulary),
        lm_weight=lm_weight,
        word_bonus=word_bonus,
    )
    assert {h.tokens: h.score for h in hypotheses} == pytest.approx(expected, abs=1e-3)


def test_an_n_gram_makes_no_words_of_silence(arpa, tokenizer):
    pytest.importorskip("flashlight.lib.text")
    silence = np.log(np.full((200, tokenizer.vocab_size), 0.001) + 0.99 * np.eye(tokenizer.vocab_size)[0])
    silence[50] = silence[50][[tokenizer.pieces.index(WORD_START), *range(1, tokenizer.vocab_size)]]
    silence[50, tokenizer.pieces.index(WORD_START)] = silence[0, 0]  # a word seems to begin there
    (best,) = ctc_beam(silence, beam_size=50, words=WordModel(arpa, tokenizer), lm_weight=3.0)
    assert tokenizer.decode(best.tokens) == ""


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(1, 8))
def test_a_narrow_beam_says_only_words_and_no_more_than_the_frames_allow(arpa, tokenizer, seed, num_frames, beam_size):
    pytest.importorskip("flashlight.lib.text")
    log_probs = make_log_probs(seed, num_frames, tokenizer.vocab_size)
    found = ctc_beam(
        log_probs, beam_size=beam_size, beam_threshold=8.0, num_best=3, words=WordModel(arpa, tokenizer), lm_weight=0.5
    )
    assert 1 <= len(found) <= 3
    assert len({hypothesis.tokens for hypothesis in found}) == len(found)
    for hypothesis in found:
        assert set(tokenizer.decode(hypothesis.tokens).split()) <= {"A", "B", "AB", "BAB"}
        assert align_tokens(log_probs, hypothesis.tokens) is not None


@example(6, 34, 3)  # where a beam of 300 loses more of the text than one of 3
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(1, 10))
def test_a_narrow_beam_finds_texts_that_fit_and_never_scores_them_too_high(seed, num_frames, beam_size):
    log_probs = make_log_probs(seed, num_frames, 5)
    (best,) = ctc_beam(log_probs, beam_size=beam_size, beam_threshold=6.0)
    assert align_tokens(log_probs, best.tokens) is not None
    if best.tokens:
        one, lengths = torch.from_numpy(log_probs)[None].double(), torch.tensor([num_frames])
        exact = -ctc_loss(one, lengths, torch.tensor([best.tokens]), torch.tensor([len(best.tokens)])).item()
    else:
        exact = float(log_probs[:, 0].sum(dtype=np.float64))
    assert best.score <= exact + 1e-6


def test_sure_frames_give_the_greedy_text_in_any_beam():
    log_probs = np.log(np.full((40, 6), 1e-5) + np.eye(6)[np.random.default_rng(0).integers(0, 6, 40)])
    assert ctc_beam(log_probs, beam_size=1)[0].tokens == ctc_greedy(log_probs).tokens


def test_an_hour_of_frames_does_not_underflow():
    log_probs = make_log_probs(1, 5000, 30)
    (best,) = ctc_beam(log_probs, beam_size=4, beam_threshold=5.0)
    assert -5000 * math.log(30) < best.score < 0
