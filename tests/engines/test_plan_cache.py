"""The plan cache: what rebuilds (each ingredient, damage), two processes at once, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines import EngineLoadError, EngineUnavailable, build
from engines.build import Request, build_plan
from engines.build_cache import add_notes, fault, notes_path, plans, read_notes
from engines.tensorrt_driver import Gpu
from tests.engines.tiny import INPUT, pictures, save_tiny

ROOT = Path(__file__).parent.parent.parent
SHAPES = {"images": (INPUT, INPUT, INPUT)}
CONTENT = bytes(range(256)) * 16


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose compiler is quick and whose runtime is always there."""

    def compile_it(request: Request, job: Path, say: Any) -> dict[str, Any]:
        (job / "model.plan").write_bytes(CONTENT)
        return {"inputs": [], "outputs": []}

    monkeypatch.setattr(build, "_compile", compile_it)
    monkeypatch.setattr(build.metadata, "version", lambda package: "1.7")
    monkeypatch.setattr(build, "find_gpu", lambda: Gpu(0, "RTX 4090", "sm89", 580))
    return tmp_path / "plans"


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return Request(save_tiny(tmp_path / "tiny.onnx"), "tensorrt-rtx", "fp32", SHAPES)


def test_a_plan_is_built_once(cache: Path, request_: Request) -> None:
    told: list[str] = []
    first, second = (build_plan(request_, told.append, cache) for _ in range(2))
    assert first.built and not second.built and first.path == second.path and first.notes == second.notes
    assert len(told) == 1 and told[0].startswith("compiling tiny.onnx with tensorrt-rtx 1.7")
    assert sorted(path.name for path in cache.iterdir()) == sorted([first.path.name, notes_path(first.path).name])
    made_of = first.notes["ingredients"]
    assert (made_of["target"], made_of["gpu"], made_of["driver_major"]) == ("sm89", "RTX 4090", 580)
    assert first.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "ingredient",
    ["model", "version", "gpu", "driver", "target", "precision", "shapes", "workspace", "recipe", "calibration"],
)
def test_each_ingredient_rebuilds(
    cache: Path, request_: Request, monkeypatch: pytest.MonkeyPatch, ingredient: str
) -> None:
    if ingredient == "calibration":
        request_ = replace(request_, precision="int8", feeds=pictures(2))
    assert build_plan(request_, lambda line: None, cache).built
    other = request_
    if ingredient == "model":
        save_tiny(request_.model, seed=5)
    elif ingredient == "version":
        monkeypatch.setattr(build.metadata, "version", lambda package: "1.8")
    elif ingredient == "gpu":
        monkeypatch.setattr(build, "find_gpu", lambda: Gpu(0, "RTX 4080", "sm89", 580))
    elif ingredient == "driver":
        monkeypatch.setattr(build, "find_gpu", lambda: Gpu(0, "RTX 4090", "sm89", 590))
    elif ingredient == "recipe":
        monkeypatch.setattr(build, "RECIPE", 99)
    else:
        big = (4, *INPUT[1:])
        other = {
            "target": replace(request_, targets=("sm86",)),
            "precision": replace(request_, precision="fp16"),
            "shapes": replace(request_, profiles={"images": (INPUT, big, big)}),
            "workspace": replace(request_, workspace_mb=64),
            "calibration": replace(request_, feeds=pictures(3)),
        }[ingredient]
    told: list[str] = []
    assert build_plan(other, told.append, cache).built
    if ingredient not in ("target", "gpu"):
        assert len(told) == 2 and "differs in its " in told[0]
    assert not build_plan(other, told.append, cache).built
    assert len(list(plans(cache))) == 2


@pytest.mark.parametrize("part", range(10))
def test_a_plan_cut_short_is_rebuilt(cache: Path, request_: Request, part: int) -> None:
    plan = build_plan(request_, lambda line: None, cache).path
    size = len(CONTENT) * part // 10
    plan.write_bytes(CONTENT[:size])
    told: list[str] = []
    again = build_plan(request_, told.append, cache)
    assert again.built and plan.read_bytes() == CONTENT and fault(plan) is None
    assert told[0] == f"{plan.name}: it is cut short or changed ({size} of 4096 bytes); building it again"


def test_other_damage_is_rebuilt_with_its_reason(cache: Path, request_: Request) -> None:
    def after(damage: Any) -> str:
        plan = build_plan(request_, lambda line: None, cache).path
        damage(plan)
        told: list[str] = []
        assert build_plan(request_, told.append, cache).built and fault(plan) is None
        return told[0].split(": ")[1].split(";")[0]

    assert after(lambda plan: plan.write_bytes(CONTENT[::-1])) == "its checksum is wrong"
    assert after(lambda plan: plan.unlink()) == "its .plan file is missing"
    assert after(lambda plan: notes_path(plan).unlink()) == "its notes are missing or damaged"
    assert after(lambda plan: notes_path(plan).write_text('{"format": 1')) == "its notes are missing or damaged"
    assert (
        after(lambda plan: notes_path(plan).write_text('{"format": 0}'))
        == "its notes are of another version of tracker"
    )
    assert after(lambda plan: plan.chmod(0o666)) == "another user made it or may change it"

    def claim(plan: Path) -> None:
        notes = json.loads(notes_path(plan).read_text())
        notes["ingredients"]["precision"] = "int8"
        notes_path(plan).write_text(json.dumps(notes))

    assert after(claim) == "it was built for something else"


def test_a_plan_of_another_user_is_not_taken_from_the_cache(
    cache: Path, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = build_plan(request_, lambda line: None, cache).path
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    assert fault(plan) == "another user made it or may change it"
    assert fault(plan, own=False) is None, "one that the user names may be anybody's"
    told: list[str] = []
    assert build_plan(request_, told.append, cache).built and "another user made it" in told[0]


def test_notes_take_more_and_keep_the_key(cache: Path, request_: Request) -> None:
    plan = build_plan(request_, lambda line: None, cache)
    add_notes(plan.path, parity={"measured": False})
    assert fault(plan.path) is None and notes_path(plan.path).stat().st_mode & 0o077 == 0
    assert read_notes(plan.path) == {**plan.notes, "parity": {"measured": False}}
    assert not build_plan(request_, lambda line: None, cache).built
    assert len(list(cache.iterdir())) == 2


def test_a_folder_left_by_a_killed_build_is_cleared(cache: Path, request_: Request) -> None:
    plan = build_plan(request_, lambda line: None, cache).path
    plan.unlink()
    left = plan.with_name(f"{plan.name}.partial")
    left.mkdir()
    (left / "model.plan").write_bytes(b"half")
    told: list[str] = []
    assert build_plan(request_, told.append, cache).built and not left.exists()
    assert any("left by a build that was killed" in line for line in told)


def test_a_failed_build_leaves_nothing(cache: Path, request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(build.metadata, "version", lambda package: "1.7")
    monkeypatch.setattr(build, "WORKER", "import sys; sys.exit('first\\nthe last line tells')")
    with pytest.raises(EngineLoadError, match=r"tensorrt-rtx cannot compile .*tiny\.onnx: the last line tells"):
        build_plan(request_, lambda line: None, cache)
    monkeypatch.setattr(build, "WORKER", "import os; os.abort()")
    with pytest.raises(EngineLoadError, match="the compiler ended with code -6"):
        build_plan(request_, lambda line: None, cache)
    assert not list(cache.iterdir())


def test_a_cache_that_cannot_be_written_is_named(cache: Path, request_: Request) -> None:
    cache.write_text("a file")
    with pytest.raises(EngineLoadError, match=r"the plan cache .*plans cannot be written"):
        build_plan(request_, lambda line: None, cache)


def test_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> Gpu:
        raise EngineUnavailable("no NVIDIA driver here")

    monkeypatch.setattr(build, "find_gpu", lambda: Gpu(0, "RTX 4090", "sm89", 580))
    assert build.choose_targets("tensorrt-rtx", ("sm89", "sm75")) == (("sm75", "sm89"), None)
    assert build.choose_targets("tensorrt", ("sm89",))[1] == Gpu(0, "RTX 4090", "sm89", 580)
    with pytest.raises(EngineUnavailable, match=r"RTX 4090, sm89\), not for sm75"):
        build.choose_targets("tensorrt", ("sm75",))
    monkeypatch.setattr(build, "find_gpu", nothing)
    assert build.choose_targets("tensorrt-rtx", ()) == (build.RTX_TARGETS, None)
    for runtime, targets in (("tensorrt", ()), ("tensorrt-rtx", ("sm61",)), ("openvino", ("sm89",))):
        with pytest.raises(EngineUnavailable):
            build.choose_targets(runtime, targets)
    with pytest.raises(EngineLoadError, match="written sm89, got ada"):
        build.choose_targets("tensorrt-rtx", ("ada",))


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise build.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(build.metadata, "version", missing)
    with pytest.raises(EngineUnavailable, match=r"pip install 'tracker\[tensorrt-rtx\]'"):
        build.runtime_version("tensorrt-rtx")
    with pytest.raises(EngineUnavailable, match="not for onnxruntime"):
        build.runtime_version("onnxruntime")


SLOW = """
import sys, pathlib, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # what began the tests may have switched it off
from engines import build
build.metadata.version = lambda package: "1.7"
build.WORKER = '''
import os, pathlib, sys, time, json
with open(sys.argv[1] if len(sys.argv) > 1 else {log!r}, "a") as log:
    log.write(str(os.getpid()) + "\\\\n")
time.sleep({seconds})
pathlib.Path("model.plan").write_bytes(b"plan")
pathlib.Path("result.json").write_text(json.dumps(dict(inputs=[], outputs=[])))
'''
shape = (1, 3, 32, 32)
request = build.Request(pathlib.Path({model!r}), "tensorrt-rtx", "fp32", dict(images=(shape, shape, shape)), ("sm89",))
print(build.build_plan(request, lambda line: print(line, file=sys.stderr), pathlib.Path({cache!r})).built)
"""


def start(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that builds; the compiler takes `seconds` and writes its process id into log.txt."""
    code = SLOW.format(
        log=str(tmp_path / "log.txt"), seconds=seconds, model=str(tmp_path / "tiny.onnx"), cache=str(tmp_path / "plans")
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_build_once(tmp_path: Path) -> None:
    save_tiny(tmp_path / "tiny.onnx")
    both = [start(tmp_path, 2.0) for _ in range(2)]
    told = [process.communicate(timeout=60) for process in both]
    assert sorted(out.strip() for out, _ in told) == ["False", "True"], told
    assert len((tmp_path / "log.txt").read_text().split()) == 1
    assert len(list((tmp_path / "plans").iterdir())) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Nor does the compiler live on; after SIGKILL there is a folder, which the next build clears."""
    save_tiny(tmp_path / "tiny.onnx")
    log = tmp_path / "log.txt"
    process = start(tmp_path, 60)
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("\n")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=30)
    compiler = int(log.read_text())
    if number == signal.SIGINT:
        assert not list((tmp_path / "plans").iterdir())
        with pytest.raises(ProcessLookupError):
            os.kill(compiler, 0)
        return
    os.kill(compiler, signal.SIGKILL)  # this compiler is the test's own and does not watch its parent
    assert start(tmp_path, 0).communicate(timeout=60)[0].strip() == "True"
    assert sorted(path.suffix for path in (tmp_path / "plans").iterdir()) == [".json", ".plan"]


def test_the_compiler_ends_with_its_parent(tmp_path: Path) -> None:
    code = "import threading, time; from engines import build_worker; " + (
        "threading.Thread(target=build_worker._end_with_parent).start(); print('up', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdin is not None and child.stdout.readline() == b"up\n"
    child.stdin.close()
    assert child.wait(timeout=10) == 1
    child.stdout.close()
