"""One run of `tracker annotate`: from the folder as it is to the outcome of every video."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from engines.lock import locked
from tracker.batch.archive import Archive, Board
from tracker.batch.inputs import Video, find_videos
from tracker.batch.job import DONE, FAILED, Plan, cues_of
from tracker.batch.manifest import NAME, Entry, Manifest, check_same, check_unchanged
from tracker.batch.remote import is_remote, masked_place
from tracker.batch.runners import make_runner
from tracker.batch.spool import Spool
from tracker.cli.board import Display
from tracker.cli.progress import say
from tracker.config import Settings
from tracker.errors import Interrupted, OutputError, PartlyDone, UsageError
from tracker.exports import FORMATS, labelling_config
from tracker.exports.sink import Sink
from tracker.report import Picture, VideoSummary, write_report

LOCK = "manifest.lock"
REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")  # of an address, what is left of it as a path
OURS = (
    NAME,
    f"{NAME}-journal",
    "report.html",
    "spool",
    "mot",
    "coco",
    "cvat",
    "labelstudio",
    "yolo",
    "jsonl",
    "parquet",
)
"""What an archive's folder holds."""
PICTURES = ("video", "crops")
"""Options, and folders that it holds besides with them."""


class ArchiveSession:
    """Everything of one `tracker annotate`."""

    def __init__(self, settings: Settings, flags: Mapping[str, Any], stop: Event) -> None:
        """Make the folder. Raises OutputError, UsageError."""
        self.settings, self.flags, self.stop = settings, flags, stop
        self._addresses: dict[str, str] = {}  # of remote videos, by what the manifest has of them
        self.folder: Path = flags["output"]
        if REMOTE.match(str(self.folder)):
            raise UsageError(
                f"--output {self.folder}: work in progress needs a disk; give a folder, and copy it at the end"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be made: {error.strerror}; choose another --output") from None

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
                    f"{self.folder / LOCK} cannot be made: {error.strerror}; choose another --output"
                ) from None
            if self.flags["overwrite"]:
                self._clear()
            self._refuse_other_files()
            manifest = Manifest(self.folder)
            try:
                self._work(manifest)
            finally:
                manifest.close()

    def _refuse(self) -> None:
        """Another process has the folder."""
        raise UsageError(
            f"another tracker annotate works in {self.folder}; wait for its end, or choose another --output"
        )

    def _clear(self) -> None:
        """Remove what an earlier run left; nothing else. The manifest goes last: it tells that the rest is ours."""
        if not (self.folder / NAME).exists():
            return
        for name in reversed((*OURS, *self._pictures())):
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _pictures(self) -> list[str]:
        """Of the folders that are only there on request, those of the archive that is there."""
        try:
            manifest = Manifest(self.folder)
        except OutputError:  # of another version, or damaged
            return []
        try:
            about = manifest.about()
        finally:
            manifest.close()
        return ["fetched", *(name for name in PICTURES if about.get(name))]

    def _refuse_other_files(self) -> None:
        """Raise OutputError where something in the folder would be replaced that is no archive's."""
        if (self.folder / NAME).exists():
            return
        for name in (*OURS, "fetched", *(name for name in PICTURES if self.flags[name])):
            if (self.folder / name).exists():
                raise OutputError(f"{self.folder / name} exists, and no archive of tracker; choose another --output")

    def _work(self, manifest: Manifest) -> None:
        """Begin or go on, then report."""
        began, plan = perf_counter(), self._plan(manifest)
        entries = self._with_addresses(manifest.entries())
        display = Display(entries)
        try:
            board = self._run_all(manifest, plan, entries, display)
        finally:
            display.close()
        entries = manifest.entries()
        self._report(plan, manifest, entries)
        self._labelling(plan, entries)
        self._tell(board, perf_counter() - began)
        self._verdict(board, entries)

    def _run_all(self, manifest: Manifest, plan: Plan, entries: Sequence[Entry], display: Display) -> Board:
        """All that waits, by whom the flags say."""
        waiting = [entry for entry in entries if entry.state not in (DONE, FAILED)]
        runner = make_runner(plan, waiting, self.flags["workers"], self.flags["ray"], say)
        return Archive(
            plan, manifest, runner, self.stop, max_failures=self.flags["max_failures"], say=say, show=display.show
        ).run(entries)

    def _plan(self, manifest: Manifest) -> Plan:
        """The plan of a new archive, or of the one that is there once it is sure that it is the same."""
        flags = self.flags
        plan = Plan(
            self.folder, self.settings, flags["formats"], flags["stride"], flags["require"], video=flags["video"],
            crops=flags["crops"],
        )  # fmt: skip
        now = described(plan)
        if manifest.empty:
            found, cues = find_videos(flags["inputs"], self.folder), cues_of(self.settings.tracker)
            self._addresses = {video.place: video.url for video in found if video.url}
            manifest.add(found, whole=flags["whole_hash"], stop=self.stop.is_set, cues=cues, **now)
            return replace(plan, cues=cues)
        before = manifest.about()
        if not (flags["resume"] or flags["retrack"]):
            raise OutputError(
                f"{self.folder} holds an archive; --resume goes on with it, --retrack tracks again, --overwrite begins "
                "anew"
            )
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
        fixed = ("detect", "stride") if self.flags["retrack"] else tuple(now)
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
                    f"{clash[0].place} is new, and its name {clash[0].name} is another's in {self.folder}; annotate it "
                    "into a folder of its own"
                )
            say(f"notice: {len(new)} new video{'s' if len(new) > 1 else ''}")
            manifest.add(new, whole=self.flags["whole_hash"], stop=self.stop.is_set)

    def _named(self) -> list[Video]:
        """What the inputs name now. To track again, neither they nor the videos need be there."""
        inputs = self.flags["inputs"]
        if not self.flags["retrack"]:
            return find_videos(inputs, self.folder)
        secret = [text for text in inputs if is_remote(text) and masked_place(text) != text]
        with suppress(UsageError):
            return find_videos(secret, self.folder) if secret else []
        return []

    def _with_addresses(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of remote videos as they were named now: the manifest keeps no secrets."""
        return [
            replace(entry, video=replace(entry.video, url=self._addresses.get(entry.video.place, entry.video.url)))
            for entry in entries
        ]

    def _tell_old(self, plan: Plan) -> None:
        """Of formats that are not written again, say so: they hold the tracks of before."""
        old = [name for name in FORMATS if name not in plan.formats and (self.folder / name).is_dir()]
        if old:
            say(
                f"notice: {', '.join(old)} in {self.folder}: the tracks of before; remove them, or add them to --format"
            )

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
        manifest.forget(failed)
        manifest.add(failed, whole=self.flags["whole_hash"], stop=self.stop.is_set)

    def _report(self, plan: Plan, manifest: Manifest, entries: Sequence[Entry]) -> None:
        """Write `report.html`: nothing in it depends on when, or how often, the archive was worked on."""
        settings = plan.settings
        summaries = [
            VideoSummary.from_dict(entry.figures["summary"])
            if entry.state == DONE
            else VideoSummary(entry.video.name, outcome=entry.state, reason=entry.reason)
            for entry in entries
        ]
        about = {
            "model": settings.detect.model,
            "tracker": settings.tracker.name,
            "formats": ", ".join(plan.formats),
            "stride": str(plan.stride),
        }

        def pictures(place: int) -> tuple[Picture, ...]:
            return tuple(Picture.from_dict(one) for one in manifest.pictures(entries[place].video.name))

        write_report(summaries, self.folder / "report.html", about=about, overwrite=True, pictures=pictures)

    def _labelling(self, plan: Plan, entries: Sequence[Entry]) -> None:
        """What a project of Label Studio must be set up with before it takes the tasks."""
        done = [entry.video.name for entry in entries if entry.state == DONE]
        if done and "labelstudio" in plan.formats:
            names = Spool(plan.spools, done[0]).about().class_names
            with Sink(self.folder / "labelstudio" / "labelling_config.xml", overwrite=True) as sink:
                sink.text(labelling_config(names))

    def _tell(self, board: Board, wall_s: float) -> None:
        """What there is now, in one line."""
        rate = f", {board.new / wall_s:.1f} fps" if wall_s else ""
        outcome = "interrupted" if self.stop.is_set() else "done"
        say(
            f"{outcome}: {board.done} of {board.videos} videos, {board.failed} failed; {board.frames} frames, "
            f"{board.new} of them now in {wall_s:.1f} s{rate}"
        )
        print(f"report   {self.folder / 'report.html'}")

    def _verdict(self, board: Board, entries: Sequence[Entry]) -> None:
        """Raise what tells the outcome."""
        if self.stop.is_set() and board.done + board.failed < board.videos:
            left = board.videos - board.done - board.failed
            raise Interrupted(f"interrupted with {left} of {board.videos} videos left; --resume goes on")
        failed = [entry for entry in entries if entry.state == FAILED]
        if not failed:
            return
        named = ", ".join(entry.video.name for entry in failed[:5]) + (" ..." if len(failed) > 5 else "")
        if board.done + len(failed) < board.videos:
            raise PartlyDone(
                f"{len(failed)} videos failed, more than --max-failures; --resume with a larger one goes on: {named}"
            )
        if not board.done:
            raise UsageError(f"no video could be annotated; {entries[0].video.name}: {entries[0].reason}")
        raise PartlyDone(f"{len(failed)} of {board.videos} videos failed, see the report: {named}")


def described(plan: Plan) -> dict[str, Any]:
    """What of a plan the outputs depend on, for the manifest."""
    settings = plan.settings
    detect = settings.detect.model_dump(mode="json", exclude={"workers"})
    return {
        "detect": detect,
        "tracker": settings.tracker.model_dump(mode="json"),
        "formats": list(plan.formats),
        "stride": plan.stride,
        "video": plan.video,
        "crops": plan.crops,
    }
