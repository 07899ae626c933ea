"""The end of a file: what is damaged there is told, what is whole is not."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.fakes import picture
from tracker.capture import open_source

FRAMES = 40


def clip(path: Path, codec: str, options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="bgr24")))
        container.mux(stream.encode(None))
    return path


def damage_last_packet(path: Path) -> None:
    with av.open(str(path)) as container:
        position, size = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][-1]
    data = path.read_bytes()
    path.write_bytes(data[:position] + bytes(size) + data[position + size :])


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"preset": "ultrafast"}),
        ("b.mp4", "libx264", {"preset": "medium", "bf": "3"}),
        ("c.mp4", "mpeg4", {}),
        ("d.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10"}),  # with frames that are never shown
    ],
)
def test_a_damaged_last_packet_is_told_and_a_whole_one_is_not(
    name: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = clip(tmp_path / name, codec, options)
    with open_source(str(path)) as source:
        assert (sum(1 for _ in source), source.warnings) == (FRAMES, [])
    if not name.endswith(".mp4"):
        return
    damage_last_packet(path)
    with open_source(str(path)) as source:
        shown = sum(1 for _ in source)
        assert shown < FRAMES
        assert source.warnings == [f"{FRAMES - shown} of {FRAMES} frames could not be decoded"]
