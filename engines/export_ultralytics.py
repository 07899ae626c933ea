"""Networks that ultralytics trained (.pt) as ONNX, in a process of their own: it is AGPL-3.0, its files are pickles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from engines.base import Array
from engines.export_check import Agreement, ExportError, Found, accept, compare
from engines.export_request import Exported, Request

LICENCE = "AGPL-3.0"
CHILD = "from engines.export_ultralytics import main; main()"
OPSET, MULTIPLE = 17, 32
TIMEOUT_S = 3600.0


def run(request: Request, made: Path, python: str) -> Exported:
    """Export in a child process into the folder of `made`.

    Raises:
        ExportError: not a detector of ultralytics, or a graph that does not find what the network finds.
    """
    folder = made.parent.absolute()
    # A copy: ultralytics writes the .onnx beside the weights.
    shutil.copyfile(request.weights, folder / "weights.pt")
    np.savez(folder / "pictures.npz", *request.pictures)
    (folder / "job.json").write_text(json.dumps({"size": request.size}), encoding="utf-8")
    paths = [str(Path(__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    # It would install packages and ask its makers' servers by itself.
    quiet = {
        "YOLO_AUTOINSTALL": "false",
        "YOLO_OFFLINE": "true",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": str(folder),
    }
    try:
        child = subprocess.run(
            [python, "-c", CHILD], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            env={**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ExportError(f"ultralytics did not export {request.weights} in {TIMEOUT_S:.0f} s; stopped") from None
    try:
        told: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        lines = [line.strip() for line in child.stderr.splitlines() if line.strip()]
        reason = lines[-1][:240] if lines else f"exit code {child.returncode}"
        raise ExportError(f"ultralytics cannot export {request.weights}: {reason}") from None
    names = tuple(told["names"])
    if request.names and len(request.names) != len(names):
        raise ExportError(f"{request.weights} knows {len(names)} classes, {len(request.names)} names were given")
    agreement = accept(Agreement(**told["agreement"]), request.weights.name)
    shutil.move(folder / "weights.onnx", made)
    return Exported("ultralytics", tuple(request.names) or names, told["size"], agreement)


def main() -> None:
    """In the child, in the folder of the job: weights.pt -> weights.onnx and result.json."""
    from ultralytics import YOLO

    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    network = YOLO("weights.pt")
    if network.task != "detect":
        sys.exit(f"it is made for the task '{network.task}'; wanted is a model for 'detect'")
    size = job["size"] or int(network.overrides.get("imgsz") or 640)
    # nms=False: the head that needs none, where there is one (YOLOv10, YOLO26); nothing is added to the others.
    network.export(format="onnx", dynamic=True, simplify=False, opset=OPSET, imgsz=size, device="cpu", nms=False)
    with np.load("pictures.npz") as held:
        pictures = [held[name] for name in held.files]
    names = [str(network.names[k]) for k in sorted(network.names)]
    result = {"names": names, "size": size, "agreement": vars(_agreement(pictures, len(names)))}
    Path("result.partial").write_text(json.dumps(result), encoding="utf-8")
    os.replace("result.partial", "result.json")


def _agreement(pictures: list[Array], classes: int) -> Agreement:
    """The file against the network, loaded again: the exporter changes the one that it is given."""
    import onnxruntime
    import torch
    from ultralytics import YOLO

    network = YOLO("weights.pt").model.float().eval()
    session = onnxruntime.InferenceSession("weights.onnx", providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    most = 0
    if session.get_outputs()[0].shape[1] != 4 + classes:  # a list, cut at its end
        network.end2end, most = True, session.get_outputs()[0].shape[1]
    elif hasattr(network, "end2end"):  # which of two heads the network answers with
        network.end2end = False
    wanted: list[Found] = []
    given: list[Found] = []
    for picture in pictures:
        height, width = (side // MULTIPLE * MULTIPLE for side in picture.shape[:2])
        blob = np.ascontiguousarray(picture[None, :height, :width].transpose(0, 3, 1, 2), np.float32) / np.float32(255)
        with torch.no_grad():
            raw = network(torch.from_numpy(blob))
        wanted.append(found(np.asarray(raw[0] if isinstance(raw, (tuple, list)) else raw)[0], classes))
        given.append(found(session.run(None, {name: blob})[0][0], classes))
    return compare(wanted, given, most=most if isinstance(most, int) else 0)


def found(rows: Array, classes: int) -> Found:
    """One picture's output -> boxes: (4 + classes, A) centre, sides and scores, or (K, 6) corners, score, class."""
    if rows.shape[0] != 4 + classes:
        return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)
    centre, half, scores = rows[:2].T, rows[2:4].T / 2, rows[4:].T
    return np.concatenate((centre - half, centre + half), 1), scores.max(1), scores.argmax(1)
