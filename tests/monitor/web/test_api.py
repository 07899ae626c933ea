"""What can be asked and done."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import LINE, PASSWORD, Site
from tracker.config import TRACKERS
from tracker.errors import ConfigError, ModelError
from tracker.monitor.outputs import DATABASE
from tracker.monitor.store import Store
from tracker.monitor.web import schemas
from tracker.monitor.web.service import Cached

NEW = {"name": "dock", "source": "rtsp://10.0.0.6/dock", "username": "u", "password": PASSWORD}


def state(site: Site, name: str) -> str:
    return str(site.supervisor.camera(name).status()["state"])


def test_all_figures(standing: Site) -> None:
    until = time.monotonic() + 10  # the first frame may be on its way
    while standing.json("/api/status")["cameras"]["gate"]["size"] is None and time.monotonic() < until:
        time.sleep(0.05)
    status = schemas.Status.model_validate(standing.json("/api/status"), strict=True)
    assert list(status.cameras) == ["gate", "yard"]
    assert status.cameras["gate"].size == [160, 120]
    assert status.outputs is not None
    assert status.outputs["store"]["trouble"] == ""
    assert not status.login


def test_cameras_are_listed_with_their_settings_and_no_secret(standing: Site) -> None:
    found = schemas.CameraList.model_validate(standing.json("/api/cameras"), strict=True).cameras
    assert [each.name for each in found] == ["gate", "yard"]
    assert found[0].settings["password"] == "***"
    assert schemas.CameraBody.model_validate(standing.json("/api/cameras/yard")).settings["source"].endswith("/yard")


def test_a_camera_is_paused_and_resumed(site: Site) -> None:
    assert site.json("/api/cameras/gate/pause", "POST")["status"]["state"] == "paused"
    assert state(site, "gate") == "paused"
    assert site.json("/api/status")["cameras"]["gate"]["state"] == "paused"
    site.json("/api/cameras/gate/resume", "POST")
    wait_for(lambda: state(site, "gate") == "up")


def test_a_camera_comes_and_goes(site: Site) -> None:
    status, headers, content = site.ask("/api/cameras", "POST", NEW | {"lines": {"door": LINE.model_dump(mode="json")}})
    assert (status, headers["location"]) == (201, "/api/cameras/dock")
    assert schemas.CameraBody.model_validate_json(content).settings["lines"]["door"]["start"] == [0.1, 0.7]
    wait_for(lambda: state(site, "dock") == "up")
    assert site.supervisor.camera("dock").settings.access().password == PASSWORD
    assert site.ask("/api/cameras", "POST", NEW)[0] == 409
    assert site.ask("/api/cameras/dock", "DELETE")[0] == 204
    assert site.ask("/api/cameras/dock", "DELETE")[0] == 404
    assert site.ask("/api/cameras/dock")[0] == 404
    assert site.supervisor.names() == ["gate", "yard"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": "/etc/passwd"}, "source: string should match pattern"),
        ({"source": "file:///etc/passwd"}, "source: string should match pattern"),
        ({"source": "0"}, "source: string should match pattern"),
        ({"source": None}, "source: input should be a valid string"),
        ({"credentials_file": "/etc/shadow"}, "unknown key"),
        ({"password_env": "PATH"}, "unknown key"),
        ({"sourec": "x"}, "did you mean 'source'?"),
        ({"name": "../gate"}, "name: string should match pattern"),
        ({"name": "a" * 65}, "name: string should match pattern"),
        ({"rate": 0}, "rate: input should be greater than 0"),
        ({"source": f"rtsp://u:{PASSWORD}@h/x"}, "leave one of the two out"),
        ({"tracker": {"appearance": "/etc/passwd"}}, "tracker: appearance must be auto, off or colour"),
        ({"tracker": {"appearance": ["colour"]}}, "tracker: appearance must be auto, off or colour"),
        ({"tracker": {"name": "sotr"}}, "no tracker 'sotr', did you mean 'sort'?"),
        ({"zones": {"z": {"polygon": [[0, 0], [2, 0], [1, 1]]}}}, "lies outside the picture"),
        ({"zones": {"z": {"polygon": [[0, 0], [1, 0], [1, 1]], "classes": ["cat"]}}}, "knows no class 'cat'"),
    ],
)
def test_a_camera_that_cannot_be_is_refused_in_one_line(standing: Site, change: dict[str, Any], said: str) -> None:
    status, _, content = standing.ask("/api/cameras", "POST", NEW | change)
    error = json.loads(content)["error"]
    assert status == 400
    assert said in error
    assert "\n" not in error
    assert PASSWORD not in error
    assert standing.supervisor.names() == ["gate", "yard"]


def test_no_other_key_of_a_tracker_is_a_path() -> None:
    free = {
        key for tracker in TRACKERS.values() for key, each in tracker.model_fields.items() if each.annotation is str
    }
    assert free == {"appearance"}, "a request must not name files: see NewCamera"


def test_what_cannot_be_had_for_a_camera_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(name: str, settings: object) -> None:
        raise ModelError(f"the model of rtsp://u:{PASSWORD}@h cannot be read")

    monkeypatch.setattr(site.supervisor, "add", add)
    status, _, content = site.ask("/api/cameras", "POST", NEW)
    assert (status, PASSWORD.encode() in content) == (400, False)
    assert b"cannot be read" in content


def test_settings_are_read_again(site: Site) -> None:
    assert site.json("/api/reload", "POST") == {"changes": ["camera 'gate' changed"]}
    site.changes = ConfigError(f"cameras.yaml:3: rtsp://u:{PASSWORD}@h is no address")
    status, _, content = site.ask("/api/reload", "POST")
    assert status == 409
    assert b"not taken over" in content
    assert PASSWORD.encode() not in content


def test_events_come_with_their_pictures(site: Site) -> None:
    event = schemas.EventBody.model_validate(site.event())
    status, headers, content = site.ask(event.snapshot)
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert content.startswith(b"\xff\xd8")
    for width, wanted in ((64, (48, 64)), (640, (120, 160))):
        status, headers, small = site.ask(f"{event.snapshot}?width={width}")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert "max-age" in headers["cache-control"]
        assert cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR).shape[:2] == wanted
    part = site.ask(f"{event.snapshot}?width=160&crop=true")[2]
    assert cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_COLOR).shape[1] < 160
    assert site.ask(f"{event.snapshot}?width=160&crop=maybe")[0] == 400
    assert site.ask(f"/api/events/{event.id}/clip")[0] == 404
    wait_for(lambda: len(site.json("/api/events")["events"]) > 3)
    listed = schemas.EventList.model_validate(site.json(f"/api/events?limit=1&camera={event.camera}")).events
    assert [each.camera for each in listed] == [event.camera]
    before = site.json("/api/events?before=3")["events"]
    assert [each["id"] for each in before] == [2, 1]
    assert site.json("/api/events/1")["id"] == 1


def test_only_files_below_the_folder_are_given(site: Site, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}.jpg"
    outside.write_bytes(b"secret")
    event = site.event()
    assert site.outputs is not None
    site.outputs.store.attach_clip([event["id"]], f"../{outside.name}")
    wait_for(lambda: site.json(f"/api/events/{event['id']}")["clip"])
    assert site.ask(f"/api/events/{event['id']}/clip")[0] == 404


def test_a_clip_is_given_in_parts_where_a_browser_asks_for_them(site: Site, tmp_path: Path) -> None:
    event = site.event()
    (tmp_path / "moments" / "x.mp4").write_bytes(b"0123456789")
    assert site.outputs is not None
    site.outputs.store.attach_clip([event["id"]], "moments/x.mp4")
    wait_for(lambda: site.json(f"/api/events/{event['id']}")["clip"])
    status, headers, content = site.ask(f"/api/events/{event['id']}/clip", headers={"Range": "bytes=2-4"})
    assert (status, headers["content-type"], content) == (206, "video/mp4", b"234")


def test_figures_of_the_last_hours(tmp_path: Path) -> None:
    store = Store(tmp_path / DATABASE)
    store.observe("gate", {"fps": 10.0})
    store.observe("gate", {"fps": 14.0})
    assert store.close()
    with Site(tmp_path) as site:
        found = schemas.Series.model_validate(site.json("/api/cameras/gate/series?hours=1"))
    assert set(found.figures) == {"fps", "tracks", "latency_ms", "events", "zone lawn"}
    assert found.to_s - found.from_s == 3600
    minute, *figures = found.figures["fps"][0]
    assert minute % 60 == 0
    assert figures == [12.0, 10.0, 14.0]


def test_a_service_without_storage_says_so() -> None:
    with Site(None) as site:
        assert site.json("/api/status")["outputs"] is None
        assert site.ask("/api/events")[0] == 404
        assert "tracker_frames_total" in site.ask("/metrics")[2].decode()


def test_a_value_that_goes_wrong_within_is_a_fault_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def once(camera: str, width: int) -> bytes:
        raise ValueError("the picture could not be encoded")

    with Site(None) as site:
        monkeypatch.setattr(site.server.live, "once", once)
        assert site.ask("/api/cameras/gate/picture")[0] == 500
        assert "could not be encoded" in site.log.lines("web")[-1]["message"]


def test_a_camera_that_went_meanwhile_is_not_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise KeyError(name)

    for name in ("pause", "resume", "remove", "camera"):
        monkeypatch.setattr(site.supervisor, name, gone)
    for path, method in (
        ("", "GET"), ("", "DELETE"), ("/pause", "POST"), ("/resume", "POST"), ("/picture", "GET"), ("/series", "GET"),
        ("/live", "GET"),
    ):  # fmt: skip
        assert site.ask(f"/api/cameras/gate{path}", method)[0] == 404, path
    monkeypatch.undo()


def test_what_was_changed_is_seen_at_once() -> None:
    """Also by figures that were being made when it was changed."""
    began, go = threading.Event(), threading.Event()
    made = [0]

    def make() -> dict[str, int]:
        made[0] += 1
        if made[0] == 1:
            began.set()
            go.wait(20)
        return {"made": made[0]}

    cached = Cached(make, fresh_s=1000.0)
    first = threading.Thread(target=cached)
    first.start()
    assert began.wait(20)
    forgets = threading.Thread(target=cached.forget)
    forgets.start()
    go.set()
    first.join(), forgets.join()
    assert cached() == {"made": 2}


def test_a_trouble_of_an_output_is_told_without_its_password(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        site.outputs,
        "stats",
        lambda: {"outputs": {"webhook": {"trouble": f"http://u:{PASSWORD}@h refused", "sent": 1}}},
    )
    hook = site.json("/api/status")["outputs"]["outputs"]["webhook"]
    assert hook == {"trouble": "http://u:***@h refused", "sent": 1}
    monkeypatch.undo()


def test_a_fault_is_one_line_in_the_log_and_nothing_in_the_answer(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.supervisor.names = lambda: 1 / 0  # type: ignore[method-assign,assignment]
        status, headers, content = site.ask("/api/cameras")
        assert (status, json.loads(content)["error"]) == (500, "a fault of the service; its log says more")
        assert "content-security-policy" in headers
        assert "ZeroDivisionError" in site.log.lines("web")[-1]["message"]
        del site.supervisor.names
    assert "Traceback" not in site.log.text.getvalue()
