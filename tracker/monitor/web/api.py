"""The API: what can be asked and done, as one table. Routes and OpenAPI document are made from it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from time import time
from typing import Annotated, Any

from pydantic import Field, ValidationError
from starlette.responses import FileResponse, JSONResponse, Response

from tracker.errors import TrackerError
from tracker.monitor.settings import Name
from tracker.monitor.stored import Point, StoredEvent
from tracker.monitor.web.live import WIDTHS
from tracker.monitor.web.operations import REQUIRED, Answer, Call, Operation, Parameter, Refused, said
from tracker.monitor.web.picture import thumbnail
from tracker.monitor.web.schemas import CameraBody, CameraList, Changes, EventBody, EventList, NewCamera, Series, Status
from tracker.monitor.web.service import Service
from tracker.monitor.web.streams import MJPEG, PACKED, LiveResponse, mjpeg, packed

HOUR_S = 3600
# Snapshots and clips are never changed once they have their name.
KEPT = {"cache-control": "private, max-age=86400"}
FIGURES = ("fps", "tracks", "latency_ms", "events")
ONE, NO_CAMERA = "/api/cameras/{name}", Answer("there is no such camera")
WIDTH = Parameter(
    "width", Annotated[int, Field(ge=1, le=WIDTHS[-1])], f"pixels; rounded up to one of {', '.join(map(str, WIDTHS))}",
    640,
)  # fmt: skip


def status(service: Service, call: Call) -> Response:
    """All figures."""
    return JSONResponse(service.figures())


def cameras(service: Service, call: Call) -> Response:
    """All cameras."""
    found = []
    for name in service.supervisor.names():
        try:
            found.append(service.camera(name))
        except Refused:  # removed in between
            continue
    return JSONResponse({"cameras": found})


def camera(service: Service, call: Call) -> Response:
    """One camera."""
    return JSONResponse(service.camera(call.path["name"]))


def add(service: Service, call: Call) -> Response:
    """A further camera."""
    wanted: NewCamera = call.body
    service.journal.hide(wanted.password.get_secret_value())
    if wanted.name in service.supervisor.names():
        raise Refused(409, "there is a camera of this name; remove it first or choose another name")
    try:
        settings = wanted.settings()
        service.journal.hide(settings.password.get_secret_value())
        service.supervisor.add(wanted.name, settings)
    except ValidationError as error:
        raise Refused(400, said(error)) from None
    except TrackerError as error:
        raise Refused(400, service.journal.masked(str(error))) from None
    service.status.forget()
    return JSONResponse(service.camera(wanted.name), 201, {"location": f"/api/cameras/{wanted.name}"})


def remove(service: Service, call: Call) -> Response:
    """Take a camera out."""
    with service.there():
        service.supervisor.remove(call.path["name"])
    service.status.forget()
    return Response(status_code=204)


def pause(service: Service, call: Call) -> Response:
    """Disconnect a camera."""
    with service.there():
        service.supervisor.pause(call.path["name"])
    service.status.forget()
    return camera(service, call)


def resume(service: Service, call: Call) -> Response:
    """Connect it again."""
    with service.there():
        service.supervisor.resume(call.path["name"])
    service.status.forget()
    return camera(service, call)


def reload(service: Service, call: Call) -> Response:
    """Read the settings again."""
    if service.reload is None:
        raise Refused(409, "this service was not started from a settings file")
    try:
        changes = service.reload()
    except TrackerError as error:
        raise Refused(409, f"settings not taken over: {service.journal.masked(str(error))}") from None
    service.status.forget()
    return JSONResponse({"changes": [service.journal.masked(line) for line in changes]})


def live(service: Service, call: Call) -> Response:
    """MJPEG of one camera."""
    name = service.known(call.path["name"])
    return LiveResponse(service.live, service.journal, [name], wide(call), mjpeg)


def picture(service: Service, call: Call) -> Response:
    """One annotated picture of now."""
    with service.there():
        return Response(service.live.once(call.path["name"], wide(call)), media_type="image/jpeg")


def wall(service: Service, call: Call) -> Response:
    """Several cameras in one stream."""
    names = [service.known(name) for name in dict.fromkeys(call.query["cameras"].split(","))]
    return LiveResponse(service.live, service.journal, names, wide(call), packed)


def wide(call: Call) -> int:
    """The width asked for, as one of a few: each is painted once for all viewers."""
    return min(width for width in WIDTHS if width >= call.query["width"])


def events(service: Service, call: Call) -> Response:
    """The newest events."""
    query = call.query
    found = asked(lambda: service.storage().store.recent(query["limit"], query["camera"], query["before"]))
    return JSONResponse({"events": [shown(event) for event in found]})


def event(service: Service, call: Call) -> Response:
    """One event."""
    return JSONResponse(shown(asked(lambda: service.event(call.path["id"]))))


def snapshot(service: Service, call: Call) -> Response:
    """Its picture, in full or small."""
    entry, width = asked(lambda: service.event(call.path["id"])).entry, call.query["width"]
    file = stored(service, entry.snapshot)
    if width is None:
        return FileResponse(file, media_type="image/jpeg", headers=KEPT)
    box = entry.event.box if call.query["crop"] else None
    try:
        return Response(thumbnail(file.read_bytes(), width, box), media_type="image/jpeg", headers=KEPT)
    except (OSError, ValueError):
        raise Refused(404, "its picture cannot be read (any more)") from None


def clip(service: Service, call: Call) -> Response:
    """Its video; parts of it where a browser asks for a range."""
    file = stored(service, asked(lambda: service.event(call.path["id"])).clip)
    return FileResponse(file, media_type="video/mp4", headers=KEPT)


def stored(service: Service, path: str) -> Path:
    """A file that the database names, below the folder of the data. Raises Refused where it is gone."""
    folder = service.storage().folder.resolve()
    file = (folder / path).resolve()
    if not path or folder not in file.parents or not file.is_file():
        raise Refused(404, "there is no such file (any more)")
    return file


def shown(event: StoredEvent) -> dict[str, Any]:
    """See `schemas.EventBody`: addresses in place of paths."""
    values = event.as_dict()
    return values | {
        key: f"/api/events/{event.id}/{key}" if values[key] else "" for key in ("snapshot", "clip")
    }  # fmt: skip


def series(service: Service, call: Call) -> Response:
    """For the plots."""
    name, now_s, last_s = call.path["name"], int(time()), call.query["hours"] * HOUR_S
    with service.there():
        zones = service.supervisor.camera(name).settings.zones
    store = service.storage().store
    figures = {
        figure: [point_of(figure, point) for point in asked(lambda figure=figure: store.series(name, figure, last_s))]
        for figure in (*FIGURES, *(f"zone {zone}" for zone in zones))
    }
    return JSONResponse({"from_s": int(now_s - last_s), "to_s": now_s, "figures": figures})


def point_of(figure: str, point: Point) -> tuple[int, float, float, float]:
    """(minute, mean, least, most); events are counted."""
    middle = float(point.number) if figure == "events" else round(point.mean, 3)
    return point.minute, middle, round(point.least, 3), round(point.most, 3)


def asked(question: Any) -> Any:
    """What the database says. Raises Refused where it cannot be read now."""
    try:
        return question()
    except sqlite3.Error as error:
        raise Refused(503, f"the database cannot be read now: {error}") from None


LIVES = "They last until the service restarts or its settings are read again."
API: tuple[Operation[Service], ...] = (
    Operation("GET", "/api/status", status, "All figures of all cameras", {200: Answer("figures", Status)}),
    Operation("GET", "/api/cameras", cameras, "The cameras", {200: Answer("in their order", CameraList)}),
    Operation(
        "POST", "/api/cameras", add, f"Add a camera. {LIVES}",
        {201: Answer("added", CameraBody), 409: Answer("the name is taken")}, body=NewCamera,
    ),
    Operation("GET", ONE, camera, "One camera", {200: Answer("camera", CameraBody), 404: NO_CAMERA}),
    Operation("DELETE", ONE, remove, f"Remove a camera. {LIVES}", {204: Answer("removed"), 404: NO_CAMERA}),
    Operation("POST", f"{ONE}/pause", pause, f"Disconnect a camera. {LIVES}",
              {200: Answer("paused", CameraBody), 404: NO_CAMERA}),
    Operation("POST", f"{ONE}/resume", resume, "Connect a paused camera again",
              {200: Answer("resumed", CameraBody), 404: NO_CAMERA}),
    Operation("GET", f"{ONE}/live", live, "Live pictures as MJPEG: for players and <img>",
              {200: Answer("until the viewer goes", media_type=MJPEG.partition(";")[0]), 404: NO_CAMERA,
               503: Answer("too many viewers")}, (WIDTH,)),
    Operation("GET", f"{ONE}/picture", picture, "One annotated picture of now",
              {200: Answer("picture", media_type="image/jpeg"), 404: NO_CAMERA}, (WIDTH,)),
    Operation("GET", f"{ONE}/series", series, "Figures of the last hours, for plots",
              {200: Answer("minute by minute", Series), 404: NO_CAMERA},
              (Parameter("hours", Annotated[float, Field(gt=0, le=24 * 366)], "how far back", 6.0),)),
    Operation("GET", "/api/live", wall,
              "Live pictures of several cameras in one connection, of which browsers allow few. Records: length of the "
              "name (1 byte), of the JPEG (4 bytes, big-endian), name, JPEG",
              {200: Answer("until the viewer goes", media_type=PACKED), 404: NO_CAMERA,
               503: Answer("too many viewers")},
              (Parameter("cameras", Annotated[str, Field(min_length=1, max_length=8192)], "names, with commas between",
                         REQUIRED), WIDTH)),
    Operation("POST", "/api/reload", reload, "Read the settings file again",
              {200: Answer("done", Changes), 409: Answer("the settings are wrong; nothing was changed")}),
    Operation("GET", "/api/events", events, "The newest events, newest first", {200: Answer("events", EventList)},
              (Parameter("limit", Annotated[int, Field(ge=1, le=500)], "so many at most", 50),
               Parameter("camera", Name, "of this camera only"),
               Parameter("before", Annotated[int, Field(ge=1, le=2**53)], "older than this id"))),
    Operation("GET", "/api/events/{id}", event, "One event",
              {200: Answer("event", EventBody), 404: Answer("there is no such event")}),
    Operation("GET", "/api/events/{id}/snapshot", snapshot, "Picture of an event",
              {200: Answer("picture", media_type="image/jpeg"), 404: Answer("there is none")},
              (Parameter("width", Annotated[int, Field(ge=16, le=WIDTHS[-1])], "pixels at most; as it is without"),
               Parameter("crop", bool, "with a width: only the object and what is around it", False))),
    Operation("GET", "/api/events/{id}/clip", clip, "Video of an event",
              {200: Answer("video", media_type="video/mp4"), 206: Answer("the range asked for", media_type="video/mp4"),
               404: Answer("there is none")}),
)  # fmt: skip
