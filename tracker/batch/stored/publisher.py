"""What is finished goes to the store while the work goes on: a thread that the workers never wait for.

A video's files go before the manifest that calls it done, so the store always holds a whole archive, of now or of a
moment ago.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from tracker.batch.job import Plan
from tracker.batch.manifest import NAME
from tracker.batch.remote import line_of
from tracker.batch.stored.record import MAYBE, Record, places_of, snapshot, unit_at
from tracker.batch.stored.store import Store
from tracker.errors import Interrupted, OutputError, TrackerError, WriteError

AGAIN_S = 60.0
"""A store that failed is tried again so often."""
SPARING = 20.0
"""The manifest holds all videos: so many times as long as putting it there took, it is not put there again."""
LEAVE_S = 5.0
"""A file on its way gets so long to arrive once somebody wants to stop."""
SAY_EVERY_S = 5.0
LAST = ("report.html", "labelstudio/labelling_config.xml")


class Publisher:
    """Keeps the store up with the working folder of `plan`."""

    def __init__(
        self, store: Store, record: Record, plan: Plan, claim: str, stop: Event, say: Callable[[str], None]
    ) -> None:  # fmt: skip
        """Starts at once. `stop` ends it soon, and is set where another run took the archive over."""
        self._store, self._record, self._plan, self._claim = store, record, plan, claim
        self._stop, self._say = stop, say
        self._there: set[str] = set()  # videos whose files are in the store
        self.told: set[str] = set()
        """Videos that are done in the manifest that is in the store."""
        self.complete = False
        self.error: TrackerError | None = None
        self._seen = 0
        self._wake, self._end, self._over = Event(), Event(), Event()
        self._last = False
        self._wake.set()
        self._thread = Thread(target=self._run, name="publish", daemon=True)
        self._thread.start()

    def look(self, finished: int) -> None:
        """So many videos are done or failed by now."""
        if finished != self._seen:
            self._seen = finished
            self._wake.set()

    def finish(self, videos: int) -> None:
        """Put there what is left, and what the end of the archive is. So many videos are done.

        Raises:
            WriteError: it cannot be, `told` are there. OutputError: another run has taken the archive over.
        """
        self._last = True
        self._leave()
        said_s = monotonic()
        while not self._over.wait(0.1) and not self._stop.is_set():
            if monotonic() - said_s >= SAY_EVERY_S:
                said_s = monotonic()
                self._say(f"publishing: {len(self._there)} of {videos} videos")
        self._over.wait(LEAVE_S)
        if isinstance(self.error, OutputError) or (self.error is not None and not self._stop.is_set()):
            raise self.error

    def close(self) -> None:
        """End; what is on its way gets a moment."""
        self._leave()
        self._over.wait(LEAVE_S)

    def _leave(self) -> None:
        """Nothing more is to come."""
        self._end.set()
        self._wake.set()

    def _run(self) -> None:
        """The thread."""
        try:
            while not self._end.is_set():
                self._wake.wait(AGAIN_S if self.error else None)
                self._wake.clear()
                if self._end.is_set() or self._stop.is_set():
                    continue
                self._end.wait(SPARING * self._attempt(last=False))
            if self._last and not isinstance(self.error, OutputError):
                self._attempt(last=True)
        finally:
            self._over.set()

    def _attempt(self, *, last: bool) -> float:
        """A round, with its error kept; returns the seconds that the manifest took."""
        try:
            seconds = self._round(last)
        except Interrupted:
            return 0.0
        except OutputError as error:  # not ours any more: what is done from here on is in vain
            self.error = error
            self._stop.set()
        except Exception as error:  # whatever it is: nothing may count as being there that is not
            known = error if isinstance(error, TrackerError) else WriteError(f"{self._store.name}: {line_of(error)}")
            if self.error is None and not self._end.is_set():
                self._say(f"notice: {known}; the work goes on in {self._plan.output}, trying again every minute")
            self.error = known
        else:
            if self.error is not None and not self._end.is_set():
                self._say(f"{self._store.name} can be used again")
            self.error = None
            return seconds
        return 0.0

    def _round(self, last: bool) -> float:
        """Files of the videos that are done, then the manifest. Raises WriteError, OutputError, Interrupted."""
        self._check_claim()
        marks, began = self._record.marks(), monotonic()
        manifest, done = snapshot(self._plan.output, marks)
        seconds = monotonic() - began
        for name in done:
            if name not in self._there:
                plan = self._plan
                for place in places_of(name, plan.formats, video=plan.video, crops=plan.crops):
                    self._put(place, marks, must=not place.endswith(MAYBE))
                self._there.add(name)
        if last:
            for place in LAST:
                self._put(place, marks, must=False)
        began = monotonic()
        self._check_claim()
        self._store.put([(manifest, NAME)])
        self.told, self.complete = set(done), last
        return seconds + monotonic() - began

    def _put(self, place: str, marks: dict[str, str], *, must: bool) -> None:
        """One unit, unless it is there as it is."""
        unit = unit_at(self._plan.output, place)
        if unit is None and must and place not in marks:
            raise WriteError(f"{self._plan.output / place} is gone; --retrack makes it again")
        if unit is None or marks.get(place) == unit.mark:
            return
        self._store.put([(path, below) for below, path in unit.files.items()])
        if place.endswith("/"):
            old = [below for below in self._store.below(place) if below not in unit.files]
            self._store.remove_files(old)
        self._record.keep([unit])

    def _check_claim(self) -> None:
        """Raise OutputError where another run has the archive by now: two would mix their files."""
        if self._store.claim() != self._claim:
            raise taken_over(self._store.name, self._plan.output)


def taken_over(name: str, folder: Path) -> OutputError:
    """What to say where the archive in the store is not the one that this folder's work made."""
    return OutputError(
        f"{name} was published to from elsewhere since {folder} was worked in; --overwrite begins anew, and with "
        "that folder removed --resume goes on with what is in the store"
    )
