"""`tracker engine` as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import engines
from engines import EngineUnavailable, build
from engines.tensorrt_driver import find_gpu
from tracker.cli import main
from tracker.detect.card import zoo

Run = Callable[..., tuple[int, list[str], list[str]]]
SIDE = zoo()["street6"].input.size


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`tracker engine ...` in a folder and with a cache of its own -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "cache"))

    def call(*arguments: object) -> tuple[int, list[str], list[str]]:
        with pytest.raises(SystemExit) as ended:
            main(["engine", *map(str, arguments)])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out.splitlines(), told.err.splitlines()

    return call


def needs(runtime: str) -> None:
    try:
        build.runtime_version(runtime)
    except EngineUnavailable as error:
        pytest.skip(str(error))


def test_build_list_and_verify(engine: Run, tmp_path: Path) -> None:
    needs("openvino")
    arguments = ["build", "--model", "street6", "--runtime", "openvino"]
    code, out, err = engine(*arguments)
    plan = Path(out[0])
    assert code == 0 and plan.parent == tmp_path / "cache" / "plans" and plan.suffix == ".xml"
    assert "built in" in err[-2] and "openvino fp32 for cpu" in err[-2]
    assert "parity with the ONNX" in err[-1] and "recall 1.000" in err[-1]
    code, out, err = engine(*arguments, "--output", "here/m.xml")
    assert code == 0 and out == ["here/m.xml"] and "there already" in err[-2] and "recall 1.000" in err[-1]
    found = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert found == ["m.bin", "m.xml", "m.xml.json", "m.yaml"]
    assert engine(*arguments, "--output", "here/m.xml")[0] == 2
    assert engine(*arguments, "--output", "here/m.xml", "--overwrite")[0] == 0
    code, out, err = engine("list")
    assert code == 0 and len(out) == 1 and f"1x{SIDE}x{SIDE}x3" in out[0] and "fp32" in out[0]
    assert "recall 1.000" in out[0]
    code, out, err = engine("verify", "here/m.xml")
    assert code == 0 and out == ["here/m.xml: whole, loads"]
    plan.with_suffix(".bin").write_bytes(b"")
    code, out, err = engine("verify")
    assert code == 1 and "cut short" in out[0] and "1 of 1 plans cannot be used" in err[-1]
    code, out, err = engine(*arguments)
    assert code == 0 and any("cut short" in line and line.endswith("building it again") for line in err)


def test_the_copy_runs_as_a_model(engine: Run, tmp_path: Path) -> None:
    """The card goes along, so that the input is prepared in the same way."""
    needs("openvino")
    assert (
        engine("build", "--model", "street6", "--runtime", "openvino", "--size", "416x256", "--output", "m.xml")[0] == 0
    )
    from tracker.config import DetectSettings
    from tracker.detect import open_detector

    detector, _ = open_detector(DetectSettings(model="m.xml", runtime="openvino"), (640, 360))
    assert detector.size_hw == (256, 416) and detector.class_names[0] == "person"
    detector.close()


@pytest.mark.skipif(engines.has_gpu(), reason="there is a GPU")
def test_int8_without_frames_says_so(engine: Run) -> None:
    needs("tensorrt-rtx")
    arguments = ["build", "--model", "street6", "--runtime", "tensorrt-rtx", "--gpu", "sm89", "--precision", "int8"]
    code, out, err = engine(*arguments, "--batch", "1:8", "--output", "m.plan")
    assert code == 0 and Path("m.plan").stat().st_size > 1e6 and out == ["m.plan"]
    assert err[0].startswith("notice: no --calibrate") and err[1] == "INT8 calibrates on 24 frames"
    code, out, err = engine(*arguments, "--batch", "1:8")
    assert code == 0 and "there already" in err[-2] and err[-1].endswith(": parity not measured: no GPU here")
    assert f"1:8x{SIDE}x{SIDE}x3" in engine("list")[1][0]


def test_int8_on_the_users_frames(engine: Run, clip: Path) -> None:
    needs("openvino")
    code, _, err = engine(
        "build", "--model", "street6", "--runtime", "openvino", "--precision", "int8", "--calibrate", clip
    )
    assert code == 0 and err[0] == "INT8 calibrates on 12 frames"


def test_int8_that_sees_nothing_gives_way_to_fp16(engine: Run, tmp_path: Path) -> None:
    """Ranges of one black picture; the parity gate refuses the plan."""
    needs("openvino")
    (tmp_path / "dark").mkdir()
    cv2.imwrite(str(tmp_path / "dark" / "black.png"), np.zeros((96, 128, 3), np.uint8))
    arguments = ["build", "--model", "street6", "--runtime", "openvino", "--precision", "int8", "--size", "256x160"]
    code, out, err = engine(*arguments, "--calibrate", "dark")
    assert code == 0 and "-fp16-" in out[0] and "recall 1.000" in err[-1]
    assert any(line.endswith("; refused") for line in err)
    assert sum(line.startswith("notice: street6-int8-") and "fp16 takes its place" in line for line in err) == 1
    assert [line.endswith("; refused") for line in engine("list")[1]] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--runtime", "openvino", "--gpu", "sm89"], 4, "leave --gpu out"),
        (["--runtime", "openvino", "--calibrate", "x.mp4"], 2, "--calibrate is for --precision int8"),
        (["--runtime", "openvino", "--precision", "bf16"], 2, "openvino is built in fp32, fp16, int8, not in bf16"),
        (["--runtime", "openvino", "--precision", "int8", "--calibrate", "gone.mp4"], 2, "gone.mp4"),
        (["--runtime", "openvino", "--batch", "8:1"], 2, "such as 8 or 1:8, got 8:1"),
        (["--runtime", "openvino", "--batch", "x"], 2, "got x"),
        (["--runtime", "openvino", "--size", "100x100"], 2, "multiples of 32"),
        (["--runtime", "openvino", "--output", "m.plan"], 2, "is named *.xml"),
        (["--runtime", "nonsense"], 2, "nonsense"),
        (["--runtime", "openvino", "--model", "gone.onnx"], 2, "gone.onnx does not exist"),
    ],
)
def test_mistakes_are_one_line(engine: Run, arguments: list[str], code: int, message: str) -> None:
    needs("openvino")
    found, out, err = engine("build", "--model", "street6", *arguments)
    assert found == code and message in err[-1] and len(err) == 1 and not out


def test_torch_is_not_calibrated_in_vain(engine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.metadata, "version", lambda package: "2.9")
    code, out, err = engine("build", "--model", "street6", "--runtime", "torch", "--precision", "int8")
    assert (code, out, err) == (2, [], ["tracker: torch is built in fp32, fp16, bf16, not in int8"])


def test_bf16_is_built_for_torch(engine: Run) -> None:
    needs("torch")
    code, out, err = engine(
        "build", "--model", "street6", "--runtime", "torch", "--precision", "bf16", "--size", "256x160"
    )
    assert code == 0 and "-bf16-" in out[0] and "torch bf16 for any" in err[-2] and "parity" in err[-1]


def test_gpus(engine: Run) -> None:
    needs("tensorrt-rtx")
    for gpu, code, message in (("sm61", 4, "does not compile for sm61; it does for sm75"), ("ada", 2, "written sm89")):
        found, _, err = engine("build", "--model", "street6", "--runtime", "tensorrt-rtx", "--gpu", gpu)
        assert found == code and message in err[-1] and len(err) == 1


def test_a_missing_runtime_is_exit_code_4(engine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise build.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(build.metadata, "version", missing)
    code, _, err = engine("build", "--model", "street6", "--runtime", "tensorrt")
    assert code == 4 and err == ["tracker: tensorrt is not installed; pip install 'tracker[tensorrt]'"]


def test_an_empty_cache(engine: Run) -> None:
    assert engine("list")[0] == 0
    assert engine("verify") == (0, [], ["0 plans checked"])
    assert engine("verify", "gone.plan")[0] == 1


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_run_without_a_gpu_ends_with_exit_code_4(
    engine: Run, clip: Path, runtime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        find_gpu()
    except EngineUnavailable as error:
        reason = str(error)
    else:
        pytest.skip("there is a GPU")
    for flag in ("--runtime", "--require"):
        with pytest.raises(SystemExit) as ended:
            main(["run", "--source", str(clip), "--no-video", flag, runtime])
        assert ended.value.code == 4
        assert f"tracker: {runtime} is not available: {reason}" in capsys.readouterr().err
