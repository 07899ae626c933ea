"""Settings: flags over --set over file; errors name the nearest key and the range."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tracker.cli.mode import TIMELAPSE, TIMELAPSE_EMBEDDED
from tracker.config import (
    DEFAULT_TRACKER,
    TRACKERS,
    ByteTrackSettings,
    OcSortSettings,
    Settings,
    keys_of,
    make_settings,
    parse_assignments,
)
from tracker.errors import ConfigError


def test_file_then_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("tracker: {max_lost_s: 5, confirm: 2}\ndetect: {score: 0.4}\n")
    settings = make_settings(path, {"tracker.max_lost_s": 2})
    assert (settings.tracker.max_lost_s, settings.tracker.confirm, settings.detect.score) == (2.0, 2, 0.4)


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
        ({"detect.tiles": "10x2"}, r"'detect\.tiles': .*auto.*, got '10x2'"),
        ({"detect.tiles": "1x1"}, r"'detect\.tiles': .*, got '1x1'"),
        ({"detect.tiles": True}, r"'detect\.tiles': .*, got 'on'"),
        ({"detect.flip": "both"}, r"'detect\.flip': .*, got 'both'"),
        ({"tracker.name": "sorted"}, "'tracker.name': no tracker 'sorted', did you mean 'sort'"),
        ({"tracker.name": "x"}, "'tracker.name'.*known are sort, bytetrack, ocsort, steady"),
        ({"tracker.name": ["sort"]}, "'tracker.name': no tracker"),
        ({"tracker.name": "bytetrack", "tracker.low": 1}, "unknown.*did you mean 'tracker.low_score'"),
        ({"tracker.name": "bytetrack", "tracker.low_score": 2}, "'tracker.low_score': .*less than or equal to 1, got"),
        ({"tracker.name": "sort", "tracker.inertia": 1}, "'tracker.inertia' belongs to the tracker ocsort, .* is sort"),
    ],
)
def test_errors_say_what_to_do(overrides, message) -> None:
    with pytest.raises(ConfigError, match=message):
        make_settings(None, overrides)


@pytest.mark.parametrize(("text", "tiles"), [("off", "off"), ("auto", "auto"), ("3x2", "3x2"), ("1x4", "1x4")])
def test_tiles_as_yaml_reads_them(text: str, tiles: str) -> None:
    assert make_settings(None, parse_assignments((f"detect.tiles={text}",))).detect.tiles == tiles


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


CONFIGS = Path(__file__).parent.parent / "configs"


def test_the_shipped_files_hold_every_key_with_its_default() -> None:
    """configs/default.yaml is the reference that people copy from: it must not drift."""
    assert make_settings(CONFIGS / "default.yaml", {}) == Settings()
    text = (CONFIGS / "default.yaml").read_text()
    for key in keys_of(DEFAULT_TRACKER):
        assert f"  {key.split('.')[1]}:" in text, key


def test_the_archive_file_can_be_read_and_says_something_else_than_the_defaults() -> None:
    settings, defaults = make_settings(CONFIGS / "batch.yaml", {}), Settings()
    assert settings.tracker.name == "steady"
    for section in ("detect", "tracker", "write"):
        assert getattr(settings, section) != getattr(defaults, section)


def test_the_time_lapse_file_is_what_the_mode_sets() -> None:
    assert make_settings(CONFIGS / "timelapse.yaml", {}) == make_settings(None, {}, TIMELAPSE | TIMELAPSE_EMBEDDED)


@pytest.mark.parametrize("name", TRACKERS)
def test_the_trackers_file_holds_every_key_with_its_default(tmp_path: Path, name: str) -> None:
    """Each of its parts is a settings file, whole as it stands there."""
    parts = {
        yaml.safe_load(part)["tracker"]["name"]: part
        for part in (CONFIGS / "trackers.yaml").read_text().split("\n---\n")
    }
    assert list(parts) == list(TRACKERS)
    path = tmp_path / "a.yaml"
    path.write_text(parts[name])
    assert make_settings(path, {}).tracker == TRACKERS[name]()
    assert set(yaml.safe_load(parts[name])["tracker"]) == set(TRACKERS[name].model_fields)
    assert all("  # " in line for line in parts[name].splitlines() if line.startswith("  ") and "name:" not in line)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_has_its_own_settings(name: str) -> None:
    settings = make_settings(None, {"tracker.name": name, "tracker.max_lost_s": 2})
    assert settings.tracker == TRACKERS[name](max_lost_s=2) and settings.tracker.name == name
    assert Settings.model_validate(settings.model_dump()) == settings


def test_a_file_chooses_the_tracker(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("tracker: {name: bytetrack, high_score: 0.5}")
    assert make_settings(path, {"tracker.min_iou_low": 0.4}).tracker == ByteTrackSettings(
        high_score=0.5, min_iou_low=0.4
    )


def test_a_file_without_a_name_tunes_the_tracker_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("tracker: {max_lost_s: 2}")
    assert make_settings(path, {"tracker.name": "ocsort"}).tracker == OcSortSettings(max_lost_s=2)


def test_a_file_for_another_tracker_is_refused(tmp_path: Path) -> None:
    """Its min_iou is a number for another algorithm, though both have the key."""
    path = tmp_path / "a.yaml"
    path.write_text("tracker: {name: sort, min_iou: 0.3}")
    with pytest.raises(ConfigError, match=r"a\.yaml holds 'tracker\.min_iou' for the tracker sort, and bytetrack was"):
        make_settings(path, {"tracker.name": "bytetrack"})
    path.write_text("tracker: {name: sort}")
    assert make_settings(path, {"tracker.name": "bytetrack"}).tracker == ByteTrackSettings()
