"""One run of `tracker annotate`: from the folder as it is to the outcome of every video."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

from engines.lock import locked
from tracker.batch.archive import Archive, Board, Runner
from tracker.batch.inputs import find_videos
from tracker.batch.job import DONE, FAILED, Plan, cues_of
from tracker.batch.local import LocalRunner
from tracker.batch.manifest import NAME, Entry, Manifest, check_same, check_unchanged
from tracker.batch.spool import Spool
from tracker.cli.board import Display
from tracker.cli.progress import say
from tracker.config import Settings
from tracker.detect.detector import cores
from tracker.errors import Interrupted, OutputError, PartlyDone, UsageError
from tracker.exports import FORMATS, labelling_config
from tracker.exports.sink import Sink
from tracker.report import VideoSummary, write_report

LOCK = "manifest.lock"
REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")  # of an address, what is left of it as a path
WORKER_BYTES = 700 << 20
"""Memory that a worker is reckoned with."""
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
        with locked(self.folder / LOCK, self._refuse):
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
        entries = manifest.entries()
        display = Display(entries)
        try:
            board = self._run_all(Archive, manifest, plan, entries, display)
        finally:
            display.close()
        entries = manifest.entries()
        self._report(plan, entries)
        self._labelling(plan, entries)
        self._tell(board, perf_counter() - began)
        self._verdict(board, entries)

    def _run_all(
        self, archive: type[Archive], manifest: Manifest, plan: Plan, entries: Sequence[Entry], display: Display
    ) -> Board:  # fmt: skip
        """All that waits, by whom the flags say."""
        waiting = sum(entry.state not in (DONE, FAILED) for entry in entries)
        runner = self._runner(max(waiting, 1))
        return archive(
            plan, manifest, runner, self.stop, max_failures=self.flags["max_failures"], say=say, show=display.show
        ).run(entries)

    def _runner(self, jobs: int) -> Runner:
        """Processes here, or a cluster."""
        if self.flags["ray"]:
            from tracker.batch.cluster import RayRunner

            detect = self.settings.detect
            gpu = detect.device.startswith("cuda") or detect.runtime.startswith("tensorrt")
            return RayRunner(self.flags["ray"], self.flags["workers"], gpu=gpu)
        return LocalRunner(self.flags["workers"] or min(cores(), jobs, workers_in_memory()))

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
        entries, spools = manifest.entries(), self.folder / "spool"
        check_unchanged(entries, lambda name: Spool(spools, name).whole, self.stop.is_set)
        known = {entry.video.place for entry in entries}
        # To track again, neither videos nor inputs need be there.
        found = [] if self.flags["retrack"] else find_videos(self.flags["inputs"], self.folder)
        new = [video for video in found if video.place not in known]
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
        failed = [entry.video for entry in manifest.entries() if entry.state == FAILED]
        for video in failed:
            Spool(self.folder / "spool", video.name).clear()
        manifest.forget(failed)
        manifest.add(failed, whole=self.flags["whole_hash"], stop=self.stop.is_set)

    def _report(self, plan: Plan, entries: Sequence[Entry]) -> None:
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
        write_report(summaries, self.folder / "report.html", about=about, overwrite=True)

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


def workers_in_memory() -> int:
    """How many workers the free memory has room for, at least 1."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return cores()
    return max(1, free // WORKER_BYTES)
