"""cameras.yaml: what is wrong is named with its line; passwords stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracker.config import ByteTrackSettings, SteadySettings
from tracker.errors import ConfigError
from tracker.monitor.loading import load_settings
from tracker.monitor.settings import CameraSettings, MonitorSettings

ROOT = Path(__file__).parent.parent.parent


def load(folder: Path, text: str) -> MonitorSettings:
    path = folder / "cameras.yaml"
    path.write_text(text)
    return load_settings(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(folder))


def test_the_example_is_valid_and_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_USER", "u")
    monkeypatch.setenv("GATE_PASSWORD", "p")
    path = ROOT / "configs" / "cameras.yaml"
    settings = load_settings(path)
    assert settings.cameras["gate"].access().password == "p"
    text = path.read_text()
    for model in (CameraSettings, MonitorSettings):
        for key in set(model.model_fields) - {"enabled", "username", "password"}:
            assert f"{key}:" in text or f"{key}: " in text or key in text, key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cameras:\n  a:\n    sorce: x\n", "/cameras.yaml:3: unknown key 'cameras.a.sorce', did you mean 'source'?"),
        ("camera: {}\n", "/cameras.yaml:1: unknown key 'camera', did you mean 'cameras'?"),
        ("cameras:\n  a: {loop: true}\n", "/cameras.yaml:2: 'cameras.a.source' is missing"),
        ("cameras:\n  a: {source: x}\n  a: {source: y}\n", "/cameras.yaml:3: 'a' stands twice in cameras; rename one"),
        ("cameras: {a: {source: x, rate: 0}}\n", "'cameras.a.rate': input should be greater than 0, got 0"),
        ("cameras:\n  '../a': {source: x}\n", "/cameras.yaml:2: 'cameras.../a': a name must be letters"),
        ("cameras: {}\n", "no camera is named"),
        ("[]\n", "must hold a mapping"),
        ("a: [\n", "is not YAML: line 2:"),
        ("cameras: {a: {source: x, tracker: {max_lots_s: 1}}}\n", "camera 'a': unknown key 'max_lots_s' of tracker"),
        ("tracker: {name: sorted}\ncameras: {a: {source: x}}\n", "no tracker 'sorted', did you mean 'sort'?"),
        ("cameras: {a: {source: x, tracker: {max_lost_s: -1}}}\n", "tracker key 'max_lost_s': input should be"),
        ("cameras: {a: {source: x, password: p, password_env: Q}}\n", "password and password_env are given"),
        ("cameras: {a: {source: 'rtsp://u:pw77@h', password: q}}\n", "in the address and given apart as well"),
        ("cameras: {a: {source: x, password_env: NO_SUCH}}\n", "environment variable NO_SUCH is wanted and not set"),
        ("cameras: {a: {source: x, credentials_file: /no/such}}\n", "credentials file /no/such cannot be read"),
        ("cameras: {a: {source: x, zones: {z: {polygon: [[0, 0]]}}}}\n", "cameras.a.zones.z"),
        ("cameras: {a: {source: x}}\naspect: 16\n", "'aspect'"),
        ("cameras: {a: {source: x}}\ndetect: {runtme: cpu}\n", "'detect.runtme', did you mean 'runtime'?"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    said = refused(tmp_path, text)
    assert message in said
    assert "pw77" not in said


def test_defaults_hold_where_a_camera_says_nothing_else(tmp_path: Path) -> None:
    settings = load(tmp_path, "defaults: {rate: 5, loop: true}\ncameras: {a: {source: x}, b: {source: y, rate: 9}}\n")
    assert [(each.rate, each.loop) for each in settings.cameras.values()] == [(5, True), (9, True)]
    assert "defaults" in refused(tmp_path, "defualts: {}\ncameras: {a: {source: x}}\n")


def test_a_camera_may_have_its_own_tracker(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "tracker: {name: bytetrack, max_lost_s: 3}\n"
        "cameras: {a: {source: x}, b: {source: y, tracker: {low_score: 0.2}}, c: {source: z, tracker: {name: steady}}}",
    )
    a, b, c = (settings.tracker_of(camera) for camera in settings.cameras.values())
    assert a == ByteTrackSettings(max_lost_s=3)
    assert b == ByteTrackSettings(max_lost_s=3, low_score=0.2)
    assert c == SteadySettings(), "the other tracker's numbers mean something else"


@pytest.mark.parametrize(
    "keys",
    [
        {"source": "rtsp://u:hunt%40er@h:554/x"},
        {"source": "rtsp://h:554/x", "username": "u", "password": "hunt@er"},
        {"source": "rtsp://u@h:554/x", "password_env": "PW"},
        {"source": "rtsp://h:554/x", "username_env": "US", "password_env": "PW"},
        {"source": "rtsp://h:554/x", "credentials_file": "FILE"},
    ],
)
def test_credentials_come_from_anywhere_and_show_nowhere(
    keys: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("US", "u")
    monkeypatch.setenv("PW", "hunt@er")
    file = tmp_path / "login"
    file.write_text("u:hunt@er\n")
    camera = CameraSettings.model_validate({k: v.replace("FILE", str(file)) for k, v in keys.items()})
    access = camera.access()
    assert (camera.source, access.username, access.password) == ("rtsp://h:554/x", "u", "hunt@er")
    assert access.url(camera.source) == "rtsp://u:hunt%40er@h:554/x"
    shown = f"{camera!r} {camera.shown()} {access!r} {camera.model_dump()} {camera.model_dump_json()}"
    assert "hunt" not in shown
    assert bool(camera.warnings()) is ("hunt" in str(keys))


def test_a_webcam_is_a_number_and_so_may_be_a_name(tmp_path: Path) -> None:
    settings = load(tmp_path, "cameras: {1: {source: 0}}\n")
    assert settings.cameras["1"].source == "0"
