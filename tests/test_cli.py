"""The commands as a user calls them: outputs, exit codes, one clear line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.fakes import picture, write_clip
from tracker.cli.detection import COCO_CATEGORY_IDS
from tracker.cli.session import default_output

ROOT = Path(__file__).parent.parent
OUTPUTS = ["--output", "o.mp4", "--jsonl", "o.jsonl", "--summary", "o.json"]


def tracker(*arguments: object, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tracker", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def frames_of(path: Path) -> list[float]:
    """Times of all frames of a video, seconds."""
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def test_run_writes_what_it_says(clip: Path, tmp_path: Path) -> None:
    """Frames captured = frames in the video = records; the summary holds what the contract lists."""
    done = tracker("run", "--source", clip, *OUTPUTS, "--mot", "o.txt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    summary = json.loads((tmp_path / "o.json").read_text())
    assert [line["index"] for line in lines] == list(range(60))
    assert len(frames_of(tmp_path / "o.mp4")) == summary["frames"]["captured"] == summary["frames"]["processed"] == 60
    assert summary["duration_s"] == pytest.approx(2.0, abs=1 / 30)
    assert summary["outcome"] == "done" and summary["frames"]["dropped"] == {} and summary["frames"]["in_flight"] == 0
    listed = "fps stages bottleneck runtime runtimes precision model tracker mode mode_evidence tracks wall_s"
    assert set(listed.split()) <= set(summary)
    assert set(summary["model"]) >= {"name", "sha256"}
    assert all({"ms_p50", "ms_p95"} <= set(stage) for stage in summary["stages"].values())
    assert summary["runtime"].split()[0] in done.stderr and "o.mp4" in done.stdout
    assert not list(tmp_path.glob("*.partial.*"))


def test_run_without_output_names_it_after_the_source(clip: Path, tmp_path: Path) -> None:
    assert tracker("run", "--source", clip, cwd=tmp_path).returncode == 0
    assert (tmp_path / "squares.tracked.mp4").exists()
    again = tracker("run", "--source", clip, cwd=tmp_path)
    assert again.returncode == 2
    assert "squares.tracked.mp4 exists; add --overwrite" in again.stderr
    assert tracker("run", "--source", clip, "--overwrite", cwd=tmp_path).returncode == 0


def test_stride_keeps_every_picture_and_records_what_was_seen(clip: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", clip, *OUTPUTS, "--stride", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "o.json").read_text())
    assert summary["frames"]["dropped"] == {"stride": 45} and summary["frames"]["processed"] == 15
    assert len(frames_of(tmp_path / "o.mp4")) == 60
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(0, 60, 4))


def test_duration_ends_early(clip: Path, tmp_path: Path) -> None:
    assert tracker("run", "--source", clip, "--output", "o.mp4", "--duration", 0.5, cwd=tmp_path).returncode == 0
    assert len(frames_of(tmp_path / "o.mp4")) == 15


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    """JSON lines carry the file's name; an unreadable picture is named and skipped."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k in (1, 2, 10):
        cv2.imwrite(str(folder / f"p{k}.png"), picture(k))
    (folder / "p3.png").write_bytes(b"no picture")
    done = tracker("run", "--source", folder, "--no-video", "--jsonl", "o.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["p1.png", "p2.png", "p10.png"]
    assert "p3.png" in done.stderr


def test_standard_input(clip: Path, tmp_path: Path) -> None:
    with av.open(str(clip)) as source, av.open(str(tmp_path / "in.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with (tmp_path / "in.mkv").open("rb") as pipe:
        done = tracker("run", "--source", "-", "--output", "o.mp4", cwd=tmp_path, stdin=pipe)
    assert done.returncode == 0, done.stderr
    assert len(frames_of(tmp_path / "o.mp4")) == 60


def test_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    """VFR in = VFR out, to the tick of the source's own clock."""
    times = [0, 1, 2, 10, 11, 25, 26, 40]
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 30)
        for k, time_30 in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(k), format="bgr24")
            frame.pts, frame.time_base = time_30, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert tracker("run", "--source", "v.mkv", "--output", "o.mp4", cwd=tmp_path).returncode == 0
    assert frames_of(tmp_path / "o.mp4") == pytest.approx([t / 30 for t in times], abs=1e-3)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_finishes_the_files_and_exits_130(tmp_path: Path, number: int, name: str) -> None:
    write_clip(tmp_path / "long.mp4", frames=3000)
    command = [sys.executable, "-m", "tracker", "run", "--source", "long.mp4", *OUTPUTS]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    )
    partial = tmp_path / "o.partial.jsonl"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 5000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    summary = json.loads((tmp_path / "o.json").read_text())
    records = (tmp_path / "o.jsonl").read_text().splitlines()
    assert summary["outcome"] == "interrupted" and summary["frames"]["in_flight"] == 0
    assert 0 < len(records) == summary["frames"]["captured"] == len(frames_of(tmp_path / "o.mp4")) < 3000


def write_bad_files(folder: Path, clip: Path) -> None:
    """Sources and models that are not what their names say."""
    (folder / "empty.mp4").touch()
    (folder / "random.mp4").write_bytes(np.random.default_rng(0).bytes(20000))
    (folder / "text.mp4").write_text("this is a text file\n" * 50)
    (folder / "cut.mp4").write_bytes(clip.read_bytes()[:3000])
    (folder / "none").mkdir()
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 16000
        frame.planes[0].update(np.zeros(1024, np.float32))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    node = helper.make_node("ReduceMean", ["x"], ["probabilities"], keepdims=0)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 64, 64))],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ())],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "other.onnx"
    )
    (folder / "weights.pt").write_bytes(b"PK")
    (folder / "text.onnx").write_text("no model")


def bad_inputs(clip: Path) -> dict[str, tuple[list[object], str]]:
    """Arguments and a part of the line that must come, by case."""
    run = ["run", "--no-video", "--source"]
    return {
        "missing file": ([*run, "nowhere.mp4"], "nowhere.mp4"),
        "folder without pictures": ([*run, "none"], "none"),
        "zero bytes": ([*run, "empty.mp4"], "empty.mp4"),
        "random bytes": ([*run, "random.mp4"], "random.mp4"),
        "truncated": ([*run, "cut.mp4"], "cut.mp4"),
        "audio only": ([*run, "sound.mp4"], "sound.mp4"),
        "text": ([*run, "text.mp4"], "text.mp4"),
        "other outputs": ([*run, clip, "--model", "other.onnx"], "probabilities"),
        "no such model": ([*run, clip, "--model", "stret6"], "did you mean 'street6'"),
        "missing model": ([*run, clip, "--model", "gone.onnx"], "gone.onnx does not exist"),
        "pickle": ([*run, clip, "--model", "weights.pt"], "tracker models export weights.pt"),
        "text as model": ([*run, clip, "--model", "text.onnx"], "text.onnx is not an ONNX model"),
        "unknown class": ([*run, clip, "--classes", "persn"], "did you mean 'person'"),
        "unknown setting": ([*run, clip, "--set", "tracker.max_lost=1"], "did you mean 'tracker.max_lost_s'"),
        "impossible setting": ([*run, clip, "--set", "tracker.confirm=-1"], "greater than or equal to 0"),
        "unknown tracker": ([*run, clip, "--tracker", "srot"], "'sort'"),
        "unknown option": ([*run, clip, "--scor", "1"], "--scor"),
        "output is the source": (["run", "--source", "cut.mp4", "--output", "cut.mp4"], "is the source itself"),
        "output without suffix": (["run", "--source", clip, "--output", "video"], ".mp4"),
        "no file of settings": ([*run, clip, "--config", "gone.yaml"], "gone.yaml"),
    }


CASES = [
    "audio only", "folder without pictures", "impossible setting", "missing file", "missing model",
    "no file of settings", "no such model", "other outputs", "output is the source", "output without suffix", "pickle",
    "random bytes", "text", "text as model", "truncated", "unknown class", "unknown option", "unknown setting",
    "unknown tracker", "zero bytes",
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_line_and_exit_2(case: str, clip: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    write_bad_files(tmp_path, clip)
    arguments, part = bad_inputs(clip)[case]
    made = set(tmp_path.iterdir()) - before
    done = tracker(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("tracker: ") and part in last, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) <= 5
    assert set(tmp_path.iterdir()) - before == made, "bad input must leave nothing behind"


def test_require_fails_with_4_instead_of_falling_back(clip: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", clip, "--no-video", "--require", "tensorrt", cwd=tmp_path)
    assert done.returncode == 4
    assert "tensorrt" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a display cannot be taken away")
def test_show_without_a_display_is_refused(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt would end the process with a core dump."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    done = tracker("run", "--source", clip, "--no-video", "--show", cwd=tmp_path)
    assert done.returncode == 4 and "needs a display" in done.stderr


def test_detect_writes_coco_and_json_lines(clip: Path, tmp_path: Path) -> None:
    done = tracker("detect", "--source", clip, "--jsonl", "d.jsonl", "--coco", "d.json", "--score", 0.01, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert len(lines) == 60 and all("detections" in line and "tracks" not in line for line in lines)
    rows = json.loads((tmp_path / "d.json").read_text())
    assert len(rows) == sum(len(line["detections"]) for line in lines)


@pytest.mark.parametrize("command", [["run"], ["detect"], ["track"], ["eval"], ["models", "list"], ["models", "info"]])
def test_help_has_an_example(command: list[str], tmp_path: Path) -> None:
    done = tracker(*command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    example = done.stdout.split("Example", 1)[1]
    assert "tracker " + " ".join(command) in example


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a b/ü.mp4", "ü.tracked.mp4"),
        ("rtsp://admin:pa?ss@10.0.0.5/s1", "s1.tracked.mp4"),
        ("rtsp://u:p/w?x@host/live.sdp?token=1", "live.tracked.mp4"),
        ("rtsp://10.0.0.5", "10.0.0.5.tracked.mp4"),
        ("rtsp://10.0.0.6:554/", "10.0.0.6-554.tracked.mp4"),
        ("frames/", "frames.tracked.mp4"),
        ("-", "stdin.tracked.mp4"),
        ("0", "0.tracked.mp4"),
    ],
)
def test_the_default_name_never_holds_a_password(source: str, name: str) -> None:
    assert default_output(source) == Path(name)


def test_the_source_is_not_overwritten_through_an_address(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "c.mp4"
    copy.write_bytes(clip.read_bytes())
    done = tracker("run", "--source", copy.as_uri(), "--output", "c.mp4", "--overwrite", cwd=tmp_path)
    assert done.returncode == 2 and "is the source itself" in done.stderr
    assert copy.read_bytes() == clip.read_bytes()


def test_a_summary_that_cannot_be_written_is_a_failure(clip: Path, tmp_path: Path) -> None:
    done = tracker("run", "--source", clip, "--no-video", "--summary", "/proc/x.json", cwd=tmp_path)
    assert done.returncode in (1, 2) and "x.json" in done.stderr and "Traceback" not in done.stderr


def test_coco_results_use_cocos_own_numbers() -> None:
    """Stop sign is class 11 of 80 and category 13 of 90."""
    assert len(COCO_CATEGORY_IDS) == 80
    assert (COCO_CATEGORY_IDS[0], COCO_CATEGORY_IDS[11], COCO_CATEGORY_IDS[77], COCO_CATEGORY_IDS[79]) == (
        1,
        13,
        88,
        90,
    )


def test_models_are_listed_with_their_licence(tmp_path: Path) -> None:
    done = tracker("models", "list", cwd=tmp_path)
    assert done.returncode == 0 and "street6" in done.stdout and "Apache-2.0" in done.stdout
    assert "person, bicycle, car" in tracker("models", "info", "street6", cwd=tmp_path).stdout
