"""What an orchestrator is told."""

from __future__ import annotations

import json

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import Site
from tracker.errors import TrackerError
from tracker.monitor.web import schemas


def test_ready_while_a_camera_is_up_and_alive_whatever_they_do(site: Site) -> None:
    assert site.json("/readyz") == {"ok": True, "why": ""}
    site.json("/api/cameras/gate/pause", "POST")
    assert site.ask("/readyz")[0] == 200, "yard is up"
    site.refuse.add("yard")
    wait_for(lambda: site.ask("/readyz")[0] == 503)
    status, _, content = site.ask("/readyz")
    body = schemas.Health.model_validate_json(content)
    assert (status, body.ok, body.why) == (503, False, "no camera is up: 1 down, 1 paused")
    assert site.ask("/healthz")[0] == 200
    site.refuse.clear()
    wait_for(lambda: site.ask("/readyz")[0] == 200)


def test_a_service_whose_detector_is_gone_is_not_alive(site: Site) -> None:
    def gone() -> None:
        raise TrackerError("the detector has given nothing for 61 s")

    site.supervisor.check = gone  # type: ignore[method-assign]
    for path in ("/healthz", "/readyz"):
        status, _, content = site.ask(path)
        assert (status, json.loads(content)["why"]) == (503, "the detector has given nothing for 61 s")


def test_without_cameras_it_is_not_ready() -> None:
    with Site(None, cameras=()) as site:
        assert json.loads(site.ask("/readyz")[2]) == {"ok": False, "why": "there is no camera"}


def test_head_is_answered_like_get_without_a_body(site: Site) -> None:
    for path in ("/healthz", "/", "/api/cameras/gate/live"):
        status, _, content = site.ask(path, "HEAD")
        assert (status, content) == (200, b"")
    assert site.server.live.painted == 0
