"""The picture that is drawn on: a copy in planar YUV, made plane by plane, colours as the source has them."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

HD_LINES = 720  # from here on a picture that does not say its matrix is BT.709, below BT.601
LIMITED, FULL = 1, 2  # FFmpeg's AVColorRange
RGB, BT709, UNKNOWN, BT601 = 0, 1, 2, 6  # FFmpeg's AVColorSpace
LIKE_BT601 = (4, 5, 6)
SWS_BT709, SWS_BT601 = 1, 5  # the same matrices in swscale's numbers
NEUTRAL = 128
SAME_PLANES = {"yuv420p": ("yuv420p", "yuvj420p", "yuva420p"), "yuv444p": ("yuv444p", "yuvj444p", "yuva444p")}


def pixel_format_for(width: int, height: int) -> str:
    """Format of the canvas: yuv420p, or yuv444p for an odd side, which 4:2:0 in H.264 would cut off."""
    return "yuv444p" if width % 2 or height % 2 else "yuv420p"


def canvas_of(
    picture: av.VideoFrame, pixel_format: str | None = None, reuse: av.VideoFrame | None = None
) -> av.VideoFrame:
    """A picture to draw on, with the same pixels; `picture` is left as it is.

    Args:
        picture: of any format that swscale reads.
        pixel_format: yuv420p or yuv444p; by default the one that keeps the size.
        reuse: a canvas no longer needed, whose memory is taken when it fits.

    Returns:
        Frame without pts, with the range, matrix, primaries and transfer of its pixels in its tags.
    """
    wanted = pixel_format or pixel_format_for(picture.width, picture.height)
    if picture.format.name in SAME_PLANES[wanted]:
        canvas = _blank(picture, wanted, reuse)
        sources = planes_of(picture)
        for source, target in zip(sources, planes_of(canvas), strict=False):
            np.copyto(target, source)
    elif picture.format.name.startswith("gray"):
        canvas = _gray(picture, wanted, reuse)
    else:
        return _converted(picture, wanted)
    return canvas


def planes_of(picture: av.VideoFrame) -> list[Plane]:
    """The 8 bit planes as (H, W) uint8 views: Y, U, V and what more there is. Line padding is left out."""
    planes = []
    for plane in picture.planes:
        buffer: Any = plane  # PyAV's stubs do not tell that a plane is a buffer
        lines: Plane = np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)
        planes.append(lines[: plane.height, : plane.width])
    return planes


def is_full_range(picture: av.VideoFrame) -> bool:
    """Whether black is 0 and white 255, rather than 16 and 235."""
    name = picture.format.name
    if name.startswith("yuvj") or picture.color_range == FULL:
        return True
    return bool(picture.color_range != LIMITED and name.startswith("gray"))


def is_bt709(picture: av.VideoFrame) -> bool:
    """Whether the chroma planes follow BT.709 (else BT.601), by tag or by size. BT.2020 is nearer to BT.709."""
    if picture.colorspace in {RGB, UNKNOWN}:
        return picture.height >= HD_LINES
    return picture.colorspace not in LIKE_BT601


def _blank(like: av.VideoFrame, pixel_format: str, reuse: av.VideoFrame | None) -> av.VideoFrame:
    """A canvas of the size and colour tags of `like`; its pixels are anything."""
    wanted = (like.width, like.height, pixel_format)
    if reuse is not None and (reuse.width, reuse.height, reuse.format.name) == wanted:
        reuse.make_writable()  # copies where an encoder still holds it
        canvas = reuse
    else:
        canvas = av.VideoFrame(like.width, like.height, pixel_format)
    canvas.color_range = FULL if is_full_range(like) else like.color_range
    canvas.colorspace = UNKNOWN if like.colorspace == RGB else like.colorspace
    canvas.color_primaries, canvas.color_trc = like.color_primaries, like.color_trc
    return canvas


def _gray(picture: av.VideoFrame, pixel_format: str, reuse: av.VideoFrame | None) -> av.VideoFrame:
    """Gray of any depth: its plane becomes Y, without a change of range."""
    canvas = _blank(picture, pixel_format, reuse)
    eight = picture if picture.format.name == "gray" else _same_colours(picture, "gray")
    luma, *chroma = planes_of(canvas)
    np.copyto(luma, planes_of(eight)[0])
    for plane in chroma:
        plane[:] = NEUTRAL
    return canvas


def _converted(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """Through swscale: other layouts and depths keep range and matrix, RGB becomes limited range."""
    if picture.format.is_rgb or picture.format.has_palette:
        hd = picture.height >= HD_LINES
        options: dict[str, Any] = {"dst_colorspace": SWS_BT709 if hd else SWS_BT601, "dst_color_range": LIMITED}
        result = picture.reformat(format=pixel_format, **options)
        result.color_range, result.colorspace = LIMITED, BT709 if hd else BT601
    else:
        result = _same_colours(picture, pixel_format)
    result.pict_type = 0  # the decoder's type would force the encoder's
    return result


def _same_colours(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """Another layout or depth, the same range and matrix."""
    full = is_full_range(picture)
    known = FULL if full else LIMITED
    result = picture.reformat(format=pixel_format, src_color_range=known, dst_color_range=known)
    result.color_range = FULL if full else picture.color_range
    return result
