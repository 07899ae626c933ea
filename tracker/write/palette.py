"""Colours of the overlay: one an id, in the YUV of the picture drawn on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]

# In the order of their hue. 13 of 21 steps are a golden section of the circle: ids that follow each other, and so
# stand in the same picture, get hues far apart, and 21 ids in a row are all different.
STEP = 13
VIVID = np.array(
    [
        (255, 59, 48), (255, 94, 58), (255, 138, 0), (255, 179, 0), (255, 214, 10), (222, 230, 35), (168, 224, 42),
        (92, 214, 60), (38, 205, 105), (0, 214, 160), (28, 215, 208), (20, 198, 246), (40, 160, 255), (64, 120, 255),
        (104, 96, 255), (146, 92, 255), (186, 88, 255), (226, 84, 250), (255, 82, 214), (255, 84, 162), (255, 108, 120),
    ],
    np.uint8,
)  # fmt: skip
BLACK, WHITE, PANEL, PANEL_TEXT = (
    np.array([colour], np.uint8) for colour in ((12, 12, 14), (255, 255, 255), (14, 16, 20), (248, 249, 250))
)
DARK_TEXT_FROM = 0.58  # of the way from black to white in luma


def colour_numbers(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row of the palette of each id, (M,)."""
    rows: NDArray[np.int64] = ids * STEP % len(VIVID)
    return rows


def to_yuv(rgb: Colours, *, bt709: bool, full_range: bool) -> Colours:
    """(N, 3) RGB -> (N, 3) YUV, both uint8."""
    red_part, blue_part = (0.2126, 0.0722) if bt709 else (0.299, 0.114)
    red, green, blue = (rgb[:, channel] / 255.0 for channel in range(3))
    luma = red_part * red + (1 - red_part - blue_part) * green + blue_part * blue
    low, luma_span, chroma_span = (0, 255, 255) if full_range else (16, 219, 224)
    blueness, redness = (blue - luma) / (2 - 2 * blue_part), (red - luma) / (2 - 2 * red_part)
    yuv = np.stack((low + luma_span * luma, 128 + chroma_span * blueness, 128 + chroma_span * redness), 1)
    return np.clip(np.rint(yuv), 0, 255).astype(np.uint8)


class Palette:
    """The colours that the overlay needs, in one kind of YUV."""

    def __init__(self, *, bt709: bool, full_range: bool) -> None:
        """Convert them once.

        Attributes:
            vivid, shade: (21, 3) a colour an id, and the same darker.
            text: (21, 3) black or white, whichever is read better on it.
            panel, panel_text: (3,) ground and letters of the corner panel.
        """

        def convert(rgb: Colours) -> Colours:
            return to_yuv(rgb, bt709=bt709, full_range=full_range)

        self.vivid, self.shade = convert(VIVID), convert((VIVID * 0.74).astype(np.uint8))
        black, white = convert(BLACK), convert(WHITE)
        bright = self.vivid[:, :1] > black[:, :1] + DARK_TEXT_FROM * (white[:, :1] - black[:, :1])
        self.text: Colours = np.where(bright, black, white).astype(np.uint8)
        self.panel, self.panel_text = convert(PANEL)[0], convert(PANEL_TEXT)[0]
