"""A camera that comes back is noticed before the next attempt is due; one that refuses is left alone."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.capture.servers import Camera
from tracker.capture import knock
from tracker.capture.halt import Halt
from tracker.capture.knock import answers, wait_for_answer


def waited(url: str, seconds: float, *, heard: bool = False) -> float:
    began = time.monotonic()
    wait_for_answer(url, seconds, Halt(), heard=heard)
    return time.monotonic() - began


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knock, "EVERY_S", 0.1)
    monkeypatch.setattr(knock, "ANSWER_S", 0.1)


def test_a_camera_that_returns_ends_the_wait() -> None:
    camera = Camera()
    camera.start()
    camera.stop()
    threading.Timer(0.5, camera.start).start()
    assert 0.4 < waited(camera.url, 60.0) < 30.0
    camera.stop()


@pytest.mark.parametrize("heard", [True, False])
def test_who_answers_all_the_time_is_waited_for_in_full(heard: bool) -> None:
    """Unless it was known to be gone a moment ago."""
    with Camera("503") as camera:
        assert (waited(camera.url, 0.5, heard=heard) >= 0.5) is heard


def test_a_port_without_a_voice_is_no_answer() -> None:
    """The kernel takes connections for a process that stands still."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not answers(f"rtsp://127.0.0.1:{port}/x")
        assert not answers(f"http://127.0.0.1:{port}/x")
        assert answers(f"rtsps://127.0.0.1:{port}/x")
        assert waited(f"rtsp://127.0.0.1:{port}/x", 0.5) >= 0.5


@pytest.mark.parametrize("url", ["rtsp://127.0.0.1:1/x", "rtsp://127.0.0.1:99999/x", "rtsp:///x", "rtsp://" + "a" * 99])
def test_nobody_answers_there(url: str) -> None:
    assert not answers(url)


def test_it_ends_when_told_to() -> None:
    halt = Halt()
    threading.Timer(0.2, halt.set).start()
    began = time.monotonic()
    wait_for_answer("rtsp://127.0.0.1:1/x", 60.0, halt, heard=False)
    assert time.monotonic() - began < 10
