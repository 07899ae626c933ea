"""The table of stays: its figures, its two forms, and what is left of it when the process ends early."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.write.scenes import gray_frame, tracks
from tracker.errors import OutputError, WriteError
from tracker.structures import CONFIRMED, LOST, TENTATIVE, Tracks
from tracker.write import StaysWriter, partial_path
from tracker.write.stays import COLUMNS, MOST_KEPT, ninth, usual

ROOT = Path(__file__).parents[2]
NAMES = ("person", "car")
BEGAN = datetime(2024, 1, 31, 23, 58, tzinfo=timezone.utc)
CAR = (80.0, 20.0, 120.0, 50.0)


def at(*rows: tuple[int, Sequence[float]], class_id: int = 0, state: int = CONFIRMED, missed_s: float = 0.0) -> Tracks:
    """Rows of id and box."""
    table = tracks(*((*box, 0.9, class_id) for _, box in rows))
    count = len(rows)
    return replace(
        table, ids=np.array([ident for ident, _ in rows], np.int64), state=np.full(count, state, np.int64),
        missed_s=np.full(count, missed_s, np.float32),
    )  # fmt: skip


def table(path: Path, frames: Sequence[tuple[float, Tracks]], **more: Any) -> list[dict[str, Any]]:
    """The stays of frames, each with its time, as JSON has them."""
    sink = StaysWriter(path, NAMES, **more)
    for index, (time_s, found) in enumerate(frames):
        sink.write(gray_frame(index, time_s), found)
    sink.close()
    whole = json.loads(path.read_text("utf-8"))
    assert whole["frames"] == len(frames)
    stays: list[dict[str, Any]] = whole["stays"]
    return stays


def test_arrival_gap_and_departure(tmp_path: Path) -> None:
    """One picture a minute: a car that stands there all day, a person who comes, is hidden twice, and goes."""
    person = (4.0, 30.0, 12.0, 60.0)
    here, gone = at((7, CAR), (9, person)), at((7, CAR))
    shown = [gone, here, gone, here, gone, gone, here, gone]
    car, walker = table(tmp_path / "o.json", [(60.0 * index, one) for index, one in enumerate(shown)], began=BEGAN)
    assert car == {
        "id": 7, "class_name": "person", "first_seen_s": 0.0, "last_seen_s": 420.0,
        "first_seen": "2024-01-31T23:58:00", "last_seen": "2024-02-01T00:05:00", "duration_s": 420.0, "sights": 8,
        "gaps": 0, "longest_gap_s": 0.0, "arrived": False, "departed": False, "moved": False, "place": "right middle",
        "foot": [100.0, 50.0], "box": [80.0, 20.0, 120.0, 50.0],
    }  # fmt: skip
    assert (walker["id"], walker["sights"], walker["gaps"], walker["longest_gap_s"]) == (9, 3, 2, 180.0)
    assert (walker["first_seen_s"], walker["last_seen_s"], walker["duration_s"]) == (60.0, 360.0, 300.0)
    assert (walker["arrived"], walker["departed"], walker["place"]) == (True, True, "left bottom")


def test_only_sights_count_but_what_is_thought_to_be_there_has_not_left(tmp_path: Path) -> None:
    """A box between two sights is a guess; the parked car behind a bus in the last picture is still parked."""
    shown = [at((1, CAR)), at((1, CAR), state=LOST, missed_s=1.0), at((1, CAR)), at((1, CAR), missed_s=1.0)]
    (stay,) = table(tmp_path / "o.json", [*enumerate(shown)])
    assert (stay["sights"], stay["gaps"], stay["longest_gap_s"], stay["last_seen_s"]) == (2, 1, 2.0, 2.0)
    assert not stay["departed"]


@pytest.mark.parametrize("unseen", [at((1, CAR), state=TENTATIVE), at((1, CAR), state=LOST), Tracks.empty()])
def test_never_seen_no_row(tmp_path: Path, unseen: Tracks) -> None:
    assert table(tmp_path / "o.json", [(0.0, unseen)]) == []


def test_order_is_that_of_the_first_sights_and_the_class_that_of_most(tmp_path: Path) -> None:
    """A detector that calls a van a car once in ten pictures has seen a van."""
    shown = [at((5, CAR), class_id=1), at((3, CAR), (5, CAR)), at((5, CAR), class_id=1), at((1, CAR), class_id=7)]
    stays = table(tmp_path / "o.json", [*enumerate(shown)])
    assert [(stay["id"], stay["class_name"]) for stay in stays] == [(5, "car"), (3, "person"), (1, "class_7")]


def wandering(steps: Sequence[float], width: float = 20.0, height: float = 40.0) -> Any:
    """Boxes whose left edges are at these pixels."""
    return np.array([(x, 10.0, x + width, 10.0 + height) for x in steps])


@pytest.mark.parametrize(
    ("boxes", "moved"),
    [
        (wandering([30]), None),  # nobody knows
        (wandering([30, 31]), False),  # a box is never drawn twice alike
        (wandering([30, 60]), True),
        (wandering(np.random.default_rng(1).normal(30, 3, 500)), False),
        (wandering(range(0, 100, 2)), True),
        (wandering([30] * 200 + [60, 90, 120]), False),  # stood all day, then drove off
        (wandering([30] * 60 + [200] * 40), True),  # parked anew
        (np.array([(60 - s, 60 - s, 60 + s, 60 + s) for s in range(5, 30)]), True),  # comes nearer
        (np.array([(60, 30, 100, 50)] * 5 + [(60, 30, 76, 50)] * 5), False),  # half hidden by another
        (np.zeros((3, 4)), False),  # boxes without an area
    ],
)
def test_stood_or_moved(boxes: Any, moved: bool | None) -> None:
    where, said = usual(boxes.astype(float))
    assert said is moved
    assert where[:4] == np.median(boxes, 0).tolist()


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [(0.1, 0.5, "left middle"), (0.5, 0.5, "centre middle"), (1.0, 1.0, "right bottom"), (-0.2, 7, "left bottom"),
     (0.34, 0.32, "centre top")],
)  # fmt: skip
def test_places(x: float, y: float, place: str) -> None:
    assert ninth(x, y) == place


def test_a_long_stay_takes_bounded_memory_and_its_place_is_that_of_all_its_sights(tmp_path: Path) -> None:
    """A parked car of a month: the kept boxes stay evenly spread, or the place would be that of the first hours."""
    sink = StaysWriter(tmp_path / "o.json", NAMES)
    count = 5 * MOST_KEPT
    for index in range(count):
        left = 10.0 if index < count * 0.3 else 90.0
        sink.write(gray_frame(0, float(index)), at((1, (left, 10, left + 20, 50))))
    kept = sink._stays[1]._table()
    sink.close()
    (stay,) = json.loads((tmp_path / "o.json").read_text())["stays"]
    assert len(kept) < MOST_KEPT
    assert (kept[:, 0] == 10.0).mean() == pytest.approx(0.3, abs=0.01)
    assert (stay["sights"], stay["place"], stay["box"]) == (count, "right middle", [90.0, 10.0, 110.0, 50.0])


def test_pictures_of_several_sizes_have_one_scale(tmp_path: Path) -> None:
    """As in the annotated video, that of the first."""
    sink = StaysWriter(tmp_path / "o.json", NAMES)
    sink.write(gray_frame(0, 0.0), at((1, (10, 10, 30, 50))))
    for index in (1, 2):
        sink.write(gray_frame(index, float(index), size=(256, 128)), at((1, (20, 20, 60, 100))))
    sink.close()
    (stay,) = json.loads((tmp_path / "o.json").read_text())["stays"]
    assert (stay["box"], stay["moved"]) == ([10, 10, 30, 50], False)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows, read strictly: a wrong quote or a row of another length is an error."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    first, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(first) == COLUMNS
    return [dict(zip(first, row, strict=True)) for row in rows]


@pytest.mark.parametrize("began", [BEGAN, None])
def test_csv(tmp_path: Path, began: datetime | None) -> None:
    """The same figures; dates as spreadsheets know them, empty cells for what nobody knows."""
    shown = [at((1, CAR)), at((2, (4, 30.04, 12, 60)), class_id=1)]
    sink = StaysWriter(tmp_path / "o.CSV", NAMES, began=began)
    for index, found in enumerate(shown):
        sink.write(gray_frame(index, 90.25 * index), found)
    sink.close()
    first, second = read_csv(tmp_path / "o.CSV")
    assert second == {
        "id": "2", "class_name": "car", "first_seen_s": "90.25", "last_seen_s": "90.25",
        "first_seen": "2024-01-31 23:59:30" if began else "", "last_seen": "2024-01-31 23:59:30" if began else "",
        "duration_s": "0.0", "sights": "1", "gaps": "0", "longest_gap_s": "0.0", "arrived": "true",
        "departed": "false", "moved": "", "place": "left bottom", "foot_x": "8.0", "foot_y": "60.0", "left": "4.0",
        "top": "30.0", "right": "12.0", "bottom": "60.0",
    }  # fmt: skip
    assert (first["arrived"], first["departed"]) == ("false", "true")


@pytest.mark.parametrize(
    "name", ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1"]  # noqa: RUF001
)  # fmt: skip
def test_a_class_name_is_no_formula(tmp_path: Path, name: str) -> None:
    """Class names come out of a model file, and a spreadsheet runs what begins like this."""
    for suffix in ("csv", "json"):
        sink = StaysWriter(tmp_path / f"o.{suffix}", [name])
        sink.write(gray_frame(0, 0.0), at((1, CAR)))
        sink.close()
    raw = (tmp_path / "o.csv").read_bytes().decode("utf-8")
    (_, row) = csv.reader(io.StringIO(raw, newline=""), strict=True)
    assert row[1] == f"'{name}"
    assert json.loads((tmp_path / "o.json").read_text("utf-8"))["stays"][0]["class_name"] == name


def test_awkward_class_names_come_back(tmp_path: Path) -> None:
    name = 'a "b", c\nd\udcff ü'
    sink = StaysWriter(tmp_path / "o.csv", [name])
    sink.write(gray_frame(0, 0.0), at((1, CAR)))
    sink.close()
    raw = (tmp_path / "o.csv").read_bytes().decode("utf-8")
    (_, row) = csv.reader(io.StringIO(raw, newline=""), strict=True)
    assert row[1] == name.replace("\udcff", "\\udcff")


@pytest.mark.parametrize("name", ["o.csv", "o.json"])
def test_nothing_seen_is_a_table_without_rows(tmp_path: Path, name: str) -> None:
    """Empty, and not missing."""
    sink = StaysWriter(tmp_path / name, NAMES)
    sink.write(gray_frame(0, 0.0), Tracks.empty())
    sink.close()
    sink.close()
    if name == "o.csv":
        assert read_csv(tmp_path / name) == []
    else:
        assert json.loads((tmp_path / name).read_text()) == {"frames": 1, "began": None, "stays": []}
    assert list(tmp_path.iterdir()) == [tmp_path / name]
    with pytest.raises(WriteError, match="closed"):
        sink.write(gray_frame(1, 1.0), Tracks.empty())


def test_abort_keeps_what_is_known(tmp_path: Path) -> None:
    """Ctrl-C after hours: all up to the last frame, under the partial name."""
    sink = StaysWriter(tmp_path / "o.json", NAMES)
    for index in range(5):
        sink.write(gray_frame(index, float(index)), at((1, CAR)))
    sink.abort()
    sink.abort()
    (left,) = tmp_path.iterdir()
    assert left == partial_path(tmp_path / "o.json")
    assert json.loads(left.read_text())["stays"][0]["sights"] == 5


@pytest.mark.parametrize("name", ["o.txt", "o", "o.csv.gz"])
def test_other_endings(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.csv or \.json"):
        StaysWriter(tmp_path / name, NAMES)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_on_one_table(tmp_path: Path) -> None:
    """The second took the partial with --overwrite: the first must not put its table in the second's place."""
    first = StaysWriter(tmp_path / "o.json", NAMES)
    first.write(gray_frame(0, 0.0), at((1, CAR)))
    second = StaysWriter(tmp_path / "o.json", NAMES, overwrite=True)
    second.write(gray_frame(0, 0.0), at((2, CAR)))
    with pytest.raises(OutputError, match="another run"):
        first.close()
    first.abort()
    second.close()
    assert [stay["id"] for stay in json.loads((tmp_path / "o.json").read_text())["stays"]] == [2]


VICTIM = """
import sys
from pathlib import Path
from tests.write.scenes import gray_frame, tracks
from tracker.write import StaysWriter, stays
stays.SAVE_SHARE = 1e9  # after every frame
sink = StaysWriter(Path(sys.argv[1]) / "o.json", ("person",), save_s=0)
for index in range(10**6):
    found = tracks((20, 20, 60, 60, 0.9, 0), (5, 30, 40, 50, 0.5, 0), first_id=index // 7 + 1)
    sink.write(gray_frame(index, float(index)), found)
    print(index, flush=True)
"""


@pytest.mark.parametrize("last", [0, 13, 150])
def test_killed(tmp_path: Path, last: int) -> None:
    """Whole at every moment, and no older than the last saving."""
    command = [sys.executable, "-c", VICTIM, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for line in victim.stdout:
            if int(line) >= last:
                break
        victim.send_signal(signal.SIGKILL)
        victim.stdout.read()
    assert victim.returncode == -signal.SIGKILL
    left = json.loads((tmp_path / "o.partial.json").read_text())
    assert left["frames"] > last
    assert len(left["stays"]) == (left["frames"] - 1) // 7 + 2
    assert not (tmp_path / "o.json").exists()
    StaysWriter(tmp_path / "o.json", ("person",), overwrite=True).close()
    assert [path.name for path in tmp_path.iterdir()] == ["o.json"]  # what the kill left of a saving is gone too


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.write.scenes import gray_frame, tracks
from tracker.errors import WriteError
from tracker.write import StaysWriter, stays
stays.SAVE_SHARE = 1e9
sink = StaysWriter(Path(sys.argv[1]) / "o.csv", ("person",), save_s=0)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    for index in range(5000):
        sink.write(gray_frame(index, float(index)), tracks((20, 20, 60, 60, 0.9, 0), first_id=index + 1))
except WriteError as error:
    print(index, "|", error)
    sink.abort()
"""


def test_full_disk(tmp_path: Path) -> None:
    """The reason is said, and the last table that fitted is whole."""
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    reached, message = done.stdout.strip().split(" | ")
    assert "File too large" in message
    assert [path.name for path in tmp_path.iterdir()] == ["o.partial.csv"]
    assert len(read_csv(tmp_path / "o.partial.csv")) == int(reached)
