"""The shapes of what the API takes and gives. The OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from tracker.analyze.settings import LineSettings, ZoneSettings
from tracker.config import Section
from tracker.monitor.feed import State
from tracker.monitor.settings import CameraSettings, Name

LOOKS = ("auto", "off", False, "colour")
NETWORK_SOURCE = r"^(rtsps?|https?)://[^\s]+$"


class NewCamera(Section):
    """A camera to be added.

    A request can name neither files nor environment variables of the server: those would be for anybody to read who
    owns a camera.
    """

    name: Name = Field(description="letters, digits, _ . -")
    source: str = Field(pattern=NETWORK_SOURCE, max_length=2048, description="rtsp://, rtsps://, http:// or https://")
    username: str = Field("", max_length=256, description="user name of the camera")
    password: SecretStr = Field(SecretStr(""), max_length=256, description="kept in memory, never shown")
    transport: Literal["tcp", "udp"] = Field("tcp", description="of RTSP")
    enabled: bool = Field(True, description="false: known, and not opened")
    rate: float | None = Field(None, gt=0, le=1000, description="frames a second to process at most; null: all")
    tracker: dict[str, Any] = Field(default_factory=dict, description="what differs from the common tracker")
    zones: dict[Name, ZoneSettings] = Field(default_factory=dict, description="areas that are watched")
    lines: dict[Name, LineSettings] = Field(default_factory=dict, description="lines whose crossings are counted")

    @field_validator("tracker")
    @classmethod
    def _no_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Refuse the one key of a tracker that may be a path."""
        if values.get("appearance", "auto") not in LOOKS:
            raise ValueError("appearance must be auto, off or colour here; a network is named in the settings file")
        return values

    def settings(self) -> CameraSettings:
        """As the supervisor takes them. Raises ValidationError."""
        values = {key: getattr(self, key) for key in self.model_fields_set if key != "name"}
        return CameraSettings.model_validate(values)


class Body(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid")


class Problem(Body):
    """Why a request was refused."""

    error: str = Field(description="one line")


class Health(Body):
    """Whether it works."""

    ok: bool
    why: str = Field(description="'' where it does")


class Latency(Body):
    """From capture to publishing, over the last minute."""

    p50: float
    p95: float
    p99: float


class Frames(Body):
    """captured = processed + dropped + in_flight."""

    captured: int
    processed: int
    dropped: dict[str, int] = Field(description="by reason")
    in_flight: int


class CameraStatus(Body):
    """How a camera is."""

    state: State
    reason: str = Field(description="one word where it is not up, else ''")
    detail: str = Field(description="the reason in words")
    source: str = Field(description="its address, passwords as ***")
    fps: float = Field(description="frames processed a second, over the last seconds")
    latency_ms: Latency
    frames: Frames
    reconnects: int
    restarts: int = Field(description="of stages that failed")
    hangs: int = Field(description="of its reader")
    tracks: int = Field(description="objects now")
    counts: dict[str, Any] = Field(description="of zones and lines, in all and by class")
    queue: int
    size: Annotated[list[int], Field(min_length=2, max_length=2)] | None = Field(description="width, height in pixels")
    codec: str


class DetectorStatus(Body):
    """What runs, in truth."""

    runtime: str
    precision: str
    device: str
    model: str
    input: list[int] = Field(description="height, width in pixels")
    batches: int
    frames: int
    errors: int
    batch_mean: float
    batch_ms: float
    fps: float


class Status(Body):
    """All figures."""

    cameras: dict[str, CameraStatus]
    detector: DetectorStatus
    uptime_s: float
    callback_errors: int
    outputs: dict[str, Any] | None = Field(description="of database, recordings, MQTT, webhook; null: none are kept")
    viewers: int = Field(description="live streams that are open")
    version: str
    login: bool = Field(description="whether a token is wanted")


class CameraBody(Body):
    """A camera: its settings, without secrets, and how it is."""

    name: str
    settings: dict[str, Any]
    status: CameraStatus


class CameraList(Body):
    """All cameras, in their order."""

    cameras: list[CameraBody]


class EventBody(Body):
    """Something that happened."""

    id: int = Field(description="from 1, never used again; unique together with store")
    store: str
    camera: str
    time: str = Field(description="UTC, ISO 8601")
    time_s: float = Field(description="seconds of the camera's stream")
    kind: Literal["enter", "exit", "dwell", "cross", "occupancy"]
    place: str = Field(description="name of the zone or line")
    track_id: int | None
    class_id: int | None
    class_name: str
    box: list[float] | None = Field(description="x1, y1, x2, y2 in pixels")
    direction: str
    label: str
    value: float = Field(description="seconds of a stay, or the number in a zone")
    snapshot: str = Field(description="address of its picture, '' where there is none")
    clip: str = Field(description="address of its video, '' where there is none (yet)")


class EventList(Body):
    """Newest first."""

    events: list[EventBody]


class Series(Body):
    """Figures of a camera, minute by minute; minutes without one are left out."""

    from_s: int = Field(description="seconds since 1970")
    to_s: int
    figures: dict[str, list[tuple[int, float, float, float]]] = Field(
        description="name -> [minute, mean, least, most]; of 'events' the mean is their number in the minute"
    )


class Changes(Body):
    """What reading the settings again did."""

    changes: list[str] = Field(description="one line each")
