import gzip
import lzma

import pytest

from audioroto.errors import UserError
from audioroto.text.sentences import iter_sentences, read_words, split_sentences

TEXT = "“Come in!” said Mr. Smith. He's late.\n\nWhy? “No answer…”\n"
NORMALIZED = ["COME IN SAID MR SMITH", "HE'S LATE", "WHY", "NO ANSWER"]


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("He ran. She did not.", ["He ran.", "She did not."]),
        ("“Go!” “Where?” “Home.” He went.", ["“Go!”", "“Where?”", "“Home.”", "He went."]),
        ('He said "No." Then (later) he left. (He had to.) It rained.', 4),
        ("In 1894. 12 men came.", ["In 1894.", "12 men came."]),
        ("“Come!” said she, i.e. her.", 1),
        ("Mr. Smith met Mrs. J. B. Brown at St. Ives.", 1),
        ("So did I. He left.", ["So did I.", "He left."]),
        ("It cost 3.5 pounds.", 1),
        ("He lived at No. 5 Baker Street.", 1),
        ("No. I won't.", ["No.", "I won't."]),
        ("HE RAN SHE DID NOT", 1),
        ("Who knows? — I do.", 1),
        ("", 0),
    ],
)
def test_paragraphs_are_cut_at_the_ends_of_sentences(paragraph, sentences):
    found = split_sentences(paragraph)
    if isinstance(sentences, int):
        assert len(found) == sentences
    else:
        assert [sentence.strip() for sentence in found] == sentences
    assert "".join(found) == paragraph


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_sentences_are_normalised_from_plain_and_compressed_files(tmp_path, suffix, pack):
    path = tmp_path / f"book.txt{suffix}"
    path.write_bytes(pack(TEXT.encode()))
    assert list(iter_sentences([path, path], "librispeech-v1")) == NORMALIZED * 2


def test_of_a_data_directory_the_transcripts_are_read(tmp_path):
    (tmp_path / "text").write_text("a-1 ONE TWO\na-2 THREE\na-3\na-4\tFOUR FIVE\n a-5 SIX\n")
    assert list(iter_sentences([tmp_path], "librispeech-v1")) == ["ONE TWO", "THREE", "FOUR FIVE", "SIX"]


def test_a_byte_order_mark_is_no_letter(tmp_path):
    (tmp_path / "words.txt").write_text("A B\nC\n", encoding="utf-8-sig")
    assert read_words(tmp_path / "words.txt") == {"A", "B", "C"}


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("latin.txt", "café".encode("latin-1"), "not UTF-8"),
        ("cut.txt.xz", lzma.compress(TEXT.encode() * 9)[:-20], "decompress"),
        ("cut.txt.gz", gzip.compress(TEXT.encode() * 9)[:-20], "decompress"),
        ("bad.txt.gz", gzip.compress(TEXT.encode() * 9)[:10] + b"\xff" * 50, "decompress"),
        ("plain.txt.gz", TEXT.encode(), "decompress"),
    ],
    ids=["latin-1", "cut xz", "cut gzip", "damaged gzip", "plain as gzip"],  # gzip holds the time: no two alike
)
def test_unreadable_text_is_refused_with_its_name(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} .*{problem}"):
        list(iter_sentences([tmp_path / name], "librispeech-v1"))
