"""`tracker bench`: all contenders get the same chance, and what is recommended is what the figures say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.build import runtime_version
from tests.detect.graphs import COUNT, save
from tracker.cli import bench, bench_report, bench_runs, main
from tracker.cli.bench_report import flags_of, recommended, show
from tracker.cli.bench_runs import Bench, Contender
from tracker.config import DetectSettings
from tracker.detect.ladder import Rung
from tracker.detect.model import find_model
from tracker.detect.parity import Parity
from tracker.structures import Frame

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`tracker bench ...`, few turns on few frames -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bench_runs, "ROUNDS", 2)
    monkeypatch.setattr(bench_runs, "FRAMES", 3)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["bench", *map(str, arguments)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Finds 40 boxes in every picture."""
    output = np.zeros((1, 7, COUNT))
    rng = np.random.default_rng(0)
    output[0, :2, :40], output[0, 2:4, :40] = rng.uniform((20,), (60,), (2, 40)), 4
    output[0, 4, :40] = np.linspace(0.9, 0.4, 40)
    return save(tmp_path / "m.onnx", {"o": output})


def test_what_runs_here_is_measured(run: Run, model: Path, clip: Path, tmp_path: Path) -> None:
    code, out, err = run("--source", clip, "--model", model, "--json", "b.json")
    assert code == 0, err
    told = json.loads(Path("b.json").read_text())
    found = {result["runtime"].split()[0]: result for result in told["results"]}
    assert "onnxruntime" in found and set(found) <= set(engines.installed())
    assert told["model"]["input"] == [96, 64] and told["picture"] == [160, 120] and told["source"] == str(clip)
    for result in told["results"]:
        assert 0 < result["infer_ms"]["p50"] < result["detect_ms"]["p50"] <= result["detect_ms"]["p95"]
        assert result["images"] == 6 and result["parity"]["recall"] == 1 and not result["shortfall"]
        assert result["runtime"] in out
    assert f"tracker run --model {model} --runtime " in told["recommended"]["command"]
    assert out.splitlines()[-1].startswith(f"Recommended: {told['recommended']['command']}")
    assert run("--model", model, "--json", "b.json")[0] == 2
    assert run("--model", model, "--json", "b.json", "--device", "cpu", "--overwrite")[0] == 0
    again = json.loads(Path("b.json").read_text())
    assert again["source"] == "rendered frames" and again["picture"] == [640, 360]


@pytest.mark.slow
def test_int8_is_built_on_other_frames_and_how_to_get_it_is_told(run: Run, clip: Path) -> None:
    runtime_version("openvino")
    code, _, err = run("--source", clip, "--int8", "--json", "b.json")
    assert code == 0, err
    (result,) = (r for r in json.loads(Path("b.json").read_text())["results"] if r["precision"].startswith("int8"))
    assert result["runtime"].startswith("openvino") and result["build_s"] > 0 and result["built_now"]
    assert "compiling street6.onnx with openvino" in err


def test_a_password_is_not_told(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Frame.from_bgr(0, 0.0, np.zeros((64, 96, 3), np.uint8))]
    monkeypatch.setattr(bench, "_frames", lambda source: frames)
    code, out, _ = run("--source", "rtsp://me:secret@10.0.0.5/1", "--model", model, "--json", "b.json")
    assert code == 0 and "secret" not in out + Path("b.json").read_text() and "10.0.0.5" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--source", "gone.mp4"], 2, "gone.mp4"),
        (["--model", "gone.onnx"], 2, "gone.onnx does not exist"),
        (["--model", "m.plan"], 2, "compiled for one runtime already"),
        (["--device", "vulkan"], 2, "'detect.device'"),
        (["--device", "cuda:7"], 4, "no runtime here runs street6.onnx on cuda:7: tracker doctor"),
    ],
)
def test_mistakes_are_one_line(run: Run, arguments: list[str], code: int, message: str) -> None:
    Path("m.plan").write_bytes(b"plan")
    found, out, err = run(*arguments)
    assert found == code and message in err.splitlines()[-1] and not out


def test_what_is_missing_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_report, "find_spec", lambda name: None)
    monkeypatch.setattr(engines, "why_no_gpu", lambda index=0: "no NVIDIA driver here")
    rows = {row["name"]: row for row in bench_report.missing(Path("m.onnx"))}
    assert set(rows) == set(engines.RUNTIMES) and all(
        row["command"].startswith("pip install ") for row in rows.values()
    )
    assert rows["tensorrt"]["reason"] == "not installed; no NVIDIA driver here"
    assert [row["name"] for row in bench_report.missing(Path("m.tflite"))] == ["openvino"]
    monkeypatch.setattr(bench_report, "find_spec", lambda name: object())
    rows = {row["name"]: row for row in bench_report.missing(Path("m.onnx"))}
    assert set(rows) == {"tensorrt", "tensorrt-rtx"} and not rows["tensorrt"]["command"]


class Fake:
    """A detector that writes down what it is given."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log, self.precision = name, log, "fp32"
        self.engine = self
        self.observe: Callable[[str, float], None] = lambda stage, seconds: None

    def detect(self, frames: Sequence[Frame]) -> list[Any]:
        self.log.append(f"{self.name}{frames[0].index}")
        self.observe("preprocess", 1.0)
        self.observe("infer", 0.001)
        return []


def contender(name: str, ms: float, *, recall: float = 1.0, spread: float = 0.0, log: Any = None, **given: Any) -> Any:
    detector: Any = Fake(name, [] if log is None else log)
    found = Contender(Rung(name, "cpu"), "fp32", detector, detector, [], **given)
    found.detect_ms = [[ms * (1 - spread / 2)] * 3, [ms * (1 + spread / 2)] * 3] if ms else []
    found.parity = Parity(9, 100, 0.25, recall, 1.0, 1.0, 0.0, 0.0)
    return found


def test_they_take_turns_and_the_first_frame_does_not_count(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_runs, "ROUNDS", 2)
    monkeypatch.setattr(bench_runs, "FRAMES", 3)
    frames, log = [Frame.from_bgr(k, float(k), np.zeros((64, 96, 3), np.uint8)) for k in range(2)], list[str]()
    made = Bench(find_model(str(model)), DetectSettings(model=str(model)), frames, print)
    made.contenders = [contender("a", 0, log=log), contender("b", 0, log=log)]
    made.take_turns(lambda one: log.append("|"))
    assert "".join(log) == "a0a0a1a0|b0b0b1b0|b0b0b1b0|a0a0a1a0|"
    for one in made.contenders:
        assert one.infer_ms == [[1.0] * 3] * 2 and [len(times) for times in one.detect_ms] == [3, 3]


def test_the_fastest_with_the_right_boxes_is_recommended() -> None:
    auto, fast, wrong = contender("openvino", 10), contender("onnxruntime", 7), contender("torch", 3, recall=0.5)
    assert recommended([auto, fast, wrong], auto) is fast
    assert recommended([auto, contender("onnxruntime", 9.8)], auto) is auto
    noisy = contender("onnxruntime", 8, spread=0.6)
    assert recommended([auto, noisy], auto) is auto
    assert recommended([fast, wrong], None) is fast and recommended([wrong], wrong) is None


def test_the_flags() -> None:
    assert (
        flags_of(contender("onnxruntime", 1), "street6", "", "") == "tracker run --model street6 --runtime onnxruntime"
    )
    one = contender("openvino", 1)
    assert flags_of(one, "a b.onnx", "", "") == "tracker run --model 'a b.onnx' --runtime openvino --precision fp32"
    one.rung = Rung("openvino", "gpu")
    assert flags_of(one, "m.onnx", "", "").endswith(" --runtime openvino --precision fp32 --device gpu")
    int8 = contender("openvino", 1, int8=True)
    int8.plans = [engines.Plan(Path("/cache/m-int8-0.xml"), {"seconds": 1}, True)]
    assert flags_of(int8, "street6", "v.mp4", "512x288") == (
        "tracker engine build --model street6 --runtime openvino --precision int8 --size 512x288 --calibrate v.mp4 "
        "--output street6-int8.xml && tracker run --model street6-int8.xml --runtime openvino"
    )


def test_a_busy_machine_and_wrong_boxes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    one = contender("openvino", 10, recall=0.5, spread=0.4)
    one.infer_ms = one.detect_ms
    one.detector.runtime, one.detector.device = "openvino 1.0", "cpu"
    told = {
        "model": {"name": "m", "input": [96, 64]}, "picture": None, "source": "v.mp4", "busy": True,
        "load_a_core": 1.5, "results": [one.figures()], "refused": [{"name": "torch bf16", "reason": "no bf16"}],
        "missing": [], "auto": None, "recommended": None,
    }  # fmt: skip
    show(told)
    out = capsys.readouterr().out
    assert "openvino 1.0 fp32 finds other boxes than the model: recall 0.500 (wanted 0.99)" in out
    assert "load 1.5 a core before; medians of the rounds differ by up to 40 %" in out and "torch bf16" in out
    assert out.splitlines()[-1] == "Recommended: none of these; all find other boxes than the model."


def test_progress_without_a_terminal_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "PLAIN_EVERY_S", 0.0)
    turns = bench.Turns(2)
    turns.step("openvino bf16")
    turns.close()
    assert capsys.readouterr().err == "measured 1 of 2 turns, openvino bf16 last\n"
