"""cameras.yaml: what is wrong is named with its line; passwords stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tracker.config import ByteTrackSettings, SteadySettings
from tracker.errors import ConfigError
from tracker.monitor.loading import load_settings
from tracker.monitor.output_settings import JsonlSettings, MqttSettings, SpoolSettings, WebhookSettings
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


SECRETS = {"password", "token", "username"}  # keys that have a better one beside them, which the example shows
EXAMPLE = ROOT / "configs" / "cameras.yaml"


def test_the_example_is_valid_and_tells_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_USER", "u")
    monkeypatch.setenv("GATE_PASSWORD", "p")
    settings = load_settings(EXAMPLE)
    assert settings.cameras["gate"].access().password == "p"
    plain = MonitorSettings(cameras=settings.cameras, tracker=settings.tracker)
    assert settings == plain, "what it says to be the default is the default"
    content = yaml.safe_load(EXAMPLE.read_text())
    assert set(content) == set(MonitorSettings.model_fields) | {"defaults"}
    for name in ("batch", "serve", "store", "record"):
        assert set(content[name]) == set(type(getattr(settings, name)).model_fields), name
    shown = set(content["cameras"]["gate"]) | set(content["cameras"]["yard"]) | {"credentials_file"}
    assert shown == set(CameraSettings.model_fields) - SECRETS
    assert "credentials_file: " in EXAMPLE.read_text()


@pytest.mark.parametrize(
    ("name", "model", "must"),
    [
        ("mqtt", MqttSettings, {"host": "broker.local"}),
        ("webhook", WebhookSettings, {"url": "https://example.org/hook"}),
        ("jsonl", JsonlSettings, {"path": "events.jsonl"}),
    ],
)
def test_the_outputs_in_the_example_hold_once_the_marks_are_taken_away(
    name: str, model: type[SpoolSettings], must: dict[str, str]
) -> None:
    lines = EXAMPLE.read_text().split(f"# {name}:\n")[1].split("\n\n")[0].splitlines()
    section = yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines if line.startswith("#   ")))
    assert model.model_validate(section) == model.model_validate(must)
    assert set(section) >= set(model.model_fields) - (SECRETS - {"username"})


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
        (
            "cameras: {a: {source: x}}\nmqtt: {hst: b}\n",
            "/cameras.yaml:2: unknown key 'mqtt.hst', did you mean 'host'?",
        ),
        ("cameras: {a: {source: x}}\nmqtt: {}\n", "/cameras.yaml:2: 'mqtt.host' is missing"),
        ("cameras: {a: {source: x}}\nmqtt: {host: b, password: [pw77]}\n", "'mqtt.password': input should be a valid"),
        (
            "cameras: {a: {source: x}}\nmqtt: {host: b, password_env: NO_SUCH}\n",
            ":2: mqtt.password_env: the environment",
        ),
        ("cameras: {a: {source: x}}\nwebhook: {url: 'ftp://u:pw77@h/'}\n", "'webhook': must be an address such as"),
        ("cameras: {a: {source: x}}\nwebhook: {token: 77}\n", "'webhook.token': input should be a valid string"),
        ("cameras: {a: {source: x}}\nwebhook: {url: http://h/, token_env: NO_SUCH}\n", "variable NO_SUCH is wanted"),
        (
            "cameras: {gate: {source: x}}\nrecord:\n  cameras: [gat]\n",
            ":3: 'record.cameras': there is no camera 'gat', did",
        ),
        ("cameras: {a: {source: x}}\nrecord: {mode: all}\n", "'record.mode': input should be 'off', 'events'"),
        ("cameras: {a: {source: x}}\ndetect: {runtme: cpu}\n", "'detect.runtme', did you mean 'runtime'?"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    said = refused(tmp_path, text)
    assert message in said
    assert "77" not in said


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


@pytest.mark.parametrize(
    ("data", "folder"), [("", "here/cams.data"), ("kept", "here/kept"), ("../kept", "here/../kept"), ("/a/b", "/a/b")]
)
def test_where_things_are_kept(data: str, folder: str) -> None:
    assert MonitorSettings(data=data).folder(Path("here/cams.yaml")) == Path(folder)


def test_a_name_that_yaml_reads_as_something_else_is_told(tmp_path: Path) -> None:
    assert "must stand in quotes" in refused(tmp_path, "cameras: {off: {source: a.mp4}}")
    assert list(load(tmp_path, 'cameras: {"off": {source: a.mp4}}').cameras) == ["off"]
