"""What the analysis tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["enter", "exit", "dwell", "cross", "occupancy"]
Direction = Literal["in", "out", ""]


@dataclass(frozen=True)
class Change:
    """What a zone or a line saw of one track, before it has names.

    Attributes:
        kind, direction, label, value: as of `Event`.
        place: index of the zone or line.
        row: of the track in `Memory`.
        class_id: of the track; of a zone, the one it entered as.
        time_s: seconds of the stream.
    """

    kind: Kind
    place: int
    row: int
    class_id: int
    time_s: float
    value: float = 0.0
    direction: Direction = ""
    label: str = ""


@dataclass(frozen=True)
class Event:
    """Something happened in a zone or at a line.

    Attributes:
        kind: "enter", "exit", "dwell", "occupancy" of a zone, "cross" of a line.
        time_s: when it happened, seconds of the stream. It is told later by up to `hold_s`, or by `lost_s` where the
            track vanished: the moment of an event may lie before that of one told earlier.
        place: name of the zone or line.
        track_id: the track's id when the event is told, None where no single track stands for it.
        class_id, class_name: the class that the track had most often until then (what leaves a zone has the one that
            it entered as); None and "" without a track.
        box: xyxy pixels where the track was last seen, or None.
        direction: of a crossing, "in" from the left hand to the right hand of who looks from start to end, or "out".
        label: in words: the direction's own name, "left" or "lost" of an exit, "exceeded" or "cleared" of occupancy.
        value: seconds in the zone (exit, dwell), or the number in it (occupancy).
    """

    kind: Kind
    time_s: float
    place: str
    track_id: int | None = None
    class_id: int | None = None
    class_name: str = ""
    box: tuple[float, float, float, float] | None = None
    direction: Direction = ""
    label: str = ""
    value: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: times to the millisecond, boxes to the tenth of a pixel."""
        return {
            "kind": self.kind,
            "time_s": round(self.time_s, 3),
            "place": self.place,
            "track_id": self.track_id,
            "class_id": self.class_id,
            "class_name": self.class_name,
            "box": [round(side, 1) for side in self.box] if self.box else None,
            "direction": self.direction,
            "label": self.label,
            "value": round(self.value, 3),
        }
