"""`tracker monitor`: many cameras, one detector, for months."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from tracker.cli.options import SECONDS
from tracker.errors import ConfigError, Interrupted, TrackerError

if TYPE_CHECKING:
    from tracker.detect import RelayDetector
    from tracker.monitor.journal import Journal
    from tracker.monitor.settings import MonitorSettings
    from tracker.monitor.station import Station
    from tracker.monitor.supervisor import Supervisor
    from tracker.monitor.web import Server

DRAIN_S = 9.0
"""Less than the ten seconds that an orchestrator waits."""

TICK_S = 0.2


@click.command(
    "monitor",
    epilog="""\b
Example:
  tracker monitor --config cameras.yaml --serve 127.0.0.1:8080
SIGTERM finishes what is on its way and exits 0; SIGHUP (to a service) reads the settings again.""",
)
@click.option("--config", required=True, type=click.Path(path_type=Path), help="The cameras and all settings, YAML.")
@click.option(
    "--serve", metavar="ADDRESS:PORT", help="Serve page, API and metrics there; as serve.bind in the settings."
)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of database, recordings, snapshots; as data in the settings. [default: NAME.data beside the config]",
)  # fmt: skip
@click.option("--log-json", is_flag=True, help="Log as JSON lines.")
@click.option("--duration", type=SECONDS, help="End after this many seconds.")
def command(config: Path, serve: str | None, data: Path | None, log_json: bool, duration: float | None) -> None:
    """Watch many cameras, until told to end."""
    from tracker.monitor.journal import Journal
    from tracker.monitor.loading import load_settings
    from tracker.track.compiled import load

    settings, journal = load_settings(config), Journal(as_json=log_json)
    check_address(settings, serve)  # before the detector is loaded, which may take minutes
    with asked_by_signals() as asked:
        try:
            with asked.at_once():
                detector, batch, workers = open_shared_detector(settings, journal)
                # Now: numba's start would hold up a camera for seconds, and its memory would look like a leak.
                journal.tell("association", f"association on {load()}")
        except KeyboardInterrupt:
            journal.tell("stopped", "stopped before the detector was loaded")
        else:
            run(settings, detector, journal, asked, (batch, workers), config, data, serve, duration)
    if asked.interrupted:
        raise Interrupted("interrupted; what was on its way is finished")


class Asked:
    """What the signals asked for. Plain values: a lock in a handler may be held by the thread that it interrupts."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.stop = self.interrupted = self.reload = self._at_once = False
        self._at_terminal = sys.stdin is not None and sys.stdin.isatty()

    def take(self, number: int, _: FrameType | None) -> None:
        """A signal came."""
        if number == getattr(signal, "SIGHUP", None) and not self._at_terminal:  # there it means that it was closed
            self.reload = True
            return
        self.stop, self.interrupted = True, number == signal.SIGINT
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        if self._at_once:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While inside, a request to stop raises KeyboardInterrupt: what is done there leaves nothing half done."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False


@contextmanager
def asked_by_signals() -> Iterator[Asked]:
    """While inside, SIGINT and SIGTERM ask to stop, SIGHUP to reload."""
    asked = Asked()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, asked.take) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_shared_detector(settings: MonitorSettings, journal: Journal) -> tuple[RelayDetector, int, int]:
    """(detector, pictures that it takes at once, inferences side by side), and a line of what runs.

    Raises:
        ConfigError, ModelError, RequirementError: as of `open_detector`.
    """
    from tracker.detect import Opener, open_relay, share_cores
    from tracker.detect.detector import image_input

    def say(line: str) -> None:
        """A line of the detector, now or while it runs."""
        kind, colon, rest = line.partition(": ")
        warned = colon and kind in ("warning", "notice")
        journal.tell("detector", rest if warned else line, level="warning" if warned else "info")

    detect = settings.detect
    if detect.fused == "on":
        raise ConfigError(
            "detect.fused: a graph is fused for pictures of one size, cameras have many; leave it at auto"
        )
    # One camera wants all cores on its picture; many want a core each.
    alone = sum(camera.enabled for camera in settings.cameras.values()) <= 1
    width, height = settings.aspect_wh
    opener = Opener(
        detect.model_copy(update={"fused": "off"}), (1000 * width, 1000 * height), live=alone, say=say,
        aspect_only=True,
    )  # fmt: skip
    detector = open_relay(opener, say=say)
    for notice in opener.notices:
        journal.tell("detector", notice, level="warning")
    engine, (rows, columns) = detector.engine, detector.size_hw
    where = f"{engine.runtime}, {engine.precision}, {engine.device}"
    journal.tell("detector", f"{detector.identity.name} at {columns}x{rows} on {where}")
    batch = image_input(engine.inputs).shape[0] or opener.model.batch[1] or 1
    return detector, batch, share_cores(detect, alone).workers


def run(
    settings: MonitorSettings, detector: RelayDetector, journal: Journal, asked: Asked, sharing: tuple[int, int],
    config: Path, data: Path | None, serve: str | None, duration: float | None,
) -> None:  # fmt: skip
    """From the loaded detector to the end. Raises TrackerError: what cannot begin, or the detector is gone."""
    from tracker.monitor.station import Station

    folder = data or settings.folder(config)
    try:
        station = Station(settings, detector, journal, folder, batch=sharing[0], workers=sharing[1])
    except BaseException:
        detector.close()
        raise
    server, failed, ended = None, None, True
    try:
        server = serve_page(station, detector, journal, config, serve)
        # What is there now stays; the collector need not look through it whenever a camera reconnects.
        gc.collect()
        gc.freeze()
        station.start()
        watch(station, journal, asked, config, duration)
    except TrackerError as error:
        failed = error
    finally:
        for warning in detector.warnings:
            journal.tell("detector", warning, level="warning")
        ended = finish(station, server, journal)
        if ended:  # else somebody may still be in it
            detector.close()
    if station.supervisor.abandoned or not ended:
        leave(failed or (Interrupted("interrupted") if asked.interrupted else None))
    if failed is not None:
        raise failed


def leave(error: TrackerError | None) -> NoReturn:
    """End the process here and now: a thread that comes back from FFmpeg to an interpreter half gone would crash it."""
    if error is not None:
        click.echo(f"tracker: {error}", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(error.exit_code if error is not None else 0)


def check_address(settings: MonitorSettings, serve: str | None) -> None:
    """Refuse an address that cannot be, or that lets others in without a token. Raises ConfigError."""
    from tracker.monitor.web import Bind

    bind = serve or settings.serve.bind
    if bind:
        Bind.of(bind).check(settings.serve.token())


def serve_page(
    station: Station, detector: RelayDetector, journal: Journal, config: Path, serve: str | None
) -> Server | None:
    """The page, where one is wanted: by `--serve`, or by the settings.

    Raises:
        ConfigError, OutputError, RequirementError: as of `tracker.monitor.web.serve`.
    """
    from tracker.monitor import web
    from tracker.monitor.loading import load_settings

    supervisor = station.supervisor
    settings = supervisor.settings.serve
    bind = serve or settings.bind
    if not bind:
        return None
    return web.serve(
        supervisor, station.outputs, bind, settings.token(), journal=journal, class_names=detector.class_names,
        settings=settings, reload=lambda: supervisor.reload(load_settings(config)),
    )  # fmt: skip


def watch(station: Station, journal: Journal, asked: Asked, config: Path, duration: float | None) -> None:
    """Until told to end: a line of state now and then, and new settings where they are asked for.

    Raises:
        TrackerError: the detector is gone.
    """
    supervisor = station.supervisor
    began_s = told_s = time.monotonic()
    while not asked.stop and (duration is None or time.monotonic() - began_s < duration):
        time.sleep(TICK_S)
        station.tick()
        if asked.reload:
            asked.reload = False
            reload(supervisor, journal, config)
        if time.monotonic() - told_s >= supervisor.settings.status_every_s:
            told_s = time.monotonic()
            tell(supervisor, journal)


def reload(supervisor: Supervisor, journal: Journal, config: Path) -> None:
    """Read the settings again; where they are wrong, everything goes on as it was."""
    from tracker.monitor.loading import load_settings

    try:
        supervisor.reload(load_settings(config))
    except ConfigError as error:
        journal.tell("reload", f"settings not taken over: {error}", level="error")


def tell(supervisor: Supervisor, journal: Journal) -> None:
    """One line: how all cameras are."""
    status = supervisor.status()
    cameras = status["cameras"]
    up = sum(each["state"] == "up" for each in cameras.values())
    parts = [f"{name} {_in_words(each)}" for name, each in cameras.items()]
    head = f"{up} of {len(cameras)} up, {status['detector']['fps']:.1f} fps"
    journal.report(" | ".join([head, *parts]), **status)


def _in_words(camera: dict[str, Any]) -> str:
    """The state of one camera."""
    if camera["state"] != "up":
        return str(camera["state"]) + (f" ({camera['detail']})" if camera["detail"] else "")
    return f"{camera['fps']:.1f} fps, {camera['latency_ms']['p95']:.0f} ms, {camera['tracks']} tracks"


def finish(station: Station, server: Server | None, journal: Journal) -> bool:
    """Drain, and say what became of all frames; whether nobody uses the detector any more."""
    until_s = time.monotonic() + DRAIN_S
    if server is not None:
        server.close()
    ended = station.stop(until_s - time.monotonic())
    status = station.supervisor.status()
    parts = []
    for name, camera in status["cameras"].items():
        frames = camera["frames"]
        dropped = "".join(f", {number} dropped ({reason})" for reason, number in frames["dropped"].items())
        parts.append(f"{name}: {frames['captured']} captured, {frames['processed']} processed{dropped}")
    journal.tell("stopped", "stopped; " + "; ".join(parts), level="info" if ended else "warning", **status)
    return ended
