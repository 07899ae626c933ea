"""Live sources against a camera on loopback that misbehaves in every way."""

from __future__ import annotations

import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.capture.clips import MOST, Clip, grainy, read_shade
from tests.capture.servers import Camera
from tracker.capture import open_source
from tracker.capture.buffer import Source
from tracker.capture.halt import Halt
from tracker.capture.live import LiveReader
from tracker.capture.loss import Patience
from tracker.capture.report import Report
from tracker.errors import Interrupted, SourceError, SourceLost
from tracker.structures import Frame

SHORT = Patience(give_up_s=0.4, open_s=0.15, read_s=0.15, first_delay_s=0.02, longest_delay_s=0.1)
LONG = replace(SHORT, give_up_s=10.0, open_s=0.3, read_s=0.3)


@contextmanager
def watch(
    url: str, patience: Patience = LONG, *, depth: int = 50, stop: threading.Event | None = None
) -> Iterator[Source]:
    """A source with time limits made for tests, and room for all frames."""
    with closing(Source(LiveReader(url, Report(), patience), Halt(stop), live_depth=depth)) as source:
        yield source


def take(source: Source, count: int) -> list[Frame]:
    frames = iter(source)
    return [next(frames) for _ in range(count)]


def lost(url: str, patience: Patience = SHORT) -> tuple[str, float]:
    """(message, seconds) of a source that does not come."""
    began = time.monotonic()
    with watch(url, patience) as source, pytest.raises(SourceLost) as caught:
        list(source)
    message = str(caught.value)
    assert "s3cret" not in message
    assert "t0ken" not in message
    assert "admin:***@127.0.0.1" in message
    assert "\n" not in message
    return message, time.monotonic() - began


def in_order(frames: list[Frame]) -> None:
    assert [frame.index for frame in frames] == list(range(len(frames)))
    times = [frame.time_s for frame in frames]
    assert times == sorted(times)
    assert times[0] == 0.0


def test_mjpeg_comes_complete_timed_by_arrival() -> None:
    with Camera(rate=50) as camera, watch(camera.url) as source:
        frames = take(source, 20)
        assert [read_shade(frame.bgr) for frame in frames] == list(range(20))
        in_order(frames)
        assert 0.2 < frames[19].time_s < 2
        info = source.info
        assert (info.live, info.width, info.height, info.frame_rate, info.frame_count) == (True, 64, 48, None, None)
        assert info.name == mask(camera.url)
        assert "s3cret" not in repr(source) + str(threading.enumerate())
        assert source.warnings == []


def mask(url: str) -> str:
    return url.replace("s3cret", "***").replace("t0ken", "***")


def test_a_slow_consumer_sees_the_newest_and_the_rest_is_counted() -> None:
    with Camera(rate=100) as camera, watch(camera.url, depth=2) as source:
        frames = take(source, 1)
        for _ in range(4):
            time.sleep(0.1)
            frames += take(source, 1)
        steps = [after.index - before.index for before, after in pairwise(frames)]
        assert max(steps) > 3
        missing = frames[-1].index + 1 - len(frames)
        assert source.dropped["late"] >= missing
        assert all(read_shade(frame.bgr) == frame.index % MOST for frame in frames)


@pytest.mark.parametrize("how", ["hang_up", "restart", "stall", "once"])
def test_a_lost_connection_is_made_anew_and_time_goes_on(how: str) -> None:
    with Camera(how if how in {"stall", "once"} else "stream") as camera, watch(camera.url) as source:
        frames = take(source, 3)
        if how == "hang_up":
            camera.hang_up()
        elif how == "restart":
            camera.stop()
            time.sleep(0.2)
            camera.start()
        camera.behaviour = "stream"
        until = time.monotonic() + 5
        while source.reconnects == 0:
            assert time.monotonic() < until
            frames += take(source, 1)
        frames += take(source, 5)
        in_order(frames)
        assert source.reconnects == 1
        if how in {"restart", "stall"}:
            gap_s = max(after.time_s - before.time_s for before, after in pairwise(frames))
            assert 0.15 < gap_s < 3


def test_the_first_loss_is_answered_at_once() -> None:
    """The back-off would take 5 s on average."""
    patience = replace(LONG, first_delay_s=10, longest_delay_s=10)
    with Camera() as camera, watch(camera.url, patience) as source:
        take(source, 3)
        began = time.monotonic()
        camera.hang_up()
        while source.reconnects == 0:
            take(source, 1)
        assert time.monotonic() - began < 4


def test_a_camera_that_is_down_at_the_start_may_come_later() -> None:
    camera = Camera()
    camera.start()
    camera.stop()
    with watch(camera.url) as source:
        time.sleep(0.3)
        with camera:
            in_order(take(source, 5))
            assert source.reconnects == 0


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("silent", "time-out"), ("503", "error of the server"), ("noise", "last reason"), ("gone", "connection refused")],
)
def test_gives_up_in_time_and_says_why(behaviour: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    camera = Camera(behaviour)
    camera.start()
    if behaviour == "gone":
        camera.stop()
    message, seconds = lost(camera.url)
    camera.stop()
    assert "no frame for 0.4 s" in message
    assert reason in message
    assert 0.3 < seconds < 2
    assert camera.connections != 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing_is_a_time_out(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        message, _ = lost(f"{scheme}://admin:s3cret@127.0.0.1:{server.getsockname()[1]}/x")
    assert "last reason: time-out;" in message


@pytest.mark.parametrize("behaviour", ["stall", "hang_up"])
def test_gives_up_after_frames_as_well(behaviour: str) -> None:
    with Camera("stall") as camera, watch(camera.url, SHORT) as source:
        frames = take(source, 5)
        camera.behaviour = "silent"
        if behaviour == "hang_up":
            camera.stop()
        with pytest.raises(SourceLost, match=r"no frame for 0\.4 s"):
            for frame in source:
                frames.append(frame)
        in_order(frames)


@pytest.mark.parametrize(("behaviour", "reason"), [("401", "authentication failed"), ("404", "not found")])
def test_a_refusal_for_good_at_the_start_is_not_repeated(behaviour: str, reason: str) -> None:
    with Camera(behaviour) as camera:
        message, seconds = lost(camera.url, LONG)
        assert reason in message
        assert seconds < 4
        assert camera.connections == 1


def test_the_same_refusal_later_is_tried_again() -> None:
    """A camera that reboots answers nonsense for a while."""
    with Camera("once") as camera, watch(camera.url) as source:
        frames = take(source, 3)
        camera.behaviour = "404"
        before = camera.connections
        until = time.monotonic() + 5
        while camera.connections < before + 2 and time.monotonic() < until:
            time.sleep(0.01)
        camera.behaviour = "stream"
        frames += take(source, 6)
        in_order(frames)


def test_attempts_are_spread_and_grow_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: (low, high))
    assert [Patience().delay_s(failures) for failures in (1, 2, 3, 6, 999)] == [
        (0.0, 1.0), (0.0, 2.0), (0.0, 4.0), (0.0, 30.0), (0.0, 30.0),
    ]  # fmt: skip


@pytest.mark.parametrize("behaviour", ["stream", "stall", "silent"])
def test_closing_and_stopping_are_prompt(behaviour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracker.capture.buffer.JOIN_S", 0.1)
    stop = threading.Event()
    with Camera(behaviour) as camera, watch(camera.url, replace(LONG, open_s=5, read_s=5), stop=stop) as source:
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        list(source)
        assert time.monotonic() - began < 4
        source.close()
        assert time.monotonic() - began < 4


def test_open_source_waits_for_the_camera_and_can_be_stopped() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with Camera("503") as camera, pytest.raises(Interrupted):
        open_source(camera.url, stop=stop)
    assert time.monotonic() - began < 2
    with Camera(rate=50) as camera, open_source(camera.url, duration_s=0.2) as source:
        assert [frame.time_s < 0.2 for frame in source].count(False) == 0


def test_a_file_on_a_web_server_is_read_whole_and_once(tmp_path: Path) -> None:
    path = Clip(pictures=grainy(30, (160, 120)), options={"g": "10"}).write(tmp_path / "a.mp4")
    with Camera("file", file=path) as camera, watch(camera.url, SHORT, depth=1) as source:
        frames = []
        for frame in source:
            time.sleep(0.01)
            frames.append(frame)
        assert [read_shade(frame.bgr) for frame in frames] == [index % MOST for index in range(30)]
        assert [round(frame.time_s * 25) for frame in frames] == list(range(30))
        assert not source.info.live
        assert source.info.frame_count == 30
        assert (source.dropped, source.warnings) == ({}, [])


def test_a_file_that_the_server_breaks_off_is_lost(tmp_path: Path) -> None:
    clip = Clip(pictures=grainy(60, (320, 240)), options={"g": "10"}, container_options={"movflags": "faststart"})
    patience = replace(SHORT, give_up_s=5.0, open_s=4.0)  # a busy machine must not be taken for a silent server
    with Camera("cut", file=clip.write(tmp_path / "a.mp4")) as camera, watch(camera.url, patience) as source:
        frames = []
        with pytest.raises(SourceLost, match="broke off"):
            for frame in source:
                frames.append(frame)
        assert 10 < len(frames) < 50


@pytest.fixture
def playlist(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(URL, path) of a complete HLS playlist of 50 frames."""
    path = tmp_path / "v.m3u8"
    Clip(
        count=50, options={"g": "10"}, container_format="hls",
        container_options={"hls_time": "0.4", "hls_playlist_type": "vod"},
    ).write(path)  # fmt: skip
    handler = partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://admin:s3cret@127.0.0.1:{server.server_port}/v.m3u8?token=t0ken", path
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_complete_playlist_is_a_file(playlist: tuple[str, Path]) -> None:
    with watch(playlist[0], SHORT, depth=1) as source:
        assert [read_shade(frame.bgr) for frame in source] == [index % MOST for index in range(50)]
        assert not source.info.live


def test_a_playlist_that_stands_still_is_lost_and_not_repeated(playlist: tuple[str, Path]) -> None:
    """Its last segments are there for ever, but they are the past."""
    url, path = playlist
    lines = path.read_text().splitlines(True)
    path.write_text("".join(line for line in lines if "ENDLIST" not in line and "PLAYLIST-TYPE" not in line))
    frames = []
    with watch(url, SHORT) as source, pytest.raises(SourceLost):
        for frame in source:
            frames.append(frame)
    assert source.info.live
    assert [read_shade(frame.bgr) for frame in frames] == [index % MOST for index in range(20, 50)]


def test_no_such_webcam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(SourceError, match=r"no webcam 87.*given as \./87"):
        open_source("87")


def test_a_webcam_is_opened_as_the_system_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tracker.capture import webcam

    class Device:
        name, media_types = "HD Cam", ("video",)

    monkeypatch.setattr("sys.platform", "darwin")
    assert webcam._address(1) == ("1", "avfoundation")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(webcam, "_devices", lambda name: [Device()])
    assert webcam._address(0) == ("video=HD Cam", "dshow")
    with pytest.raises(SourceError, match="there are HD Cam"):
        webcam._address(1)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.path.exists", lambda path: path == "/dev/video3")
    monkeypatch.setattr("os.access", lambda path, mode: True)
    assert webcam._address(3) == ("/dev/video3", "v4l2")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(SourceError, match="permission denied"):
        webcam._address(3)


def test_unknown_schemes_are_named() -> None:
    with pytest.raises(SourceError, match=r"'rtmp://a:\*\*\*@h/x': rtmp:// is not supported; use rtsp://"):
        open_source("rtmp://a:b@h/x")


RTSP_SERVER = """
import gi, sys
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=25/1 "
                   "! x264enc tune=zerolatency key-int-max=5 ! rtph264pay name=pay0 pt=96 )")
factory.set_shared(True)
auth, token, rights = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken(), GstRtspServer.RTSPPermissions()
token.set_string("media.factory.role", "user")
auth.add_basic(GstRtspServer.RTSPAuth.make_basic("admin", "s3cret"), token)
server.set_auth(auth)
for right in ("access", "construct"):
    rights.add_permission_for_role("user", "media.factory." + right, True)
factory.set_permissions(rights)
server.get_mount_points().add_factory("/cam", factory)
if not server.attach(None):
    sys.exit("no port")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@contextmanager
def rtsp_server(python: str, port: str = "0") -> Iterator[str]:
    """Port of a real RTSP server with a password; skips where GStreamer's is not installed."""
    with subprocess.Popen(
        [python, "-c", RTSP_SERVER, port], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            bound = process.stdout.readline().decode().strip()
            if not bound:
                pytest.skip(f"no RTSP server: {python} has no GstRtspServer (Debian: gir1.2-gst-rtsp-server-1.0)")
            yield bound
        finally:
            process.kill()


def test_rtsp_with_a_real_server() -> None:
    """Login, times of the stream, reconnect after the server died, refusals."""
    python = "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip(f"no RTSP server: {python} is not there")
    patience = replace(LONG, open_s=3, read_s=0.5)
    with rtsp_server(python) as port:
        assert "authentication failed" in lost(f"rtsp://admin:wrong@127.0.0.1:{port}/cam", patience)[0]
        assert "not found" in lost(f"rtsp://admin:s3cret@127.0.0.1:{port}/none", patience)[0]
    with closing_on(lambda: rtsp_server(python, port)) as restart:
        restart()
        with watch(f"rtsp://admin:s3cret@127.0.0.1:{port}/cam", patience) as source:
            frames = take(source, 10)
            assert source.info.live
            assert source.info.frame_rate == 25
            steps = {round(b.time_s - a.time_s, 2) for a, b in pairwise(frames)}
            assert steps == {0.04}
            restart()
            while source.reconnects == 0:
                frames += take(source, 1)
            in_order(frames + take(source, 3))


@contextmanager
def closing_on(make: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """A function that ends what runs and starts it again."""
    running: list = []

    def end() -> None:
        while running:
            running.pop().__exit__(None, None, None)

    def restart() -> None:
        end()
        running.append(make())
        running[-1].__enter__()

    try:
        yield restart
    finally:
        end()
