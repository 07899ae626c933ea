"""Live pictures: for who looks only, and never at the cost of the pipeline."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.web.site import PASSWORD, Site
from tracker.monitor.camera import Camera, Result
from tracker.monitor.web import streams
from tracker.monitor.web.picture import Painter
from tracker.monitor.web.streams import HEAD


class Stream:
    """An open answer that does not end by itself."""

    def __init__(self, site: Site, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
        self._connection.request("GET", path)
        self.answer = self._connection.getresponse()

    def __enter__(self) -> Stream:
        assert self.answer.status == 200, self.answer.read()
        return self

    def __exit__(self, *exc: object) -> None:
        self.answer.close()
        self._connection.close()

    def records(self) -> Iterator[tuple[str, bytes]]:
        """(camera, JPEG) of a packed stream."""
        while head := self.answer.read(HEAD.size):
            name, size = HEAD.unpack(head)
            yield self.answer.read(name).decode(), self.answer.read(size)

    def parts(self) -> Iterator[bytes]:
        """JPEGs of an MJPEG stream."""
        while line := self.answer.readline():
            assert line == b"--picture\r\n"
            assert self.answer.readline() == b"Content-Type: image/jpeg\r\n"
            size = int(self.answer.readline().split()[1])
            assert self.answer.readline() == b"\r\n"
            yield self.answer.read(size)
            assert self.answer.read(2) == b"\r\n"


def decoded(jpeg: bytes) -> Any:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def take(source: Iterator[Any], count: int) -> list[Any]:
    return [next(source) for _ in range(count)]


def processed(site: Site, name: str = "gate") -> int:
    return int(site.supervisor.camera(name).status()["frames"]["processed"])


def more(site: Site, count: int = 10) -> None:
    before = processed(site)
    wait_for(lambda: processed(site) >= before + count)


def test_nobody_looks_and_nothing_is_painted(site: Site) -> None:
    more(site)
    assert site.server.live.painted == 0
    with Stream(site, "/api/cameras/gate/live") as stream:
        take(stream.parts(), 3)
        assert site.server.live.viewers == 1
    wait_for(lambda: site.server.live.viewers == 0)
    painted = site.server.live.painted
    assert painted >= 3
    more(site)
    assert site.server.live.painted <= painted + 1


def test_mjpeg_moves_and_shows_the_boxes(site: Site) -> None:
    with Stream(site, "/api/cameras/gate/live") as stream:
        assert stream.answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
        images = [decoded(jpeg) for jpeg in take(stream.parts(), 4)]
    assert {image.shape for image in images} == {(120, 160, 3)}
    assert all(np.abs(a.astype(int) - b).max() > 60 for a, b in pairwise(images))
    # The squares have no green; what is green or violet was drawn.
    hues = cv2.cvtColor(images[-1], cv2.COLOR_BGR2HSV).reshape(-1, 3)
    vivid = hues[(hues[:, 1] > 120) & (hues[:, 2] > 120)]
    drawn = vivid[(vivid[:, 0] > 35) & (vivid[:, 0] < 95) | (vivid[:, 0] > 125) & (vivid[:, 0] < 170)]
    assert len(drawn) > 20, "boxes and zones are drawn in colours of their own"


def test_one_connection_brings_all_cameras(site: Site) -> None:
    with Stream(site, "/api/live?cameras=yard,gate,yard&width=320") as stream:
        got = dict(take(stream.records(), 12))
    assert set(got) == {"gate", "yard"}
    assert decoded(got["yard"]).shape == (120, 160, 3)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """(number of the frame, when) of each picture that is painted."""
    found: list[tuple[int, float]] = []
    paint = Painter.paint

    def noted(painter: Painter, result: Result, camera: Camera) -> bytes:
        found.append((result.frame.index, time.monotonic()))
        return paint(painter, result, camera)

    monkeypatch.setattr(Painter, "paint", noted)
    return found


def test_viewers_of_one_camera_share_the_work(site: Site, painted: list[tuple[int, float]]) -> None:
    with Stream(site, "/api/cameras/gate/live") as one, Stream(site, "/api/cameras/gate/live") as two:
        first, second = one.parts(), two.parts()
        take(first, 6), take(second, 6)
    frames = [index for index, _ in painted]
    assert len(frames) == len(set(frames)) >= 6


def test_a_rate_is_kept(painted: list[tuple[int, float]]) -> None:
    with Site(None, cameras=("gate",), live_rate=5.0) as site, Stream(site.up(), "/api/cameras/gate/live") as stream:
        take(stream.parts(), 6)
    assert painted[5][1] - painted[0][1] > 0.7, "never shorter, however busy the machine is"


def test_a_camera_that_is_down_says_why_in_place_of_a_frozen_picture(site: Site) -> None:
    with Stream(site, "/api/cameras/gate/live?width=640") as stream:
        parts = stream.parts()
        next(parts)
        site.refuse.add("gate")
        images = (decoded(jpeg) for jpeg in parts)
        said = next(image for image in images if image.shape == (360, 640, 3))
        assert said.max() > 200, "there is text on it"
        assert np.median(said) < 40
        site.refuse.clear()
        assert next(image for image in images if image.shape != (360, 640, 3)).shape == (120, 160, 3)


def test_the_stream_of_a_removed_camera_ends_and_others_go_on(site: Site) -> None:
    with Stream(site, "/api/cameras/yard/live") as one, Stream(site, "/api/live?cameras=yard,gate") as both:
        records = both.records()
        take(records, 3)
        site.ask("/api/cameras/yard", "DELETE")
        assert len(list(one.parts())) < 100
        names = [name for name, _ in take(records, 16)]
        assert set(names[-5:]) == {"gate"}


def test_viewers_are_bounded_and_leave_their_place() -> None:
    with Site(None, cameras=("gate",), most_viewers=2) as site:
        site.up()
        with Stream(site, "/api/cameras/gate/live"), Stream(site, "/api/live?cameras=gate"):
            status, _, content = site.ask("/api/cameras/gate/live")
            assert status == 503
            assert b"serve.most_viewers" in content
        wait_for(lambda: site.server.live.viewers == 0)
        with Stream(site, "/api/cameras/gate/live") as stream:
            take(stream.parts(), 1)


def test_a_viewer_that_takes_nothing_slows_nobody_and_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SLOW_S", 0.5)
    with Site(None, live_rate=60.0, jpeg_quality=100) as site:
        site.up()
        # Pictures must be larger than what the system holds for a connection.
        monkeypatch.setattr("tracker.monitor.web.picture.jpeg", lambda picture, quality: bytes(300_000))
        with socket.create_connection(("127.0.0.1", site.port)) as stuck:
            stuck.sendall(b"GET /api/live?cameras=gate HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(lambda: site.server.live.viewers == 1)
            with Stream(site, "/api/live?cameras=gate") as stream:
                take(stream.records(), 10)
            more(site)
            wait_for(lambda: site.server.live.viewers == 0)
        assert site.log.lines("live")[-1]["message"] == "a viewer took nothing for 0.5 s and was disconnected"


def test_a_picture_that_cannot_be_drawn_is_told_and_the_next_one_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("tracker.monitor.web.picture.jpeg", lambda picture, quality: 1 / 0)
        with Stream(site, "/api/cameras/gate/live") as stream:
            wait_for(lambda: site.log.lines("live", "gate"))
            broken.undo()
            assert decoded(next(stream.parts())).shape == (120, 160, 3)
    assert "ZeroDivisionError" in site.log.lines("live", "gate")[0]["message"]


def test_what_a_slate_says_is_free_of_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with Site(None, cameras=("gate",)) as site:
        site.up()
        camera = site.supervisor.camera("gate")
        monkeypatch.setattr(type(camera), "state_now", ("down", "auth", f"rtsp://u:{PASSWORD}@h says {PASSWORD}"))
        monkeypatch.setattr(
            "tracker.monitor.web.live.slate", lambda name, state, why, quality: said.append(why) or b"picture"
        )
        assert site.ask("/api/cameras/gate/picture")[0] == 200
    assert said == ["rtsp://u:***@h says ***"]


def test_one_picture_of_now(site: Site) -> None:
    status, headers, content = site.ask("/api/cameras/gate/picture?width=320")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert decoded(content).shape == (120, 160, 3)
    assert site.server.live.painted == 1
    site.json("/api/cameras/gate/pause", "POST")
    assert decoded(site.ask("/api/cameras/gate/picture")[2]).shape == (360, 640, 3)


def test_closing_ends_the_streams(site: Site) -> None:
    with Stream(site, "/api/cameras/gate/live") as stream:
        parts = stream.parts()
        next(parts)
        site.server.live.close()
        assert len(list(parts)) < 100


def test_the_format_of_a_record_is_as_documented(standing: Site) -> None:
    text = standing.json("/api/openapi.json")["paths"]["/api/live"]["get"]["summary"]
    assert re.search(r"name \(1 byte\), of the JPEG \(4 bytes, big-endian\), name, JPEG", text)
    assert streams.packed({"ab": b"xyz"}) == struct.pack(">BI", 2, 3) + b"abxyz"
