"""One runtime after the other in one run: a plan becomes ready, a GPU lacks memory. No frame twice, none lost."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

import engines
from engines import EngineInferError
from engines.base import Array
from tests.detect.gpus import Gpu, detector, frames, marks
from tracker.detect import EngineDetector
from tracker.detect.relay import SPARE, RelayDetector
from tracker.errors import RequirementError, TrackerError


def test_a_swap_takes_the_next_frame_and_no_earlier_one() -> None:
    old, new, said = Gpu("openvino", 0), Gpu("tensorrt", 1), list[str]()
    relay = RelayDetector(detector(old), say=said.append)
    assert marks(relay.detect(frames(0, 1, 2))) == [0, 0, 0] and relay.engine is old
    relay.swap(detector(new))
    assert said == ["notice: from frame 3 on: tensorrt 1.0, fp32, cuda:0"]
    assert relay.engine is old  # it has not detected anything yet
    assert marks(relay.detect(frames(3))) == [1]
    assert marks(relay.detect(frames(1))) == [0]  # one that a slower thread still has
    assert relay.engine is new and not old.closed
    relay.detect(frames(3 + SPARE))
    assert old.closed == 1 and not new.closed
    assert relay.runtimes == [
        {"runtime": "openvino 1.0", "precision": "fp32", "device": "cuda:0", "from_frame": 0, "frames": 4},
        {"runtime": "tensorrt 1.0", "precision": "fp32", "device": "cuda:0", "from_frame": 3, "frames": 2},
    ]
    relay.close()
    assert old.closed == new.closed == 1
    late = Gpu("torch", 2)
    relay.swap(detector(late))
    assert late.closed == 1 and len(said) == 1


def test_out_of_memory_halves_the_batch_and_keeps_it() -> None:
    engine, said = Gpu("tensorrt", 0, room=3), list[str]()
    relay = RelayDetector(detector(engine), say=said.append)
    assert len(relay.detect(frames(*range(8)))) == 8 and engine.batches == [2, 2, 2, 2]
    assert len(relay.detect(frames(*range(8, 12)))) == 4 and engine.batches[4:] == [2, 2]
    assert [line.split(":")[1] for line in said] == [
        " GPU out of memory with 8 frames an inference", " GPU out of memory with 4 frames an inference"
    ]  # fmt: skip
    assert relay.warnings == [line.removeprefix("warning: ") for line in said]


def test_out_of_memory_steps_down_and_loses_no_frame() -> None:
    full, last, said, asked = Gpu("tensorrt", 0, room=1), Gpu("openvino", 1, device="cpu"), list[str](), list[Any]()

    def step_down(engine: engines.Engine) -> EngineDetector:
        asked.append((engine, full.closed))
        return detector(last)

    relay = RelayDetector(detector(full), step_down, said.append)
    assert marks(relay.detect(frames(0))) == [0]
    full.room = 0
    assert marks(relay.detect(frames(1, 2, 3, 4))) == [1] * 4
    assert marks(relay.detect(frames(5))) == [1]
    assert asked == [(full, 1)], "its memory is given back before the next one wants some"
    assert said[-1] == (
        "warning: GPU out of memory on tensorrt 1.0, fp32, cuda:0: frame 1 and what follows run on openvino 1.0, "
        "fp32, cpu"
    )
    assert [(leg["runtime"], leg["from_frame"], leg["frames"]) for leg in relay.runtimes] == [
        ("tensorrt 1.0", 0, 1), ("openvino 1.0", 1, 5)
    ]  # fmt: skip


def test_threads_step_down_once() -> None:
    full, last, both, opened = Gpu("tensorrt", 0, room=0), Gpu("openvino", 1), Barrier(4), list[int]()
    full.hold = lambda: both.wait(10)

    def step_down(engine: engines.Engine) -> EngineDetector:
        opened.append(1)
        return detector(last)

    relay = RelayDetector(detector(full), step_down)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: relay.detect(frames(index))[0], range(4)))
    assert marks(found) == [1] * 4 and opened == [1] and full.closed == 1


def test_a_required_runtime_without_memory_is_an_error() -> None:
    relay = RelayDetector(detector(Gpu("tensorrt", 0, room=0)))
    for index in (0, 1):
        with pytest.raises(TrackerError, match="no memory left; this runtime is required"):
            relay.detect(frames(index))


def test_the_last_runtime_without_memory_is_an_error() -> None:
    def nothing(engine: engines.Engine) -> EngineDetector:
        raise RequirementError("no runtime is left to try")

    relay = RelayDetector(detector(Gpu("tensorrt", 0, room=0)), nothing)
    with pytest.raises(TrackerError, match="no runtime is left"):
        relay.detect(frames(0))


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    class Broken(Gpu):
        def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
            raise EngineInferError("illegal address")

    relay = RelayDetector(detector(Broken("tensorrt", 0)), lambda engine: pytest.fail("stepped down"))
    with pytest.raises(TrackerError, match="illegal address"):
        relay.detect(frames(0))
