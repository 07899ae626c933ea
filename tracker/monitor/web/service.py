"""What the answers are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any

from tracker import __version__
from tracker.errors import TrackerError
from tracker.monitor.journal import Journal
from tracker.monitor.outputs import Outputs
from tracker.monitor.stored import StoredEvent
from tracker.monitor.supervisor import Supervisor
from tracker.monitor.web.assets import Asset
from tracker.monitor.web.auth import Gate
from tracker.monitor.web.live import Live
from tracker.monitor.web.metrics import Metrics
from tracker.monitor.web.operations import Refused

FRESH_S = 0.4
Reload = Callable[[], list[str]]


class Cached:
    """A value that many ask for, made anew when it has grown old."""

    def __init__(self, make: Callable[[], dict[str, Any]], fresh_s: float = FRESH_S) -> None:
        """`make` is called by one thread at a time."""
        self._make, self._fresh_s, self._lock = make, fresh_s, Lock()
        self._made_s, self._value = float("-inf"), dict[str, Any]()

    def __call__(self) -> dict[str, Any]:
        """The value. Not to be changed."""
        with self._lock:
            if monotonic() - self._made_s > self._fresh_s:
                self._value, self._made_s = self._make(), monotonic()
            return self._value

    def forget(self) -> None:
        """Something was changed: make it anew the next time."""
        with self._lock:  # what is being made may not know of it yet
            self._made_s = float("-inf")


@dataclass
class Service:
    """The parts of the service, and what several answers need of them."""

    supervisor: Supervisor
    outputs: Outputs | None
    journal: Journal
    live: Live
    metrics: Metrics
    gate: Gate
    assets: dict[str, Asset]
    status: Cached
    reload: Reload | None
    document: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def there(self) -> Iterator[None]:
        """Around what the supervisor does with a camera by its name. Raises Refused where there is none (any more)."""
        try:
            yield
        except KeyError:
            raise Refused(404, "there is no such camera") from None

    def known(self, name: str) -> str:
        """The name of a camera. Raises Refused where there is none."""
        with self.there():
            return self.supervisor.camera(name).name

    def camera(self, name: str) -> dict[str, Any]:
        """See `schemas.CameraBody`. Raises Refused."""
        with self.there():
            camera = self.supervisor.camera(name)
        return {"name": name, "settings": camera.settings.shown(), "status": camera.status()}

    def storage(self) -> Outputs:
        """Where events are. Raises Refused where none are kept."""
        if self.outputs is None:
            raise Refused(404, "this service keeps no events")
        return self.outputs

    def event(self, number: str) -> StoredEvent:
        """By its id. Raises Refused."""
        # Nothing but a number goes on from here: paths come from the database.
        short = number.isascii() and number.isdigit() and len(number) < 16
        found = self.storage().store.event(int(number)) if short else None
        if found is None:
            raise Refused(404, "there is no such event (any more)")
        return found

    def figures(self) -> dict[str, Any]:
        """See `schemas.Status`."""
        outputs = self.masked(self.outputs.stats()) if self.outputs is not None else None
        return self.status() | {
            "outputs": outputs, "viewers": self.live.viewers, "version": __version__, "login": self.gate.closed,
        }  # fmt: skip

    def masked(self, value: Any) -> Any:
        """The same with all text in it free of secrets: a trouble may quote an address."""
        if isinstance(value, dict):
            return {key: self.masked(each) for key, each in value.items()}
        return self.journal.masked(value) if isinstance(value, str) else value

    def trouble(self) -> str:
        """Why the service does nothing of use any more, "" while it lives."""
        try:
            self.supervisor.check()
        except TrackerError as error:
            return self.journal.masked(str(error))
        return ""
