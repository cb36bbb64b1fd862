import itertools
import math

import pytest
import torch
from torch import Tensor

from audioroto.model.ctc import ctc_loss
from audioroto.model.decoder import Decoder
from audioroto.model.language_model import LanguageModel, Shape
from audioroto.search import fusion as fusion_module
from audioroto.search.attention_beam import attention_beam
from audioroto.search.fusion import WordFusion
from audioroto.search.hypothesis import Hypothesis
from audioroto.search.joint import joint_beam
from audioroto.search.speaker import Speaker
from audioroto.search.word_model import WordModel
from audioroto.text.arpa import read_arpa, write_arpa
from audioroto.text.ngram import estimate_ngrams
from audioroto.text.tokenizer import train_tokenizer

pytest.importorskip("flashlight.lib.text")

SENTENCES = ["AB A", "B AB", "A A B", "BAB AB", "B"]
TOKENIZER = train_tokenizer(SENTENCES, "char", 10)
VOCAB = len(TOKENIZER.pieces)
WORD = TOKENIZER.pieces.index("▁")
LM_WEIGHT, WORD_BONUS, CTC_WEIGHT = 0.7, 0.9, 0.4


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    write_arpa(path, estimate_ngrams(SENTENCES, 2))
    return path


def make_inputs(lengths: list[int], seed: int) -> tuple[Decoder, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    decoder = Decoder(VOCAB, width=16, num_blocks=1, num_heads=2, feedforward_width=32, dropout=0.1).eval()
    with torch.no_grad():
        decoder.project.weight *= 6
    log_probs = (2 * torch.randn(len(lengths), max(lengths), VOCAB)).log_softmax(-1)
    return decoder, 2 * torch.randn(len(lengths), max(lengths), 16), torch.tensor(lengths), log_probs


def make_speaker(decoder: Decoder, internal_weight: float, neural_weight: float) -> Speaker:
    language_model = LanguageModel(VOCAB, Shape(16, 1, 2, 32)).eval()
    with torch.no_grad():
        language_model.project.weight *= 6
    return Speaker(decoder, internal_weight, language_model, neural_weight)


def search(arpa, inputs, beam_size: int, fusion: WordFusion | None = None) -> list[list[Hypothesis]]:
    fusion = fusion or WordFusion(WordModel(arpa, TOKENIZER), LM_WEIGHT, WORD_BONUS)
    return joint_beam(*inputs, beam_size=beam_size, ctc_weight=CTC_WEIGHT, fusion=fusion)


def iter_sentences(vocabulary: list[str], max_tokens: int):
    """Every sequence of words that fits, and its tokens; the mark of a word's start may also stand at the end."""
    for number in range(max_tokens // 2 + 1):
        for words in itertools.product(vocabulary, repeat=number):
            tokens = tuple(TOKENIZER.encode(" ".join(words)))
            for spelled in (tokens, (*tokens, WORD)):
                if len(spelled) <= max_tokens:
                    yield words, spelled


@pytest.mark.parametrize(("internal", "neural"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.8), (0.3, 0.8)])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_sentences(arpa, seed, internal, neural):
    """By the losses of decoder, CTC and language model and the n-gram as our own reader has it: nothing of a search."""
    ngrams = read_arpa(arpa)
    decoder, frames, lengths, log_probs = make_inputs([6, 3], seed)
    speaker = make_speaker(decoder, internal, neural)
    found = search(arpa, (speaker, frames, lengths, log_probs), 500)
    silence, one_frame = torch.zeros(1, 1, frames.shape[2]), torch.tensor([1])
    for row, length in enumerate(lengths.tolist()):
        scores = {}
        for words, tokens in iter_sentences(["A", "B", "AB", "BAB"], length):
            label, size = torch.tensor(tokens, dtype=torch.int64)[None], torch.tensor([len(tokens)])
            with torch.no_grad():
                decoded = -decoder.loss(frames[row : row + 1, :length], lengths[row : row + 1], label, size).item()
                decoded += internal * decoder.loss(silence, one_frame, label, size).item()
                if speaker.language_model:
                    decoded += neural * speaker.language_model.score(label, size).item()
            one = log_probs[row : row + 1, :length].double()
            heard = -ctc_loss(one, lengths[row : row + 1], label, size).item()
            if tokens and heard == 0.0:
                continue  # the frames are too few
            said = sum(ngrams.score_sentence(words)) * math.log(10) if words else 0.0  # silence is no sentence
            scores[tokens] = (
                (1 - CTC_WEIGHT) * decoded + CTC_WEIGHT * heard + LM_WEIGHT * said + WORD_BONUS * len(words)
            )
        assert found[row][0].tokens == max(scores, key=scores.__getitem__)
        assert found[row][0].score == pytest.approx(max(scores.values()), abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
def test_only_words_are_said_however_narrow_the_beam(arpa, beam_size):
    for seed in range(6):
        for row in search(arpa, make_inputs([9, 4, 1], seed), beam_size):
            assert all(
                set(TOKENIZER.decode(hypothesis.tokens).split()) <= {"A", "B", "AB", "BAB"} for hypothesis in row
            )
            assert row


def test_in_an_open_vocabulary_other_words_are_said_too(arpa):
    fusion = WordFusion(WordModel(arpa, TOKENIZER, open_vocabulary=True), lm_weight=0.0, word_bonus=0.0)
    said = [search(arpa, make_inputs([9], seed), 8, fusion)[0][0].tokens for seed in range(8)]
    assert not {word for tokens in said for word in TOKENIZER.decode(tokens).split()} <= {"A", "B", "AB", "BAB"}


@pytest.mark.parametrize(("internal", "neural"), [(0.0, 0.0), (0.3, 0.0), (0.3, 0.8)])
def test_a_batch_gives_what_each_gives_alone(arpa, internal, neural):
    decoder, frames, lengths, log_probs = make_inputs([12, 5, 1, 9], 2)
    speaker = make_speaker(decoder, internal, neural)
    together = search(arpa, (speaker, frames, lengths, log_probs), 4)
    for row, length in enumerate(lengths.tolist()):
        one = slice(row, row + 1)
        alone = search(arpa, (speaker, frames[one, :length], lengths[one], log_probs[one, :length]), 4)[0]
        assert [h.tokens for h in together[row]] == [h.tokens for h in alone]
        assert [h.score for h in together[row]] == pytest.approx([h.score for h in alone], abs=1e-4)


def test_words_help_the_decoder_alone_as_well(arpa):
    decoder, frames, lengths, _ = make_inputs([6], 0)
    fusion = WordFusion(WordModel(arpa, TOKENIZER), lm_weight=50.0, word_bonus=0.0)
    with_words = attention_beam(decoder, frames, lengths, beam_size=50, fusion=fusion)[0][0]
    assert with_words.tokens == (), "nothing is as probable as saying nothing"
    fusion = WordFusion(WordModel(arpa, TOKENIZER), lm_weight=0.0, word_bonus=9.0)
    assert len(attention_beam(decoder, frames, lengths, beam_size=50, fusion=fusion)[0][0].tokens) >= 5


@pytest.mark.parametrize("asked", [1, 2])
def test_the_search_never_runs_dry(arpa, monkeypatch, asked):
    """However few continuations are asked about at first: no utterance is cut short for want of one that is allowed."""
    monkeypatch.setattr(fusion_module, "ASKED_PER_HYPOTHESIS", asked)
    path = [WORD, *(TOKENIZER.pieces.index("A"), TOKENIZER.pieces.index("A"), WORD), *TOKENIZER.encode("AB")[1:]]
    log_probs = torch.full((1, 2 * len(path), VOCAB), -12.0)
    log_probs[0, torch.arange(0, 2 * len(path), 2), path] = 0.0  # "AA AB", and AA is no word
    log_probs[0, 1::2, 0] = 0.0
    decoder, frames, lengths, _ = make_inputs([2 * len(path)], 0)
    fusion = WordFusion(WordModel(arpa, TOKENIZER), lm_weight=0.1, word_bonus=0.0)
    (found,) = joint_beam(
        decoder, frames, lengths, log_probs.log_softmax(-1), beam_size=2, ctc_weight=0.9, fusion=fusion
    )
    assert TOKENIZER.decode(found[0].tokens).endswith("AB")
    assert found[0].score > -1000, "it ends within no word"


@pytest.mark.parametrize("beam_size", [2, 16])
def test_the_wider_the_beam_the_more_the_ngram_is_asked(arpa, monkeypatch, beam_size):
    """A wide beam with no more to choose from than a narrow one leaves the n-gram nothing to choose."""
    monkeypatch.setattr(fusion_module, "ASKED_PER_HYPOTHESIS", 2)
    fusion = WordFusion(WordModel(arpa, TOKENIZER), lm_weight=0.5, word_bonus=0.0)
    monkeypatch.setattr(fusion.words, "extend", lambda state, token: state)
    fused = fusion.start(1, beam_size)
    fusion.score(fused, torch.randn(1, beam_size, VOCAB))
    assert len(fused.children[0]) == 2 * beam_size
