"""One process at a time: who waits is told, who dies lets go, and no file stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from engines import lock
from engines.lock import locked

ROOT = Path(__file__).parent.parent.parent
HOLD = """
import sys, time
from pathlib import Path
from engines.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "x.lock", 0, 0
    log: list[int] = []

    def work(number: int) -> None:
        nonlocal inside, most
        for _ in range(20):
            with locked(path):
                inside += 1
                most = max(most, inside)
                log.append(number)
                inside -= 1

    lock_poll, lock.POLL_S = lock.POLL_S, 0.0005
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        lock.POLL_S = lock_poll
    assert most == 1 and len(log) == 80 and not path.exists()


def test_who_waits_is_told_and_may_give_up(tmp_path: Path) -> None:
    class GivenUp(Exception):
        pass

    def give_up() -> None:
        raise GivenUp

    path = tmp_path / "x.lock"
    with locked(path):
        with pytest.raises(GivenUp), locked(path, give_up):
            pytest.fail("held twice")
        assert path.exists()
    with locked(path, lambda: pytest.fail("nobody has it")):
        pass


def test_who_waits_is_asked_between_the_lines(tmp_path: Path) -> None:
    path, polls = tmp_path / "x.lock", 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls == 3:
            raise InterruptedError

    told: list[int] = []
    with locked(path), pytest.raises(InterruptedError), locked(path, lambda: told.append(polls), poll):
        pytest.fail("held twice")
    assert told == [0], "said once, asked three times"


def test_a_process_that_dies_lets_go(tmp_path: Path) -> None:
    path, told = tmp_path / "x.lock", Event()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"

    def waiting() -> None:
        told.set()
        process.kill()

    with locked(path, waiting):
        assert told.is_set()
    process.communicate()
    assert not path.exists()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), locked(tmp_path / "gone" / "x.lock"):
        pass
