"""PyTorch on a GPU: pinned memory, CUDA graphs, memory that runs out; and the same played by the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import engines
from engines import EngineOptions, EngineOutOfMemory
from engines.build import Request, build_plan
from tests.engines.tiny import INPUT, pictures, save_tiny

torch = pytest.importorskip("torch")

from engines.torch import TorchEngine  # noqa: E402
from engines.torch_lanes import SHAPES, Lane, OnGpu  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", batch="n")


def reference(model: Path, feed: dict[str, Any]) -> dict[str, Any]:
    return engines.load(model, "onnxruntime", EngineOptions(shape={}, device="cpu")).infer(feed)


def test_a_lane_keeps_the_shapes_that_came_last() -> None:
    made: list[Any] = []

    def bind(shapes: Any) -> Any:
        made.append(shapes)
        given = np.zeros(shapes[0], np.float32)
        return SimpleNamespace(arrays=[given], run=lambda: [given])

    lane, lock = Lane(["x"], ["y"], bind), Lock()
    for size in (*range(1, SHAPES + 2), 1, SHAPES + 1):
        x = np.full(size, size, np.float32)
        out = lane.run({"x": x}, lock)["y"]
        assert np.array_equal(out, x)
    assert [shapes[0][0] for shapes in made] == [*range(1, SHAPES + 2), 1]


class PlayedGraph:
    """Replays what was run last while it was captured."""

    def __init__(self) -> None:
        self.replayed = 0

    def replay(self) -> None:
        self.replayed += 1
        played.module.forward_into()


class Played:
    """PyTorch with a GPU that is the CPU; `refuse` is raised by a capture."""

    def __init__(self, refuse: Exception | None = None) -> None:
        self.waits, self.refuse, self.graphs = 0, refuse, list[PlayedGraph]()
        self.inference_mode, self.backends = torch.inference_mode, torch.backends
        self.cuda = SimpleNamespace(current_stream=lambda: self, CUDAGraph=self.graph_, graph=self.capture)
        self.module = Doubler()

    def synchronize(self) -> None:
        self.waits += 1

    def zeros(self, *given: Any, pin_memory: bool, **named: Any) -> Any:
        assert pin_memory
        return torch.zeros(*given, **named)

    def empty(self, *given: Any, pin_memory: bool, **named: Any) -> Any:
        assert pin_memory
        return torch.empty(*given, **named)

    def graph_(self) -> PlayedGraph:
        self.graphs.append(PlayedGraph())
        return self.graphs[-1]

    @contextmanager
    def capture(self, graph: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert stream is self and capture_error_mode == "thread_local" and self.module.runs >= 3
        assert not torch.backends.cudnn.allow_tf32
        yield
        if self.refuse:
            raise self.refuse


class Doubler:
    """y = 2 x, in memory that stays."""

    def __init__(self) -> None:
        self.runs, self.x, self.y = 0, torch.zeros(2), torch.zeros(2)

    def __call__(self, x: Any) -> Any:
        self.runs, self.x = self.runs + 1, x
        self.forward_into()
        return (self.y,)

    def forward_into(self) -> None:
        self.y.copy_(self.x * 2)


played = Played()


def play(refuse: Exception | None = None) -> tuple[OnGpu, list[str]]:
    global played
    played, told = Played(refuse), list[str]()
    return OnGpu(played, played.module, [((2,), torch.float32)], "cpu", told.append), told


def test_a_graph_is_captured_once_and_replayed() -> None:
    bound, told = play()
    runs = played.module.runs
    for value in (3.0, 5.0):
        bound.arrays[0][:] = value
        assert bound.run()[0].tolist() == [2 * value] * 2
    assert played.graphs[0].replayed == 2 and played.module.runs == runs and not told


def test_without_a_graph_it_runs_and_says_so() -> None:
    bound, told = play(RuntimeError("operation not permitted when stream is capturing\nmore"))
    bound.arrays[0][:] = 4
    assert bound.run()[0].tolist() == [8, 8] and not played.graphs[0].replayed
    assert told == ["torch runs without a CUDA graph, slower: operation not permitted when stream is capturing"]
    with pytest.raises(RuntimeError, match="out of memory"):
        play(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))


def gpu() -> None:
    if not engines.has_gpu() or not torch.cuda.is_available():
        pytest.skip("no GPU that this PyTorch can use")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_program_runs_on_the_gpu_from_graphs_and_pinned_memory(model: Path, tmp_path: Path, precision: str) -> None:
    gpu()
    told: list[str] = []
    options = EngineOptions(shape={"images": INPUT}, device="cuda:0", precision=precision, streams=2)
    engine = engines.load(model, "torch", options, told.append, tmp_path / "plans")
    assert isinstance(engine, TorchEngine) and (engine.device, engine.precision) == ("cuda:0", precision)
    for feed in pictures(6):
        assert engine.infer(feed)["boxes"] == pytest.approx(reference(model, feed)["boxes"], abs=1.0)
    (bound,) = engine._pool.submit(lambda: list(engine._lanes.lane._kept.values())).result()
    assert bound._graph is not None and all(tensor.is_pinned() for tensor in (*bound._pinned, *bound._fetched))
    assert not any("without a CUDA graph" in line for line in told)
    engine.close()
    engine.close()


@pytest.mark.gpu
def test_each_batch_gets_its_graph(model: Path, tmp_path: Path) -> None:
    gpu()
    request = Request(model, "torch", "fp16", {"images": (INPUT, (8, *INPUT[1:]), (8, *INPUT[1:]))})
    plan = build_plan(request, lambda line: None, tmp_path / "plans")
    engine = TorchEngine(plan.path, EngineOptions(shape={}, device="cuda:0"), folder=tmp_path / "plans")
    feeds = pictures(8)
    for count in (1, 8, 3, 8, 1):
        batch = {"images": np.concatenate([feed["images"] for feed in feeds[:count]])}
        assert engine.infer(batch)["boxes"] == pytest.approx(reference(model, batch)["boxes"], abs=1.0)
    kept = engine._pool.submit(lambda: engine._lanes.lane._kept).result()
    assert len(kept) == 3 and all(bound._graph is not None for bound in kept.values())
    engine.close()


@pytest.mark.gpu
def test_memory_of_the_gpu_that_runs_out(model: Path, tmp_path: Path) -> None:
    """And what fits afterwards runs: nothing is left taken."""
    gpu()
    huge = (1 << 20, *INPUT[1:])
    request = Request(model, "torch", "fp16", {"images": (INPUT, INPUT, huge)})
    plan = build_plan(request, lambda line: None, tmp_path / "plans")
    engine = TorchEngine(plan.path, EngineOptions(shape={}, device="cuda:0"), folder=tmp_path / "plans")
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        with pytest.raises(EngineOutOfMemory, match="cuda:0 has no memory left"):
            engine.infer({"images": np.zeros((1 << 16, *INPUT[1:]), np.float32)})
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.infer(pictures(1)[0])["boxes"].shape == (1, 6, 256)
    engine.close()
