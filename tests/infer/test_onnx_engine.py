import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import soundfile

import audioroto
from audioroto.corpus.datadir import read_datadir, read_table
from audioroto.errors import UserError
from audioroto.infer.align import align_text
from audioroto.infer.modes import MODES_WITH_DECODER
from audioroto.infer.recognize import recognize_datadir

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it is an error from here on
from audioroto.cli.main import main
sys.argv = ["audioroto", *sys.argv[1:]]
try:
    main()
finally:
    loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module is not None}
    print(*sorted(loaded & {"torch", "torchaudio", "onnx", "onnxruntime"}), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def original(trained):
    return audioroto.load_model(trained / "model.safetensors", "cpu")


@pytest.fixture(scope="module")
def recognizer(exported):
    return audioroto.load_model(exported, threads=1)


@pytest.fixture(scope="module")
def waveforms(tone_corpus) -> list[np.ndarray]:
    return [soundfile.read(u.path, dtype="float32")[0] for u in read_datadir(tone_corpus / "valid")]


@pytest.mark.parametrize("mode", ["ctc_greedy", "ctc_beam"])
def test_transcripts_are_those_of_torch(original, recognizer, waveforms, mode):
    waveforms = [*waveforms, waveforms[0][:300], np.zeros(0, np.float32)]
    expected = original.recognize(waveforms, mode)
    found = recognizer.recognize(waveforms, mode)
    assert any(transcript.text for transcript in expected)
    assert [transcript.text for transcript in found] == [transcript.text for transcript in expected]
    for words, others in zip(found, expected, strict=True):
        for word, other in zip(words.words, others.words, strict=True):
            assert asdict(word) == pytest.approx(asdict(other), abs=1e-3)


@pytest.mark.parametrize("whole", [False, True])
def test_a_long_recording_is_cut_as_for_torch(original, recognizer, waveforms, whole):
    pause = 1e-3 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    samples = np.concatenate([part for waveform in waveforms * 6 for part in (waveform, pause)])
    found = recognizer.transcribe(samples, 16000, whole=whole)
    assert found.to_srt() == original.transcribe(samples, 16000, whole=whole).to_srt()
    assert whole or len(found.segments) > 1


def test_a_data_directory_and_a_known_text(original, recognizer, tone_corpus, waveforms, tmp_path):
    recognize_datadir(recognizer, tone_corpus / "valid", tmp_path)
    texts = read_table(tmp_path / "ctc_greedy" / "text")
    assert list(texts.values()) == [transcript.text for transcript in original.recognize(waveforms)]
    longest = max(waveforms, key=len)
    found, expected = (align_text(each, longest, "LOW MID") for each in (recognizer, original))
    assert [word.start_seconds for word in found.words] == [word.start_seconds for word in expected.words]


@pytest.mark.parametrize("mode", MODES_WITH_DECODER)
def test_what_needs_the_decoder_is_refused(recognizer, waveforms, mode):
    assert recognizer.modes == ["ctc_greedy", "ctc_beam"]
    with pytest.raises(UserError, match="no attention decoder"):
        recognizer.recognize(waveforms, mode)


def test_what_is_no_model_is_refused(trained, exported, tmp_path):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "half.onnx").write_bytes(exported.read_bytes()[:-1000])
    foreign = onnx.load(exported)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    for path, options, message in (
        (tmp_path / "none.onnx", {}, "does not exist"),
        (tmp_path / "text.onnx", {}, "damaged or not an ONNX file"),
        (tmp_path / "half.onnx", {}, "damaged or not an ONNX file"),
        (tmp_path / "foreign.onnx", {}, "format None"),
        (exported, {"engine": "torch"}, "which torch does not run"),
        (exported, {"device": "cuda"}, "computes on the CPU"),
        (trained / "model.safetensors", {"engine": "onnx"}, "audioroto export"),
    ):
        with pytest.raises(UserError, match=message):
            audioroto.load_model(path, **options)


def test_attention_is_not_to_be_seen(recognizer, waveforms):
    with pytest.raises(UserError, match="does not show its attention"):
        recognizer.engine.compute_attention(waveforms[0], 1)


def test_transcribing_needs_no_torch(original, exported, tone_corpus, tmp_path):
    files = sorted((tone_corpus / "audio").glob("g-*.wav"))[:2]
    common = ["transcribe", *files, "--engine", "onnx", "--model", exported, "--threads", "1"]
    for options in ([], ["--search", "ctc_beam", "--format", "json,srt", "--out", tmp_path]):
        command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, common + options)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1] == "onnxruntime"  # and not torch, torchaudio, nor what only exporting needs
        if not options:
            texts = [line.partition("\t")[2] for line in done.stdout.splitlines()]
            assert texts == [original.transcribe(file).text for file in files]
    assert (tmp_path / f"{files[0].stem}.srt").exists()
