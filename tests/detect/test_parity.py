"""The parity gate: what counts as the same boxes, what is refused, and what takes its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.build import Request, build_plan
from engines.build_cache import notes_path, read_notes
from tests.fakes import detections
from tracker.config import DetectSettings
from tracker.detect import gate
from tracker.detect.gate import check, comparing, open_reference
from tracker.detect.model import detector_on, find_model
from tracker.detect.parity import ENOUGH, FEW, MOST, SCORE, Parity, matched, measure, told, unmeasured
from tracker.detect.rendered import RENDERED, SIZE, rendered_frames
from tracker.structures import Detections, Frame

PICTURE = np.zeros((48, 64, 3), np.uint8)
Rows = list[tuple[float, ...]]


def frames(count: int) -> Iterator[Frame]:
    return (Frame.from_bgr(k, float(k), PICTURE) for k in range(count))


class Listed:
    """Finds `per_frame` boxes side by side, changed by `change(number of the box, row)`; None: the box is not found."""

    class_names = ("a", "b")

    def __init__(
        self, per_frame: int = 10, change: Callable[[int, list[float]], list[float] | None] = lambda number, row: row
    ) -> None:
        self._per_frame, self._change, self._number = per_frame, change, 0
        self.sizes: list[int] = []

    def detect(self, given: Sequence[Frame]) -> list[Detections]:
        self.sizes.append(len(given))
        return [self._one() for _ in given]

    def _one(self) -> Detections:
        rows: Rows = []
        for k in range(self._per_frame):
            row = self._change(self._number, [40.0 * k, 0, 40.0 * k + 20, 20, 0.9 - 0.01 * k, 0])
            self._number += 1
            if row is not None:
                rows.append(tuple(row))
        return detections(*rows)

    def close(self) -> None: ...


def compared(candidate: Listed, per_frame: int = 10, count: int = 20) -> Parity:
    figures = measure(Listed(per_frame), candidate, frames(count))
    assert figures is not None
    return figures


def test_the_same_boxes() -> None:
    figures = compared(Listed())
    assert figures == Parity(20, 200, SCORE, 1.0, 1.0, 1.0, 0.0, 0.0)
    assert not figures.shortfall("fp16") and figures.notes("fp16")["passed"]


def test_each_figure_tells_its_own_fault() -> None:
    lost = compared(Listed(change=lambda number, row: None if number % 50 == 0 else row))
    assert lost.recall == pytest.approx(0.98) and lost.precision == 1 and "recall 0.980" in lost.shortfall("fp16")
    new = compared(Listed(11))
    assert new.precision == pytest.approx(10 / 11) and new.recall == 1 and "precision 0.909" in new.shortfall("fp16")
    moved = compared(Listed(change=lambda number, row: [row[0] + 1, *row[1:]]))
    assert moved.mean_iou == pytest.approx(0.95) and "mean iou 0.950" in moved.shortfall("fp16")
    weaker = compared(Listed(change=lambda number, row: [*row[:4], row[4] - (0.2 if number == 7 else 0.1), 0]))
    assert weaker.score_drift == pytest.approx(0.1005) and weaker.worst_drift == pytest.approx(0.2, abs=1e-6)
    assert not weaker.shortfall("fp16")  # told, and no reason to refuse
    other = compared(Listed(change=lambda number, row: [*row[:5], 1]))
    assert other.recall == 0 and other.mean_iou == 0


def test_int8_may_lose_more_but_not_all() -> None:
    worse = compared(Listed(change=lambda number, row: None if number % 10 == 0 else [row[0] + 1, *row[1:]]))
    assert worse.shortfall("fp16") and not worse.shortfall("int8")
    assert compared(Listed(change=lambda number, row: None if number % 3 == 0 else row)).shortfall("int8")


def test_a_box_about_the_threshold_is_drift_and_not_loss() -> None:
    low = Listed(10, lambda number, row: [*row[:4], 0.26, 0])
    figures = measure(low, Listed(10, lambda number, row: [*row[:4], 0.24, 0]), frames(20))
    assert figures and figures.recall == 1 and figures.score_drift == pytest.approx(0.02, abs=1e-6)
    gone = measure(low, Listed(10, lambda number, row: [*row[:4], 0.1, 0]), frames(20))
    assert gone and gone.recall == 0


def test_matching_takes_the_best_box_once() -> None:
    wanted = detections((0, 0, 20, 20, 0.5, 0), (2, 0, 22, 20, 0.9, 0))
    rows, columns, overlaps = matched(wanted, detections((2, 0, 22, 20, 0.8, 0)))
    assert (rows.tolist(), columns.tolist(), overlaps.tolist()) == ([1], [0], [1.0])
    assert all(len(part) == 0 for part in matched(wanted, Detections.empty()))


def test_it_looks_at_enough_and_no_more() -> None:
    assert compared(Listed(), count=MOST).frames == ENOUGH // 10
    few = measure(Listed(1), Listed(1), frames(FEW // 2))
    assert few and few.frames == FEW // 2 + RENDERED
    assert measure(Listed(0), Listed(0), frames(2)) is None
    flood = measure(Listed(0), Listed(3), frames(20))
    assert flood and flood.precision == 0 and flood.shortfall("int8")
    weak = measure(Listed(2, lambda number, row: [*row[:4], 0.1, 0]), Listed(2), frames(5))
    assert weak and weak.score == pytest.approx(0.1) and weak.boxes == 2 * (5 + RENDERED)


def test_groups_are_of_one_size() -> None:
    candidate = Listed()
    measure(Listed(), candidate, frames(21), batch=4)
    assert candidate.sizes == [4] * 6


def test_lines() -> None:
    assert told({}) == "parity not measured: no run yet"
    assert told(unmeasured("no GPU here")) == "parity not measured: no GPU here"
    refused = compared(Listed(change=lambda number, row: None if number % 50 == 0 else row)).notes("fp16")
    assert told(refused).startswith("parity with the ONNX, 200 boxes on 20 frames: recall 0.980, precision 1.000")
    assert told(refused).endswith("; refused")


def test_rendered_frames_are_the_same_each_time() -> None:
    first, again = list(rendered_frames()), list(rendered_frames())
    assert len(first) == RENDERED and (first[0].width, first[0].height) == SIZE
    assert all((one.bgr == other.bgr).all() for one, other in zip(first, again, strict=True))
    assert not (first[0].bgr == first[1].bgr).all()


@pytest.fixture
def plan(tmp_path: Path) -> Any:
    """Builds the embedded detector for OpenVINO in a precision; small, so that it is quick."""
    pytest.importorskip("openvino")
    model = find_model("street6")
    shape = (1, 160, 256, 3)

    def build(precision: str) -> tuple[engines.Plan, Callable[[], Any], Callable[[], Any], engines.Engine]:
        feeds = [{model.signature.inputs[0].name: np.full(shape, 90, np.uint8)}] if precision == "int8" else []  # type: ignore[union-attr]
        profiles = {model.signature.inputs[0].name: (shape,) * 3}  # type: ignore[union-attr]
        request = Request(model.path, "openvino", precision, profiles, feeds=feeds)
        made = build_plan(request, lambda line: None, tmp_path)
        options = engines.EngineOptions(shape={}, precision="fp32")
        engine = engines.load(made.path, "openvino", options)
        settings = DetectSettings(workers=1)
        return (
            made,
            lambda: open_reference(model, {name: shape for name in profiles}, settings),
            lambda: detector_on(model, engine, comparing(settings)),
            engine,
        )

    return build


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_plans_of_the_embedded_detector_pass(plan: Any, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: another runtime, other weights; measured once and kept beside the plan."""
    made, reference, candidate, engine = plan(precision)
    parity = check(made, reference, candidate)
    assert parity["passed"] and parity["boxes"] >= 20 and parity["recall"] >= 0.99 and parity["mean_iou"] >= 0.98
    assert json.loads(notes_path(made.path).read_text())["parity"] == parity
    monkeypatch.setattr(gate, "measure", lambda *arguments: pytest.fail("measured again"))
    assert check(replace(made, notes=read_notes(made.path)), reference, candidate) == parity
    engine.close()


def test_int8_with_ranges_of_the_wrong_pictures_is_refused(plan: Any) -> None:
    """One gray picture gives ranges in which nothing of a street can be seen."""
    made, reference, candidate, engine = plan("int8")
    parity = check(made, reference, candidate)
    assert not parity["passed"] and told(parity).endswith("; refused")
    engine.close()
