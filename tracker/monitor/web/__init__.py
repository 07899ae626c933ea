"""The service of `tracker monitor`: page, API, live pictures, metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tracker.errors import OutputError, RequirementError
from tracker.monitor.web.settings import Bind, ServeSettings

if TYPE_CHECKING:
    from tracker.monitor.journal import Journal
    from tracker.monitor.outputs import Outputs
    from tracker.monitor.supervisor import Supervisor
    from tracker.monitor.web.live import Live
    from tracker.monitor.web.metrics import Metrics
    from tracker.monitor.web.server import Web

__all__ = ["Bind", "ServeSettings", "Server", "serve"]


class Server:
    """The running service.

    Attributes:
        address: as in a URL; with the real port where port 0 was asked for.
        live: its live pictures.
    """

    def __init__(self, bind: Bind, web: Web, live: Live, metrics: Metrics) -> None:
        """Made by `serve`."""
        self.address, self.live = str(Bind(bind.host, web.port)), live
        self._web, self._metrics = web, metrics

    def close(self) -> bool:
        """End live streams, then the rest; returns whether everything ended in time (a few seconds)."""
        self.live.close()
        self._metrics.close()
        return self._web.close()


def serve(
    supervisor: Supervisor, outputs: Outputs | None, bind: str, token: str = "", *, journal: Journal,
    class_names: Sequence[str], settings: ServeSettings | None = None, reload: Callable[[], list[str]] | None = None,
) -> Server:  # fmt: skip
    """Start the service; best before `Supervisor.start`, so that no latency is missed.

    Args:
        supervisor, outputs, journal: what it shows. None: no events are kept.
        bind: address and port, such as 127.0.0.1:8080; port 0 for any free one.
        token: that everybody must show; "": nobody, which only a loopback address allows.
        class_names: of the detector, for labels.
        settings: the section `serve`; `bind` and `token_env` of it are not looked at.
        reload: reads the settings file again and returns what that did, one line each; may raise TrackerError.

    Raises:
        ConfigError: no address, or other machines can reach it and there is no token.
        OutputError: the address cannot be used.
        RequirementError: the extra `monitor` is not installed.
    """
    settings, where = settings or ServeSettings(), Bind.of(bind)
    where.check(token)
    try:
        from tracker.monitor.web.app import make_app
        from tracker.monitor.web.assets import load_assets
        from tracker.monitor.web.auth import Gate
        from tracker.monitor.web.live import Live
        from tracker.monitor.web.metrics import Metrics
        from tracker.monitor.web.server import Web, listen
        from tracker.monitor.web.service import Cached, Service
    except ModuleNotFoundError as error:
        raise RequirementError(
            f"the page needs {error.name}, which is not installed; run: pip install 'tracker[monitor]'"
        ) from None
    sockets = listen(where)
    journal.hide(token)
    status = Cached(supervisor.status)
    live = Live(
        supervisor, journal, class_names, rate=settings.live_rate, quality=settings.jpeg_quality,
        most_viewers=settings.most_viewers,
    )  # fmt: skip
    metrics = Metrics(
        supervisor, status, (lambda: {}) if outputs is None else outputs.stats, lambda: live.viewers
    )  # fmt: skip
    port = sockets[0].getsockname()[1]
    service = Service(
        supervisor, outputs, journal, live, metrics, Gate(token, f"tracker_{port}"), load_assets(), status, reload
    )
    try:
        web = Web(make_app(service, settings.hosts), sockets, journal)
    except OutputError:
        live.close()
        metrics.close()
        raise
    server = Server(where, web, live, metrics)
    journal.tell("web", f"serving at http://{server.address}/{' (a token is wanted)' if token else ''}")
    return server
