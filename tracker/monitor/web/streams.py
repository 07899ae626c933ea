"""Live pictures as answers that do not end: MJPEG of one camera, and all cameras of a page in one connection."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tracker.monitor.journal import Journal
from tracker.monitor.web.live import Busy, Live, Viewer
from tracker.monitor.web.security import refusal

SLOW_S = 10.0
"""A viewer that takes nothing for so long is disconnected."""

BOUNDARY = "picture"
MJPEG = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
PACKED = "application/octet-stream"
HEAD = struct.Struct(">BI")

Pack = Callable[[Mapping[str, bytes]], bytes]


def mjpeg(pictures: Mapping[str, bytes]) -> bytes:
    """Parts of a multipart stream."""
    return b"".join(
        b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (BOUNDARY.encode(), len(each), each)
        for each in pictures.values()
    )


def packed(pictures: Mapping[str, bytes]) -> bytes:
    """Records: length of the name (1 byte), of the JPEG (4 bytes, big-endian), name, JPEG."""
    return b"".join(
        HEAD.pack(len(name), len(each)) + name.encode("ascii") + each for name, each in pictures.items()
    )  # fmt: skip


class LiveResponse(Response):
    """Sends pictures until the viewer goes, is too slow, or the stream ends. Painted is only what is asked for here."""

    def __init__(self, live: Live, journal: Journal, cameras: Sequence[str], width: int, pack: Pack) -> None:
        """`pack`: `mjpeg` or `packed`."""
        super().__init__(media_type=MJPEG if pack is mjpeg else PACKED)
        del self.headers["content-length"]
        self._live, self._journal, self._cameras, self._width, self._pack = live, journal, cameras, width, pack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole stream."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        try:
            viewer = self._live.open(self._cameras, self._width)
        except Busy:
            await refusal(503, "as many live streams are open as there may be (serve.most_viewers)")(
                scope, receive, send
            )
            return
        gone = asyncio.create_task(_disconnected(receive, viewer))
        try:
            await self._stream(viewer, send)
        except asyncio.TimeoutError:
            self._journal.tell("live", f"a viewer took nothing for {SLOW_S:g} s and was disconnected")
        finally:
            self._live.leave(viewer)
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    async def _stream(self, viewer: Viewer, send: Send) -> None:
        """Pictures to the end. Raises TimeoutError where the viewer takes nothing."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        while not viewer.ended:
            pictures = await viewer.next()
            if pictures:
                part = {"type": "http.response.body", "body": self._pack(pictures), "more_body": True}
                await asyncio.wait_for(send(part), SLOW_S)
        await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), SLOW_S)


async def _disconnected(receive: Receive, viewer: Viewer) -> None:
    """End the viewer when its connection is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    viewer.end()
