"""`tracker eval`: what counts, what is refused, and the same figures as TrackEval's own pipeline."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracker.cli import main
from tracker.errors import UsageError
from tracker.evaluate import evaluate, read_mot, sequences
from tracker.structures import Detections
from tracker.track import Sort

FRAMES = range(1, 11)
PERSON, CAR, DISTRACTOR = 1, 3, 8
BOX, ASIDE, FAR = "100,100,50,80", "100,110,50,80", "400,300,60,60"  # BOX and ASIDE: IoU 0.78


@pytest.fixture
def trackeval() -> Any:
    """The library; the test skips where it is absent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("trackeval", reason="TrackEval is not installed (extra `eval`)")


def mot(path: Path, lines: Iterable[str]) -> Path:
    """A file of these lines, in a folder that may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def track(box: str, rest: str, number: int = 1) -> list[str]:
    """One box that stands still in all frames; `rest`: the columns behind the height."""
    return [f"{frame},{number},{box}{rest}" for frame in FRAMES]


@pytest.fixture
def score(tmp_path: Path, trackeval: Any) -> Any:
    """(truth lines, result lines) of one sequence -> its figures."""

    def figures(truth: list[str], results: list[str]) -> dict[str, float]:
        pair = (mot(tmp_path / "gt.txt", truth), mot(tmp_path / "out.txt", results))
        return evaluate([("a", *pair)])["a"]

    return figures


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code of `tracker eval` and its one line of error."""
    with pytest.raises(SystemExit) as ended:
        main(["eval", *map(str, arguments)])
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    return int(ended.value.code or 0), error


# What counts


@pytest.mark.parametrize("results", [",0.9,-1,-1,-1", ",0.9", ""], ids=["motchallenge", "7 columns", "6 columns"])
@pytest.mark.parametrize("truth", [f",1,{CAR},1", ",1,-1,-1,-1", ",1", ""])
def test_a_side_without_classes_makes_everything_one_class(score: Any, truth: str, results: str) -> None:
    found = score(track(BOX, truth), track(BOX, results))
    assert (found["HOTA"], found["IDF1"], found["MOTA"]) == (100, 100, 100)


@pytest.mark.parametrize("truth", ["", ",1", ",1,-1,-1,-1", ",1,-3.17,16.3,0.4", ",1,2.5,16.3,0.4"])
def test_truth_without_classes_takes_results_of_any_class(score: Any, truth: str) -> None:
    """MOT15 has coordinates of the world where others have the class."""
    assert score(track(BOX, truth), track(BOX, f",0.9,{CAR},1"))["HOTA"] == 100


def test_classes_of_ignore_regions_do_not_decide_whether_classes_are_told_apart(score: Any) -> None:
    truth = [*track(BOX, f",1,{PERSON},1"), *track(FAR, ",0,-1,-1,-1", 2)]
    assert score(truth, track(BOX, f",0.9,{CAR},1"))["MOTA"] == -100


def test_classes_count_apart(score: Any) -> None:
    found = score(track(BOX, f",1,{PERSON},1"), track(BOX, f",0.9,{CAR},1"))
    assert (found["HOTA"], found["FP"], found["FN"]) == (0, 10, 10)


def test_results_of_a_class_that_the_truth_lacks_are_false_positives(score: Any) -> None:
    results = [*track(BOX, f",0.9,{PERSON},1"), *track(FAR, f",0.9,{CAR},1", 2)]
    found = score(track(BOX, f",1,{PERSON},1"), results)
    assert (found["FP"], found["MOTA"]) == (10, 0)


@pytest.mark.parametrize("truth", [[], track(BOX, f",0,{PERSON},1")], ids=["empty", "nothing counted"])
def test_a_sequence_without_counted_truth_counts_its_false_positives(
    tmp_path: Path, trackeval: Any, truth: list[str]
) -> None:
    a, b = mot(tmp_path / "gt" / "a.txt", track(BOX, f",1,{PERSON},1")), mot(tmp_path / "gt" / "b.txt", truth)
    good, bad = (
        mot(tmp_path / "a.txt", track(BOX, f",1,{PERSON},1")),
        mot(tmp_path / "b.txt", track(FAR, f",1,{CAR},1")),
    )
    table = evaluate([("a", a, good), ("b", b, bad)])
    assert (table["a"]["FP"], table["b"]["FP"], table["COMBINED"]["FP"]) == (0, 10, 10)
    assert (table["a"]["MOTA"], table["COMBINED"]["MOTA"]) == (100, 0)


def test_a_sequence_without_anything_has_a_row(tmp_path: Path, trackeval: Any) -> None:
    full, empty = mot(tmp_path / "full.txt", track(BOX, "")), mot(tmp_path / "empty.txt", [])
    table = evaluate([("full", full, full), ("empty", empty, empty)])
    assert table["COMBINED"] == table["full"] and table["empty"]["FP"] == table["empty"]["FN"] == 0


@pytest.mark.parametrize("kind", [PERSON, CAR, DISTRACTOR, -1])
def test_truth_with_flag_0_excuses_results_of_any_class(score: Any, kind: int) -> None:
    truth = [*track(FAR, f",1,{PERSON},1"), *track(BOX, f",0,{kind},1", 2)]
    results = [*track(FAR, f",0.9,{PERSON},1"), *track(ASIDE, f",0.9,{PERSON},1", 2)]
    found = score(truth, results)
    assert (found["FP"], found["FN"], found["MOTA"]) == (0, 0, 100)


def test_a_result_that_fits_counted_truth_better_is_not_excused(score: Any) -> None:
    truth = [*track(BOX, f",1,{PERSON},1"), *track(ASIDE, f",0,{DISTRACTOR},1", 2)]
    assert score(truth, track(BOX, f",0.9,{PERSON},1"))["MOTA"] == 100
    assert score(truth, track(ASIDE, f",0.9,{PERSON},1"))["FN"] == 10  # excused: it fits the distractor better


def test_counted_truth_of_another_class_does_not_hold_a_result_back(score: Any) -> None:
    """The box is a person's by position, but a car's by class: the distractor excuses it."""
    truth = [*track(BOX, f",1,{PERSON},1"), *track(ASIDE, f",0,{DISTRACTOR},1", 2)]
    assert score(truth, track(BOX, f",0.9,{CAR},1"))["FP"] == 0


def test_one_distractor_excuses_one_result_and_none_below_half_overlap(score: Any) -> None:
    truth = [*track(FAR, f",1,{PERSON},1"), *track(BOX, f",0,{DISTRACTOR},1", 2)]
    apart = "100,140,50,80"  # IoU 1/3
    results = [line for n, box in enumerate((BOX, ASIDE, apart), 1) for line in track(box, f",0.9,{PERSON},1", n)]
    assert score(truth, results)["FP"] == 20


def test_nothing_that_counts_is_refused(tmp_path: Path, trackeval: Any) -> None:
    pair = (mot(tmp_path / "gt.txt", track(BOX, ",0,1,1")), mot(tmp_path / "o.txt", track(BOX, "")))
    with pytest.raises(UsageError, match="no box that counts"):
        evaluate([("a", *pair)])


# What is refused


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"1,1,{FAR}", "id 1 in frame 1 again, as in line 1"),
        ("2,1,nan,100,50,80", "finite"),
        ("2,1,100,100,inf,80", "finite"),
        ("2,1,100,100,50,80,1,nan", "finite"),
        ("2,1e400,100,100,50,80", "finite"),
        ("2,1.5,100,100,50,80", "whole"),
        ("2,1e300,100,100,50,80", "whole"),
        ("2,1,100,100,50", "at least 6"),
        ("2,1,a,100,50,80", "numbers"),
    ],
)
@pytest.mark.parametrize("truth", [True, False])
def test_a_bad_line_is_named(tmp_path: Path, line: str, words: str, truth: bool) -> None:
    path = mot(tmp_path / "bad.txt", [f"1,1,{BOX}", "", line])
    with pytest.raises(UsageError, match=rf"bad\.txt, line 3: .*{words}"):
        read_mot(path, truth=truth)


def test_detections_are_refused_and_ignore_regions_may_share_an_id(tmp_path: Path) -> None:
    path = mot(tmp_path / "det.txt", [f"1,-1,{BOX},0,1,1", f"1,-1,{FAR},0,1,1"])
    with pytest.raises(UsageError, match=r"line 2: .*track them first"):
        read_mot(path)
    assert len(read_mot(path, truth=True)) == 2


def test_missing_columns_are_flag_1_and_no_class(tmp_path: Path) -> None:
    path = mot(tmp_path / "a.txt", [f"1,1,{BOX}", f"2,1,{BOX},0", f"3,1,{BOX},1,3", f"4,1,{BOX},1,3,0.5,7"])
    assert read_mot(path)[:, 6:].tolist() == [[1, -1, 1], [0, -1, 1], [1, 3, 1], [1, 3, 0.5]]


# Layouts


@pytest.mark.parametrize("layout", ["{}.txt", "{}/gt.txt", "{}/gt/gt.txt"])
def test_a_folder_of_sequences(tmp_path: Path, layout: str) -> None:
    gt, results = tmp_path / "truth", tmp_path / "results"
    for name in ("a", "b"):
        mot(gt / layout.format(name), track(BOX, ""))
        mot(results / f"{name}.txt", track(BOX, ""))
    wanted = [(name, gt / layout.format(name), results / f"{name}.txt") for name in ("a", "b")]
    assert sequences(gt, results) == wanted
    with pytest.raises(UsageError, match=r"2 sequences.*one file"):
        sequences(gt, results / "a.txt")
    (results / "b.txt").unlink()
    with pytest.raises(UsageError, match=r"no result .*b\.txt"):
        sequences(gt, results)


@pytest.mark.parametrize("layout", ["{}/gt.txt", "{}/gt/gt.txt"])
def test_the_folder_of_one_sequence(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, result = mot(tmp_path / layout.format("a"), []), mot(tmp_path / "results" / "a.txt", [])
    for gt in {truth, truth.parent, tmp_path / "a"}:
        assert sequences(gt, result.parent) == sequences(gt, result) == [("a", truth, result)]
    assert sequences(tmp_path / "a", mot(tmp_path / "mine.txt", []))[0][0] == "mine"
    monkeypatch.chdir(tmp_path / "a")
    assert sequences(Path("."), result.parent)[0][0] == "a"


def test_a_folder_with_one_sequence_takes_one_file(tmp_path: Path) -> None:
    truth, result = mot(tmp_path / "gt" / "a" / "gt" / "gt.txt", []), mot(tmp_path / "out.txt", [])
    assert sequences(tmp_path / "gt", result) == [("a", truth, result)]


def test_a_sequence_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    mot(tmp_path / "a.txt", [])
    mot(tmp_path / "a" / "gt.txt", [])
    with pytest.raises(UsageError, match="twice"):
        sequences(tmp_path, tmp_path)


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ground truth"):
        sequences(tmp_path, tmp_path)


# The command


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Truth and results that agree."""
    return mot(tmp_path / "truth.txt", track(BOX, "")), mot(tmp_path / "out.txt", track(BOX, ""))


@pytest.mark.parametrize(
    ("name", "overwrite"),
    [
        ("old.json", False),
        *(
            (name, overwrite)
            for name in ("folder", "truth.txt", "out.txt", "old.json/x")
            for overwrite in (True, False)
        ),
    ],
)
def test_a_json_that_cannot_be_is_refused_before_scoring(
    tmp_path: Path, files: tuple[Path, Path], capsys: Any, monkeypatch: Any, name: str, overwrite: bool
) -> None:
    def scored(pairs: object) -> None:
        raise AssertionError("scored first")

    monkeypatch.setattr("tracker.evaluate.evaluate", scored)
    (tmp_path / "folder").mkdir()
    (tmp_path / "old.json").write_text("{}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for gt, results in (files, (tmp_path / "seq", tmp_path / "out.txt")):
        mot(tmp_path / "seq" / "gt.txt", track(BOX, ""))
        arguments = ["--gt", gt, "--results", results, "--json", tmp_path / name]
        if name == "truth.txt" and gt.is_dir():  # of a folder, the file in it
            arguments[-1] = gt / "gt.txt"
        code, error = said(capsys, *arguments, *(["--overwrite"] if overwrite else []))
        assert code == 2 and error.startswith("tracker: "), error
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_the_json_appears_whole(
    tmp_path: Path, files: tuple[Path, Path], capsys: Any, monkeypatch: Any, trackeval: Any
) -> None:
    target = tmp_path / "new" / "x.json"
    arguments = ["--gt", files[0], "--results", files[1], "--json", target]

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        code, error = said(capsys, *arguments)
    assert code == 1 and "No space left" in error and not target.exists()
    code, error = said(capsys, *arguments, "--overwrite")
    assert (code, error) == (0, "")
    assert json.loads(target.read_text())["out"]["HOTA"] == 100
    assert [path.name for path in target.parent.iterdir()] == ["x.json"]


def test_a_bad_line_ends_the_command_with_2(tmp_path: Path, capsys: Any, trackeval: Any) -> None:
    bad = mot(tmp_path / "bad.txt", [f"1,1,{BOX}", f"1,1,{FAR}"])
    code, error = said(capsys, "--gt", mot(tmp_path / "gt.txt", track(BOX, "")), "--results", bad)
    assert code == 2 and "bad.txt, line 2" in error


# TrackEval's own pipeline


def theirs(trackeval: Any, folder: Path, name: str, frames: int, **config: object) -> dict[str, float]:
    """HOTA, DetA, AssA, IDF1, MOTA in per cent, IDSW, FP, FN by TrackEval, from folder/gt and folder/results."""
    quiet = {"PRINT_CONFIG": False}
    settings = quiet | {"GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "results"),
                        "TRACKERS_TO_EVAL": ["ours"], "TRACKER_SUB_FOLDER": "", "SKIP_SPLIT_FOL": True,
                        "SEQ_INFO": {name: frames}}  # fmt: skip
    dataset = trackeval.datasets.MotChallenge2DBox(settings | config)
    wanted = {
        "HOTA": trackeval.metrics.HOTA(),
        "CLEAR": trackeval.metrics.CLEAR(quiet),
        "Identity": trackeval.metrics.Identity(quiet),
    }
    silent = dict.fromkeys(
        ("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "DISPLAY_LESS_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED",
         "OUTPUT_EMPTY_CLASSES", "PLOT_CURVES", "USE_PARALLEL"),
        False,
    ) | {"LOG_ON_ERROR": None, "BREAK_ON_ERROR": True}  # fmt: skip
    evaluator = trackeval.Evaluator(silent)
    result = evaluator.evaluate([dataset], list(wanted.values()))[0]["MotChallenge2DBox"]["ours"][name]["pedestrian"]
    shares = {key: 100 * np.mean(result["HOTA"][key]) for key in ("HOTA", "DetA", "AssA")}
    shares |= {"IDF1": 100 * result["Identity"]["IDF1"], "MOTA": 100 * result["CLEAR"]["MOTA"]}
    return shares | {"IDSW": result["CLEAR"]["IDSW"], "FP": result["CLEAR"]["CLR_FP"], "FN": result["CLEAR"]["CLR_FN"]}


def assert_same(folder: Path, name: str, expected: dict[str, float]) -> None:
    ours = evaluate(sequences(folder / "gt", folder / "results" / "ours"))[name]
    assert {key: ours[key] for key in expected} == pytest.approx(expected, abs=0.01)


def sort_results(detections: Path, frames: int, frame_rate: float) -> list[str]:
    """MOT lines of our SORT on a MOTChallenge detection file."""
    rows, lines, tracker = np.loadtxt(detections, delimiter=",", ndmin=2), [], Sort()
    for frame in range(1, frames + 1):
        now = rows[rows[:, 0] == frame]
        boxes = np.concatenate((now[:, 2:4], now[:, 2:4] + now[:, 4:6]), 1).astype(np.float32)
        scores = np.clip(now[:, 6], 0, 1).astype(np.float32)
        tracks = tracker.update(Detections(boxes, scores, np.zeros(len(now), np.int64)), frame / frame_rate)
        for number, (left, top, right, bottom) in zip(tracks.ids, tracks.boxes.tolist(), strict=True):
            lines.append(f"{frame},{number},{left},{top},{right - left},{bottom - top},1,-1,-1,-1")
    return lines


@pytest.mark.data
def test_mot15_scores_as_in_trackeval(tmp_path: Path, data: Path, trackeval: Any) -> None:
    name, frames = "TUD-Campus", 71
    source = data / "mot" / "MOT15" / name
    if not source.is_dir():
        pytest.skip(f"{name} of MOT15 is not in the shared data folder")
    mot(tmp_path / "gt" / name / "gt" / "gt.txt", (source / "gt" / "gt.txt").read_text().splitlines())
    mot(tmp_path / "results" / "ours" / f"{name}.txt", sort_results(source / "det" / "det.txt", frames, 25))
    expected = theirs(trackeval, tmp_path, name, frames, BENCHMARK="MOT15", DO_PREPROC=False)
    assert expected["HOTA"] > 20
    assert_same(tmp_path, name, expected)


def test_distractors_are_left_out_as_in_trackeval(tmp_path: Path, trackeval: Any) -> None:
    """MOT17's rules on boxes that jump about: persons, distractors on top of them, ids that change."""
    random, frames, truth, results = np.random.default_rng(5), 30, [], []
    for frame in range(1, frames + 1):
        for number in range(1, 13):
            left, top = 60 * (number % 4) + random.normal(0, 8, 2) + [0, 90 * (number // 4)]
            kind = f"1,{PERSON}" if number <= 7 else f"0,{DISTRACTOR}"
            truth.append(f"{frame},{number},{left:.2f},{top:.2f},70,100,{kind},1")
            if random.random() < 0.85:
                dx, dy = random.normal(0, 9, 2)
                other = number + 20 * (frame > 10 + number)
                results.append(f"{frame},{other},{left + dx:.2f},{top + dy:.2f},70,100,0.9,-1,-1,-1")
    mot(tmp_path / "gt" / "a" / "gt" / "gt.txt", truth)
    mot(tmp_path / "results" / "ours" / "a.txt", results)
    expected = theirs(trackeval, tmp_path, "a", frames, BENCHMARK="MOT17", DO_PREPROC=True)
    assert 0 < expected["FP"] < 150 and expected["IDSW"] > 5
    assert_same(tmp_path, "a", expected)
