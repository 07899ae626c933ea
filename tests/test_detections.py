"""Detection files: what is read, what is put right and counted, what is refused with its line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tracker import detections
from tracker.detections import DetectionFile, read_detections
from tracker.errors import UsageError

GOOD = "1,-1,10,20,30,40,0.5"


def written(folder: Path, *lines: str, ending: str = "\n") -> Path:
    path = folder / "det.txt"
    path.write_bytes("".join(line + ending for line in lines).encode())
    return path


def same(a: DetectionFile, b: DetectionFile) -> bool:
    pairs = [(getattr(a.detections, name), getattr(b.detections, name)) for name in ("boxes", "scores", "class_ids")]
    return all(np.array_equal(x, y) for x, y in [*pairs, (a.offsets, b.offsets)])


def test_frames_boxes_scores_and_classes(tmp_path: Path) -> None:
    file = read_detections(written(tmp_path, GOOD + ",3", "1,-1,0,0,1,1,1,-1", "4,-1,-5.5,0,10,2,0,1"))
    assert file.frames == 4 and [len(file.frame(number)) for number in range(7)] == [0, 2, 0, 0, 1, 0, 0]
    assert file.frame(1).boxes.tolist() == [[10, 20, 40, 60], [0, 0, 1, 1]]
    assert file.frame(1).scores.tolist() == [0.5, 1] and file.frame(1).class_ids.tolist() == [2, 0]
    assert file.frame(4).boxes.tolist() == [[-5.5, 0, 4.5, 2]]
    assert file.in_order and file.without_area == 0


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n", " \n"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "BOM"])
@pytest.mark.parametrize("rest", ["", ",-1", ",1,-1,-1", ",1,-1,-1,word"], ids=["7", "8", "10", "a word behind"])
def test_ways_to_write_the_same(tmp_path: Path, ending: str, start: str, rest: str) -> None:
    file = read_detections(written(tmp_path, start + GOOD + rest, " 2, -1, 10, 20, 30, 40, 5e-1" + rest, ending=ending))
    assert file.detections.boxes.tolist() == [[10, 20, 40, 60]] * 2 and file.detections.class_ids.tolist() == [0, 0]


def test_lines_with_and_without_a_class(tmp_path: Path) -> None:
    assert read_detections(written(tmp_path, GOOD, GOOD + ",3")).detections.class_ids.tolist() == [0, 2]


@pytest.mark.parametrize("content", ["", "\n", " \n\n", "\ufeff"])
def test_an_empty_file_is_no_frames(tmp_path: Path, content: str) -> None:
    file = read_detections(written(tmp_path, content, ending=""))
    assert file.frames == len(file.detections) == 0


def test_frames_out_of_order_are_sorted_and_keep_the_order_within(tmp_path: Path) -> None:
    lines = ["2,-1,7,0,1,1,1", "1,-1,3,0,1,1,1", "2,-1,5,0,1,1,1", "1,-1,4,0,1,1,1"]
    file = read_detections(written(tmp_path, *lines))
    assert not file.in_order and file.detections.boxes[:, 0].tolist() == [3, 4, 7, 5]


@pytest.mark.parametrize("box", ["5,5,0,9", "5,5,9,0", "5,5,-3,9", "5,5,-3,-3", "9000000,5,0.1,9"])
def test_boxes_without_area_are_left_out_and_counted(tmp_path: Path, box: str) -> None:
    """The last one has no area in float32."""
    file = read_detections(written(tmp_path, GOOD, f"3,-1,{box},0.9"))
    assert (len(file.detections), file.without_area, file.frames) == (1, 1, 3)


def test_a_mask_keeps_the_frames(tmp_path: Path) -> None:
    file = read_detections(written(tmp_path, "1,-1,1,0,1,1,0.1", "1,-1,2,0,1,1,0.9", "3,-1,3,0,1,1,0.2"))
    file = file.where(file.detections.scores > 0.5)
    assert [len(file.frame(number)) for number in (1, 2, 3)] == [1, 0, 0] and file.frames == 3


def test_rounding_above_a_score_of_1_is_cut(tmp_path: Path) -> None:
    assert read_detections(written(tmp_path, "1,-1,1,1,1,1,1.0000001")).detections.scores.tolist() == [1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("frame,id,left,top,width,height,score", "wanted numbers 'frame,-1,left"),
        ("1 -1 10 20 30 40 0.5", "wanted numbers"),
        ("1;-1;10;20;30;40;0.5", "wanted numbers"),
        ("1,-1,10,,30,40,0.5", "wanted numbers"),
        ("1,-1,10,20,30,40", "at least 7 numbers .*, got 6"),
        ("1,-1,10,20,30,40,", "wanted numbers"),
        ("7", "at least 7 numbers .*, got 1"),
        ("1,-1,nan,20,30,40,0.5", "finite"),
        ("1,-1,10,20,inf,40,0.5", "finite"),
        ("1,-1,10,20,30,40,nan", "finite"),
        ("inf,-1,10,20,30,40,0.5", "finite"),
        ("1,-1,10,20,30,40,0.5,nan", "finite"),
        ("1,-1,1e999,20,30,40,0.5", "finite"),
        ("0,-1,10,20,30,40,0.5", "whole frame number from 1"),
        ("-3,-1,10,20,30,40,0.5", "whole frame number from 1"),
        ("1.5,-1,10,20,30,40,0.5", "whole frame number"),
        ("1700000000000,-1,10,20,30,40,0.5", "whole frame number from 1 to 10000000"),
        ("1,-1,1e30,20,30,40,0.5", "a box within 10000000 pixels"),
        ("1,-1,10,20,30,40,37.2", "a score of 0 to 1 .*per cents by 100"),
        ("1,-1,10,20,30,40,-0.1", "a score of 0 to 1"),
        ("1,-1,10,20,30,40,0.5,0", "class number from 1, or -1"),
        ("1,-1,10,20,30,40,0.5,2.5", "class number"),
        ("1,-1,10,20,30,40,0.5,1e9", "class number"),
        ("\x1b[31m\x00", r"got '\?\[31m\?'"),
    ],
)
@pytest.mark.parametrize("rest", ["", ",3"], ids=["alike", "ragged"])
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str, rest: str) -> None:
    with pytest.raises(UsageError, match=rf"det\.txt, line 4: wanted .*{words}|det\.txt, line 4: {words}"):
        read_detections(written(tmp_path, GOOD, GOOD + rest, "", line, "also bad"[: 8 * (line == "7")]))


def test_of_several_bad_lines_the_first_is_named(tmp_path: Path) -> None:
    lines = [GOOD, "2,-1,1,1,1,1,9", "0,-1,1,1,1,1,1", "2,-1,1,1,nan,1,1"]
    with pytest.raises(UsageError, match=r"line 2: wanted a score"):
        read_detections(written(tmp_path, *lines))


@pytest.mark.parametrize("content", [b"\xff\xfe1\x00", b"1,-1,1,1,1,1,\xe9\n"])
def test_a_file_that_is_no_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "det.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"det\.txt cannot be read"):
        read_detections(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_detections(tmp_path / "det.txt")


def many(path: Path, count: int, *, rest: str = "") -> Path:
    """A file of random boxes; `rest`: what follows on the last line."""
    random = np.random.default_rng(3)
    table = np.concatenate((random.uniform(1, 1900, (count, 4)), random.uniform(0, 1, (count, 1))), 1).round(3)
    lines = [f"{k // 50 + 1},-1,{','.join(map(str, row))},{1 + k % 3}" for k, row in enumerate(table.tolist())]
    path.write_text("\n".join(lines) + rest + "\n")
    return path


def test_the_fast_and_the_slow_parser_agree(tmp_path: Path) -> None:
    fast = read_detections(many(tmp_path / "a.txt", 3000))
    assert detections._read_fast(many(tmp_path / "b.txt", 3000, rest=",x")) is None
    assert same(fast, read_detections(tmp_path / "b.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("rest", ["", ",x"], ids=["fast", "slow"])
def test_a_million_lines_take_little_memory(tmp_path: Path, rest: str) -> None:
    """Traced by Python, so that neither the machine nor the size of this process counts."""
    path = many(tmp_path / "det.txt", 1_000_000, rest=rest)
    tracemalloc.start()
    try:
        file = read_detections(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(file.detections) == 1_000_000 and peak < 500e6
