"""The recipe of the embedded Faster R-CNN: what it starts from, learns from, keeps, and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("onnx")

import cv2  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402

import engines  # noqa: E402
from engines import EngineOptions  # noqa: E402
from tracker.detect.heads import decode_cells  # noqa: E402
from training import train_two_stage, two_stage  # noqa: E402
from training.evaluate import evaluate, letterbox  # noqa: E402
from training.export_two_stage import export  # noqa: E402
from training.train_two_stage import WEIGHTS, Training, detect, targets_of  # noqa: E402

RNG = np.random.default_rng(3)


def scene(size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A gray picture (size, size, 3) with a bright block, and the block's box."""
    picture = RNG.integers(90, 110, (size, size, 3), np.uint8)
    picture[40:104, 20:60] = (230, 60, 60)
    return picture, np.array([20, 40, 60, 104], np.float32)


def feed(count: int, batch: int = 2):
    """Batches as `training.train.batches` gives them: every picture the scene, with a person's box."""
    for _ in range(count):
        made = [scene() for _ in range(batch)]
        truth = np.stack([[k, 0, *box] for k, (_, box) in enumerate(made)]).astype(np.float32)
        pictures = torch.from_numpy(np.stack([picture for picture, _ in made])).permute(0, 3, 1, 2)
        yield pictures, torch.from_numpy(truth), torch.zeros(0, 5)


@pytest.fixture
def training() -> Training:
    torch.manual_seed(0)
    begun = Training(torch.device("cpu"))
    begun.begin(WEIGHTS)
    return begun


def test_the_first_stage_proposes_what_the_embedded_detector_finds(training: Training) -> None:
    """Boxes and order are those of the carried single-stage file, decoded by the detection stage's own head."""
    picture, _ = scene(256)
    engine = engines.load(WEIGHTS, "onnxruntime", EngineOptions(shape={}, precision="fp32"))
    outputs = engine.infer({"images": picture[None]})
    wanted, _, _ = decode_cells([outputs["scores"][0], outputs["sides"][0]], (256, 256), 0.0)
    network = training.network.eval()
    with torch.no_grad():
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        maps = network.backbone(pixels)
        (proposed,), _ = network.rpn(ImageList(pixels, [(256, 256)]), maps)
        logits, _ = network.backbone.network(pixels)
    best = wanted[int(logits[0].amax(1).argmax())]
    assert np.abs(proposed[0].numpy() - np.clip(best, 0, 256)).max() < 0.05
    clipped = np.clip(wanted, 0, 256)
    apart = np.abs(proposed.numpy()[:, None] - clipped[None]).max(2).min(1)
    assert len(proposed) >= 20 and apart.max() < 0.05
    assert [tuple(maps[str(k)].shape) for k in range(3)] == [(1, two_stage.CHANNELS, s, s) for s in (32, 16, 8)]


def test_only_the_second_stage_learns(training: Training) -> None:
    first = list(training.network.backbone.network.parameters())
    assert not any(values.requires_grad for values in first)
    assert len(training.learning) + len(first) == len(list(training.network.parameters()))


def test_unsure_boxes_are_no_background(training: Training) -> None:
    """Regions on them are left out, unless they are an object's."""
    box, grey = torch.tensor([[0.0, 0, 40, 80]]), torch.tensor([[60.0, 60, 120, 120]])
    regions = torch.tensor([[0.0, 0, 40, 80], [70, 70, 110, 110], [100, 0, 128, 28], [40, 70, 90, 100]])
    heads = training.network.roi_heads
    heads._unsure = [grey]
    _, labels = heads.assign_targets_to_proposals([regions], [box], [torch.tensor([3])])
    assert labels[0].tolist() == [3, -1, 0, -1]
    assert not two_stage.unsure(regions, torch.zeros(0, 4)).any()


def test_targets_go_to_their_pictures() -> None:
    truth = torch.tensor([[1.0, 2, 0, 0, 9, 9], [0, 0, 1, 1, 5, 5], [1, 5, 2, 2, 8, 8]])
    rows = targets_of(truth, torch.tensor([[2.0, 3, 3, 7, 7]]), 3)
    assert [row["labels"].tolist() for row in rows] == [[1], [3, 6], []]
    assert rows[1]["boxes"].tolist() == [[0, 0, 9, 9], [2, 2, 8, 8]] and rows[2]["unsure"].tolist() == [[3, 3, 7, 7]]


def test_it_learns_is_kept_and_is_exported(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few steps on one scene find it; a checkpoint goes on where it was; the file finds what torch finds."""
    monkeypatch.setattr(train_two_stage, "WARM_STEPS", 5)
    training.average.settled = 5
    first = training.learn(feed(10), 40)
    last = training.learn(feed(99), 40)
    assert (first["step"], last["step"], last["round"]) == (10, 40, 2)
    assert last["classifier"] < 0.6 * first["classifier"]

    training.save(tmp_path / "last.pt")
    again = Training(torch.device("cpu"))
    again.resume(tmp_path / "last.pt")
    assert (again.step, again.round, again.average.steps) == (40, 2, 40)
    picture, box = scene()
    sample = train_two_stage.Sample("a", picture, np.zeros((0, 5), np.float32))
    persons = detect(again.average.model, sample, 128)[0]
    assert persons[0, 4] > 0.5 and np.abs(persons[0, :4] - box).max() < 12

    (tmp_path / "images").mkdir()
    for name, size in (("a", 128), ("b", 192)):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), scene(size)[0])
    (tmp_path / "val.txt").write_text("a.png\nb.png\n")
    digest = export(tmp_path / "last.pt", tmp_path / "m.onnx", tmp_path, [1.0] * 6, [0.0] * 6)
    assert len(digest) == 64 and (tmp_path / "m.onnx").stat().st_size < 8e6
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("as exported: torch and ONNX Runtime agree on 100.0 %") and "FP16" in told[1]
    engine = engines.load(tmp_path / "m.onnx", "onnxruntime", EngineOptions(shape={}, precision="fp32"))
    found = engine.infer({"images": np.ascontiguousarray(picture[None])})
    assert found["labels"][0, 0] == 1 and found["scores"][0, 0] == pytest.approx(persons[0, 4], abs=0.02)


def test_measuring_is_of_whatever_finds(tmp_path: Path) -> None:
    """What finds the truth has an AP50 of 1; what is on unsure boxes does not count, what is elsewhere does."""
    for folder in ("images", "labels", "ignore"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), scene(128)[0])
    (tmp_path / "labels" / "a.txt").write_text("0 0.3125 0.5625 0.3125 0.5\n")
    (tmp_path / "ignore" / "a.txt").write_text("0 0.85 0.85 0.2 0.2 0.3\n")
    (tmp_path / "val.txt").write_text("a.png\n")
    truth, grey, wrong = [20, 40, 60, 104, 0.5], [100, 100, 118, 118, 0.9], [70, 0, 90, 30, 0.9]

    def person(*rows: list[float]) -> float:
        found = [np.array(rows, np.float32).reshape(-1, 5), *(np.zeros((0, 5), np.float32) for _ in range(5))]
        return evaluate(lambda sample, size: found, tmp_path, 128)["street"]["person"]

    assert person(truth) == person(truth, grey) == 1.0
    assert person(truth, wrong) == 0.5 and person(wrong) == person() == 0.0


def test_letterbox_keeps_the_aspect() -> None:
    sample = train_two_stage.Sample("a", np.full((100, 200, 3), 255, np.uint8), np.zeros((0, 5), np.float32))
    pixels, scale = letterbox(sample, 320)
    assert scale == 1.6 and tuple(pixels.shape) == (1, 3, 160, 320)
    pixels, _ = letterbox(sample, 300)
    assert tuple(pixels.shape) == (1, 3, 160, 320) and float(pixels[0, 0, 155, 10]) == pytest.approx(114 / 255)
