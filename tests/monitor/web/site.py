"""The whole service on loopback, with cameras and a detector that are played."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.fakes import picture, squares
from tests.monitor.fakes import QUICK, Log, wait_for
from tracker.analyze import LineSettings, ZoneSettings
from tracker.capture import Halt, Report
from tracker.errors import SourceError
from tracker.monitor.camera import Result
from tracker.monitor.output_settings import OutputSettings
from tracker.monitor.outputs import Outputs
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.monitor.supervisor import Supervisor
from tracker.monitor.web import ServeSettings, serve
from tracker.structures import Detections, Frame, StreamInfo

NAMES = ("person", "bicycle", "car")
RATE = 20.0
TOKEN = "correct horse battery staple"
PASSWORD = "pa55-of-the-camera"
ZONE = ZoneSettings(polygon=((0.3, 0), (0.9, 0), (0.9, 1), (0.3, 1)), hold_s=0.0)
LINE = LineSettings(start=(0.1, 0.7), end=(0.9, 0.7))


class Walk:
    """A camera that shows the two walking squares, or nothing while `refuse` holds its name."""

    live, name = True, "walk"

    def __init__(self, site: Site, source: str) -> None:
        self._site, self._source = site, source
        self.info: StreamInfo | None = None

    def frames(self, halt: Halt) -> Iterator[Frame]:
        index = 0
        while not halt.wait(1 / RATE):
            if self._source in self._site.refuse:
                raise SourceError(f"rtsp://u:{PASSWORD}@{self._source}/ does not answer")
            self.info = StreamInfo("walk", 160, 120, None, None, True, codec="h264")
            step = index % 110
            yield Frame.from_bgr(index, index / RATE, picture(step))
            index += 1

    def overdue(self) -> None:
        return None


class Sees:
    """Finds the squares by the number of the frame."""

    class_names = NAMES

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        return [squares(frame.index % 110) for frame in frames]

    def close(self) -> None:
        pass


class Site:
    """Service, cameras, storage."""

    def __init__(
        self, folder: Path | None, cameras: Sequence[str] = ("gate", "yard"), token: str = "", **changes: Any
    ) -> None:
        self.log, self.refuse = Log(), set[str]()
        self.settings = MonitorSettings(cameras={name: camera(name) for name in cameras})
        self.supervisor = Supervisor(self.settings, Sees(), self.log.journal, open_camera=self._open, patience=QUICK)
        self.outputs = Outputs(OutputSettings(), folder, self.log.journal.tell, class_names=NAMES) if folder else None
        self.changes: list[str] | Exception = ["camera 'gate' changed"]
        if self.outputs is not None:
            self.supervisor.subscribe(self._keep)
        self.server = serve(
            self.supervisor, self.outputs, "127.0.0.1:0", token, journal=self.log.journal, class_names=NAMES,
            settings=ServeSettings(**changes), reload=self._reload,
        )  # fmt: skip
        self.port = int(self.server.address.rpartition(":")[2])
        self.token, self.results = token, 0
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Site:
        self.supervisor.start()
        self._ticker.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        assert self.server.close()
        self.supervisor.stop(5.0)
        self._ticker.join()
        if self.outputs is not None:
            self.outputs.close(5.0)

    def _open(self, settings: CameraSettings, report: Report) -> Any:
        return Walk(self, settings.source.rpartition("/")[2])

    def _keep(self, result: Result) -> None:
        assert self.outputs is not None
        self.outputs.on_frame(result.camera, result.frame, result.tracks, result.events, result.wall_s)

    def _tick(self) -> None:
        while not self._stop.wait(0.2):
            if self.outputs is not None:
                self.outputs.on_status(self.supervisor.status())

    def _reload(self) -> list[str]:
        if isinstance(self.changes, Exception):
            raise self.changes
        return self.changes

    def up(self) -> Site:
        """Wait until all cameras are, and have a result: before that a slate is shown, which is not painted."""
        wait_for(lambda: all(each["state"] == "up" for each in self.supervisor.status()["cameras"].values()))
        wait_for(lambda: all(map(self.supervisor.latest, self.supervisor.status()["cameras"])))
        return self

    def ask(
        self, path: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) of one request; with the token where there is one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None and not isinstance(body, bytes):
            body, sent = json.dumps(body).encode(), sent | {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, sent | (headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """The JSON of an answer that must be a good one."""
        status, _, content = self.ask(path, method, body)
        assert status < 300, content
        return json.loads(content)

    def event(self) -> dict[str, Any]:
        """The first event with a snapshot that there is."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.json("/api/events")["events"] if each["snapshot"]]

        event: dict[str, Any] = wait_for(found)[0]
        return event


def camera(name: str) -> CameraSettings:
    """Its settings."""
    return CameraSettings(
        source=f"rtsp://10.0.0.5/{name}", username="u", password=PASSWORD, zones={"lawn": ZONE}, lines={"path": LINE}
    )
