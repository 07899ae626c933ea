"""Tiles and mirrored pictures find what the whole picture is too coarse for, and nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import engines
from engines import EngineOutOfMemory, TensorSpec
from engines.base import Array
from tests.detect.fusing import footage, picture_of
from tests.detect.graphs import HEIGHT, SIZE, WIDTH, save
from tests.fakes import detections
from tracker.boxes import iou_matrix
from tracker.config import DetectSettings
from tracker.detect import EngineDetector, ModelCard, RelayDetector, open_detector
from tracker.detect.detector import Identity
from tracker.detect.letterbox import Letterbox, colors_of
from tracker.detect.open import Opener
from tracker.detect.tiled import TiledDetector, one_look, tiled_where_wanted
from tracker.detect.tiles import (
    OVERLAP,
    SHRUNK,
    Size,
    Tile,
    cut_off,
    doubt,
    fuse_looks,
    grid_of,
    merge,
    mirrored,
    tiles_of,
    view_of,
)
from tracker.errors import ConfigError, TrackerError
from tracker.structures import Detections, Frame, plane_of

RED, BLUE = (0, 0, 255), (255, 0, 0)
PICTURE = (480, 320)
Things = list[tuple[tuple[int, int, int, int], tuple[int, int, int]]]


class Spotter:
    """An engine that sees red (class 0) and blue (class 1) patches of 6 pixels at least, surer of larger ones."""

    runtime, precision, device = "spotter 1.0", "fp32", "cpu"
    outputs = (TensorSpec("found", (None, None, 6), np.dtype(np.float32)),)

    def __init__(self, room: int = 99, one_eyed: bool = False) -> None:
        self.room, self.one_eyed, self.closed = room, one_eyed, 0
        self.inputs = (TensorSpec("x", (None, 3, *SIZE), np.dtype(np.float32)),)
        self.batches: list[int] = []

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        if len(feeds["x"]) > self.room:
            raise EngineOutOfMemory("the GPU has no memory left")
        self.batches.append(len(feeds["x"]))
        found = np.full((len(feeds["x"]), 50, 6), -1, np.float32)
        for rows, picture in zip(found, feeds["x"], strict=True):
            seen = [
                row for label, (on, off) in enumerate(((0, 2), (2, 0))) for row in self._spot(picture, on, off, label)
            ]
            rows[: len(seen)] = np.array(seen).reshape(-1, 6)
        return {"found": found}

    def _spot(self, picture: Array, on: int, off: int, label: int) -> list[list[float]]:
        mask = ((picture[on] > 0.5) & (picture[off] < 0.4)).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        seen = [[x, y, x + w, y + h, 0.9 if min(w, h) >= 16 else 0.7, label] for x, y, w, h, _ in stats[1:]
                if min(w, h) >= 6]  # fmt: skip
        return [row for row in seen if not self.one_eyed or row[2] <= WIDTH / 2]

    def close(self) -> None:
        self.closed += 1


CARD = ModelCard(name="spotter", file="s.onnx", head="end2end", classes=("red", "blue"))


def opened(engine: Spotter, source: Size | None = PICTURE, **settings: Any) -> EngineDetector:
    given, laps = DetectSettings.model_validate(settings), list[tuple[str, float]]()
    identity = Identity("spotter", "", Path("s.onnx"), "end2end")
    usual = EngineDetector(engine, CARD, identity, one_look(given), lambda stage, s: laps.append((stage, s)))
    detector, _ = tiled_where_wanted(usual, given, source)
    detector.laps = laps  # type: ignore[attr-defined]
    return detector


def frame_of(things: Things, size: Size = PICTURE, kind: str = "yuv420p", index: int = 0) -> Frame:
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    for (x1, y1, x2, y2), color in things:
        image[y1:y2, x1:x2] = color
    picture = av.VideoFrame.from_ndarray(image, format="bgr24")
    return Frame(index, 0.0, picture if kind == "bgr24" else picture.reformat(format=kind))


def shown(found: Detections) -> list[tuple[int, ...]]:
    """Boxes to the nearest 8 pixels and classes, from left to right."""
    rows = np.column_stack(((found.boxes / 8).round() * 8, found.class_ids)).astype(int).tolist()
    return sorted(tuple(row) for row in rows)


@pytest.mark.parametrize("picture", [(480, 320), (481, 323), (1920, 1080), (97, 65), (5000, 70), (7680, 4320)])
@pytest.mark.parametrize("columns, rows", [(2, 2), (3, 2), (1, 4), (9, 9)])
def test_tiles_cover_the_picture_and_overlap(picture: Size, columns: int, rows: int) -> None:
    tiles = tiles_of(picture, columns, rows)
    assert len(tiles) == columns * rows and len({(t.x2 - t.x1, t.y2 - t.y1) for t in tiles}) == 1
    for axis, count in ((0, columns), (1, rows)):
        spans = sorted({(tile[axis], tile[axis + 2]) for tile in tiles})
        assert len(spans) == count and spans[0][0] == 0 and spans[-1][1] == picture[axis]
        assert all(start % 2 == 0 for start, _ in spans)
        side = spans[0][1]
        for (_, end), (start, _) in pairwise(spans):
            assert end - start >= OVERLAP * side - 3


@pytest.mark.parametrize(
    ("tiles", "picture", "grid"),
    [
        ("off", (4000, 3000), (1, 1)),
        ("3x2", (1920, 1080), (3, 2)),
        ("3x2", (512, 288), (1, 1)),  # nothing to gain
        ("3x2", (520, 288), (3, 2)),
        ("9x9", (600, 200), (9, 3)),  # no tile of a few pixels
        ("auto", (640, 360), (1, 1)),
        ("auto", (1280, 720), (3, 3)),
        ("auto", (1920, 1080), (4, 4)),
        ("auto", (1920, 280), (4, 1)),
        ("auto", (20000, 288), (9, 1)),
    ],
)
def test_the_grid_is_that_of_picture_and_network(tiles: str, picture: Size, grid: Size) -> None:
    assert grid_of(tiles, picture, (512, 288)) == grid


def test_automatic_tiles_are_hardly_scaled_down_and_no_more_than_needed() -> None:
    for width in range(520, 4800, 37):
        columns, _ = grid_of("auto", (width, 288), (512, 288))
        sides = [tiles_of((width, 288), count, 1)[0].x2 for count in (columns, columns - 1) if count]
        assert sides[0] <= SHRUNK * 512 and all(side > SHRUNK * 512 for side in sides[1:])


@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p", "nv12", "yuv444p", "bgr24"])
@pytest.mark.parametrize("size", [(160, 120), (161, 121)])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_view_is_that_part_of_the_picture(kind: str, size: Size, mirror: bool) -> None:
    """What the network sees of it is what it sees of the same part cut out of the converted picture."""
    whole = Frame(3, 1.5, picture_of(kind, size))
    tile = tiles_of(size, 2, 2)[3]
    view = view_of(whole, tile, mirror)
    assert (view.index, view.time_s, view.width, view.height) == (3, 1.5, tile.x2 - tile.x1, tile.y2 - tile.y1)
    planar = kind in ("yuv420p", "yuvj420p", "nv12")
    assert ("bgr" in vars(whole)) is not planar, "a frame of planes is not converted"
    part = whole.bgr[tile.y1 : tile.y2, tile.x1 : tile.x2]
    reference = Frame.from_bgr(3, 1.5, np.ascontiguousarray(part[:, ::-1] if mirror else part))
    box = Letterbox.fit((view.width, view.height), (96, 96), "center")
    seen, wanted = (box.apply(frame, "rgb", 114).astype(int) for frame in (view, reference))
    assert np.abs(seen - wanted).mean() < 2.5 and np.abs(seen - wanted).max() < 60
    if planar:
        assert colors_of(view.picture) == colors_of(whole.picture)
        luma = plane_of(whole.picture, 0)[tile.y1 : tile.y2, tile.x1 : tile.x2]
        assert np.array_equal(plane_of(view.picture, 0), luma[:, ::-1] if mirror else luma)


def test_the_whole_picture_is_no_copy() -> None:
    frame = frame_of([])
    assert view_of(frame, Tile(0, 0, *PICTURE), mirror=False) is frame


def test_mirrored_twice_is_where_it_was() -> None:
    found = detections((10, 20, 30, 60, 0.9, 0))
    assert mirrored(found, 101).boxes.tolist() == [[71, 20, 91, 60]]
    assert mirrored(mirrored(found, 101), 101).boxes.tolist() == found.boxes.tolist()


@pytest.mark.parametrize("kind", ["yuv420p", "nv12", "bgr24"])
def test_tiles_find_what_the_whole_picture_is_too_coarse_for(kind: str) -> None:
    small, large = ((40, 40, 60, 60), RED), ((248, 96, 400, 248), BLUE)
    frame = frame_of([small, large], kind=kind)
    assert shown(opened(Spotter()).detect([frame])[0]) == [(248, 96, 400, 248, 1)]
    tiled = opened(Spotter(), tiles="3x2")
    assert shown(tiled.detect([frame])[0]) == [(40, 40, 64, 64, 0), (248, 96, 400, 248, 1)]
    assert tiled.views == 7 and [one.views for one in (opened(Spotter()), opened(Spotter(), flip=True))] == [1, 2]


def test_whatever_lies_on_borders_is_found_once() -> None:
    """Objects of many sizes all over the picture, on corners and borders of tiles: each has one box, a whole one."""
    rng = np.random.default_rng(5)
    tiled = opened(Spotter(), tiles="3x3", flip=True)
    for _ in range(40):
        side = int(rng.integers(24, 200))
        x, y = int(rng.integers(0, 480 - side)), int(rng.integers(0, 320 - side))
        found = tiled.detect([frame_of([((x, y, x + side, y + side), RED)])])[0]
        assert len(found) == 1, (x, y, side)
        assert iou_matrix(found.boxes, np.array([[x, y, x + side, y + side]], np.float32))[0, 0] > 0.75


def test_a_cut_box_goes_for_the_whole_one_whatever_its_score() -> None:
    """Also for a whole one of another class, if that is larger: half a lorry looks like a car."""
    found = detections((100, 100, 200, 300, 0.4, 0), (100, 100, 200, 190, 0.9, 0), (100, 100, 200, 190, 0.8, 1))
    assert merge(found, np.array([False, True, True]), 0.5).scores.tolist() == pytest.approx([0.4])
    assert len(merge(found[:2], np.array([False, False]), 0.5)) == 2, "none is cut off: two objects, one behind another"
    small = detections((100, 100, 200, 180, 0.4, 0), (100, 100, 200, 190, 0.9, 1), (500, 100, 540, 190, 0.8, 0))
    left = merge(small, np.array([False, True, True]), 0.5)
    assert left.scores.tolist() == pytest.approx([0.9, 0.8, 0.4]) and left.class_ids.tolist() == [1, 0, 0]


def test_a_large_cut_box_is_not_hidden_by_a_small_whole_one() -> None:
    """A person before a crowd's half: the half is more than that person."""
    found = detections((100, 100, 140, 180, 0.9, 0), (90, 80, 200, 300, 0.5, 0))
    assert len(merge(found, np.array([False, True]), 0.5)) == 2


def test_of_two_pieces_the_larger_stays() -> None:
    found = detections((100, 100, 200, 190, 0.9, 0), (100, 100, 200, 240, 0.5, 0), (400, 0, 420, 40, 0.3, 0))
    left = merge(found, np.array([True, True, True]), 0.5)
    assert left.scores.tolist() == pytest.approx([0.5, 0.3])


def test_large_things_that_the_whole_picture_does_not_show_are_doubted() -> None:
    tile = detections((0, 0, 100, 100, 0.8, 0), (200, 0, 300, 100, 0.8, 0), (400, 0, 430, 30, 0.8, 0))
    whole = detections((5, 0, 105, 100, 0.3, 1))
    assert doubt(tile, whole, 60.0).scores.tolist() == pytest.approx([0.8, 0.4, 0.8])
    assert doubt(tile, Detections.empty(), 20.0).scores.tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert len(doubt(Detections.empty(), whole, 20.0)) == 0


def test_what_only_tiles_take_for_something_large_has_half_the_score() -> None:
    class Imagining(Spotter):
        """Sees something red all over each view in which nothing blue is."""

        def _spot(self, picture: Array, on: int, off: int, label: int) -> list[list[float]]:
            blue = super()._spot(picture, 2, 0, 1)
            return (blue if label else []) if blue else [[2, 2, 94, 62, 0.9, 0]]

    frame = frame_of([((10, 10, 60, 60), BLUE)])
    found = opened(Imagining(), tiles="2x2").detect([frame])[0]
    assert found.class_ids.tolist().count(1) == 1 and len(found) > 2
    assert found.scores[found.class_ids == 0].max() == pytest.approx(0.45)


def test_nothing_to_merge() -> None:
    assert len(merge(Detections.empty(), np.zeros(0, bool), 0.5)) == 0
    assert len(fuse_looks(Detections.empty(), Detections.empty())) == 0
    assert len(opened(Spotter(), tiles="2x2", flip=True).detect([frame_of([])])[0]) == 0


def test_only_inner_borders_cut() -> None:
    boxes = np.array([[0, 0, 50, 40], [30, 100, 99, 120], [30, 30, 60, 60], [30, 130, 60, 200]], np.float32)
    assert cut_off(boxes, Tile(0, 0, 100, 200), (300, 200), 3.0).tolist() == [False, True, False, False]
    assert cut_off(boxes, Tile(0, 0, 100, 200), (100, 200), 3.0).tolist() == [False] * 4


def test_two_looks_are_fused() -> None:
    one = detections((10, 10, 30, 50, 0.9, 0), (100, 10, 130, 50, 0.8, 0), (10, 10, 30, 50, 0.6, 1))
    other = detections((14, 10, 34, 50, 0.3, 0), (300, 10, 330, 50, 0.5, 0))
    fused = fuse_looks(one, other)
    assert fused.scores.tolist() == pytest.approx([0.6, 0.4, 0.3, 0.25])
    assert fused.class_ids.tolist() == [0, 0, 1, 0]
    assert fused.boxes[0].tolist() == pytest.approx([11, 10, 31, 50])
    assert fused.boxes.dtype == fused.scores.dtype == np.float32
    assert fuse_looks(other, one).boxes[0].tolist() == pytest.approx(fused.boxes[0].tolist())


def test_what_only_one_look_finds_is_doubted() -> None:
    """An eye that sees the left half alone finds everything in one of two looks."""
    frame = frame_of([((40, 40, 120, 120), RED), ((360, 40, 440, 120), BLUE)])
    alone = opened(Spotter(one_eyed=True)).detect([frame])[0]
    both = opened(Spotter(one_eyed=True), flip=True).detect([frame])[0]
    assert shown(alone) == [(40, 40, 120, 120, 0)] and alone.scores.tolist() == pytest.approx([0.9])
    assert shown(both) == [(40, 40, 120, 120, 0), (360, 40, 440, 120, 1)]
    assert both.scores.tolist() == pytest.approx([0.45, 0.45])
    assert len(opened(Spotter(one_eyed=True), flip=True, score=0.5).detect([frame])[0]) == 0
    sure = opened(Spotter(), flip=True).detect([frame])[0]
    assert sure.scores.tolist() == pytest.approx([0.9, 0.9]), "what both find keeps its score"


def test_the_same_picture_gives_the_same_boxes() -> None:
    frame = Frame(0, 0.0, picture_of("yuv420p", (200, 140)))
    first, second = (opened(Spotter(), (200, 140), tiles="2x2", flip=True).detect([frame])[0] for _ in range(2))
    assert all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("boxes", "scores", "class_ids"))


def test_pictures_that_fit_the_network_have_no_tiles_and_are_told() -> None:
    small = frame_of([((10, 10, 40, 40), RED)], (WIDTH, HEIGHT))
    (usual,), tiled = opened(Spotter()).detect([small]), opened(Spotter(), None, tiles="2x2")
    assert tiled.detect([small])[0].boxes.tolist() == usual.boxes.tolist() and tiled.views == 1
    assert tiled.warnings == [
        "1 picture was not larger than the network's input and detected without tiles (2x2 asked for)"
    ]
    assert len(tiled.detect([frame_of([((40, 40, 60, 60), RED)]), small])) == 2
    assert tiled.views == 5, "the most that a picture took"
    for size in ((1, 1), (3, 2), (700, 1)):
        assert len(tiled.detect([frame_of([], size, "bgr24")])[0]) == 0


def test_what_it_costs_is_told() -> None:
    def told(source: Size | None, **settings: Any) -> list[str]:
        detector = opened(Spotter(), source, **settings)
        return detector.notices if isinstance(detector, TiledDetector) else []

    assert told(PICTURE) == []
    assert told(PICTURE, tiles="3x2") == ["each picture is detected whole and in 3x2 tiles: 7 network passes a picture"]
    assert told(PICTURE, tiles="2x2", flip=True)[-1].endswith("in 2x2 tiles, mirrored: 10 network passes a picture")
    assert told(None, flip=True) == ["each picture is detected whole and mirrored: 2 network passes a picture"]
    assert told(None, tiles="auto") == ["each picture is detected whole and in tiles by its size"]
    assert told(None, tiles="3x2") == ["each picture is detected whole and in 3x2 tiles where it is large enough"]
    (line,) = told((WIDTH, HEIGHT), tiles="auto")
    assert line.startswith("detect.tiles auto: without tiles")


def test_views_share_inferences_as_memory_allows() -> None:
    engine = Spotter()
    tiled = opened(engine, tiles="3x3")
    (wanted,) = tiled.detect([frame_of([((40, 40, 60, 60), RED)])])
    assert engine.batches == [8, 2] and tiled.warnings == []
    engine = Spotter(room=3)
    tiled = opened(engine, tiles="3x3")
    (found,) = tiled.detect([frame_of([((40, 40, 60, 60), RED)])])
    assert engine.batches == [2] * 5 and found.boxes.tolist() == wanted.boxes.tolist()
    assert tiled.warnings == ["GPU out of memory with 8 views of a picture an inference: 2 at most"]


def test_floods_are_told() -> None:
    things = [((x, y, x + 30, y + 30), RED) for x in range(10, 440, 70) for y in range(10, 280, 70)]
    tiled = opened(Spotter(), tiles="2x2", max_candidates=5)
    assert len(tiled.detect([frame_of(things)])[0]) <= 5
    assert tiled.warnings == ["in 1 frame more than 5 boxes reached the score; the weakest were left out"]


def test_no_memory_for_one_view_is_the_relays_business() -> None:
    last = opened(Spotter(), tiles="2x2")
    relay = RelayDetector(opened(Spotter(room=0), tiles="2x2"), lambda engine: last)
    assert len(relay.detect([frame_of([((40, 40, 60, 60), RED)])])[0]) == 1
    assert relay.views == 5 and any("out of memory on spotter" in line for line in relay.warnings)


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    class Broken(Spotter):
        def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
            raise engines.EngineInferError("illegal address")

    with pytest.raises(TrackerError, match="model spotter failed on frame 4: illegal address"):
        opened(Broken(), tiles="2x2").detect([frame_of([], index=4)])


def test_seconds_of_the_stages_are_those_of_a_picture() -> None:
    tiled = opened(Spotter(), tiles="3x3", flip=True)
    tiled.detect([frame_of([]), frame_of([])])
    assert [stage for stage, _ in tiled.laps] == ["preprocess", "infer", "postprocess"] * 2  # type: ignore[attr-defined]


def test_only_the_classes_asked_for() -> None:
    frame = frame_of([((40, 40, 60, 60), RED), ((400, 40, 420, 60), BLUE)])
    assert shown(opened(Spotter(), tiles="2x2", classes=("blue",)).detect([frame])[0]) == [(400, 40, 424, 64, 1)]


def test_closing_lets_go_of_the_engine() -> None:
    engine = Spotter()
    opened(engine, tiles="2x2").close()
    assert engine.closed == 1


def test_a_model_is_opened_with_tiles(tmp_path: Path) -> None:
    """Through the opener: views, notices, and the least score of the settings though single looks go below it."""
    listed = np.zeros((1, 2, 6))
    listed[0] = (10, 10, 50, 50, 0.9, 0), (60, 10, 70, 50, 0.3, 0)
    model = str(save(tmp_path / "m.onnx", {"o": listed}))
    given = {"model": model, "runtime": "onnxruntime", "workers": 1, "flip": True}
    detector, notices = open_detector(DetectSettings.model_validate(given), PICTURE)
    assert notices == ["each picture is detected whole and mirrored: 2 network passes a picture"]
    found = detector.detect([frame_of([])])[0]
    assert detector.views == 2 and found.scores.tolist() == pytest.approx([0.45, 0.45])
    detector.close()
    detector, notices = open_detector(DetectSettings.model_validate({**given, "tiles": "2x2"}), PICTURE)
    assert detector.views == 10 and "2x2 tiles, mirrored" in notices[0]
    detector.close()
    opener = Opener(DetectSettings.model_validate({**given, "tiles": "auto"}), (16000, 9000), aspect_only=True)
    assert opener.first().views == 2 and "in tiles by its size, mirrored" in opener.notices[0]
    with pytest.raises(ConfigError, match=r"detect\.fused: .* tiles have another"):
        open_detector(DetectSettings.model_validate({**given, "tiles": "2x2", "fused": "on"}), PICTURE)


def test_real_footage(data: Path) -> None:
    """A street in full HD: with tiles more persons, those of the whole picture again, and hardly any person twice."""
    frames = footage(data / "videos" / "street_1080p.mp4", 100, 2)
    whole, tiled = (
        open_detector(DetectSettings(score=0.4, tiles=tiles, classes=("person",), workers=1), (1920, 1080))[0]
        for tiles in ("off", "3x3")
    )
    for frame in frames:
        few, many = whole.detect([frame])[0], tiled.detect([frame])[0]
        assert len(many) > len(few)
        again = iou_matrix(few.boxes.astype(float), many.boxes.astype(float)).max(1) > 0.5
        assert again.mean() >= 0.8
        area = (many.boxes[:, 2:] - many.boxes[:, :2]).prod(1)
        low = np.maximum(many.boxes[:, None, :2], many.boxes[None, :, :2])
        high = np.minimum(many.boxes[:, None, 2:], many.boxes[None, :, 2:])
        inside = np.maximum(high - low, 0).prod(2) / area[:, None] - np.eye(len(many))
        assert (inside > 0.85).sum() <= 1
