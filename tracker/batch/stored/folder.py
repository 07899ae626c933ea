"""An archive in a store: worked on in a folder of a disk, from which what is finished goes there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from uuid import uuid4

from tracker.batch.archive import Board
from tracker.batch.folder import OURS, Folder, pictures_of
from tracker.batch.job import DONE, Plan
from tracker.batch.manifest import NAME, Manifest
from tracker.batch.spool import Spool
from tracker.batch.stored.publisher import Publisher, taken_over
from tracker.batch.stored.record import FOLDER, Record, places_of, spool_places, unit_at
from tracker.batch.stored.store import CLAIM, Store
from tracker.errors import OutputError, WriteError


class PublishedFolder(Folder):
    """The working folder of an archive in a store.

    Who begins or goes on with an archive puts a claim there; a run that finds another's in place of its own stops.
    """

    def __init__(self, folder: Path, store: Store, stop: Event, say: Callable[[str], None]) -> None:
        """Nothing is asked of the store yet."""
        super().__init__(folder)
        self.name = store.name
        self._store, self._stop, self._say = store, stop, say
        self._publisher: Publisher | None = None
        self._claim = ""
        self._done = 0
        self.complete = False

    @property
    def report(self) -> str:
        """Here until it is there."""
        return f"{self.name}/report.html" if self.complete else super().report

    def prepare(self, *, overwrite: bool, going_on: bool, wanted: Sequence[str]) -> None:
        """As for a folder; and what the store has and the working folder has not is fetched, if it is wanted.

        Raises:
            OutputError: the store cannot be used, holds something else, or an archive that nobody asked for.
            Interrupted: told to stop.
        """
        self._record = Record(self.folder, self.name)
        try:
            claim, there = self._store.claim(), self._store.holds(NAME)
            if overwrite and (there or claim):
                self._clear(there)
                claim, there = None, False
            super().prepare(overwrite=overwrite, going_on=going_on, wanted=wanted)
            if (self.folder / NAME).exists():
                self._check_own(claim, there, wanted)
            elif there:
                if not going_on:
                    raise self.begun()
                self._fetch(claim)
            else:
                self._refuse_others(self.name, wanted, self._store.holds)
                self._record.forget()
                self._set_claim()
        except WriteError as error:
            raise OutputError(f"{error}; check the address and the rights, or choose another --output") from None

    def has(self, place: str) -> bool:
        """Here or there."""
        return super().has(place) or self._store.holds(place)

    def need(self, names: Sequence[str]) -> None:
        """Fetch those that are only in the store. Raises WriteError, Interrupted."""
        lacking = [name for name in names if not Spool(self.folder / "spool", name).whole]
        if not lacking:
            return
        there = self._store.below("spool")
        places = [place for name in lacking for place in reversed(spool_places(name)) if place in there]
        if not places:
            return
        size = sum(there[place] for place in places)
        count = sum(place.endswith(".parquet") for place in places)
        self._say(f"fetching {count} spool{'s' if count > 1 else ''} of {self.name}, {size / 1e6:.1f} MB")
        self._store.get([(self.folder / place, place) for place in places])
        self._record.keep(unit for place in places if (unit := unit_at(self.folder, place)))

    def forget(self, names: Sequence[str]) -> None:
        """Take them out of the store, too. Raises WriteError, Interrupted."""
        places = [place for name in names for place in spool_places(name)]
        self._record.forget(places)
        self._store.remove_files([place for place in self._store.below("spool") if place in set(places)])

    def start(self, plan: Plan) -> None:
        """From now on what is finished goes there. Raises WriteError, Interrupted."""
        if not self._claim:
            self._set_claim()
        self._say(f"notice: work in progress is in {self.folder}")
        self._publisher = Publisher(self._store, self._record, plan, self._claim, self._stop, self._say)

    def look(self, board: Board) -> None:
        """Wake the publisher when there is something for it."""
        self._done = board.done
        if self._publisher:
            self._publisher.look(board.done + board.failed)

    def finish(self) -> None:
        """Put there what is left.

        Raises:
            WriteError: it cannot be. OutputError: another run has the archive.
        """
        assert self._publisher is not None, "it was started"
        try:
            self._publisher.finish(self._done)
        except WriteError as error:
            told = len(self._publisher.told)
            raise WriteError(
                f"{error}; {told} of {self._done} finished videos are there, all are safe in {self.folder}: --resume "
                "publishes the rest"
            ) from None
        finally:
            self.behind, self.complete = self._done - len(self._publisher.told), self._publisher.complete

    def close(self) -> None:
        """Let the publisher end."""
        if self._publisher:
            self._publisher.close()

    def _check_own(self, claim: str | None, there: bool, wanted: Sequence[str]) -> None:
        """What is in the store must be from here. Raises OutputError."""
        if there and claim not in self._record.claims:
            raise taken_over(self.name, self.folder)
        if not there and claim not in self._record.claims:  # not what a kill of ours left before its first manifest
            self._refuse_others(self.name, wanted, self._store.holds)
        if not there and self._record.marks():
            self._say(f"notice: {self.name} holds no archive any more; all of {self.folder} is published again")
        if not there:
            self._record.forget()

    def _fetch(self, claim: str | None) -> None:
        """The manifest: all that it takes to know what is done."""
        self._say(f"notice: going on with what is in {self.name}")
        self._record.forget()
        if claim is not None:
            self._record.claimed(claim)
        copy = self.folder / FOLDER / NAME
        self._store.get([(copy, NAME)])
        manifest = Manifest(copy.parent)
        try:
            about, done = manifest.about(), [one.video.name for one in manifest.entries() if one.state == DONE]
        finally:
            manifest.close()
        kinds = {"video": about["video"], "crops": about["crops"]}
        self._record.keep_all(place for name in done for place in places_of(name, about["formats"], **kinds))
        os.replace(copy, self.folder / NAME)

    def _clear(self, there: bool) -> None:
        """Remove the archive from the store; nothing else."""
        more: list[str] = []
        if there:
            copy = self.folder / FOLDER / NAME
            self._store.get([(copy, NAME)])
            more = pictures_of(copy.parent)
        self._store.remove([CLAIM, *more, *reversed(OURS)])
        self._record.forget()

    def _set_claim(self) -> None:
        """From now on the archive in the store is this folder's."""
        claim = uuid4().hex
        self._record.claiming(claim)
        self._store.set_claim(claim)
        self._record.claimed(claim)
        self._claim = claim
