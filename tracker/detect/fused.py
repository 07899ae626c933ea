"""A detector whose letterbox, colours and suppression are in the graph: one upload of planes, one list of boxes back.

A GPU then gets 1.5 bytes a pixel of the picture and gives back 24 bytes a candidate; nothing is resized on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

import engines
from engines.precision import load_onnx
from tracker.detect.detector import EngineDetector
from tracker.detect.fused_back import DECODERS, add_back
from tracker.detect.fused_front import Picture, add_front
from tracker.detect.heads import Candidates
from tracker.detect.letterbox import COLORS, Layout, Letterbox, colors_of, layout_of, pairs_of
from tracker.detect.onnx_nodes import Nodes
from tracker.errors import ModelError, RequirementError
from tracker.structures import Detections, Frame, plane_of

Array = NDArray[Any]
Load = Callable[[Path, Mapping[str, tuple[int, ...]]], engines.Engine]
"""Loads an ONNX file with these shapes of its inputs on the runtime at work. Raises EngineError."""
INPUT, OUTPUT = "planes", "rows"
MOST = 1024
"""Candidates that take part at most: each pair of them is compared."""
OLDEST_OPSET = 11


class FusedDetector(EngineDetector):
    """A detector on a fused graph. Frames that do not fit it go to the usual detector that it was made from."""

    def __init__(self, usual: EngineDetector, engine: engines.Engine, picture: Picture) -> None:
        """Take over `usual` and `engine`, which runs the graph that `fuse` made of its model for `picture`."""
        self._usual, self.picture, self._strangers = usual, picture, 0
        super().__init__(engine, usual._card, usual.identity, usual._settings, usual.observe)
        self._most = most_of(usual)

    @property
    def warnings(self) -> list[str]:
        """What went other than asked for so far, one line each."""
        told = [*super().warnings, *self._usual.warnings]
        if self._strangers:
            picture = self.picture
            told.append(
                f"{self._strangers} frame{'s were' if self._strangers > 1 else ' was'} not {picture.width}x"
                f"{picture.height} {picture.layout}, for which letterbox and suppression are in the graph; resized here"
            )
        return told

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `EngineDetector.detect`."""
        fits = [self._fits(frame) for frame in frames]
        ours = iter(super().detect([frame for frame, good in zip(frames, fits, strict=True) if good]))
        others = [frame for frame, good in zip(frames, fits, strict=True) if not good]
        if not others:
            return list(ours)
        with self._lock:
            self._strangers += len(others)
        rest = iter(self._usual.detect(others))
        return [next(ours if good else rest) for good in fits]

    def close(self) -> None:
        """Let go of both engines."""
        self.engine.close()
        self._usual.close()

    def _fits(self, frame: Frame) -> bool:
        return Picture(frame.width, frame.height, layout_of(frame.picture)) == self.picture

    def _look_at_input(self) -> tuple[engines.TensorSpec, tuple[int, int]]:
        (spec,) = self.engine.inputs
        return spec, self._usual.size_hw

    def _pack(self, frames: Sequence[Frame], batch: int) -> Array:
        feed = np.empty((batch, self.picture.size), np.uint8)
        for row, frame in zip(feed, frames, strict=False):
            copy_planes(frame, self.picture, row)
        feed[len(frames) :] = feed[len(frames) - 1]
        return feed

    def _decode(self, outputs: Mapping[str, Array], k: int, frame: Frame) -> Candidates:
        rows = outputs[OUTPUT][k]
        if len(rows) == self._most and rows[-1, 4] >= self._settings.score:
            self._count_flood()
        rows = rows[(rows[:, 4] >= self._settings.score) & (rows[:, 5] >= 0) & np.isfinite(rows).all(1)]
        return rows[:, :4].copy(), rows[:, 4].copy(), rows[:, 5].astype(np.int64)


def copy_planes(frame: Frame, picture: Picture, row: NDArray[np.uint8]) -> None:
    """The bytes of a frame that is such a `picture` into `row` (picture.size,)."""
    height, width = picture.height, picture.width
    if picture.layout == "bgr":
        row.reshape(height, width, 3)[...] = frame.bgr
        return
    luma, (rows, columns) = height * width, picture.chroma_hw
    row[:luma].reshape(height, width)[...] = plane_of(frame.picture, 0)
    if picture.layout == "nv12":
        row[luma:-1].reshape(rows, columns, 2)[...] = pairs_of(frame.picture)
    else:
        planes = row[luma:-1].reshape(2, rows, columns)
        planes[0], planes[1] = plane_of(frame.picture, 1), plane_of(frame.picture, 2)
    row[-1] = COLORS.index(colors_of(frame.picture))


def most_of(usual: EngineDetector) -> int:
    """Candidates of a picture that take part in the suppression at most."""
    return min(MOST, usual._settings.max_candidates)


def fuse(model: Any, usual: EngineDetector, picture: Picture) -> Any:
    """A copy of `model` (the onnx.ModelProto of `usual`) that takes `planes` (B, picture.size) uint8.

    It gives `rows` (B, K, 6) float32: see `add_back`. B is 1, or open where the model's own batch is.

    Raises:
        ModelError: a model that is not fused; says why.
        EngineError: the model failed when its outputs were asked for.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph, types = made.graph, onnx.TensorProto
    opset = next((entry.version for entry in made.opset_import if entry.domain in ("", "ai.onnx")), 0)
    head, look = usual._card.head, usual._card.input
    if opset < OLDEST_OPSET or head not in DECODERS:
        raise ModelError(
            f"model {usual.identity.name} (opset {opset}, head '{head}') is not fused; wanted are opset {OLDEST_OPSET} "
            f"or later and one of the heads {', '.join(DECODERS)}"
        )
    stored = {tensor.name for tensor in graph.initializer}
    (given,) = (value for value in graph.input if value.name not in stored)
    kind, sides = given.type.tensor_type.elem_type, given.type.tensor_type.shape.dim
    box = Letterbox.fit((picture.width, picture.height), usual.size_hw[::-1], look.anchor)

    front = Nodes("front", opset)
    small = add_front(front, INPUT, picture, box, look, scaled=kind != types.UINT8)
    # A network that takes bytes gets whole numbers in FP32 and casts them in vain: bytes are no type inside TensorRT.
    if kind == types.FLOAT16:
        small = front.cast(small, "FLOAT16")
    order = [0, 1, 2, 3] if sides[1].dim_value == 3 else [0, 2, 3, 1]
    front("Transpose", small, perm=order, name=given.name)

    back = Nodes("back", opset)
    outputs = [
        (back.cast(value.name, "FLOAT"), shape) for value, shape in zip(graph.output, shapes_of(usual), strict=True)
    ]
    rows, count = add_back(
        back, head, outputs, box, (picture.width, picture.height), usual._settings.iou, most_of(usual)
    )
    back("Identity", rows, name=OUTPUT)

    replace(graph.node, [*front.nodes, *graph.node, *back.nodes])
    replace(graph.initializer, [*graph.initializer, *front.held, *back.held])
    batch = sides[0].dim_value or "batch"
    replace(graph.input, [onnx.helper.make_tensor_value_info(INPUT, types.UINT8, (batch, picture.size))])
    replace(graph.output, [onnx.helper.make_tensor_value_info(OUTPUT, types.FLOAT, (batch, count, 6))])
    replace(graph.value_info, [])
    return made


def replace(part: Any, entries: Sequence[Any]) -> None:
    """Put these messages in the place of what a repeated field of a protobuf holds, some of them its own."""
    kept = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
    del part[:]
    part.extend(kept)


def shapes_of(usual: EngineDetector) -> list[tuple[int, ...]]:
    """Shapes of the network's outputs for one picture, from a run. Raises EngineError."""
    spec = usual.engine.inputs[0]
    feed = np.zeros([side or 1 for side in spec.shape], spec.dtype)
    return [array.shape for array in usual.engine.infer({spec.name: feed}).values()]


def open_fused(usual: EngineDetector, source: tuple[int, int], load: Load, layout: Layout = "i420") -> FusedDetector:
    """The detector `usual` with its graph fused for pictures of `source` (width, height) in this layout.

    Args:
        usual: open; it stays in use for frames that do not fit. source: pixels. load: gets the fused ONNX, which is
            gone afterwards. layout: of the pictures to come.

    Raises:
        ModelError: a model that cannot be fused. EngineError: the runtime refuses the fused graph.
    """
    path = usual.identity.path
    if path.suffix.lower() != ".onnx":
        raise ModelError(f"model {usual.identity.name} is a {path.suffix} file; only an .onnx is fused")
    picture = Picture(*source, layout)
    made = fuse(load_onnx(path), usual, picture)
    batch = usual.engine.inputs[0].shape[0] or 1
    with TemporaryDirectory(prefix="tracker-") as folder:
        file = Path(folder, f"{path.stem}-fused-{source[0]}x{source[1]}-{layout}.onnx")
        file.write_bytes(made.SerializeToString(deterministic=True))
        return FusedDetector(usual, load(file, {INPUT: (batch, picture.size)}), picture)


def fused_where_wanted(
    usual: EngineDetector, source: tuple[int, int] | None, load: Load, layout: Layout = "i420"
) -> tuple[EngineDetector, list[str]]:
    """`usual`, or where `detect.fused` asks for it the same with its graph fused, and notices, one line each.

    Raises:
        ModelError, RequirementError: `detect.fused` is "on", and it cannot be.
    """
    wanted = usual._settings.fused
    if wanted == "off" or (wanted == "auto" and not usual.engine.device.startswith("cuda")):
        return usual, []
    try:
        if source is None:
            raise ModelError("pictures of many sizes cannot be fused: a fused graph is made for one")
        return open_fused(usual, source, load, layout), []
    except (engines.EngineError, ModelError) as error:
        if wanted == "on":
            kind = RequirementError if isinstance(error, engines.EngineUnavailable) else ModelError
            raise kind(f"{error}; leave detect.fused at auto") from None
        return usual, [f"letterbox and suppression stay on the host: {error}"]
