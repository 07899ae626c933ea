"""The end of a run of `tracker annotate`: the report, what there is now, and which outcome that is."""

from __future__ import annotations

from collections.abc import Sequence

from tracker.batch.archive import Board
from tracker.batch.folder import Folder
from tracker.batch.job import DONE, FAILED, Plan
from tracker.batch.manifest import Entry, Manifest
from tracker.batch.spool import Spool
from tracker.cli.progress import say
from tracker.errors import Interrupted, PartlyDone, UsageError
from tracker.exports import labelling_config
from tracker.exports.sink import Sink
from tracker.report import Picture, VideoSummary, write_report


def report(plan: Plan, manifest: Manifest, entries: Sequence[Entry]) -> None:
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

    write_report(summaries, plan.output / "report.html", about=about, overwrite=True, pictures=pictures)


def labelling(plan: Plan, entries: Sequence[Entry], place: Folder) -> None:
    """What a project of Label Studio must be set up with before it takes the tasks. Raises WriteError, Interrupted."""
    done = [entry.video.name for entry in entries if entry.state == DONE]
    if done and "labelstudio" in plan.formats:
        here = next((name for name in done if Spool(plan.spools, name).whole), done[0])
        place.need([here])
        names = Spool(plan.spools, here).about().class_names
        (plan.output / "labelstudio").mkdir(exist_ok=True)
        with Sink(plan.output / "labelstudio" / "labelling_config.xml", overwrite=True) as sink:
            sink.text(labelling_config(names))


def tell(board: Board, place: Folder, wall_s: float, *, interrupted: bool) -> None:
    """What there is now, in one line."""
    rate = f", {board.new / wall_s:.1f} fps" if wall_s else ""
    outcome = "interrupted" if interrupted else "done"
    behind = f" ({place.behind} of them not yet in {place.name})" if place.behind else ""
    say(
        f"{outcome}: {board.done} of {board.videos} videos{behind}, {board.failed} failed; {board.frames} frames, "
        f"{board.new} of them now in {wall_s:.1f} s{rate}"
    )
    print(f"report   {place.report}")


def verdict(board: Board, entries: Sequence[Entry], place: Folder, *, interrupted: bool) -> None:
    """Raise what tells the outcome."""
    if interrupted and board.done + board.failed < board.videos:
        left = board.videos - board.done - board.failed
        raise Interrupted(f"interrupted with {left} of {board.videos} videos left; --resume goes on")
    if interrupted and not place.complete:
        raise Interrupted(f"interrupted before all was in {place.name}; --resume publishes the rest")
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
