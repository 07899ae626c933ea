"""What objects look like, as one vector a box: a description by colour and texture, or a ReID network's.

Vectors are of length 1 and float32; their dot product says how alike two boxes look. What a product means depends on
the embedder and the footage, so `tracker.track.looks` learns it from the stream.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

import engines
from tracker.errors import ConfigError, ModelError, TrackerError
from tracker.structures import Boxes, Frame, Image, plane_of

Vectors = NDArray[np.float32]

WIDE, HIGH = 16, 32  # pixels of the picture that a box is looked at as
STRIPES = 4  # described one by one, from head to foot
CHROMA, CHROMA_RANGE = 6, 36.0  # bins of Cb and of Cr, of values within so much about grey; beyond: the outer ones
LUMA, TURNS = 8, 8  # bins of brightness and of the directions of edges
SHARES = (0.55, 0.25, 0.2)  # of colour, brightness and edges in the product
MIDDLE = np.tile(0.25 + 0.75 * np.hanning(WIDE), HIGH // STRIPES).astype(np.float32)[:, None]  # weights of a stripe
COMPASS = np.array([(np.cos(t), np.sin(t)) for t in np.arange(TURNS) * 2 * np.pi / TURNS], np.float32).T
BATCH = 8  # pictures at a time, where a network takes any number


class Embedder(Protocol):
    """Boxes of a picture in, vectors out."""

    @property
    def size(self) -> int:
        """D, the numbers of a vector."""

    def embed(self, frame: Frame, boxes: Boxes) -> Vectors:
        """(N, D) of length 1, for boxes (N, 4) xyxy pixels of the frame; zeros where a box has no pixel in it."""

    def close(self) -> None:
        """Let go of a network. May be called twice."""


def make_embedder(appearance: str) -> Embedder:
    """The one that the setting names: "colour", or the path of a ReID network.

    Raises:
        ConfigError: neither.
        ModelError: the network cannot be loaded, or takes no picture.
    """
    if appearance == "colour":
        return ColourEmbedder()
    if not Path(appearance).is_file():
        raise ConfigError(f"appearance: wanted auto, off, colour or a ReID model file (.onnx), got '{appearance}'")
    return ReidEmbedder(Path(appearance))


class ColourEmbedder:
    """Histograms of chroma, brightness and edges in stripes, after Swain & Ballard (1991) and Dalal & Triggs (2005).

    Bins are filled softly and the middle of a box counts more than its sides, where the background is. Square roots of
    shares are compared, so a product is a mean of Bhattacharyya coefficients.
    """

    size = STRIPES * (CHROMA * CHROMA + LUMA + TURNS)

    def embed(self, frame: Frame, boxes: Boxes) -> Vectors:
        """As `Embedder` says."""
        if not len(boxes):
            return np.zeros((0, self.size), np.float32)
        cut = [_corners(box, frame.width, frame.height) for box in boxes]
        small = np.zeros((len(boxes), 3, HIGH, WIDE), np.float32)
        planes, shrink = _planes(frame)
        for k, corners in enumerate(cut):
            if corners is not None:
                for c, plane in enumerate(planes):
                    small[k, c] = _patch(plane, corners, (1, 1) if c == 0 else shrink)
        vectors = np.concatenate((_colours(small), _brightness(small), _edges(small)), 1)
        vectors[[corners is None for corners in cut]] = 0.0
        return vectors

    def close(self) -> None:
        """Nothing to let go of."""


def _planes(frame: Frame) -> tuple[list[Image], tuple[int, int]]:
    """Luma, Cb and Cr of a frame as the decoder has them, and by what chroma is smaller (columns, rows)."""
    picture, kind = frame.picture, frame.picture.format.name
    shrink = {"yuv420p": (2, 2), "yuvj420p": (2, 2), "yuv422p": (2, 1), "yuvj422p": (2, 1), "yuv444p": (1, 1)}.get(kind)
    if shrink is not None:
        return [plane_of(picture, k) for k in range(3)], shrink
    luma, red, blue = cv2.split(np.asarray(cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2YCrCb)))
    return [np.asarray(plane, np.uint8) for plane in (luma, blue, red)], (1, 1)


def _corners(box: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the pixels of a box that lie in the picture; None where there are none."""
    if not np.isfinite(box).all():
        return None
    left, top = max(int(box[0]), 0), max(int(box[1]), 0)
    right, bottom = int(min(np.ceil(box[2]), width)), int(min(np.ceil(box[3]), height))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _patch(plane: Image, corners: tuple[int, int, int, int], shrink: tuple[int, int]) -> Image:
    """The pixels within `corners` of a plane that is smaller by `shrink`, as (HIGH, WIDE)."""
    left, top, right, bottom = corners
    across, down = shrink
    cut = plane[top // down : max(-(-bottom // down), top // down + 1), left // across : -(-right // across)]
    step = max(cut.shape[0] // (2 * HIGH), 1), max(cut.shape[1] // (2 * WIDE), 1)  # a sample is enough
    return np.asarray(cv2.resize(cut[:: step[0], :: step[1]], (WIDE, HIGH), interpolation=cv2.INTER_LINEAR))


def _histogram(weights: Vectors, share: float) -> Vectors:
    """Weights (N, STRIPES, B) as roots of their shares, (N, STRIPES * B); of products it is `share`, at most.

    A stripe without any is even.
    """
    total = weights.sum(2, keepdims=True)
    even = np.float32(1 / weights.shape[2])
    shares = np.where(total > 0, weights / np.maximum(total, 1e-6), even) * np.float32(share / STRIPES)
    result: Vectors = np.sqrt(shares).reshape(len(weights), -1)
    return result


def _memberships(values: Vectors, low: float, high: float, count: int) -> Vectors:
    """(N, STRIPES, pixels, count) of values (N, HIGH, WIDE): each pixel is shared by the two nearest bins."""
    axis = (values.reshape(len(values), STRIPES, -1, 1) - low) * ((count - 1) / (high - low))
    places = np.minimum(np.maximum(axis, 0), count - 1)
    result: Vectors = np.maximum(1 - np.abs(places - np.arange(count, dtype=np.float32)), 0)
    return result


def _colours(small: Vectors) -> Vectors:
    """Joint histograms of Cb and Cr, of pictures (N, 3, HIGH, WIDE)."""
    low, high = 128 - CHROMA_RANGE, 128 + CHROMA_RANGE
    blue, red = (_memberships(small[:, c], low, high, CHROMA) for c in (1, 2))
    counts = (blue * MIDDLE).swapaxes(2, 3) @ red
    return _histogram(counts.reshape(len(small), STRIPES, -1), SHARES[0])


def _brightness(small: Vectors) -> Vectors:
    """Histograms of luma."""
    counts = (_memberships(small[:, 0], 16.0, 235.0, LUMA) * MIDDLE).sum(2)
    return _histogram(counts, SHARES[1])


def _edges(small: Vectors) -> Vectors:
    """How much of the brightness changes in each direction."""
    luma = np.pad(small[:, 0], ((0, 0), (1, 1), (1, 1)), "edge")
    slopes = np.stack((luma[:, 1:-1, 2:] - luma[:, 1:-1, :-2], luma[:, 2:, 1:-1] - luma[:, :-2, 1:-1]), -1)
    along = np.maximum(slopes.reshape(len(small), STRIPES, -1, 2) @ COMPASS, 0)
    return _histogram((along * MIDDLE).sum(2), SHARES[2])


class ReidEmbedder:
    """A network that was trained to tell people (or cars) apart.

    Its input is a picture (N, 3, H, W) or (N, H, W, 3), float32, BGR of 0..255, as OpenVINO's zoo has it, unless the
    file's metadata says otherwise: `color` rgb, `mean` and `std` (three numbers of 0..255 in the order of the colours).
    """

    def __init__(self, model: Path, runtime: str = "onnxruntime") -> None:
        """Load it; a batch that the file leaves open is `BATCH`.

        Raises:
            ModelError: the network cannot be loaded, takes no picture, or gives no vector a picture.
        """
        try:
            signature = engines.inspect(model)
            shape = _picture_shape(model, signature.inputs)
            options = engines.EngineOptions({signature.inputs[0].name: shape}, threads=1)
            self._engine = engines.load(model, runtime, options)
        except engines.EngineError as error:
            raise ModelError(f"appearance model {model.name}: {error}") from None
        self._model, self._shape, notes = model, shape, signature.metadata
        self._nhwc = shape[3] == 3
        self._rgb = notes.get("color", "bgr").lower() == "rgb"
        self._mean, self._std = (_three(model, key, notes.get(key), given) for key, given in (("mean", 0), ("std", 1)))
        self.size = self._infer(np.zeros(shape, np.float32)).shape[1]

    def embed(self, frame: Frame, boxes: Boxes) -> Vectors:
        """As `Embedder` says. Raises TrackerError where the network fails."""
        cut = [_corners(box, frame.width, frame.height) for box in boxes]
        known = [k for k, corners in enumerate(cut) if corners is not None]
        vectors, batch = np.zeros((len(boxes), self.size), np.float32), self._shape[0]
        for start in range(0, len(known), batch):
            rows = known[start : start + batch]
            feed = np.zeros(self._shape, np.float32)
            for k, row in enumerate(rows):
                feed[k] = self._picture(frame, cut[row])
            vectors[rows] = self._infer(feed)[: len(rows)]
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))
        return vectors

    def close(self) -> None:
        """Let go of the network."""
        self._engine.close()

    def _picture(self, frame: Frame, corners: tuple[int, int, int, int] | None) -> Vectors:
        """What the network sees of a box."""
        assert corners is not None, "only boxes with pixels come here"
        left, top, right, bottom = corners
        height, width = self._shape[1:3] if self._nhwc else self._shape[2:4]
        small = cv2.resize(frame.bgr[top:bottom, left:right], (width, height), interpolation=cv2.INTER_LINEAR)
        values = ((small[:, :, ::-1] if self._rgb else small) - self._mean) / self._std
        return np.asarray(values if self._nhwc else values.transpose(2, 0, 1), np.float32)

    def _infer(self, feed: Vectors) -> Vectors:
        """Vectors (batch, D) of pictures."""
        try:
            (vectors, *_) = self._engine.infer({self._engine.inputs[0].name: feed}).values()
        except engines.EngineError as error:
            raise TrackerError(f"appearance model {self._model.name} failed: {error}") from None
        flat = np.asarray(vectors, np.float32).reshape(len(vectors), -1)
        if len(flat) != len(feed):
            raise ModelError(f"appearance model {self._model.name}: wanted a vector a picture, got {vectors.shape}")
        return flat


def _picture_shape(model: Path, inputs: tuple[engines.TensorSpec, ...]) -> tuple[int, int, int, int]:
    """The input's shape with an open batch filled in. Raises ModelError."""
    shape = inputs[0].shape if len(inputs) == 1 else ()
    colours = 3 in (shape[1], shape[3]) if len(shape) == 4 else False
    if not colours or None in shape[1:] or inputs[0].dtype != np.float32:
        came = ", ".join(f"{one.dtype} {one.shape}" for one in inputs)
        raise ModelError(
            f"appearance model {model.name}: wanted one picture float32 (N, 3, H, W) or (N, H, W, 3), got {came}"
        )
    return tuple(BATCH if side is None else side for side in shape)  # type: ignore[return-value]


def _three(model: Path, key: str, note: str | None, given: float) -> Vectors:
    """(3,) of a note such as "123.7,116.3,103.5". Raises ModelError."""
    try:
        values = np.array([float(word) for word in (note or f"{given},{given},{given}").strip("[]() ").split(",")])
    except ValueError:
        values = np.zeros(0)
    if values.shape != (3,) or not np.isfinite(values).all() or (key == "std" and not values.all()):
        raise ModelError(f"appearance model {model.name}: its metadata '{key}' wants three numbers, got '{note}'")
    return values.astype(np.float32)
