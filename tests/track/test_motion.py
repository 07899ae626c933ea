"""The camera's motion: found, exactly none while it stands, and never from what moves in front of it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.track.views import HEIGHT, WIDTH, between, look, planar, seen, world
from tracker.structures import Frame
from tracker.track.motion import STILL, SURE, CameraMotion

NO_BOXES = np.zeros((0, 4), np.float32)
GRID = np.stack(np.meshgrid(np.linspace(20, WIDTH - 20, 5), np.linspace(20, HEIGHT - 20, 5)), -1).reshape(-1, 2)
HOME = (600.0, 400.0)


def moved(motion: np.ndarray | None, points: np.ndarray = GRID) -> np.ndarray:
    return points if motion is None else points @ motion[:, :2].T + motion[:, 2]


def error(motion: np.ndarray | None, truth: np.ndarray) -> float:
    """The largest over the picture, pixels."""
    return float(np.hypot(*(moved(motion) - moved(truth)).T).max())


@pytest.mark.parametrize(
    ("place", "zoom", "turn"),
    [((603, 400), 1, 0), ((620, 392), 1, 0), ((600, 410), 1, 0), ((600, 400), 1.04, 0), ((600, 400), 0.96, 0),
     ((600, 400), 1, 2), ((612, 405), 1.02, -1), ((650, 400), 1, 0), ((700, 420), 1, 0)],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_motion_is_found(place: tuple[float, float], zoom: float, turn: float, seed: int) -> None:
    """The last two are beyond the reach of the flow alone."""
    image, camera = world(seed), CameraMotion()
    before, after = look(HOME), look(place, zoom, turn)
    assert camera.follow(seen(image, before, 0, 2.0), NO_BOXES) is None
    motion = camera.follow(seen(image, after, 1, 2.0), NO_BOXES)
    assert motion is not None and motion.shape == (2, 3) and camera.confidence > SURE
    assert error(motion, between(before, after)) < 0.6


def test_a_large_picture_is_told_in_its_own_pixels() -> None:
    image, camera = world(), CameraMotion()

    def large(place: tuple[float, float]) -> Frame:
        return Frame.from_bgr(0, 0.0, np.kron(seen(image, look(place)).bgr, np.ones((4, 4, 1), np.uint8)))

    camera.follow(large(HOME), NO_BOXES)
    motion = camera.follow(large((606, 398)), NO_BOXES)
    assert error(motion, np.array(((1, 0, -24.0), (0, 1, 8.0)))) < 2


@pytest.mark.parametrize("shake", [0.0, 0.6 * STILL])
def test_a_camera_that_stands_moves_nothing(shake: float) -> None:
    """Noise, and a shake below the threshold: exactly no motion, so nothing jitters."""
    image, camera, rng = world(), CameraMotion(), np.random.default_rng(0)
    for k in range(30):
        place = np.array(HOME) + rng.uniform(-shake, shake, 2) / 2
        assert camera.follow(seen(image, look(tuple(place)), k, 4.0), NO_BOXES) is None
    assert camera.confidence > 0.6


def test_a_slow_drift_is_not_lost() -> None:
    """A tenth of a pixel a frame is below the threshold each time, and 6 pixels in the end."""
    image, camera, points = world(), CameraMotion(), GRID
    for k in range(61):
        points = moved(camera.follow(seen(image, look((600 + 0.1 * k, 400)), k), NO_BOXES), points)
    assert points - GRID == pytest.approx(np.tile((-6, 0), (25, 1)), abs=2 * STILL)


@pytest.mark.parametrize("known", [True, False])
def test_what_moves_in_front_of_the_camera_is_not_its_motion(known: bool) -> None:
    """A lorry over a third of the picture, detected or not; all the rest stands."""
    image, lorry, camera = world(), world(5)[:120, :130], CameraMotion()
    for k in range(12):
        left = 5 + 8 * k
        view = seen(image, look(HOME)).bgr.copy()
        view[40:160, left : left + 130] = lorry
        boxes = np.array([[left, 40, left + 130, 160]], np.float32) if known else NO_BOXES
        assert camera.follow(Frame.from_bgr(k, k / 30, view), boxes) is None


def test_motion_is_found_behind_what_moves() -> None:
    """The camera pans with a lorry that fills half of the picture: its box says that it does not count."""
    image, lorry, camera = world(), world(5)[:160, :160], CameraMotion()
    for k in range(6):
        view = seen(image, look((600 + 6 * k, 400))).bgr.copy()
        view[10:170, 80:240] = lorry
        motion = camera.follow(Frame.from_bgr(k, k / 30, view), np.array([[80, 10, 240, 170]], np.float32))
        assert k == 0 or error(motion, np.array(((1, 0, -6.0), (0, 1, 0.0)))) < 0.5


def blank(value: int) -> Frame:
    return Frame.from_bgr(0, 0.0, np.full((HEIGHT, WIDTH, 3), value, np.uint8))


@pytest.mark.parametrize(
    "other", [lambda: seen(world(9), look(HOME)), lambda: blank(0), lambda: blank(255)], ids=["cut", "black", "white"]
)
def test_another_picture_is_no_motion_and_what_follows_is_told_from_there(other) -> None:
    image, camera = world(), CameraMotion()
    camera.follow(seen(image, look(HOME)), NO_BOXES)
    assert camera.follow(other(), NO_BOXES) is None
    assert camera.confidence < SURE
    assert camera.follow(seen(image, look(HOME)), NO_BOXES) is None
    assert error(camera.follow(seen(image, look((604, 400))), NO_BOXES), np.array(((1, 0, -4.0), (0, 1, 0.0)))) < 0.5


def test_after_a_cut_the_new_scene_is_what_counts() -> None:
    camera = CameraMotion()
    camera.follow(seen(world(), look(HOME)), NO_BOXES)
    for k in range(6):
        motion = camera.follow(seen(world(9), look((600 + 5 * k, 400)), k, 2.0), NO_BOXES)
        assert (motion is None) == (k == 0)
        assert k == 0 or error(motion, np.array(((1, 0, -5.0), (0, 1, 0.0)))) < 0.5


def test_a_long_pan_is_followed_all_the_way() -> None:
    """Over three widths of the picture: corners that leave are replaced."""
    image, camera, points = world(), CameraMotion(), GRID
    for k in range(101):
        points = moved(camera.follow(seen(image, look((170 + 9 * k, 400)), k, 2.0), NO_BOXES), points)
        assert k == 0 or camera.confidence > 0.5
    assert points - GRID == pytest.approx(np.tile((-900, 0), (25, 1)), abs=8)


def test_pictures_of_other_sizes_and_odd_boxes_do_no_harm() -> None:
    camera = CameraMotion()
    boxes = np.array([[np.nan, 0, 5, 5], [-9e9, -9e9, 9e9, 9e9], [5, 5, 5, 5], [300, 170, 900, 900]], np.float32)
    for size in ((64, 48), (1, 1), (640, 8), (33, 47)):
        for k in range(3):
            frame = Frame.from_bgr(0, 0.0, np.random.default_rng(k).integers(0, 255, (*size, 3)).astype(np.uint8))
            assert camera.follow(frame, boxes) is None


def test_the_same_pictures_give_the_same_motion() -> None:
    image = world()
    runs = []
    for _ in range(2):
        camera = CameraMotion()
        runs.append([camera.follow(seen(image, look((600 + 3 * k, 400 - k)), k, 3.0), NO_BOXES) for k in range(8)])
    assert runs[0][1] is not None
    assert all(np.array_equal(a, b) for a, b in zip(*(run[1:] for run in runs), strict=True))


@pytest.mark.parametrize("kind", ["yuv420p", "yuvj420p", "yuv422p", "nv12", "gray", "rgb24", "bgr24"])
@pytest.mark.parametrize("size", [(320, 180), (80, 45), (96, 31), (640, 360)])
def test_luma_is_the_brightness_whatever_the_pixel_format(kind: str, size: tuple[int, int]) -> None:
    frame = planar(seen(world(), look(HOME, 0.6)), kind)
    luma, want = frame.luma(*size), seen(world(), look(HOME, 0.6)).luma(*size)
    assert luma.shape == size[::-1] and luma.dtype == np.uint8
    # Video range keeps brightness within 16 to 235.
    full = kind in ("yuvj420p", "gray", "rgb24", "bgr24")
    stretched = luma if full else (luma.astype(float) - 16) * 255 / 219
    assert np.abs(stretched - want).mean() < 3
