"""`tracker doctor`: true, readable, and never taken down by what it looks at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import engines
from engines.storage import cache_folder
from tracker.cli import checkup, doctor
from tracker.cli import findings as look
from tracker.cli.findings import Finding, asked
from tracker.detect.ladder import Rung
from tracker.errors import RequirementError

ROOT = Path(__file__).parent.parent.parent
H200 = {"there": True, "code": 0, "cuda": "12.4", "devices": [{"name": "H200", "memory_gb": 150, "capability": "sm90"}]}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    cache = str(tmp_path_factory.mktemp("cache"))
    return os.environ | {"PYTHONPATH": str(ROOT), "TRACKER_CACHE": cache, "TRACKER_NO_NUMBA": "1", "COLUMNS": "80"}


def tracker(*arguments: str, environment: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tracker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120)


def test_the_report_fits_a_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    done = tracker("doctor", environment=environment, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert all(len(line) <= 80 for line in lines if "-> " not in line and "cache" not in line)
    assert {"system", "runtimes", "video", "tracking", "models"} <= set(lines)
    assert any(line.startswith("`tracker run` uses ") for line in lines)
    assert not list(tmp_path.iterdir())


def test_json_and_a_requirement_that_is_met(environment: dict[str, str], tmp_path: Path) -> None:
    done = tracker("doctor", "--json", "--require", "onnxruntime", environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {item["name"]: item for item in json.loads(done.stdout)["findings"]}
    names = {"Python", "processor", "memory", "cache", "NVIDIA", "auto", "PyAV", "OpenCV", "numba", "TrackEval", "onnx"}
    assert names | set(checkup.RUNTIMES) | {"street6", "fetched"} == set(found)
    assert found["numba"]["state"] in ("warning", "missing")
    assert found["cache"]["facts"]["folder"] == environment["TRACKER_CACHE"]
    assert found["auto"]["facts"]["order"][0] == found["auto"]["facts"]["runtime"].split()[0]
    assert len(found["street6"]["facts"]["sha256"]) == 64


def test_a_requirement_that_is_not_met_is_exit_4(environment: dict[str, str], tmp_path: Path) -> None:
    if asked(look.DRIVER, 20.0).get("devices"):
        pytest.skip("there is an NVIDIA GPU here")
    done = tracker("doctor", "--require", "tensorrt", environment=environment, cwd=tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith("tracker: runtime tensorrt is required, but: ") and done.stderr.count("\n") == 1
    assert "use --require" in done.stderr


def test_an_unknown_requirement_is_exit_2(environment: dict[str, str], tmp_path: Path) -> None:
    assert tracker("doctor", "--require", "vulkan", environment=environment, cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("tell(a=1)", {"a": 1}),
        ("print('noise'); tell(a=1); import os; os.write(1, b'noise')", {"a": 1}),
        ("raise ValueError('no\\n good')", {"error": "ValueError: no good"}),
        ("import os; os.kill(os.getpid(), 11)", {"error": "the process crashed (code -11)"}),
        ("import time; time.sleep(60)", {"error": "no answer within 2 s"}),
    ],
    ids=["answer", "noise", "exception", "crash", "hang"],
)
def test_what_is_looked_at_cannot_take_the_doctor_down(code: str, told: dict[str, Any]) -> None:
    assert asked(code, 2.0) == told


def test_the_folder_at_hand_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert asked("tell(a=1)") == {"a": 1}


@pytest.mark.parametrize(
    ("driver", "state", "text"),
    [
        (H200, "ok", "driver for CUDA 12.4: H200 (sm90, 150 GB)"),
        ({"there": True, "code": 100, "cuda": "12.4", "devices": []}, "missing", "a driver and no GPU"),
        ({"there": True, "code": 803, "cuda": "12.4", "devices": []}, "warning", "cuInit says 803"),
        ({"error": "no answer within 20 s"}, "warning", "does not answer"),
    ],
)
def test_the_driver(driver: dict[str, Any], state: str, text: str) -> None:
    found = checkup.nvidia(driver)
    assert found.state == state and text in found.text and bool(found.remedy) == (state == "warning")


@pytest.mark.parametrize(("card", "state"), [(False, "missing"), (True, "warning")])
def test_no_driver(card: bool, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_nvidia_cards", lambda: card)
    assert checkup.nvidia({"there": False}).state == state


def test_tensorrt_is_not_loaded_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT 8 to 10 would crash the process."""
    monkeypatch.setattr(checkup, "is_there", lambda module: True)
    monkeypatch.setattr(checkup, "asked", lambda code: pytest.fail("loaded"))
    found = checkup.runtime("tensorrt", has_gpu=False)
    assert found.state == "unused" and "not loaded" in found.text
    assert checkup.runtime("tensorrt-rtx", has_gpu=False).text.endswith(
        "; of use for `tracker engine build --gpu sm89`"
    )


def test_a_missing_runtime_comes_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "is_there", lambda module: False)
    assert checkup.runtime("openvino", has_gpu=False).remedy == "pip install openvino"
    assert checkup.runtime("tensorrt", has_gpu=True).remedy.startswith("pip install ")
    assert not checkup.runtime("tensorrt", has_gpu=False).remedy
    found = checkup.runtime("torch", has_gpu=False)
    assert found.text.endswith("of use with an NVIDIA GPU and for `tracker models export`")
    assert found.remedy.startswith("pip install ")


def test_an_optional_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "is_there", lambda module: False)
    found = checkup.library("tracking", "TrackEval", "trackeval", "eval")
    assert found.text == "not installed; `tracker eval` needs it" and found.remedy.startswith("pip install ")


def test_a_broken_runtime_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "is_there", lambda module: True)
    monkeypatch.setattr(checkup, "asked", lambda code: {"error": "the process crashed (code -11)"})
    found = checkup.runtime("openvino", has_gpu=False)
    assert found.state == "broken" and found.remedy == "pip install --force-reinstall openvino"
    nothing = checkup.chosen([found])
    assert (nothing.state, nothing.remedy) == ("broken", "pip install onnxruntime")


def test_auto_that_takes_another_than_the_first_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = [Finding("runtimes", name, "ok", "") for name in ("openvino", "onnxruntime")]
    monkeypatch.setattr(checkup, "ladder", lambda path: [Rung("openvino", "cpu"), Rung("onnxruntime", "cpu")])
    told = {"runtime": "onnxruntime 1", "precision": "fp32", "device": "cpu", "notices": ["openvino refused the model"]}
    monkeypatch.setattr(checkup, "asked", lambda code: told)
    found = checkup.chosen(usable)
    assert found.state == "warning" and found.text == "onnxruntime 1, fp32, cpu: openvino refused the model"


def test_auto_names_what_compiles_without_trying_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usable = [Finding("runtimes", name, "ok", "") for name in ("tensorrt", "onnxruntime")]
    rungs = [Rung("tensorrt", "cuda:0"), Rung("onnxruntime", "cuda:0"), Rung("onnxruntime", "cpu")]
    monkeypatch.setattr(checkup, "ladder", lambda path: rungs)
    monkeypatch.setattr(checkup, "asked", lambda code: pytest.fail("tried"))
    found = checkup.chosen(usable)
    assert found.text.startswith("tensorrt, the first of tensorrt (cuda:0) > onnxruntime (cuda:0) > onnxruntime;")


def test_a_requirement_that_loads_and_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "tried", lambda name: {"error": "RequirementError: no"})
    with pytest.raises(RequirementError, match="does not start with it: RequirementError: no"):
        checkup.require("openvino", [Finding("runtimes", "openvino", "ok", "")])


@pytest.mark.parametrize(("versions", "state"), [(("5.0", "5.0"), "ok"), (("5.0", "4.9"), "warning")])
def test_two_opencv_wheels(versions: tuple[str, str], state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = dict(zip(("opencv-python", "opencv-python-headless"), versions, strict=True))
    monkeypatch.setattr(look, "opencv_wheels", lambda: wheels)
    monkeypatch.setattr(checkup, "asked", lambda code: {"version": "5.0", "windows": False})
    found = checkup.opencv()
    assert found.state == state and "share one folder" in found.text and bool(found.remedy) == (state == "warning")


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_CACHE", str(tmp_path / "a" / "b"))
    assert cache_folder() == tmp_path / "a" / "b"
    found = checkup.cache()
    assert found.state == "ok" and not (tmp_path / "a").exists()
    monkeypatch.setattr(checkup, "_writable", lambda folder: False)
    assert checkup.cache().remedy.startswith("export TRACKER_CACHE=")
    monkeypatch.delenv("TRACKER_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tracker"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tracker"
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(engines.EngineUnavailable, match="set TRACKER_CACHE"):
        cache_folder()


def test_nothing_can_run_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    broken = [Finding("runtimes", "auto", "broken", "no runtime", "pip install onnxruntime")]
    monkeypatch.setattr(doctor, "examine", lambda: broken)
    with pytest.raises(SystemExit) as caught:
        doctor.command.main([], standalone_mode=False)
    assert caught.value.code == 1
    assert "-> pip install onnxruntime" in capsys.readouterr().out
