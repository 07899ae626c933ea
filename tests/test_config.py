"""Settings: flags over --set over file; errors name the nearest key and the range."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker.config import Settings, make_settings, parse_assignments
from tracker.errors import ConfigError


def test_file_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("tracker: {max_lost_s: 5, min_hits: 2}\ndetect: {score: 0.4}\n")
    settings = make_settings(path, {"tracker.max_lost_s": 2})
    assert (settings.tracker.max_lost_s, settings.tracker.min_hits, settings.detect.score) == (2.0, 2, 0.4)


def test_assignments_are_yaml() -> None:
    assert parse_assignments(("tracker.min_hits=2", "detect.classes=[person, car]", "detect.model=a.onnx")) == {
        "tracker.min_hits": 2, "detect.classes": ["person", "car"], "detect.model": "a.onnx",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tracker.max_lost": 1}, "unknown setting 'tracker.max_lost', did you mean 'tracker.max_lost_s'"),
        ({"tracker.max_lost_s": -1}, "'tracker.max_lost_s': input should be greater than or equal to 0, got -1"),
        ({"detect.score": "high"}, "'detect.score'.*valid number.*'high'"),
        ({"detect.runtime": "tensorflow"}, "'detect.runtime'.*'openvino'"),
        ({"tracker.name": "sorted"}, "'tracker.name'.*'sort'"),
    ],
)
def test_errors_say_what_to_do(overrides, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make_settings(None, overrides)


@pytest.mark.parametrize("text", ["tracker.max_lost_s", "=", "detect.classes=[a"])
def test_assignments_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        make_settings(None, parse_assignments((text,)))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: [", b"- 1\n- 2"])
def test_files_that_are_no_settings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        make_settings(path, {})


def test_the_shipped_files_hold_every_key_with_its_default() -> None:
    """configs/default.yaml is the reference that people copy from: it must not drift."""
    path = Path(__file__).parent.parent / "configs" / "default.yaml"
    assert make_settings(path, {}) == Settings()
    text = path.read_text()
    for section in Settings.model_fields.values():
        assert section.annotation is not None
        for key in section.annotation.model_fields:
            assert f"  {key}:" in text, key
