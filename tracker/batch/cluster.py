"""The archive's jobs on a Ray cluster: one actor a slot, each with a detector of its own.

What an actor does is on the shared file system segment by segment, so that a node that is lost takes no more along than
the segment in work. Pictures and boxes never pass through Ray: only jobs and outcomes do.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from tracker.batch.job import CRASHED, ENDING, FAILED, Job, Outcome
from tracker.batch.local import Finished, Progress, lean
from tracker.batch.manifest import NAME
from tracker.batch.spool import Spool
from tracker.batch.work import Worker
from tracker.errors import RequirementError, UsageError

CONNECT_S, PATIENCE_S = 10.0, 15.0
SHOWN = 200  # letters of an error of Ray
MOST_STARTS = 3
UNSEEN = RequirementError.__name__
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Annotator:
    """What runs in an actor. Its methods are called side by side: one does a job, others ask or stop it."""

    def __init__(self) -> None:
        """No job."""
        lean()
        self._stop, self._job, self._frames = Event(), "", 0
        self._worker = Worker(self._stop, 1)

    def do(self, job: Job) -> tuple[str, Any]:
        """Do a job; the kind of answer and its content."""
        if not (job.plan.output / NAME).exists():
            return UNSEEN, f"a node of the cluster does not see {job.plan.output}; it must be on a shared disk"
        if not (job.video.url or job.video.path.exists() or Spool(job.plan.spools, job.video.name).whole):
            return "gone", f"'{job.video.path}' is not there on a node of the cluster"
        self._job, self._frames = job.key, 0
        try:
            return "finished", self._worker.do(job, self._reached)
        except tuple(ENDING.values()) as error:
            return type(error).__name__, str(error)

    def frames(self) -> tuple[str, int]:
        """Key of the job in work, and its frames that are safe on the disk."""
        return self._job, self._frames

    def stop(self) -> None:
        """End the job at the next frame."""
        self._stop.set()

    def _reached(self, frames: int) -> None:
        self._frames = frames


@dataclass
class Slot:
    """An actor, once the cluster has room for it, and the job that it has."""

    actor: Any
    ping: Any  # comes true when the actor lives
    job: Job | None = None
    answer: Any = None
    asked: Any = None
    frames: int = 0
    failed: int = 0  # times in a row that an actor here did not begin


class RayRunner:
    """As many actors as the cluster has processors, or GPUs where the detector wants one."""

    def __init__(
        self, address: str, workers: int | None = None, *, gpu: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        """Connect. `address`: of a running cluster, or "local" to start one here for this run.

        workers: at most so many actors. gpu: each has a GPU of its own. say: takes lines for a person.

        Raises:
            RequirementError: Ray is not installed. UsageError: no cluster there.
        """
        try:
            ray: Any = import_module("ray")
        except ImportError:
            raise RequirementError("--ray needs Ray: pip install 'tracker[ray]'") from None
        self._ray = ray
        check_reached(address)
        where: dict[str, Any] = {"num_cpus": workers} if address == "local" else {"address": address}
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            raise UsageError(
                f"--ray {address}: no cluster there ({_line(error)}); start one with 'ray start --head'"
            ) from None
        kind, asks = ("GPU", {"num_cpus": 1, "num_gpus": 1}) if gpu else ("CPU", {"num_cpus": 1})
        slots = int(ray.cluster_resources().get(kind, 0))
        if not slots:
            raise RequirementError(f"--ray {address}: the cluster has no {kind}")
        # Three methods at a time: the job, the question how far it is, and the wish to stop.
        self._actor = ray.remote(**asks, max_concurrency=3, max_restarts=0)(Annotator)
        self._say, self._kind, self._idle_since = say, kind, monotonic()
        self._slots = [self._begin() for _ in range(min(slots, workers or slots))]

    @property
    def slots(self) -> int:
        """How many jobs it does at a time, once the cluster has room for all actors."""
        return len(self._slots)

    @property
    def free(self) -> int:
        """How many jobs it could take now: an actor that waits for room in the cluster takes none."""
        return len(self._idle())

    def submit(self, job: Job) -> None:
        """Give a job to a free actor. Nodes know other working folders: all paths are whole."""
        slot = self._idle()[0]
        plan = replace(job.plan, output=Path(job.plan.output).resolve())
        slot.job, slot.frames, slot.asked = job, 0, None
        slot.answer = slot.actor.do.remote(replace(job, plan=plan))

    def poll(self, timeout_s: float) -> Iterator[Progress | Finished]:
        """What happened, waiting at most so long.

        Raises:
            RequirementError, ModelError: a node has not what the jobs need.
        """
        busy = {slot.answer: slot for slot in self._slots if slot.job is not None}
        coming = [slot.ping for slot in self._slots if slot.ping is not None]
        self._tell_full(len(coming))
        ready, _ = self._ray.wait([*busy, *coming], num_returns=1, timeout=timeout_s)
        for answer in ready:
            if answer in busy:
                yield self._finished(busy.pop(answer))
        for slot in busy.values():
            yield from self._progress(slot)

    def _tell_full(self, coming: int) -> None:
        """Say so where the cluster has had no room for any of us for long; once, until it has."""
        if coming < len(self._slots):
            self._idle_since = monotonic()
        elif monotonic() - self._idle_since > PATIENCE_S:
            self._idle_since = math.inf
            self._say(f"the cluster has no {self._kind} free: waiting until its other work leaves one; Ctrl-C ends")

    def stop(self) -> None:
        """Ask all to end their jobs at the next frame."""
        for slot in self._slots:
            if slot.job is not None:
                slot.actor.stop.remote()

    def close(self) -> None:
        """End the actors and leave the cluster."""
        for slot in self._slots:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(slot.actor)
        self._ray.shutdown()

    def _begin(self) -> Slot:
        """A slot whose actor the cluster begins as soon as it has room."""
        actor = self._actor.remote()
        return Slot(actor, actor.frames.remote())

    def _idle(self) -> list[Slot]:
        """Slots whose actor lives and has no job; an actor that died is begun again. Raises RequirementError."""
        for k, slot in enumerate(self._slots):
            if slot.ping is None or not self._ray.wait([slot.ping], timeout=0)[0]:
                continue
            try:
                self._ray.get(slot.ping)
                slot.ping, slot.failed = None, 0
            except self._ray.exceptions.RayError as error:
                if slot.failed + 1 >= MOST_STARTS:
                    raise RequirementError(f"a node of the cluster cannot begin to work: {_line(error)}") from None
                self._slots[k] = replace(self._begin(), failed=slot.failed + 1)
        return [slot for slot in self._slots if slot.job is None and slot.ping is None]

    def _finished(self, slot: Slot) -> Finished:
        """The outcome of a slot's job; an actor that died is replaced at the next job."""
        assert slot.job is not None, "only busy slots are waited for"
        job, slot.job = slot.job, None
        try:
            kind, content = self._ray.get(slot.answer)
        except self._ray.exceptions.RayTaskError as error:
            return Finished(job, Outcome(FAILED, _line(error)))
        except self._ray.exceptions.RayError as error:
            self._slots[self._slots.index(slot)] = self._begin()
            return Finished(job, Outcome(CRASHED, f"its node or process died: {_line(error)}"))
        if kind in ENDING:
            raise ENDING[kind](content)
        if kind == "gone":
            if job.video.path.exists():
                raise RequirementError(f"{content}, and is here; it must be on a shared disk")
            return Finished(job, Outcome(FAILED, content))
        return Finished(job, content)

    def _progress(self, slot: Slot) -> Iterator[Progress]:
        """How far a job is, as the actor said since the last time."""
        assert slot.job is not None, "only busy slots are asked"
        if slot.asked is None:
            slot.asked = slot.actor.frames.remote()
            return
        ready, _ = self._ray.wait([slot.asked], timeout=0)
        if not ready:
            return
        with suppress(self._ray.exceptions.RayError):  # that it died, the answer to the job tells
            key, frames = self._ray.get(slot.asked)
            # The question may have been faster than the job.
            if key == slot.job.key and frames > slot.frames:
                slot.frames = frames
                yield Progress(slot.job, frames)
        slot.asked = None


def check_reached(address: str) -> None:
    """Raise UsageError where nobody answers at HOST:PORT: Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--ray {address}: no cluster there ({error}); start one with 'ray start --head'") from None


def _line(error: BaseException) -> str:
    """What an error of Ray comes to, its last line: those before are a traceback, in colours."""
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return lines[-1][:SHOWN] if lines else type(error).__name__
