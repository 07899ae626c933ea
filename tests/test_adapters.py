"""supervision.Detections: to and fro, with the library where it is installed and with a stand-in everywhere."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.fakes import squares
from tests.write.scenes import tracks
from tracker.adapters import from_supervision, to_supervision
from tracker.errors import RequirementError


@pytest.fixture(params=["stand-in", "supervision"])
def supervision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, or as much of it as the adapters use."""
    if request.param == "supervision":
        return pytest.importorskip("supervision", reason="supervision is not installed")
    module = ModuleType("supervision")
    module.Detections = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", module)
    return module


def test_there_and_back(supervision: Any) -> None:
    found = tracks((1, 2, 30, 40, 0.5, 3), (5, 6, 7, 8, 0.25, 0), first_id=7)
    theirs = to_supervision(found)
    assert theirs.tracker_id.tolist() == [7, 8]
    ours = from_supervision(theirs)
    assert np.array_equal(ours.boxes, found.boxes) and np.array_equal(ours.scores, found.scores)
    assert np.array_equal(ours.class_ids, found.class_ids)


def test_theirs_are_copies(supervision: Any) -> None:
    """An annotator that writes into its arrays must not change a tracker's."""
    found = tracks((1, 2, 30, 40, 0.5, 3))
    theirs = to_supervision(found)
    theirs.xyxy += 1
    assert found.boxes.tolist() == [[1, 2, 30, 40]]


def test_no_objects(supervision: Any) -> None:
    theirs = to_supervision(tracks())
    assert len(theirs.xyxy) == len(theirs.tracker_id) == len(from_supervision(theirs)) == 0


def test_detectors_without_scores_or_classes(supervision: Any) -> None:
    theirs = supervision.Detections(xyxy=np.array([[0.0, 0, 9, 9]]), confidence=None, class_id=None)
    ours = from_supervision(theirs)
    assert ours.scores.tolist() == [1] and ours.class_ids.tolist() == [0] and ours.boxes.dtype == np.float32


def test_numbers_that_are_not_finite_and_lengths_that_differ_are_refused() -> None:
    boxes = squares(0).boxes
    with pytest.raises(ValueError, match="finite"):
        from_supervision(SimpleNamespace(xyxy=boxes * np.nan, confidence=None, class_id=None))
    with pytest.raises(ValueError, match="finite"):
        from_supervision(SimpleNamespace(xyxy=boxes, confidence=[0.5, np.inf], class_id=None))
    with pytest.raises(ValueError, match="scores"):
        from_supervision(SimpleNamespace(xyxy=boxes, confidence=[0.5], class_id=None))


def test_without_supervision_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(RequirementError, match="pip install supervision"):
        to_supervision(tracks())
