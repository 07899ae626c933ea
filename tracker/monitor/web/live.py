"""Live pictures for whoever looks, and nothing for nobody: no viewer, no encoding.

One thread paints for all viewers, so that live pictures never take more than one core; it looks at the newest result of
each camera that is watched and takes part in nothing else. A viewer who is slow gets the newest picture when he is
ready for the next one, and holds at most one of each camera.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition, Lock, Thread
from time import monotonic

from tracker.monitor.journal import Journal
from tracker.monitor.supervisor import Supervisor
from tracker.monitor.web.picture import Painter, slate

WIDTHS = (320, 480, 640, 960, 1280)
POLL_S, SLATE_S = 0.02, 3.0


class Busy(Exception):
    """There are as many viewers as there may be."""


class Viewer:
    """Pictures of some cameras for one stream. Made by `Live.open`; used in the loop that it was opened in."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to see yet."""
        self._loop, self._lock, self._event = loop, Lock(), asyncio.Event()
        self._waiting: dict[str, bytes] = {}
        self._told = self.ended = False

    async def next(self) -> dict[str, bytes]:
        """The newest picture of each camera that has a new one; empty where the stream has ended."""
        await self._event.wait()
        with self._lock:
            pictures, self._waiting, self._told = self._waiting, {}, False
            self._event.clear()
        return {} if self.ended else pictures

    def offer(self, camera: str, picture: bytes) -> None:
        """A new picture, in place of the one before. From any thread."""
        with self._lock:
            self._waiting[camera] = picture
            self._wake()

    def end(self) -> None:
        """No more pictures. From any thread."""
        with self._lock:
            self.ended = True
            self._wake()

    def _wake(self) -> None:
        """Have `next` return, unless it was told already: what waits for a busy loop must not pile up."""
        if not self._told or self.ended:
            self._told = True
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._event.set)


class Channel:
    """One camera at one width, for all who look at it."""

    def __init__(self, camera: str, painter: Painter, masked: Callable[[str], str]) -> None:
        """Nobody looks yet. `masked`: takes passwords out of what is said of a loss."""
        self.camera, self._painter, self._masked = camera, painter, masked
        self.viewers: set[Viewer] = set()
        self.due_s = 0.0
        self._shown: tuple[object, ...] = ()
        self._newest: bytes | None = None

    def join(self, viewer: Viewer) -> None:
        """One more looks."""
        self.viewers.add(viewer)
        if self._newest is not None:
            viewer.offer(self.camera, self._newest)

    def picture(self, supervisor: Supervisor, quality: int, now_s: float) -> bytes | None:
        """The next picture, None where there is nothing new. Raises KeyError where the camera is gone."""
        camera = supervisor.camera(self.camera)
        state, reason, said = camera.state_now
        result = camera.latest
        if state == "up" and result is not None:
            shown: tuple[object, ...] = (id(camera), result.frame.index)
            made = None if shown == self._shown else self._painter.paint(result, camera)
        else:
            # Said again now and then, so that the connection stays, or is seen to be gone.
            shown = (state, reason, now_s // SLATE_S)
            why = said or reason or ("no picture yet" if state == "up" else "")
            made = None if shown == self._shown else slate(self.camera, state, self._masked(why), quality)
        self._shown, self._newest = shown, made or self._newest
        return made


class Live:
    """All viewers.

    Attributes:
        painted: pictures made so far.
        viewers: streams that are open.
    """

    def __init__(
        self, supervisor: Supervisor, journal: Journal, class_names: Sequence[str], *, rate: float = 12.0,
        quality: int = 80, most_viewers: int = 16,
    ) -> None:  # fmt: skip
        """Nobody looks yet.

        Args:
            supervisor: of the cameras.
            journal: the log.
            class_names: of the detector, for the labels.
            rate: pictures a second and camera at most.
            quality: of the JPEGs, 1..100.
            most_viewers: streams at a time.
        """
        self._supervisor, self._journal, self._class_names = supervisor, journal, class_names
        self._step_s, self._quality, self._most = 1 / rate, quality, most_viewers
        self._changed = Condition()
        self._channels: dict[tuple[str, int], Channel] = {}
        self._viewers: set[Viewer] = set()
        self._closing = False
        self.painted = 0
        self._thread = Thread(target=self._work, name="live", daemon=True)
        self._thread.start()

    @property
    def viewers(self) -> int:
        """See the class."""
        return len(self._viewers)

    def open(self, cameras: Sequence[str], width: int) -> Viewer:
        """A viewer of these cameras, in the running loop; to be closed by `leave`.

        Raises:
            Busy: as many as there may be are open already.
        """
        viewer = Viewer(asyncio.get_running_loop())
        with self._changed:
            if self._closing or len(self._viewers) >= self._most:
                raise Busy
            self._viewers.add(viewer)
            for camera in cameras:
                key = (camera, width)
                if key not in self._channels:
                    self._channels[key] = self._channel(camera, width)
                self._channels[key].join(viewer)
            self._changed.notify_all()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """This one looks no longer."""
        with self._changed:
            self._viewers.discard(viewer)
            for key, channel in list(self._channels.items()):
                channel.viewers.discard(viewer)
                if not channel.viewers:
                    del self._channels[key]

    def once(self, camera: str, width: int) -> bytes:
        """One picture of now. Raises KeyError where there is no such camera, ValueError and such where it fails."""
        made = self._channel(camera, width).picture(self._supervisor, self._quality, monotonic())
        self.painted += 1
        return made or b""

    def close(self) -> None:
        """End all streams."""
        with self._changed:
            self._closing = True
            for viewer in self._viewers:
                viewer.end()
            self._changed.notify_all()
        self._thread.join(1.0)

    def _channel(self, camera: str, width: int) -> Channel:
        """A new one."""
        return Channel(camera, Painter(self._class_names, width, self._quality), self._journal.masked)

    def _work(self) -> None:
        """The painter's thread."""
        while True:
            with self._changed:
                while not self._channels and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                channels = sorted(self._channels.values(), key=lambda channel: channel.due_s)
            busy = [self._turn(channel) for channel in channels]
            if not any(busy):
                with self._changed:
                    self._changed.wait(POLL_S)

    def _turn(self, channel: Channel) -> bool:
        """Paint and hand out one picture, if it is time for it and there is a new one; returns whether it was."""
        now_s = monotonic()
        if now_s < channel.due_s:
            return False
        try:
            made = channel.picture(self._supervisor, self._quality, now_s)
        except KeyError:
            self._drop(channel)
            return False
        except Exception as error:  # this picture cannot be drawn, the next one may
            said = f"no live picture: {type(error).__name__}: {error}"
            self._journal.tell("live", said, camera=channel.camera, level="error")
            channel.due_s = now_s + 1.0
            return False
        if made is None:
            return False
        self.painted += 1
        next_s = channel.due_s + self._step_s
        channel.due_s = next_s if next_s > now_s else now_s + self._step_s
        with self._changed:
            for viewer in channel.viewers:
                viewer.offer(channel.camera, made)
        return True

    def _drop(self, channel: Channel) -> None:
        """Its camera is no more; who looked at nothing else is at the end."""
        with self._changed:
            self._channels = {key: each for key, each in self._channels.items() if each is not channel}
            left = {viewer for each in self._channels.values() for viewer in each.viewers}
            for viewer in channel.viewers - left:
                viewer.end()
