"""`--warm-start`: another runtime until the plan is there, and what if it never is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from engines import EngineLoadError, EngineStopped, EngineUnavailable
from tests.detect.gpus import Fakes, Gpu, fakes, frames, machine, marks, model, opener, raising
from tracker.detect import open_relay
from tracker.errors import RequirementError, UsageError

__all__ = ["fakes", "machine", "model"]  # fixtures


class Compiler:
    """Opens a plan as slowly as the test wants it."""

    def __init__(self, result: Callable[[], Gpu]) -> None:
        self.result, self.go, self.ended = result, Event(), Event()

    def __call__(self, say: Callable[[str], None]) -> Gpu:
        try:
            say("compiling m.onnx")
            while not self.go.wait(0.01):
                say("compiling, 5 s")
            return self.result()
        finally:
            self.ended.set()


def until(condition: Callable[[], object]) -> None:
    waited = Event()
    for _ in range(1000):
        if condition():
            return
        waited.wait(0.01)
    pytest.fail("it did not come")


def test_a_warm_start_runs_below_until_the_plan_is_there(fakes: Fakes, model: Path) -> None:
    compiler, said = Compiler(lambda: Gpu("tensorrt", 0)), list[str]()
    fakes.content = {"tensorrt": compiler, "onnxruntime": lambda say: Gpu("onnxruntime", 1)}
    relay = open_relay(opener(model), warm=True, say=said.append)
    assert marks(relay.detect(frames(0, 1))) == [1, 1]
    assert relay.warnings == [
        "the run ended before its plan for tensorrt was ready; without --warm-start it is built first"
    ]
    compiler.go.set()
    until(lambda: said[-1] == "notice: from frame 2 on: tensorrt 1.0, fp32, cuda:0")
    assert marks(relay.detect(frames(2, 3))) == [0, 0] and relay.warnings == []
    assert [(leg["runtime"], leg["from_frame"]) for leg in relay.runtimes] == [
        ("onnxruntime 1.0", 0),
        ("tensorrt 1.0", 2),
    ]
    relay.close()


def test_a_plan_that_is_there_needs_no_stand_in(fakes: Fakes, model: Path) -> None:
    fakes.content = {"tensorrt": lambda say: Gpu("tensorrt", 0)}
    relay = open_relay(opener(model), warm=True)
    assert relay.engine.runtime == "tensorrt 1.0" and fakes.asked == [("tensorrt", "cuda:0")]


def test_a_build_that_fails_is_told_and_the_run_goes_on(fakes: Fakes, model: Path) -> None:
    def fail() -> Gpu:
        raise EngineLoadError("no such operator")

    compiler, said = Compiler(fail), list[str]()
    fakes.content = {"torch": compiler, "openvino": lambda say: Gpu("openvino", 1)}
    relay = open_relay(opener(model, "torch", say=said.append), warm=True, say=said.append)
    compiler.go.set()
    until(lambda: "warning: torch was not built: no such operator; the run goes on with what it began on" in said)
    assert marks(relay.detect(frames(0))) == [1] and len(relay.warnings) == 1
    assert ("openvino", "cpu") in fakes.asked
    relay.close()


def test_closing_stops_the_build(fakes: Fakes, model: Path) -> None:
    compiler = Compiler(lambda: pytest.fail("built"))
    fakes.content = {"tensorrt": compiler, "onnxruntime": lambda say: Gpu("onnxruntime", 1)}
    relay = open_relay(opener(model), warm=True, say=lambda line: None)
    relay.close()
    assert compiler.ended.is_set()


def test_closing_stops_a_compiler_that_says_nothing(fakes: Fakes, model: Path) -> None:
    """It is asked of the build several times a second, not when the next line of progress comes."""
    ended, said = Event(), list[str]()

    def compile_it(say: Callable[[str], None]) -> Gpu:
        say("compiling m.onnx")
        stopped = fakes.stopped
        until(stopped)
        ended.set()
        raise EngineStopped("the build was ended")

    fakes.content = {"tensorrt": compile_it, "onnxruntime": lambda say: Gpu("onnxruntime", 1)}
    relay = open_relay(opener(model), warm=True, say=said.append)
    relay.close()
    assert ended.is_set() and not any("was not built" in line for line in said)


def test_a_runtime_that_is_not_there_is_told_as_without_a_warm_start(fakes: Fakes, model: Path) -> None:
    fakes.content = {"torch": raising(EngineUnavailable("torch cannot be imported"))}
    with pytest.raises(RequirementError, match="torch is not available: torch cannot be imported"):
        open_relay(opener(model, "torch"), warm=True)


def test_a_warm_start_with_nothing_to_wait_for(fakes: Fakes, model: Path, machine: Callable[..., None]) -> None:
    fakes.content = {"openvino": lambda say: Gpu("openvino", 1)}
    opened = opener(model, "openvino")
    open_relay(opened, warm=True)
    assert opened.notices == ["--warm-start: nothing is compiled for this run, so it waits for nothing"]
    machine("torch", gpus=0)
    with pytest.raises(UsageError, match="nothing can run while torch is compiled"):
        open_relay(opener(model, "torch"), warm=True)
