"""Sequences in folders: names, rates, lengths."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tracker.errors import UsageError
from tracker.sequences import find_sequences, parse_rate


def sequence(folder: Path, ini: str | None = None) -> Path:
    """A sequence's folder; returns its detection file."""
    (folder / "det").mkdir(parents=True)
    (folder / "det" / "det.txt").touch()
    if ini is not None:
        (folder / "seqinfo.ini").write_text(ini)
    return folder / "det" / "det.txt"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30", 30), ("0.7", Fraction(7, 10)), ("30000/1001", Fraction(30000, 1001)), (" 29.97 ", Fraction(2997, 100))],
)
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "nan", "inf", "1/0", "0/5", "1e3", "9" * 5000, "1/2/3", "30 fps"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"wanted frames a second such as 30, 0\.7 or 30000/1001, got"):
        parse_rate(text)


@pytest.mark.parametrize("start", ["", "bench", "a/b/c"])
def test_a_folder_of_sequences_by_name(tmp_path: Path, start: str) -> None:
    for name in ("b", "a"):
        sequence(tmp_path / start / name, "[Sequence]\nframeRate=14\nseqLength=7\n")
    found = find_sequences(tmp_path, Fraction(30))
    assert [(each.name, each.frame_rate, each.frames) for each in found] == [("a", 14, 7), ("b", 14, 7)]


def test_the_folder_of_one_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence(tmp_path / "a")
    assert find_sequences(tmp_path / "a", Fraction(5))[0].name == "a"
    monkeypatch.chdir(tmp_path / "a")
    assert find_sequences(Path("."), Fraction(5))[0].name == "a"
    assert find_sequences(Path("det/det.txt"), Fraction(5))[0].name == "a"


def test_a_linked_sequence_is_found(tmp_path: Path) -> None:
    sequence(tmp_path / "elsewhere" / "a")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a").symlink_to(tmp_path / "elsewhere" / "a")
    assert [each.name for each in find_sequences(tmp_path / "some", Fraction(5))] == ["a"]


def test_a_file_goes_by_the_option_first_and_a_folder_by_seqinfo(tmp_path: Path) -> None:
    file = sequence(tmp_path / "a", "[Sequence]\nframeRate=29.97\n")
    assert find_sequences(file, Fraction(5))[0].frame_rate == 5
    assert find_sequences(file, None)[0].frame_rate == Fraction(2997, 100)
    assert find_sequences(tmp_path, Fraction(5))[0].frame_rate == Fraction(2997, 100)


def test_a_plain_file_is_named_by_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    assert find_sequences(tmp_path / "mine.txt", Fraction(5))[0].name == "mine"


@pytest.mark.parametrize("ini", [None, "[Sequence]\nname=a\n", "[Other]\nframeRate=30\n"])
def test_without_a_rate_it_says_so(tmp_path: Path, ini: str | None) -> None:
    sequence(tmp_path / "a", ini)
    with pytest.raises(UsageError, match=r"frame rate of a is not known: .*seqinfo.ini holds none; give --frame-rate"):
        find_sequences(tmp_path, None)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"frame rate of mine is not known: .*give --frame-rate"):
        find_sequences(tmp_path / "mine.txt", None)


@pytest.mark.parametrize(
    ("ini", "words"),
    [
        ("[Sequence]\nframeRate=fast\n", "seqinfo.ini, frameRate: wanted frames a second .*'fast'"),
        ("[Sequence]\nframeRate=30\nseqLength=-4\n", "seqLength as a number of frames, got '-4'"),
        ("[Sequence]\nframeRate=30\nseqLength=99999999999\n", "seqLength"),
        ("frameRate=30\n", "seqinfo.ini cannot be read"),
    ],
)
def test_a_seqinfo_that_is_none(tmp_path: Path, ini: str, words: str) -> None:
    sequence(tmp_path / "a", ini)
    with pytest.raises(UsageError, match=words) as caught:
        find_sequences(tmp_path, Fraction(30))
    assert "\n" not in str(caught.value)


def test_two_sequences_of_one_name_are_refused(tmp_path: Path) -> None:
    sequence(tmp_path / "x" / "a")
    sequence(tmp_path / "y" / "a")
    with pytest.raises(UsageError, match="holds a twice"):
        find_sequences(tmp_path, Fraction(30))


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone", "does not exist"), ("", "holds no sequence"), ("x" * 300, "cannot be read"), ("/dev/null", "neither")],
)
def test_what_is_no_sequence(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_sequences(tmp_path / name, Fraction(30))
