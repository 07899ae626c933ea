"""A killed run leaves a playable video and whole records."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.kill import kill_once, loop_clip


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_loses_at_most_a_second(seed: int, clip: Path, tmp_path: Path) -> None:
    """Thirty kills and more: `python -m benchmarks.kill`."""
    loop_clip(clip, tmp_path / "long.mkv", 5000)
    left = kill_once(tmp_path / "long.mkv", tmp_path, random.Random(seed).uniform(0, 1))
    assert left.video_frames > 0 and left.records >= 30
    assert left.behind_s <= 1.0
