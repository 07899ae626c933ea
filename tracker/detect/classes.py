"""Names of the classes that public detectors are trained on."""

from __future__ import annotations

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
UNUSED = "N/A"
"""The name of a class that nothing is ever found of."""
_GAPS = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82}
"""Category ids of COCO, less one, that no picture has. Networks of torchvision and TensorFlow count them as well."""
_used = iter(COCO_CLASSES)
COCO_91 = tuple(UNUSED if k in _GAPS else next(_used) for k in range(90))
"""Names of COCO's category ids 1 to 90. With the background, which no head here gives, there are 91."""
CLASS_LISTS: dict[str, tuple[str, ...]] = {"coco": COCO_CLASSES, "coco91": COCO_91}
