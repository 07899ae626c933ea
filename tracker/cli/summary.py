"""What is left to say when a run is over: its outcome, the summary file, the lines for the person."""

from __future__ import annotations

import json
from contextlib import suppress
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tracker import __version__
from tracker.capture import Source, mask_credentials
from tracker.cli.mode import Mode
from tracker.cli.progress import say
from tracker.detect import RelayDetector, share_cores
from tracker.errors import Interrupted, SourceLost, WriteError
from tracker.track.compiled import backend
from tracker.write.files import partial_path
from tracker.write.outputs import OutputPaths

if TYPE_CHECKING:
    from tracker.cli.session import Session

GROUPS = {
    "grab": ("grab",),
    "detect": ("preprocess", "infer", "postprocess"),
    "track": ("track",),
    "write": ("draw", "encode", "records"),
}


class Outcome(Enum):
    """How a run ended; the value stands in the summary."""

    DONE = "done"
    FAILED = "failed"
    LOST = "source lost"
    INTERRUPTED = "interrupted"

    @property
    def exit_code(self) -> int:
        """Of the process."""
        known = {Outcome.DONE: 0, Outcome.LOST: SourceLost.exit_code, Outcome.INTERRUPTED: Interrupted.exit_code}
        return known.get(self, 1)


def report(summary: dict[str, Any], paths: OutputPaths) -> None:
    """Write the summary file and tell the person what there is now."""
    if paths.summary:
        temporary = partial_path(paths.summary)
        try:
            temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
            temporary.replace(paths.summary)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            problem = f"the summary {paths.summary} could not be written: {error.strerror}"
            if summary["outcome"] != Outcome.FAILED.value:
                raise WriteError(problem) from None
            say(f"warning: {problem}")  # a full disk, most likely the reason why the run failed
    frames = summary["frames"]
    dropped = "".join(f", {number} dropped ({reason})" for reason, number in frames["dropped"].items())
    say(
        f"{summary['outcome']}: {frames['captured']} frames captured, {frames['processed']} processed{dropped}; "
        f"{summary['tracks']} tracks; {summary['fps']} fps, bottleneck {summary['bottleneck'] or 'none'}"
    )
    partial = summary["outcome"] == Outcome.FAILED.value
    for name, path in paths.named().items():
        shown = partial_path(path) if partial and name not in ("summary", "pictures") else path
        if shown.exists():
            print(f"{name:8} {shown}")


def model_of(detector: RelayDetector) -> dict[str, Any]:
    """Which model it was, for the summary."""
    identity = detector.identity
    return {
        "name": identity.name,
        "sha256": identity.sha256,
        "head": identity.head,
        "input": list(detector.size_hw),
        "views": detector.views,
    }


def default_output(source: str) -> Path:
    """`<name>.tracked.mp4` in the working directory; of an address its last part, or its host."""
    name = mask_credentials(source)
    if source == "-":
        name = "stdin"
    elif "://" in name:
        place = name.split("://", 1)[1].split("?", 1)[0].rsplit("@", 1)[-1].strip("/").replace(":", "-")
        name = PurePosixPath(place).stem if "/" in place else place
    else:
        name = Path(source.rstrip("/")).stem.strip("*.")
    return Path(f"{name or 'output'}.tracked.mp4")


def summary_of(
    session: Session, source: Source, mode: Mode, detector: RelayDetector, outcome: Outcome, error: Exception | None,
    wall_s: float,
) -> dict[str, Any]:  # fmt: skip
    """The summary, as documented in the README."""
    status, late = session.status, dict(source.dropped)
    stages = session.meters.table()
    workers = share_cores(session.settings.detect, source.info.live).workers
    groups = {name: (parts, workers if name == "detect" else 1) for name, parts in GROUPS.items()}
    engine = detector.engine
    return {
        "version": __version__,
        "outcome": outcome.value,
        "error": str(error) if error else None,
        "source": source.info.name,
        "width": source.info.width,
        "height": source.info.height,
        "frames": {
            "captured": status.captured + sum(late.values()),
            "processed": status.processed,
            "dropped": {**status.dropped, **late},
            "in_flight": status.captured - status.finished,
        },
        "fps": round(status.finished / status.wall_s, 2) if status.wall_s else 0.0,
        "stages": stages,
        "bottleneck": session.meters.bottleneck(groups),
        "runtime": engine.runtime,
        "precision": engine.precision,
        "device": engine.device,
        "runtimes": detector.runtimes,
        "model": model_of(detector),
        "tracker": session.settings.tracker.name,
        "offline": session.flags["offline"],
        "association": backend(),
        **mode.cadence.summary(),
        "tracks": len(status.seen),
        "duration_s": round(status.end_s - (status.first_s or 0.0), 6),
        "wall_s": round(wall_s, 3),
        "warnings": [*source.warnings, *detector.warnings],
        "outputs": {name: str(path) for name, path in session.paths.named().items()},
        "settings": session.settings.model_dump(mode="json"),
    }
