"""Workers on this machine: processes with their share of the cores; a crash takes only one video along."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from tracker.batch.job import CRASHED, ENDING, Job, Outcome
from tracker.errors import RequirementError

if TYPE_CHECKING:
    from tracker.batch.work import Worker

SPAWN = get_context("spawn")  # a forked copy of OpenVINO's threads would hang
END_S = 10.0
ENDS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Progress:
    """So many frames of a job are safe on the disk."""

    job: Job
    frames: int


@dataclass(frozen=True)
class Finished:
    """A job is over."""

    job: Job
    outcome: Outcome


class Slot:
    """One worker process and the job it has."""

    def __init__(self, number: int, cores: tuple[int, ...], *, detects: bool) -> None:
        """Nothing is started before the first job. `cores`: that the process may use; none: all."""
        self._name, self._cores, self._detects = f"annotate-{number}", cores, detects
        self._process: BaseProcess | None = None
        self.pipe: connection.Connection | None = None
        self.job: Job | None = None

    def submit(self, job: Job) -> None:
        """Give it a job. Raises RequirementError where the system has no process to give."""
        if self._process is None or self.pipe is None:
            try:
                self._start()
            except OSError as error:
                raise RequirementError(
                    f"no worker process can be started: {error.strerror or error}; end other programs or use fewer "
                    "--workers, then --resume"
                ) from error
        self.job = job
        assert self.pipe is not None, "it was started"
        with suppress(OSError):  # a process that died just now is seen at the next poll
            self.pipe.send(job)

    def _start(self) -> None:
        """Begin the process. Raises OSError."""
        resource_tracker.ensure_running()  # it would let the signals through again
        ours, theirs = SPAWN.Pipe()
        # Not a daemon: those get no time to stop.
        process = SPAWN.Process(target=serve, args=(theirs, self._cores, self._detects), name=self._name)
        try:
            with kept_back():
                process.start()
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pipe, self._process = ours, process

    def receive(self) -> Progress | Finished | None:
        """What the process says; None: a late word about a job that is over. Raises as `ENDING`."""
        assert self.pipe is not None, "only started processes are asked"
        try:
            kind, content = self.pipe.recv()
        except (EOFError, OSError):
            return self._died()
        if kind in ENDING:
            raise ENDING[kind](content)
        job = self.job
        if job is None:
            return None
        if kind == "progress":
            return Progress(job, content)
        self.job = None
        return Finished(job, content)

    def stop(self) -> None:
        """Ask it to end its job at the next frame."""
        if self.pipe is not None:
            with suppress(OSError):
                self.pipe.send("stop")

    def close(self) -> None:
        """End the process, by force if need be."""
        if self._process is None or self.pipe is None:
            return
        self.pipe.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = self.pipe = None

    def _died(self) -> Finished | None:
        """The process is gone, and the job with it."""
        assert self._process is not None, "it was started"
        self._process.join(END_S)
        code, job = self._process.exitcode, self.job
        self.close()
        self.job = None
        how = f"signal {-code} ({signal.strsignal(-code)})" if code is not None and code < 0 else f"exit code {code}"
        return None if job is None else Finished(job, Outcome(CRASHED, f"its process died: {how}"))


class LocalRunner:
    """N worker processes."""

    def __init__(self, workers: int, *, detects: bool = True) -> None:
        """`workers` processes share the cores evenly; with more processes than cores each has one.

        detects: whether jobs need a detector.
        """
        self._slots = [Slot(number, cores, detects=detects) for number, cores in enumerate(shares(workers))]

    @property
    def slots(self) -> int:
        """How many jobs it does at a time."""
        return len(self._slots)

    @property
    def free(self) -> int:
        """How many jobs it could take now."""
        return sum(slot.job is None for slot in self._slots)

    def submit(self, job: Job) -> None:
        """Give a job to a free worker."""
        next(slot for slot in self._slots if slot.job is None).submit(job)

    def poll(self, timeout_s: float) -> Iterator[Progress | Finished]:
        """What happened, waiting at most so long for something to happen.

        Raises:
            RequirementError, ModelError: a worker has not what the jobs need.
        """
        pipes = {slot.pipe: slot for slot in self._slots if slot.pipe is not None}
        for pipe in connection.wait(list(pipes), timeout_s):
            event = pipes[pipe].receive()  # type: ignore[index]
            if event is not None:
                yield event

    def stop(self) -> None:
        """Ask all to end their jobs at the next frame; `poll` tells when they have."""
        for slot in self._slots:
            slot.stop()

    def close(self) -> None:
        """End the processes."""
        for slot in self._slots:
            slot.close()


def shares(workers: int) -> list[tuple[int, ...]]:
    """Which cores each of so many processes gets; empty where the system cannot say."""
    if not hasattr(os, "sched_getaffinity"):
        return [()] * workers
    cores = sorted(os.sched_getaffinity(0))
    if workers >= len(cores):
        return [(cores[k % len(cores)],) for k in range(workers)]
    return [tuple(cores[k::workers]) for k in range(workers)]


@contextmanager
def kept_back() -> Iterator[None]:
    """Signals that end the program wait while the block runs; a process begun in it leaves them so until `serve`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lean() -> None:
    """Keep numba out of a process that detects.

    It would come with long videos only, take 110 MB beside the detector, and save 2 % of the work.
    """
    os.environ["TRACKER_NO_NUMBA"] = "1"


def serve(pipe: connection.Connection, cores: tuple[int, ...], detects: bool = True) -> None:
    """What a worker process does: one job after the other, until the pipe ends, be it by the parent's death."""
    if detects:
        lean()
    if cores:
        os.sched_setaffinity(0, cores)
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)  # a terminal's Ctrl-C goes to all; the parent tells what to do
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    stop, jobs = threading.Event(), queue.Queue[Job]()
    threading.Thread(target=_listen, args=(pipe, jobs, stop), daemon=True).start()
    worker = new_worker(stop)
    while True:
        job = jobs.get()
        if cores:  # who works alone has the cores of all
            os.sched_setaffinity(0, os.sched_getaffinity(os.getppid()) if job.alone else cores)
        pipe.send(_done(worker, job, pipe))


def new_worker(stop: threading.Event) -> Worker:
    """Imported here: the command itself needs no tracker, and a third of its start would be that."""
    from tracker.batch.work import Worker

    return Worker(stop)


def _done(worker: Worker, job: Job, pipe: connection.Connection) -> tuple[str, Any]:
    """The last word about a job."""
    try:
        return "finished", worker.do(job, lambda frames: pipe.send(("progress", frames)))
    except tuple(ENDING.values()) as error:
        return type(error).__name__, str(error)


def _listen(pipe: connection.Connection, jobs: queue.Queue[Job], stop: threading.Event) -> None:
    """Take jobs and "stop" from the pipe. At its end a job in work is left at once: its segments are safe.

    Also after "stop": the parent is dead, its lock is free, and somebody else may go on with the same video.
    """
    try:
        while True:
            message = pipe.recv()
            if message == "stop":
                stop.set()
            else:
                jobs.put(message)
    except (EOFError, OSError):
        os._exit(1)
