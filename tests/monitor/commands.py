"""`tracker monitor` as a process: started, asked, told to end, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tests.monitor.fakes import wait_for

STREET = Path(__file__).parents[2] / "samples" / "street.mp4"
LONG_S = 120.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Lines = list[dict[str, Any]]


class Running:
    """One life of the command. Its log is read all the time.

    Attributes:
        lines: of the log.
        said: what else came on standard error: the line of an error.
    """

    def __init__(self, config: Path, *flags: str, **variables: str) -> None:
        self.lines: Lines = []
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tracker", "monitor", "--config", str(config), "--log-json", *flags],
            env=os.environ | variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("{"):
                self.lines.append(json.loads(line))
            else:
                self.said.append(line)

    def told(self, event: str, text: str = "", camera: str = "") -> Lines:
        """Lines so far of this kind."""
        return [line for line in list(self.lines) if line["event"] == event and text in line["message"]
                and line.get("camera", "") == (camera or line.get("camera", ""))]  # fmt: skip

    def wait_told(self, event: str, text: str = "", camera: str = "", count: int = 1) -> None:
        """Until there are so many."""

        def found() -> bool:
            assert self._process.poll() is None, (self.said, self.lines)
            return len(self.told(event, text, camera)) >= count

        wait_for(found, LONG_S)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        """The exit code, after this signal; None: it ends by itself."""
        if number is not None:
            self._process.send_signal(number)
        code = self._process.wait(LONG_S)
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        return code

    def kill(self) -> None:
        if self._process.poll() is None:
            self.end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def address(self) -> str:
        """Of its page."""
        self.wait_told("web", "serving at")
        found = re.search(r"http://[\d.]+:\d+/", self.told("web", "serving at")[0]["message"])
        assert found is not None
        return found[0]

    def ask(self, path: str, token: str = "", method: str = "GET") -> bytes:
        """The body of a good answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.address + path, headers=headers, method=method)
        with DIRECT.open(request, timeout=LONG_S) as answer:
            return bytes(answer.read())


@contextmanager
def running(config: Path, *flags: str, **variables: str) -> Iterator[Running]:
    """Never left behind."""
    life = Running(config, *flags, **variables)
    try:
        yield life
    finally:
        life.kill()


def events_of(folder: Path) -> list[dict[str, Any]]:
    """Of the database, in order, whoever writes to it now; [] while there is none."""
    path = folder / "events.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute("SELECT * FROM events ORDER BY id")]
        except sqlite3.OperationalError:  # being made
            return []


def delivered(folder: Path) -> list[int]:
    """Ids of the events that arrived in the file, whole lines only."""
    path = folder / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line)["id"] for line in text.split("\n")[:-1]]
