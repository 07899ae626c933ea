"""What can be asked and done, and that the document of it is true."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import LINE, PASSWORD, Site
from tracker.errors import ConfigError
from tracker.monitor.outputs import DATABASE
from tracker.monitor.store import Store
from tracker.monitor.web import app as module
from tracker.monitor.web import schemas

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


def test_a_fault_is_one_line_in_the_log_and_nothing_in_the_answer(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.supervisor.names = lambda: 1 / 0  # type: ignore[method-assign,assignment]
        status, headers, content = site.ask("/api/cameras")
        assert (status, json.loads(content)["error"]) == (500, "a fault of the service; its log says more")
        assert "content-security-policy" in headers
        assert "ZeroDivisionError" in site.log.lines("web")[-1]["message"]
        del site.supervisor.names
    assert "Traceback" not in site.log.text.getvalue()


# The document.


def routes(site: Site) -> set[tuple[str, str]]:
    """What the application really answers, without HEAD."""
    app: Any = site.server._web._server.config.app
    while not hasattr(app, "routes"):
        app = app._app
    found = set()
    for route in app.routes:
        assert isinstance(route, Route)
        found |= {(method, route.path) for method in route.methods or () if method != "HEAD"}
    return found


def test_the_document_lists_exactly_the_routes(standing: Site) -> None:
    document = standing.json("/api/openapi.json")
    listed = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert document["openapi"].startswith("3.1.")
    assert listed == routes(standing)
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(ids)) == len(ids)


def test_every_reference_of_the_document_is_there(standing: Site) -> None:
    text = standing.ask("/api/openapi.json")[2].decode()
    schemas_ = json.loads(text)["components"]["schemas"]
    used = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used <= set(schemas_)
    assert schemas_["NewCamera"]["additionalProperties"] is False


def test_parameters_are_as_the_document_says(standing: Site) -> None:
    document = standing.json("/api/openapi.json")
    limit = next(each for each in document["paths"]["/api/events"]["get"]["parameters"] if each["name"] == "limit")
    assert limit["schema"] | {"type": "integer", "minimum": 1, "maximum": 500, "default": 50} == limit["schema"]
    assert standing.ask("/api/events?limit=500")[0] == 200
    assert standing.ask("/api/events?limit=501")[0] == 400


def test_answers_are_among_those_documented(standing: Site) -> None:
    document = standing.json("/api/openapi.json")
    asked = [
        ("GET", "/", "/"), ("GET", "/login", "/login"), ("GET", "/healthz", "/healthz"),
        ("GET", "/metrics", "/metrics"),
        ("GET", "/api/cameras/{name}", "/api/cameras/none"), ("POST", "/api/reload", "/api/reload"),
        ("GET", "/api/events/{id}", "/api/events/x"), ("POST", "/api/cameras", "/api/cameras"),
        ("GET", "/api/cameras/{name}/picture", "/api/cameras/gate/picture?width=99999"),
    ]  # fmt: skip
    for method, template, path in asked:
        status = standing.ask(path, method)[0]
        assert str(status) in document["paths"][template][method.lower()]["responses"], (method, path, status)


def test_the_table_has_no_path_twice_with_one_method() -> None:
    pairs = [(operation.method, operation.path) for operation in module.OPERATIONS]
    assert len(set(pairs)) == len(pairs)
