"""A build, or the wait for another one, ends soon after it is told to, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines import EngineStopped, build
from engines.build import Request, build_plan
from engines.build_cache import locked
from engines.build_child import follow
from tests.engines.tiny import INPUT, save_tiny


def test_a_silent_compiler_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take two minutes and say nothing; the first line of progress would come after five seconds."""
    monkeypatch.setattr(build.metadata, "version", lambda package: "1.7")
    log = tmp_path / "pid"
    worker = f"import os, pathlib, time; pathlib.Path({str(log)!r}).write_text(f'{{os.getpid()}} '); time.sleep(120)"
    monkeypatch.setattr(build, "WORKER", worker)
    request = Request(
        save_tiny(tmp_path / "tiny.onnx"), "tensorrt-rtx", "fp32", {"images": (INPUT,) * 3}, ("sm89",),
        stopped=lambda: log.exists() and log.read_text().endswith(" "),
    )  # fmt: skip
    said: list[str] = []
    with pytest.raises(EngineStopped, match="was ended"):
        build_plan(request, said.append, tmp_path / "plans")
    assert said == ["compiling tiny.onnx with tensorrt-rtx 1.7 (fp32)"]
    assert not list((tmp_path / "plans").iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


def test_the_wait_for_another_build_is_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    with locked(tmp_path / "p.lock", said.append):
        assert said == []
        with pytest.raises(EngineStopped), locked(tmp_path / "p.lock", said.append, lambda: True):
            pytest.fail("held twice")
    assert said == ["another process builds this plan; waiting for it"]


def test_a_compiler_that_says_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.build_child.SAY_EVERY_S", 0.0)
    code = "import sys; sys.stdin.read(1); print('done', flush=True)"
    said: list[str] = []
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:

        def say(line: str) -> None:
            said.append(line)
            if len(said) == 2:
                assert child.stdin is not None
                child.stdin.write(b"x")
                child.stdin.flush()

        follow(child, say)
    assert said[0] == "compiling, 0 s" and said[-1].endswith(" s: done")
