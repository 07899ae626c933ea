"""What Home Assistant is told of cameras, zones and lines (MQTT discovery).

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from tracker import __version__
from tracker.analyze.events import Kind

Announcement = tuple[str, dict[str, Any]]
"""Topic behind the prefix, and content."""


def node_of(name: str) -> str:
    """A name as a discovery topic may hold it."""
    return name.replace(".", "_dot_").replace("/", "_")


def announcements(topic: str, camera: str, counts: Mapping[str, Any]) -> Iterator[Announcement]:
    """Of one camera: its connection, its events, occupancy of zones, totals of lines.

    Args:
        topic: that all topics begin with.
        camera: its name.
        counts: of `Analyzer.counts`.
    """
    node = f"{node_of(topic)}_{node_of(camera)}"
    shared = {
        "availability_topic": f"{topic}/status",
        "device": {
            "identifiers": [node], "name": f"Camera {camera}", "manufacturer": "tracker", "sw_version": __version__,
        },
        "origin": {"name": "tracker", "sw_version": __version__},
    }  # fmt: skip

    def entity(kind: str, name: str, suffix: str, **values: Any) -> Announcement:
        unique = f"{node}_{node_of(suffix)}"
        head = {"name": name, "unique_id": unique, "object_id": unique}
        return f"{kind}/{node}/{node_of(suffix)}/config", head | values | shared

    yield entity(
        "binary_sensor", "Connection", "connection", state_topic=f"{topic}/{camera}/state",
        device_class="connectivity", entity_category="diagnostic",
        value_template="{{ 'ON' if value == 'up' else 'OFF' }}",
    )  # fmt: skip
    yield entity("event", "Events", "event", state_topic=f"{topic}/{camera}/event", event_types=list(get_args(Kind)))
    counted: dict[str, Any] = {"state_topic": f"{topic}/{camera}/counts"}
    for zone in counts.get("zones", {}):
        yield entity(
            "sensor", f"{zone} occupancy", f"zone_{zone}", state_class="measurement",
            value_template=f"{{{{ value_json['zones']['{zone}']['occupancy'] }}}}", **counted,
        )  # fmt: skip
    for line in counts.get("lines", {}):
        for way in ("in", "out"):
            yield entity(
                "sensor", f"{line} {way}", f"line_{line}_{way}", state_class="total_increasing",
                value_template=f"{{{{ value_json['lines']['{line}']['{way}'] }}}}", **counted,
            )  # fmt: skip
