"""Figures for Prometheus: read from the supervisor when asked for; only latencies are gathered as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tracker import __version__
from tracker.monitor.camera import Result
from tracker.monitor.supervisor import Supervisor

BOUNDS_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)
PER_CAMERA = (
    ("tracker_camera_fps", "gauge", "Frames processed a second, over the last seconds", "fps"),
    ("tracker_tracks", "gauge", "Objects tracked now", "tracks"),
    ("tracker_queue_depth", "gauge", "Frames that wait for the detector or the tracker, 2 at most", "queue"),
    ("tracker_reconnects", "counter", "Connections made anew after a loss", "reconnects"),
    ("tracker_stage_restarts", "counter", "Times that a stage of the camera failed and began anew", "restarts"),
    ("tracker_reader_hangs", "counter", "Readers that hung and were replaced", "hangs"),
)
DETECTOR = (
    ("tracker_detector_batch_size", "gauge", "Pictures in one inference, running mean", "batch_mean", 1.0),
    ("tracker_detector_batch_seconds", "gauge", "Time of one inference, running mean", "batch_ms", 1e-3),
    ("tracker_detector_batches", "counter", "Inferences", "batches", 1.0),
    ("tracker_detector_frames", "counter", "Frames detected", "frames", 1.0),
    ("tracker_detector_errors", "counter", "Frames that the detector failed on", "errors", 1.0),
)
OUTPUTS = (
    ("sent", "counter", "Events delivered to an output"),
    ("waiting", "gauge", "Events that wait for an output"),
    ("lost", "counter", "Events that an output never got"),
)
Samples = list[tuple[Mapping[str, str], float]]


class Metrics(Collector):
    """The registry of one service. Nothing global: two services in one process do not mix."""

    def __init__(
        self, supervisor: Supervisor, status: Callable[[], Mapping[str, Any]], stats: Callable[[], Mapping[str, Any]],
        viewers: Callable[[], int],
    ) -> None:  # fmt: skip
        """Begin to gather latencies.

        Args:
            supervisor: of the cameras.
            status: see `Supervisor.status`.
            stats: see `Outputs.stats`; {} where there are no outputs.
            viewers: of live pictures now.
        """
        self._status, self._stats, self._viewers, self._supervisor = status, stats, viewers, supervisor
        self._registry = CollectorRegistry(auto_describe=False)
        self._latency = Histogram(
            "tracker_latency_seconds", "From the capture of a frame to its publication", ("camera",),
            buckets=BOUNDS_S, registry=self._registry,
        )  # fmt: skip
        self._known: set[str] = set()
        self._registry.register(self)
        self._unsubscribe = supervisor.subscribe(self._observe)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """(the figures, their content type), in the format that the `accept` header prefers."""
        for name in self._known.difference(self._supervisor.names()):
            self._known.discard(name)
            with suppress(KeyError):  # another scrape was quicker
                self._latency.remove(name)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def close(self) -> None:
        """Gather no more."""
        self._unsubscribe()

    def collect(self) -> Iterator[Metric]:
        """All but the latencies."""
        status = self._status()
        cameras, detector = status["cameras"], status["detector"]
        yield from _of_cameras(cameras)
        yield from _of_places(cameras)
        for name, kind, text, key, scale in DETECTOR:
            yield _metric(name, kind, text, [({}, scale * detector[key])])
        runtime = {key: str(detector[key]) for key in ("runtime", "precision", "device", "model")}
        yield _metric("tracker_runtime_info", "gauge", "What runs, in truth",
                      [(runtime | {"version": __version__}, 1.0)])  # fmt: skip
        yield _metric("tracker_uptime_seconds", "gauge", "Since the start", [({}, status["uptime_s"])])
        yield _metric("tracker_viewers", "gauge", "Live streams that are open", [({}, self._viewers())])
        yield from _of_outputs(self._stats())

    def _observe(self, result: Result) -> None:
        """One published frame."""
        self._known.add(result.camera)
        self._latency.labels(result.camera).observe(result.latency_s)


def _of_cameras(cameras: Mapping[str, Any]) -> Iterator[Metric]:
    """Figures of each camera."""
    frames: Samples = []
    for name, camera in cameras.items():
        books = camera["frames"]
        frames += [({"camera": name, "outcome": key}, books[key]) for key in ("captured", "processed")]
        frames += [
            ({"camera": name, "outcome": "dropped", "reason": reason}, number)
            for reason, number in books["dropped"].items()
        ]
    text = "Frames by what became of them: captured = processed + dropped + tracker_frames_in_flight"
    yield _metric("tracker_frames", "counter", text, frames)
    in_flight: Samples = [({"camera": name}, each["frames"]["in_flight"]) for name, each in cameras.items()]
    yield _metric("tracker_frames_in_flight", "gauge", "Frames captured and not done with", in_flight)
    up: Samples = [({"camera": name}, float(each["state"] == "up")) for name, each in cameras.items()]
    yield _metric("tracker_camera_up", "gauge", "1 while frames come and are processed", up)
    states: Samples = [
        ({"camera": name, "state": each["state"], "reason": each["reason"]}, 1.0) for name, each in cameras.items()
    ]
    yield _metric("tracker_camera_state", "gauge", "1 for the state that the camera is in, and why", states)
    for metric, kind, text, key in PER_CAMERA:
        yield _metric(metric, kind, text, [({"camera": name}, each[key]) for name, each in cameras.items()])


def _of_places(cameras: Mapping[str, Any]) -> Iterator[Metric]:
    """Counts of zones and lines, by class."""
    inside: Samples = []
    entries: Samples = []
    crossings: Samples = []
    for name, camera in cameras.items():
        for zone, counts in camera["counts"]["zones"].items():
            inside.append(({"camera": name, "zone": zone}, counts["occupancy"]))
            for kind, each in counts["classes"].items():
                entries.append(({"camera": name, "zone": zone, "class": kind}, each["entered"]))
        for line, counts in camera["counts"]["lines"].items():
            for kind, each in counts["classes"].items():
                for way in ("in", "out"):
                    crossings.append(({"camera": name, "line": line, "class": kind, "direction": way}, each[way]))
    yield _metric("tracker_zone_occupancy", "gauge", "Objects in a zone now", inside)
    yield _metric("tracker_zone_entries", "counter", "Objects that entered a zone", entries)
    yield _metric("tracker_line_crossings", "counter", "Objects that crossed a line", crossings)


def _of_outputs(stats: Mapping[str, Any]) -> Iterator[Metric]:
    """Figures of database and recordings."""
    if stats:
        store, record = stats["store"], stats["record"]
        yield _metric("tracker_events", "counter", "Events stored", [({}, store["newest"])])
        yield _metric("tracker_events_lost", "counter", "Events that never reached the database", [({}, store["lost"])])
        yield _metric("tracker_events_waiting", "gauge", "Events that wait for the database", [({}, store["queue"])])
        yield _metric("tracker_recordings_bytes", "gauge", "Size of all recordings", [({}, record["bytes"])])
        for key, kind, text in OUTPUTS:
            samples: Samples = [({"output": name}, each[key]) for name, each in stats["outputs"].items()]
            yield _metric(f"tracker_output_{key}", kind, text, samples)


def _metric(name: str, kind: str, text: str, samples: Samples) -> Metric:
    """A family; the name of a counter without its `_total`."""
    metric = Metric(name, text, kind)
    for labels, value in samples:
        metric.add_sample(f"{name}_total" if kind == "counter" else name, dict(labels), float(value))
    return metric
