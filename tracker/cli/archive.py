"""One run of `tracker annotate`: from the folder as it is to the outcome of every video."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from engines.base import EngineUnavailable
from engines.lock import locked
from engines.storage import cache_folder
from tracker.batch.archive import Archive, Board
from tracker.batch.folder import PICTURES, Folder
from tracker.batch.inputs import Video, find_videos
from tracker.batch.job import DONE, FAILED, Plan, cues_of
from tracker.batch.manifest import Entry, Manifest, check_same, check_unchanged
from tracker.batch.remote import is_remote, masked_place, within
from tracker.batch.runners import make_runner
from tracker.batch.spool import Spool
from tracker.batch.stored.folder import PublishedFolder
from tracker.batch.stored.store import Store
from tracker.cli.board import Display
from tracker.cli.ending import labelling, report, tell, verdict
from tracker.cli.progress import say
from tracker.config import Settings
from tracker.errors import OutputError, UsageError
from tracker.exports import FORMATS

LOCK = "manifest.lock"


class ArchiveSession:
    """Everything of one `tracker annotate`."""

    def __init__(self, settings: Settings, flags: Mapping[str, Any], stop: Event) -> None:
        """Make the folder. Raises OutputError, UsageError."""
        self.settings, self.flags, self.stop = settings, flags, stop
        self._addresses: dict[str, str] = {}  # of remote videos, by what the manifest has of them
        self._url = flags["output"] if isinstance(flags["output"], str) else ""
        if flags.get("work") and not self._url:
            raise UsageError("--work goes with an --output such as s3://bucket/labels/; leave it out")
        self.folder: Path = flags.get("work") or (working_folder(self._url) if self._url else flags["output"])
        store = Store(self._url, stop) if self._url else None
        self._other = "--work" if self._url else "--output"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}; choose another {self._other}") from None
        self.place = PublishedFolder(self.folder, store, stop, say) if store else Folder(self.folder)

    def run(self) -> None:
        """Do what is to be done; the error that is raised tells outcomes apart.

        Raises:
            PartlyDone: some videos failed. UsageError: all did, or folder, inputs or settings do not fit.
            Interrupted: told to stop. RequirementError, WriteError: as `Archive.run` has them.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.folder / LOCK, self._refuse))
            except OSError as error:
                raise OutputError(
                    f"{self.folder / LOCK} cannot be made: {error.strerror}; choose another {self._other}"
                ) from None
            flags = self.flags
            self.place.prepare(
                overwrite=flags["overwrite"], going_on=flags["resume"] or flags["retrack"],
                wanted=[name for name in PICTURES if flags[name]],
            )  # fmt: skip
            manifest = Manifest(self.folder)
            try:
                self._work(manifest)
            finally:
                self.place.close()
                manifest.close()

    def _refuse(self) -> None:
        """Another process has the folder."""
        raise UsageError(
            f"another tracker annotate works in {self.folder}; wait for its end, or choose another {self._other}"
        )

    def _work(self, manifest: Manifest) -> None:
        """Begin or go on, then report."""
        began, plan = perf_counter(), self._plan(manifest)
        self.place.start(plan)
        entries = self._with_addresses(manifest.entries())
        display = Display(entries)
        try:
            board = self._run_all(manifest, plan, entries, display)
        finally:
            display.close()
        entries = manifest.entries()
        report(plan, manifest, entries)
        labelling(plan, entries, self.place)
        wall_s = perf_counter() - began
        self.place.finish()
        tell(board, self.place, wall_s, interrupted=self.stop.is_set())
        verdict(board, entries, self.place, interrupted=self.stop.is_set())

    def _run_all(self, manifest: Manifest, plan: Plan, entries: Sequence[Entry], display: Display) -> Board:
        """All that waits, by whom the flags say."""
        waiting = [entry for entry in entries if entry.state not in (DONE, FAILED)]
        runner = make_runner(plan, waiting, self.flags["workers"], self.flags["ray"], say)

        def show(board: Board) -> None:
            display.show(board)
            self.place.look(board)

        archive = Archive(
            plan, manifest, runner, self.stop, max_failures=self.flags["max_failures"], say=say, show=show
        )
        board = archive.run(entries)
        self.place.look(board)
        return board

    def _plan(self, manifest: Manifest) -> Plan:
        """The plan of a new archive, or of the one that is there once it is sure that it is the same."""
        flags = self.flags
        plan = Plan(
            self.folder, self.settings, flags["formats"], flags["stride"], flags["require"], video=flags["video"],
            crops=flags["crops"], batch=flags["batch"],
        )  # fmt: skip
        now = described(plan)
        if manifest.empty:
            found, cues = self._found(flags["inputs"]), cues_of(self.settings.tracker)
            self._addresses = {video.place: video.url for video in found if video.url}
            manifest.add(found, whole=flags["whole_hash"], stop=self.stop.is_set, cues=cues, **now)
            return replace(plan, cues=cues)
        before = manifest.about()
        if not (flags["resume"] or flags["retrack"]):
            raise self.place.begun()
        names = [entry.video.name for entry in manifest.entries() if flags["retrack"] or entry.state != DONE]
        self.place.need(names)
        self._check(manifest, before, now)
        if flags["retrack"]:
            manifest.again([DONE], **now)
            self._tell_old(plan)
            self._tell_poor(before["cues"])
        if flags["retry_failed"]:
            self._retry(manifest)
        return replace(plan, pinned=before.get("detector"), cues=before["cues"])

    def _check(self, manifest: Manifest, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise UsageError where settings or inputs are not those of before; take new inputs in."""
        fixed = ("detect", "stride", "batch") if self.flags["retrack"] else tuple(now)
        check_same({key: before.get(key) for key in fixed}, {key: now[key] for key in fixed})
        found = self._named()
        self._addresses = {video.place: video.url for video in found if video.url}
        entries, spools = self._with_addresses(manifest.entries()), self.folder / "spool"
        check_unchanged(entries, lambda name: Spool(spools, name).whole, self.stop.is_set)
        known = {entry.video.place for entry in entries}
        new = [] if self.flags["retrack"] else [video for video in found if video.place not in known]
        if new:
            taken = {entry.video.name.casefold() for entry in entries}
            clash = [video for video in new if video.name.casefold() in taken]
            if clash:
                raise UsageError(
                    f"{clash[0].place} is new, and its name {clash[0].name} is another's in {self.place.name}; "
                    "annotate it into a folder of its own"
                )
            say(f"notice: {len(new)} new video{'s' if len(new) > 1 else ''}")
            manifest.add(new, whole=self.flags["whole_hash"], stop=self.stop.is_set)

    def _named(self) -> list[Video]:
        """What the inputs name now. To track again, neither they nor the videos need be there."""
        inputs = self.flags["inputs"]
        if not self.flags["retrack"]:
            return self._found(inputs)
        secret = [text for text in inputs if is_remote(text) and masked_place(text) != text]
        with suppress(UsageError):
            return self._found(secret) if secret else []
        return []

    def _found(self, inputs: Sequence[str]) -> list[Video]:
        """What these name. Raises UsageError as `find_videos`, and where videos that are written would be inputs."""
        if self._url and self.flags["video"]:
            for text in inputs:
                if within(self._url, text):
                    raise UsageError(
                        f"--video: {self.place.name} is within {masked_place(text)}, where its videos would be inputs; "
                        "choose another --output"
                    )
        return find_videos(inputs, self.folder)

    def _with_addresses(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of remote videos as they were named now: the manifest keeps no secrets."""
        return [
            replace(entry, video=replace(entry.video, url=self._addresses.get(entry.video.place, entry.video.url)))
            for entry in entries
        ]

    def _tell_old(self, plan: Plan) -> None:
        """Of formats that are not written again, say so: they hold the tracks of before."""
        old = [name for name in FORMATS if name not in plan.formats and self.place.has(name)]
        if old:
            where = self.place.name
            say(f"notice: {', '.join(old)} in {where}: the tracks of before; remove them, or add them to --format")

    def _tell_poor(self, cues: Mapping[str, str]) -> None:
        """Say so where the tracker wants more of the pictures than the spools hold."""
        wanted = cues_of(self.settings.tracker)
        lacking = [f"{key} {value}" for key, value in wanted.items() if value not in ("off", cues.get(key))]
        if lacking:
            say(f"notice: the archive was begun without {' and '.join(lacking)}: tracked without; a fresh one has it")

    def _retry(self, manifest: Manifest) -> None:
        """Those that failed are new to us, with the files that are there now."""
        failed = [entry.video for entry in self._with_addresses(manifest.entries()) if entry.state == FAILED]
        for video in failed:
            Spool(self.folder / "spool", video.name).clear()
            (self.folder / "fetched" / f"{video.name}{video.path.suffix}").unlink(missing_ok=True)
        self.place.forget([video.name for video in failed])
        manifest.forget(failed)
        manifest.add(failed, whole=self.flags["whole_hash"], stop=self.stop.is_set)


def described(plan: Plan) -> dict[str, Any]:
    """What of a plan the outputs depend on, for the manifest."""
    settings = plan.settings
    detect = settings.detect.model_dump(mode="json", exclude={"workers"})
    return {
        "detect": detect,
        "tracker": settings.tracker.model_dump(mode="json"),
        "formats": list(plan.formats),
        "stride": plan.stride,
        "batch": plan.batch,
        "video": plan.video,
        "crops": plan.crops,
    }


def working_folder(url: str) -> Path:
    """Where work for an address goes on unless somebody says where. Raises UsageError."""
    try:
        cache = cache_folder()
    except EngineUnavailable as error:
        raise UsageError(f"{error}, or give --work") from None
    return cache / "annotate" / hashlib.sha256(masked_place(url).rstrip("/").encode("utf-8")).hexdigest()[:16]
