"""What every test gets: no network but loopback, a small clip, and the shared data folder where there is one."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import write_clip

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches out fails, on every machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames of two moving squares, 160x120, 30/s."""
    path = tmp_path_factory.mktemp("clip") / "squares.mp4"
    write_clip(path, frames=60)
    return path


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared folder of real footage; the test skips where it is absent."""
    folder = Path(os.environ.get("TRACKER_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the shared data folder is not there ({folder.name}; set TRACKER_DATA)")
    return folder
