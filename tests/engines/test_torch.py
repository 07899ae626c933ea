"""Exported programs in PyTorch: which files are loaded, precisions, threads, memory."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import EngineLoadError, EngineOptions, EngineOutOfMemory, EngineUnavailable
from engines.build import Request, build_plan
from engines.build_cache import notes_path, publish, read_notes
from tests.engines.tiny import INPUT, pictures, save_tiny

torch = pytest.importorskip("torch")

from engines.torch import TorchEngine, choose_precision  # noqa: E402
from engines.torch_lanes import OnCpu  # noqa: E402

pytestmark = pytest.mark.usefixtures("export_here")

SHAPES_OF = {"images": (INPUT, INPUT, INPUT)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx", batch="n")


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "plans"


Open = Callable[..., TorchEngine]


@pytest.fixture
def open_it(model: Path, plans: Path, export_here: None) -> Iterator[Open]:
    """The model in PyTorch on the CPU."""
    opened: list[engines.Engine] = []

    def open_one(**options: Any) -> engines.Engine:
        wanted = {"shape": {"images": INPUT}, "device": "cpu", **options}
        opened.append(engines.load(model, "torch", EngineOptions(**wanted), folder=plans))
        return opened[-1]

    yield open_one  # type: ignore[misc]
    for engine in opened:
        engine.close()


def reference(model: Path, feed: dict[str, Any]) -> dict[str, Any]:
    engine = engines.load(model, "onnxruntime", EngineOptions(shape={}, device="cpu"))
    return engine.infer(feed)


# Which files are loaded


class Spy:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def program_with_a_pickle(path: Path, ran: Path) -> Path:
    """A valid program, whose example input writes `ran` when torch.export.load unpickles it."""

    class Twice(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x * 2

    torch.export.save(torch.export.export(Twice(), (torch.zeros(1, 2),)), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in parts if "sample_inputs" in name]
    parts[inputs] = pickle.dumps(Spy(ran))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_a_program_of_somebody_else_is_not_unpickled(tmp_path: Path, plans: Path, open_it: Open) -> None:
    """Nor with notes beside it that fit: whoever wrote the one could write the other."""
    open_it()
    ran = tmp_path / "ran"
    stranger = program_with_a_pickle(tmp_path / "m.pt2", ran)
    with pytest.raises(EngineLoadError, match=r"m\.pt2 is not loaded: the plan cache does not hold it.*its ONNX"):
        TorchEngine(stranger, EngineOptions(shape={}, device="cpu"), folder=plans)
    made_of = {"runtime": "torch", "precision": "fp32"}
    publish({".pt2": stranger}, tmp_path / "n.pt2", {"ingredients": made_of, "inputs": [], "outputs": []})
    with pytest.raises(EngineLoadError, match="the plan cache does not hold it"):
        TorchEngine(tmp_path / "n.pt2", EngineOptions(shape={}, device="cpu"), folder=plans)
    assert not ran.exists()
    with pytest.raises(Exception):  # noqa: B017  whatever PyTorch raises once it has run the pickle
        torch.export.load(tmp_path / "n.pt2")
    assert ran.exists(), "the attack of this test is real"


def test_a_copy_of_our_own_program_runs(tmp_path: Path, plans: Path, open_it: Open, model: Path) -> None:
    open_it()
    (kept,) = plans.glob("*-fp32-*.pt2")
    copy = tmp_path / "mine.pt2"
    shutil.copyfile(kept, copy)
    engine = engines.load(copy, "torch", EngineOptions(shape={}, device="cpu"), folder=plans)
    (feed,) = pictures(1)
    assert engine.infer(feed)["boxes"] == pytest.approx(reference(model, feed)["boxes"], rel=1e-4, abs=1e-3)
    engine.close()
    copy.write_bytes(copy.read_bytes() + b"!")
    with pytest.raises(EngineLoadError, match="the plan cache does not hold it"):
        TorchEngine(copy, EngineOptions(shape={}), folder=plans)


def test_a_program_that_others_could_have_written_is_refused(tmp_path: Path, plans: Path, open_it: Open) -> None:
    open_it()
    folder = tmp_path / "plans"
    shutil.copytree(plans, folder)
    (kept,) = folder.glob("*-fp32-*.pt2")
    folder.chmod(0o777)
    with pytest.raises(EngineLoadError, match=r"open to others; chmod 700"):
        TorchEngine(kept, EngineOptions(shape={}), folder=folder)
    folder.chmod(0o700)
    kept.chmod(0o666)
    with pytest.raises(EngineLoadError, match="another user made it or may change it"):
        TorchEngine(kept, EngineOptions(shape={}), folder=folder)
    with pytest.raises(EngineLoadError, match=r"cannot be read: No such file"):
        TorchEngine(folder / "gone.pt2", EngineOptions(shape={}), folder=folder)


def test_a_program_that_does_not_load_is_exported_again(
    tmp_path: Path, plans: Path, open_it: Open, model: Path
) -> None:
    open_it()
    folder, told, junk = tmp_path / "plans", list[str](), tmp_path / "junk"
    shutil.copytree(plans, folder)
    (kept,) = folder.glob("*-fp32-*.pt2")
    junk.write_bytes(b"no program")
    publish({".pt2": junk}, kept, read_notes(kept))
    options = EngineOptions(shape={"images": INPUT}, device="cpu")
    engine = engines.load(model, "torch", options, told.append, folder)
    assert engine.infer(pictures(1)[0])["boxes"].shape == (1, 6, 256)
    engine.close()
    assert any("does not load (torch cannot load" in line for line in told)


# Precision, threads, memory


def test_bf16_is_really_used_and_told(open_it: Open, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    engine = open_it(precision="bf16")
    assert engine.precision == "bf16" and engine.outputs[0].dtype == np.float32
    kinds = {weight.dtype for weight in engine._module.buffers() if weight.dim() == 4}
    assert kinds == {torch.bfloat16}
    (feed,) = pictures(1)
    got, want = engine.infer(feed)["boxes"], reference(model, feed)["boxes"]
    assert not np.array_equal(got, want) and got == pytest.approx(want, abs=4)  # of 400 pixels


def test_precisions_of_devices(monkeypatch: pytest.MonkeyPatch, open_it: Open, plans: Path) -> None:
    assert (choose_precision("auto", "cpu"), choose_precision("auto", "cuda:0")) == ("fp32", "fp16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    for wanted, message in (("fp16", "fp16 on a GPU only"), ("bf16", "no instructions for bf16"), ("int8", "int8 was")):
        with pytest.raises(EngineUnavailable, match=message):
            open_it(precision=wanted)
    open_it()
    (kept,) = plans.glob("*-fp32-*.pt2")
    with pytest.raises(EngineUnavailable, match="is fp32, precision fp16 was asked for"):
        TorchEngine(kept, EngineOptions(shape={}, device="cpu", precision="fp16"), folder=plans)


def test_int8_is_refused_before_any_work(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="precision for torch must be one of fp32, fp16, bf16, got int8"):
        build_plan(Request(model, "torch", "int8", SHAPES_OF), lambda line: None, tmp_path / "plans")
    with pytest.raises(EngineUnavailable, match="one program for all devices; leave --gpu out"):
        build_plan(Request(model, "torch", "fp32", SHAPES_OF, ("sm89",)), lambda line: None, tmp_path / "plans")


def test_threads_are_the_engines_own(open_it: Open) -> None:
    """Each inference in flight has as many as asked for; the caller's number, and that of threads to come, stays."""
    before = torch.get_num_threads()
    engine = open_it(threads=before + 2, streams=2)
    seen: list[int] = []
    lanes = engine._pool
    inner = engine._module

    def module(*inputs: Any) -> Any:
        seen.append(torch.get_num_threads())
        return inner(*inputs)

    def listen() -> None:
        for bound in engine._lanes.lane._kept.values():
            bound._module = module

    for _ in range(20):
        lanes.submit(listen).result()
    for feed in pictures(20):
        engine.infer(feed)
    assert seen and set(seen) == {before + 2} and torch.get_num_threads() == before
    fresh = lanes.__class__(1)
    assert fresh.submit(torch.get_num_threads).result() == before
    fresh.shutdown()


def test_memory_that_runs_out_is_told_apart(open_it: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_it()

    def fail(self: OnCpu) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes\nmore")

    monkeypatch.setattr(OnCpu, "run", fail)
    with pytest.raises(EngineOutOfMemory, match=r"cpu has no memory left \(DefaultCPU.*9 bytes\); use a smaller batch"):
        engine.infer(pictures(1)[0])
    monkeypatch.setattr(OnCpu, "__init__", lambda *given: fail(None))  # type: ignore[arg-type]
    with pytest.raises(EngineOutOfMemory, match="cannot run"):
        open_it(streams=3)


def test_what_is_not_there_is_told(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "plans").mkdir(mode=0o700)
    (tmp_path / "plans" / "m.pt2").write_bytes(b"program")
    made_of = {"runtime": "torch", "precision": "fp32"}
    draft = tmp_path / "draft"
    draft.write_bytes(b"program")
    publish({".pt2": draft}, tmp_path / "plans" / "m.pt2", {"ingredients": made_of, "inputs": [], "outputs": []})
    assert notes_path(tmp_path / "plans" / "m.pt2").exists()
    with pytest.raises(EngineUnavailable, match=r"pip install 'tracker\[torch\]'"):
        TorchEngine(tmp_path / "plans" / "m.pt2", EngineOptions(shape={}), folder=tmp_path / "plans")
