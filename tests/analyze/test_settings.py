from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.analyze.scenes import CLASSES
from tracker.analyze import Analyzer, LineSettings, ZoneSettings
from tracker.errors import ConfigError

BOX = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.1, 0.5]]


def test_shares_stay_and_pixels_become_shares() -> None:
    pixels = {"polygon": [[64, 36], [320, 36], [320, 180], [64, 180]], "picture": [640, 360]}
    shares = ZoneSettings.model_validate({"polygon": BOX}).shares()
    np.testing.assert_allclose(ZoneSettings.model_validate(pixels).shares(), shares)
    line = LineSettings.model_validate({"start": [0, 180], "end": [640, 180], "picture": [640, 360]})
    np.testing.assert_allclose(line.shares(), [[0, 0.5], [1, 0.5]])


def test_pixels_below_two_are_pixels_where_the_picture_is_told() -> None:
    """The rule does not look at the numbers."""
    zone = ZoneSettings.model_validate({"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "picture": [100, 100]})
    assert zone.shares().max() == 0.01


def test_a_first_corner_given_again_at_the_end_is_one_corner() -> None:
    assert len(ZoneSettings.model_validate({"polygon": [*BOX, BOX[0]]}).shares()) == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"polygon": [[64, 36], [320, 36], [320, 180]]}, "outside the picture; write shares"),
        ({"polygon": [[0, 0], [700, 0], [9, 9]], "picture": [640, 360]}, "x must be 0..640"),
        ({"polygon": BOX[:2]}, "three corners or more, got 2"),
        ({"polygon": [BOX[0], BOX[1], BOX[0]]}, "three corners or more, got 2"),
        ({"polygon": [BOX[0], BOX[2], BOX[1], BOX[3]]}, "edges 1 and 3 of the polygon cross"),
        ({"polygon": [[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]}, "no area"),
        ({"polygon": [[0, 0], [1, 0], [0.5, 0], [0.5, 1]]}, "cross"),
        ({"polygon": BOX, "picture": [0, 360]}, "picture must be"),
        ({"polygon": BOX, "polygone": BOX}, "polygone"),
        ({"polygon": BOX, "hold_s": -1}, "hold_s"),
        ({"polygon": [[float("nan"), 0], [1, 0], [1, 1]]}, "finite"),
    ],
)
def test_a_zone_that_is_none_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ZoneSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"start": [0.5, 0.5], "end": [0.5, 0.5]}, "two ends"),
        ({"start": [0.5, 0.5], "end": [0.5, 1.5]}, "outside the picture"),
        ({"start": [0.5, 0.5]}, "end"),
    ],
)
def test_a_line_that_is_none_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LineSettings.model_validate(settings)


def test_a_class_that_the_detector_does_not_know_is_named() -> None:
    zone = ZoneSettings.model_validate({"polygon": BOX, "classes": ["persn"]})
    with pytest.raises(ConfigError, match="zone 'yard': the detector knows no class 'persn', did you mean 'person'"):
        Analyzer({"yard": zone}, {}, CLASSES)
