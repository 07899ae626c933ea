"""No worker process at all: a thread of the command does the jobs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from tracker.batch.job import CRASHED, ENDING, Job, Outcome
from tracker.batch.local import Finished, Progress, new_worker
from tracker.errors import TrackerError


class InlineRunner:
    """One job after the other in a thread of this process: for what takes no longer than a process takes to start."""

    slots = 1

    def __init__(self) -> None:
        """No job."""
        self._stop = threading.Event()
        self._said = queue.Queue[Finished | TrackerError]()
        self._thread: threading.Thread | None = None

    @property
    def free(self) -> int:
        """How many jobs it could take now."""
        return int(self._thread is None)

    def submit(self, job: Job) -> None:
        """Give it a job."""
        self._thread = threading.Thread(target=self._do, args=(job,), name="annotate", daemon=True)
        self._thread.start()

    def poll(self, timeout_s: float) -> Iterator[Progress | Finished]:
        """What happened, waiting at most so long.

        Raises:
            RequirementError, ModelError: the job needs what is not there.
        """
        try:
            said = self._said.get(timeout=timeout_s)
        except queue.Empty:
            return
        self._thread = None
        if isinstance(said, TrackerError):
            raise said
        yield said

    def stop(self) -> None:
        """Ask the job to end."""
        self._stop.set()

    def close(self) -> None:
        """Wait for the job's end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _do(self, job: Job) -> None:
        """The thread's work."""
        try:
            self._said.put(Finished(job, new_worker(self._stop).do(job)))
        except tuple(ENDING.values()) as error:
            self._said.put(error)
        except BaseException as error:  # whoever polls would wait for ever
            self._said.put(Finished(job, Outcome(CRASHED, f"{type(error).__name__}: {error}")))
