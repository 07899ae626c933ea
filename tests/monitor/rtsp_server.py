"""A real RTSP server on loopback, on GStreamer. Run by the system's Python, which alone knows GStreamer; see `rtsp.py`.

    python3 rtsp_server.py PORT '{"gate": {"files": ["a.mp4", "b.mp4"], "user": "u", "password": "p"}}'

The files of a mount are played one after the other, over and over, at their rate, each client from the beginning.
Prints the port. Takes commands on standard input, one a line: `pause NAME` (connections stand, nothing comes),
`resume NAME`, `garbage NAME` (random bytes in the place of slices), `remove NAME` (gone, its clients too).
"""

import json
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402, F401

CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"


def access_units(path):
    """[(bytes, PTS, DTS, key frame)] and the length, nanoseconds."""
    pipeline = Gst.parse_launch(
        f'filesrc location="{path}" ! qtdemux ! h264parse config-interval=-1 ! {CAPS} ! appsink name=out sync=false'
    )
    pipeline.set_state(Gst.State.PLAYING)
    units, end = [], 0
    while (sample := pipeline.get_by_name("out").try_pull_sample(10 * Gst.SECOND)) is not None:
        buffer, pts = (
            sample.get_buffer(),
            sample.get_segment().to_running_time(Gst.Format.TIME, sample.get_buffer().pts),
        )
        key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
        units.append([buffer.extract_dup(0, buffer.get_size()), pts, buffer.dts, key])
        duration = buffer.duration if buffer.duration != Gst.CLOCK_TIME_NONE else Gst.SECOND // 25
        end = max(end, pts + duration)
    pipeline.set_state(Gst.State.NULL)
    first = min(unit[2] for unit in units)
    return [(data, pts, dts - first, key) for data, pts, dts, key in units], end


def spoilt(unit):
    """The access unit with noise in its slices; what stands before them says how to decode them."""
    nals = unit.split(b"\0\0\1")
    return b"\0\0\1".join(
        nal[:12] + os.urandom(len(nal) - 12) if len(nal) > 12 and nal[0] & 31 in (1, 5) else nal for nal in nals
    )


class Mount:
    def __init__(self, name, spec):
        self.name, self.spec = name, spec
        self.rounds = [access_units(path) for path in spec["files"]]
        self.paused, self.garbage, self.alive = False, False, True

    def play(self, source):
        """Feed one client until it goes."""
        began, offset = time.monotonic_ns(), 0
        while self.alive:
            for units, length in self.rounds:
                for data, pts, dts, _ in units:
                    wait = began + offset + dts - time.monotonic_ns()
                    if wait > 0:
                        time.sleep(wait / 1e9)
                    if self.paused:
                        continue
                    buffer = Gst.Buffer.new_wrapped(spoilt(data) if self.garbage else data)
                    buffer.pts, buffer.dts = offset + pts, offset + dts
                    if not self.alive or source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                        return
                offset += length

    def factory(self):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(
            f"( appsrc name=in is-live=true format=time caps={CAPS} ! h264parse "
            "! rtph264pay name=pay0 pt=96 config-interval=-1 )"
        )
        factory.connect("media-configure", self.configure)
        factory.set_permissions(self.permissions())
        return factory

    def configure(self, _, media):
        source = media.get_element().get_by_name("in")
        threading.Thread(target=self.play, args=(source,), daemon=True).start()

    def permissions(self):
        rights = GstRtspServer.RTSPPermissions()
        role = self.spec.get("user", "anonymous")
        for right in ("access", "construct"):
            rights.add_permission_for_role(role, f"media.factory.{right}", True)
        return rights


def token_of(role):
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", role)
    return token


def auth_of(specs):
    """Of all mounts, digest. An anonymous one beside them would keep the server from asking who is there."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    for spec in specs:
        auth.add_digest(spec["user"], spec["password"], token_of(spec["user"]))
    return auth


def obey(server, mounts):
    for line in sys.stdin:
        verb, name = line.split()
        mount = mounts[name]
        if verb == "remove":
            mount.alive = False
            server.get_mount_points().remove_factory(f"/{name}")
        elif verb == "garbage":
            mount.garbage = True
        else:
            mount.paused = verb == "pause"
        print("done", flush=True)
    os._exit(0)  # the test is gone


def main():
    Gst.init(None)
    mounts = {name: Mount(name, spec) for name, spec in json.loads(sys.argv[2]).items()}
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    if any("user" in mount.spec for mount in mounts.values()):
        server.set_auth(auth_of([mount.spec for mount in mounts.values()]))
    for name, mount in mounts.items():
        server.get_mount_points().add_factory(f"/{name}", mount.factory())
    if not server.attach(None):
        sys.exit("no port")
    print(server.get_bound_port(), flush=True)
    threading.Thread(target=obey, args=(server, mounts), daemon=True).start()
    GLib.MainLoop().run()


main()
