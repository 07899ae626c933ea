"""A plan that the user names runs as its card and notes say; one that the cache holds passes the gate first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines.build_cache import add_notes, notes_path, publish, read_notes
from engines.storage import sha256_of
from tests.detect.graphs import HEIGHT, WIDTH, decoded, save
from tests.detect.test_open import FRAME, opened
from tracker.config import DetectSettings
from tracker.detect import open_detector
from tracker.errors import ModelError, RequirementError

OPTIONS = engines.EngineOptions(shape={})


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan of `m.onnx` (in another folder) on a machine whose TensorRT is ONNX Runtime."""
    (tmp_path / "origin").mkdir()
    grid = decoded(3)
    grid[0, :40, 2:4], grid[0, :40, 4:6] = 6, 1
    model = save(tmp_path / "origin" / "m.onnx", {"output": grid})

    class Stand(Relabelled):
        runtime, precision, device = "tensorrt 10.9", "fp16", "cuda:0"

        def __init__(self) -> None:
            self.engine = engines.load(model, "onnxruntime", OPTIONS)
            self.inputs, self.outputs = self.engine.inputs, self.engine.outputs

    usual = engines.load_plan

    def load_plan(path: Path, runtime: str, *rest: Any) -> tuple[engines.Engine, engines.Plan | None]:
        return (Stand(), None) if path.suffix == ".plan" else usual(path, runtime, *rest)

    monkeypatch.setattr(engines, "load_plan", load_plan)
    monkeypatch.setattr(engines, "installed", lambda: ["tensorrt", "openvino", "onnxruntime"])
    monkeypatch.setattr(engines, "why_no_gpu", lambda index=0: "")
    path, made = tmp_path / "m.plan", tmp_path / "made"
    made.write_bytes(b"plan")
    made_of = {
        "runtime": "tensorrt", "precision": "fp16", "model_sha256": sha256_of(model),
        "shapes": {"x": [list((1, 3, HEIGHT, WIDTH))] * 3},
    }  # fmt: skip
    publish({".plan": made}, path, {"model": "m.onnx", "ingredients": made_of})
    path.with_suffix(".yaml").write_text("name: m\nfile: m.onnx\nhead: yolox_decoded\nclasses: [cat, dog, cow]\n")
    return path


class Relabelled:
    """An engine under another name."""

    engine: engines.Engine

    def infer(self, feeds):
        return self.engine.infer(feeds)

    def close(self) -> None: ...


def test_a_plan_runs_when_it_is_named_and_its_card_says_how(plan: Path) -> None:
    detector, notices = opened(plan, runtime="auto", fused="off")
    assert detector.engine.runtime == "tensorrt 10.9" and detector.class_names == ("cat", "dog", "cow")
    assert detector.identity.head == "yolox_decoded" and len(detector.detect([FRAME])[0])
    assert notices == ["plan m.plan: parity not measured: its model m.onnx is not beside it"]


def test_a_plan_is_compared_with_the_model_beside_it(plan: Path) -> None:
    model = plan.with_name("m.onnx")
    model.write_bytes((plan.parent / "origin" / "m.onnx").read_bytes())
    notices = opened(plan, runtime="auto", fused="off")[1]
    assert len(notices) == 1 and "parity with the ONNX" in notices[0] and "recall 1.000" in notices[0]
    assert read_notes(plan)["parity"]["passed"]
    assert opened(plan, runtime="auto", fused="off")[1] == []
    save(model, {"output": decoded(3)})
    add_notes(plan, parity={})
    assert "its model m.onnx is not beside it" in opened(plan, runtime="auto", fused="off")[1][0]


def test_a_plan_without_notes_is_told(plan: Path) -> None:
    notes_path(plan).unlink()
    notices = opened(plan, runtime="auto", fused="off")[1]
    assert notices == ["plan m.plan: its notes are missing or damaged, so its boxes are not compared with a model's"]


def test_a_plan_needs_its_runtime_and_a_gpu(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="is a plan for tensorrt or tensorrt-rtx, runtime openvino was asked for"):
        opened(plan, runtime="openvino")
    with pytest.raises(ModelError, match=r"gone\.plan does not exist; build it"):
        opened(plan.with_name("gone.plan"), runtime="auto")
    monkeypatch.setattr(engines, "installed", lambda: ["openvino", "onnxruntime"])
    with pytest.raises(RequirementError, match=r"no runtime for \.plan files is installed; .*'tracker\[tensorrt\]'"):
        opened(plan, runtime="auto")
    monkeypatch.setattr(engines, "why_no_gpu", lambda index=0: "no NVIDIA driver here")
    with pytest.raises(RequirementError, match=r"m\.plan runs on an NVIDIA GPU: no NVIDIA driver here"):
        opened(plan, runtime="auto")


def test_the_gate_takes_fp32_in_the_place_of_a_bad_fp16_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runtime moves every box by some pixels in FP16."""
    grid = decoded(3)
    grid[0, :40, 2:4], grid[0, :40, 4:6] = 6, 1
    moved = grid.copy()
    moved[0, :, 0] += 3
    model, wrong = save(tmp_path / "m.onnx", {"output": grid}), save(tmp_path / "wrong.onnx", {"output": moved})
    usual, built = engines.load_plan, list[str]()

    def load_plan(
        path: Path, runtime: str, options: engines.EngineOptions, *rest: Any
    ) -> tuple[engines.Engine, engines.Plan | None]:
        if runtime != "tensorrt":
            return usual(path, runtime, options, *rest)
        precision = "fp16" if options.precision == "auto" else options.precision
        built.append(precision)
        plan, made = tmp_path / f"m-{precision}.plan", tmp_path / "made"
        made.write_bytes(b"plan")
        if not plan.exists():
            publish({".plan": made}, plan, {"ingredients": {"precision": precision}})
        engine = engines.load(wrong if precision in bad else model, "onnxruntime", OPTIONS)
        return engine, engines.Plan(plan, read_notes(plan), True)

    monkeypatch.setattr(engines, "load_plan", load_plan)
    bad, told = {"fp16"}, list[str]()
    settings = DetectSettings(model=str(model), runtime="tensorrt", fused="off", workers=1)
    for _ in range(2):
        notices = open_detector(settings, (WIDTH, HEIGHT), say=told.append)[1]
        assert len(notices) == 1 and notices[0].startswith("m-fp16.plan: parity with the ONNX")
        assert notices[0].endswith("; refused, fp32 takes its place")
    assert built == ["fp16", "fp32"] * 2 and len(told) == 2, "measured once each"
    bad.add("fp32")
    add_notes(tmp_path / "m-fp32.plan", parity={})
    with pytest.raises(ModelError, match=r"m-fp32\.plan: parity with the ONNX.*refused$"):
        open_detector(settings, (WIDTH, HEIGHT))


class Choosy:
    """An engine whose open batch must lie in a range, as that of a compiled plan; counts the pictures it is fed."""

    def __init__(self, engine: engines.Engine, least: int, largest: int) -> None:
        self._engine, self.least, self.largest, self.sizes = engine, least, largest, list[int]()
        self.inputs = tuple(replace(spec, shape=(None, *spec.shape[1:])) for spec in engine.inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, feeds: Any) -> Any:
        (array,) = feeds.values()
        if not self.least <= len(array) <= self.largest:
            raise engines.EngineInferError(f"a batch of {len(array)}")
        self.sizes.append(len(array))
        return {"output": np.repeat(decoded(3), len(array), 0)}


@pytest.mark.parametrize(("frames", "sizes"), [(1, [2]), (2, [2]), (7, [7]), (8, [8]), (9, [8, 2]), (0, [])])
def test_a_plan_for_a_range_of_batches_is_never_fed_another(
    plan: Path, frames: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built with --batch 2:8: single frames are padded, many go in pieces; said where every frame is padded."""
    notes = read_notes(plan)
    shapes = [[size, 3, HEIGHT, WIDTH] for size in (2, 8, 8)]
    made = plan.with_name("made")
    made.write_bytes(b"plan")
    publish({".plan": made}, plan, {"model": "m.onnx", "ingredients": notes["ingredients"] | {"shapes": {"x": shapes}}})
    load_plan = engines.load_plan
    monkeypatch.setattr(engines, "load_plan", lambda *given: (Choosy(load_plan(*given)[0], 2, 8), None))
    detector, notices = opened(plan, runtime="auto", fused="off")
    assert notices[-1] == "the model's batch is 2 at least: single frames are padded"
    detector.engine.sizes.clear()  # type: ignore[attr-defined]
    assert len(detector.detect([FRAME] * frames)) == frames and detector.engine.sizes == sizes  # type: ignore[attr-defined]
    notes_path(plan).unlink()
    with pytest.raises(ModelError, match=r"m\.plan does not run: a batch of 1"):
        opened(plan, runtime="auto", fused="off")
