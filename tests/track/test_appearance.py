"""Vectors of what boxes show: by colour and texture, and by a network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.track.views import painted, planar
from tracker.errors import ConfigError, ModelError
from tracker.structures import Frame
from tracker.track.appearance import BATCH, ColourEmbedder, ReidEmbedder, make_embedder

RED, BLUE, GREEN, WHITE, BLACK = (40, 40, 200), (190, 60, 40), (60, 160, 60), (230, 230, 230), (25, 25, 25)
LEFT, RIGHT = (20.0, 20.0, 60.0, 120.0), (200.0, 40.0, 240.0, 140.0)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def product(frame: Frame, other: Frame, box: tuple[float, ...] = LEFT, another: tuple[float, ...] = RIGHT) -> float:
    """How alike a box of one frame and one of another look."""
    embedder = ColourEmbedder()
    return float(embedder.embed(frame, boxes(box))[0] @ embedder.embed(other, boxes(another))[0])


def test_vectors_are_of_length_1_and_a_batch_is_its_boxes_one_by_one() -> None:
    frame, embedder = painted((LEFT, RED, BLUE), (RIGHT, GREEN, WHITE)), ColourEmbedder()
    rows = boxes(LEFT, RIGHT, (-50, -50, 30, 60), (300, 150, 900, 900), (10, 10, 11, 11), (0, 0, 320, 180))
    vectors = embedder.embed(frame, rows)
    assert vectors.shape == (6, embedder.size) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    for row, vector in zip(rows, vectors, strict=True):
        assert embedder.embed(frame, row[None])[0] == pytest.approx(vector, abs=1e-6)
    assert embedder.embed(frame, rows[:0]).shape == (0, embedder.size)


@pytest.mark.parametrize(
    "box",
    [(-50, -50, -5, -5), (400, 10, 500, 90), (50, 50, 50, 90), (np.nan, 0, 9, 9), (0, 0, np.inf, 9), (9, 9, 5, 5)],
)
def test_a_box_without_pixels_has_no_vector(box: tuple[float, ...]) -> None:
    vectors = ColourEmbedder().embed(painted((LEFT, RED, BLUE)), boxes(LEFT, box))
    assert not vectors[1].any() and vectors[0].any()


@pytest.mark.parametrize("upper", [RED, GREEN, BLACK])
@pytest.mark.parametrize("lower", [BLUE, WHITE])
def test_the_same_clothes_elsewhere_larger_and_in_other_light_are_more_alike_than_others(upper, lower) -> None:
    here, far = painted((LEFT, upper, lower)), (200.0, 10.0, 264.0, 170.0)
    dim = [tuple(int(0.85 * part) for part in colour) for colour in (upper, lower)]
    same = product(here, painted((far, upper, lower)), another=far)
    darker = product(here, painted((far, *dim)), another=far)
    swapped = product(here, painted((far, lower, upper)), another=far)
    other = product(here, painted((far, (200, 60, 180), (60, 200, 220))), another=far)
    assert same > 0.97
    assert darker > max(swapped, other) + 0.05
    assert swapped < 0.85 and other < 0.85


def test_texture_tells_alike_colours_apart() -> None:
    image = np.full((180, 320, 3), 120, np.uint8)
    image[20:120:8, 20:60], image[20:120:8, 200:240] = 160, 160
    across = image.copy()
    across[20:120, 200:240] = 120
    across[20:120, 200:240:8] = 160
    one, other = Frame.from_bgr(0, 0.0, image), Frame.from_bgr(0, 0.0, across)
    even = (200.0, 20.0, 240.0, 120.0)
    assert product(one, one, another=even) > product(one, other, another=even) + 0.03


@pytest.mark.parametrize("kind", ["yuv420p", "yuv422p", "yuv444p", "nv12", "rgb24"])
def test_what_it_sees_hardly_depends_on_the_pixel_format(kind: str) -> None:
    frame = painted((LEFT, RED, BLUE), (RIGHT, GREEN, WHITE))
    ours, theirs = (ColourEmbedder().embed(one, boxes(LEFT, RIGHT)) for one in (planar(frame, kind), frame))
    assert np.einsum("nd,nd->n", ours, theirs).min() > 0.93
    assert ours[0] @ theirs[1] < 0.8


def network(path: Path, layout: str = "nchw", batch: int | str = "n", pool: bool = True, **notes: str) -> Path:
    """The mean colour of a picture, as a network of three numbers; without `pool` one number for the whole batch."""
    shape = [batch, 3, 8, 4] if layout == "nchw" else [batch, 8, 4, 3]
    axes = ([2, 3] if layout == "nchw" else [1, 2]) if pool else [0, 1, 2, 3]
    node = helper.make_node("ReduceMean", ["picture"], ["vector"], axes=axes, keepdims=0 if pool else 1)
    graph = helper.make_graph(
        [node], "mean", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, None)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, notes)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("batch", [1, 3, "n"])
def test_a_network_gets_every_box_whatever_its_batch_and_layout(tmp_path: Path, layout: str, batch: int | str) -> None:
    embedder = make_embedder(str(network(tmp_path / "m.onnx", layout, batch)))
    count = BATCH + 3
    rows = boxes(*[(20, 20, 60, 60), (20, 80, 60, 118), (-9, -9, -1, -1)] * count)
    vectors = embedder.embed(painted((LEFT, RED, BLUE)), rows)
    assert embedder.size == 3 and vectors.shape == (3 * count, 3) and vectors.dtype == np.float32
    for k, colour in enumerate((RED, BLUE)):
        want = np.array(colour) / np.linalg.norm(colour)
        assert vectors[k::3] == pytest.approx(np.tile(want, (count, 1)), abs=0.02)
    assert not vectors[2::3].any()
    assert embedder.embed(painted(), rows[:0]).shape == (0, 3)
    embedder.close()


def test_a_network_is_fed_as_its_metadata_says(tmp_path: Path) -> None:
    """RGB, less the mean, by the deviation; the last of the three has nothing left."""
    path = network(tmp_path / "m.onnx", color="rgb", mean="100, 30, 40", std="[50,10,1]")
    vector = ReidEmbedder(path).embed(painted((LEFT, (40, 60, 200), BLUE)), boxes((20, 20, 60, 60)))[0]
    want = np.array(((200 - 100) / 50, (60 - 30) / 10, 0))
    assert vector == pytest.approx(want / np.linalg.norm(want), abs=0.02)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"std": "1,2"}, "metadata 'std' wants three numbers, got '1,2'"),
        ({"std": "1,0,1"}, "'std' wants"),
        ({"mean": "a,b,c"}, "'mean' wants"),
        ({"pool": False}, "wanted a vector a picture"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(tmp_path: Path, how, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        ReidEmbedder(network(tmp_path / "m.onnx", batch=3, **how))


def test_what_is_no_network_of_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        make_embedder(str(tmp_path / "text.onnx"))
    flat = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "flat", [flat], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "f.onnx")
    with pytest.raises(ModelError, match=r"wanted one picture float32 .* got float32 \(1, 4\)"):
        make_embedder(str(tmp_path / "f.onnx"))
    with pytest.raises(ConfigError, match="wanted auto, off, colour or a ReID model file"):
        make_embedder("color")


@pytest.mark.data
def test_a_real_network_knows_people_again(data: Path) -> None:
    """Three people in a photograph, each cut out anew: a little larger, smaller, aside."""
    image = cv2.imread(str(data / "images" / "bus.jpg"))
    frame, people = (
        Frame.from_bgr(0, 0.0, image),
        boxes((50, 400, 245, 903), (223, 405, 345, 860), (668, 390, 810, 880)),
    )
    embedder = make_embedder(str(data / "weights" / "person-reidentification-retail-0287.onnx"))
    first = embedder.embed(frame, people)
    again = embedder.embed(frame, people + np.array((-6, 8, 5, -6), np.float32))
    products = first @ again.T
    assert first.shape == (3, 256)
    assert np.diag(products).min() > 0.9
    assert products[~np.eye(3, dtype=bool)].max() < 0.5
