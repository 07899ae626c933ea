"""A folder of 60 clips of all kinds for `benchmarks.archive`: excerpts of real and rendered videos, 6 broken."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import av

ROOT = Path(__file__).parent.parent
CLIPS, BROKEN, FRAMES = 60, 6, 60


def make_clips(data: Path, folder: Path) -> str:
    """Make the clips and say what they are; excerpts are coded again, the longest videos are taken whole too."""
    folder.mkdir(parents=True)
    sources = sorted([*data.glob("*.mp4"), ROOT / "samples" / "street.mp4"])
    whole = sorted(sources, key=count_frames)[-2:]
    for path in whole:
        shutil.copyfile(path, folder / f"{path.stem}.mp4")
    made = len(whole)
    for begin in itertools.count(0, FRAMES):
        for path in sources:
            if made == CLIPS - BROKEN:
                break
            target = folder / f"camera{made % 4}" / f"{path.stem}_{begin:04d}.mp4"
            target.parent.mkdir(exist_ok=True)
            made += excerpt(path, target, begin)
        if made == CLIPS - BROKEN:
            break
    break_some(folder, sorted(folder.rglob("*.mp4")))
    clips = [path for path in folder.rglob("*") if path.is_file()]
    return f"{len(clips)} files in {folder}, {sum(path.stat().st_size for path in clips) / 1e6:.1f} MB"


def count_frames(path: Path) -> int:
    """As the container says."""
    with av.open(str(path)) as container:
        return int(container.streams.video[0].frames)


def excerpt(path: Path, target: Path, begin: int) -> bool:
    """`FRAMES` frames from number `begin` on, at their own times; False: there are none."""
    with av.open(str(path)) as source:
        video = source.streams.video[0]
        frames = list(itertools.islice(source.decode(video), begin, begin + FRAMES))
        if not frames:
            return False
        with av.open(str(target), "w") as out:
            stream = out.add_stream("libx264", rate=video.average_rate, options={"preset": "ultrafast", "threads": "1"})
            stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
            stream.time_base = video.time_base
            for frame in frames:
                frame.pts = (frame.pts or 0) - (frames[0].pts or 0)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return True


def break_some(folder: Path, clips: list[Path]) -> None:
    """Six that cannot be annotated."""
    bytes_ = clips[0].read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 100, encoding="utf-8")
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 400)
    (folder / "cut.mp4").write_bytes(clips[1].read_bytes()[:4000])
    (folder / "header.mkv").write_bytes(bytes_[:40])
    with av.open(str(folder / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate, frame.pts = 48000, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
