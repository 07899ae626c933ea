"""The report: one HTML page that needs nothing but itself, of a bounded size, whatever the number of videos."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path

from tracker.exports.prepare import clean
from tracker.exports.sink import Sink
from tracker.report.plots import Scenes, active, bars, clock, lengths
from tracker.report.summary import DONE, LENGTHS_S, Picture, VideoSummary

LIMIT = 2_900_000  # bytes of a page
ROWS, CLASSES, REVIEWS, DETAILS, FAILURES = 2500, 12, 40, 150, 40
OPEN = 3  # so many videos or fewer are shown unfolded
LONGEST_NAME = 160  # letters
PicturesOf = Callable[[int], tuple[Picture, ...]]


def write_report(
    summaries: Sequence[VideoSummary], path: Path | str, *, title: str = "Annotations",
    about: Mapping[str, str] | None = None, overwrite: bool = False, pictures: PicturesOf | None = None,
) -> None:  # fmt: skip
    """Write the page.

    Args:
        summaries: of all videos, in the order to show.
        path: final name.
        title: of the page.
        about: what it was made with, shown below the title: {"model": "street6"}.
        overwrite: replace what exists.
        pictures: gives those of the summary at a place, where the summaries come without: all would be much memory.

    Raises:
        OutputError, WriteError: the file cannot be made.
    """
    with Sink(path, overwrite=overwrite) as sink:
        sink.text(report(summaries, title, about or {}, pictures))


def report(
    summaries: Sequence[VideoSummary], title: str, about: Mapping[str, str], pictures: PicturesOf | None = None
) -> str:
    """The page as text; the same for the same summaries and pictures."""
    page = files("tracker.report").joinpath("page")
    style, script = (page.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "page.js"))
    candidates = _details_of(summaries)
    room = LIMIT - len((_top(summaries, set(candidates)) + style + script).encode("utf-8"))
    sections = _sections(summaries, candidates, room, pictures or (lambda place: summaries[place].pictures))
    allowed = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    facts = "".join(f"<div><dt>{_text(key)}</dt><dd>{_text(value)}</dd></div>" for key, value in about.items())
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>\n{style}</style>\n'
        f'<header><h1>{_text(title)}</h1><dl class="about">{facts}</dl></header>\n<main>\n'
        f"{_top(summaries, set(sections))}{_details(summaries, sections)}</main>\n<script>{script}</script>\n</html>\n"
    )


def _top(summaries: Sequence[VideoSummary], linked: set[int]) -> str:
    """All before the single videos; `linked` are those with a section."""
    done = [summary for summary in summaries if summary.outcome == DONE]
    parts = (
        _tiles(summaries, done),
        _failures(summaries),
        _charts(done),
        _review(summaries, linked),
        _videos(summaries, linked),
    )
    return "".join(parts)


def _details_of(summaries: Sequence[VideoSummary]) -> list[int]:
    """Places of the videos that get a section of their own: those with most to review, in the order of all."""
    fit = [k for k, one in enumerate(summaries) if one.outcome == DONE and one.frames]
    weight = {k: sum(suspect.weight for suspect in summaries[k].suspects) for k in fit}
    return sorted(sorted(fit, key=lambda k: (-weight[k], k))[:DETAILS])


def _tiles(summaries: Sequence[VideoSummary], done: Sequence[VideoSummary]) -> str:
    """Totals."""
    bad = len(summaries) - len(done)
    frames, boxes = sum(one.frames for one in done), sum(one.boxes for one in done)
    filled = sum(one.filled for one in done)
    tiles = [
        ("Videos", f"{len(done):,}", f"of {len(summaries):,}" if bad else "all done"),
        ("Not done", f'<span class="bad">{bad:,}</span>', "see below") if bad else None,
        ("Footage", clock(sum(one.duration_s for one in done)), f"{frames:,} frames"),
        ("Tracks", f"{sum(one.tracks for one in done):,}", "objects over time"),
        ("Boxes", f"{boxes:,}", f"{filled:,} filled in" if filled else "all detected"),
        ("To review", f"{sum(one.suspect_count for one in done):,}", "odd tracks"),
    ]
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>'
        for name, value, note in filter(None, tiles)
    )
    return f'<dl class="tiles">{cells}</dl>\n'


def _failures(summaries: Sequence[VideoSummary]) -> str:
    """What is not done, and why."""
    failed = [one for one in summaries if one.outcome != DONE]
    if not failed:
        return ""
    rows = "".join(
        f'<tr><td class="name">{_text(one.name)}</td><td class="bad less">{_text(one.outcome)}</td>'
        f"<td>{_text(one.reason)}</td></tr>\n"
        for one in failed[:FAILURES]
    )
    more = f'<p class="quiet">and {len(failed) - FAILURES:,} more</p>' if len(failed) > FAILURES else ""
    table = _table((("Video", ""), ("Outcome", "less fit"), ("Why", "")), rows)
    return f'<section class="card"><h2>Not done</h2>{table}{more}</section>\n'


def _charts(done: Sequence[VideoSummary]) -> str:
    """Classes and lengths of all videos."""
    tracks: Counter[str] = Counter()
    boxes: Counter[str] = Counter()
    spans = [0] * (len(LENGTHS_S) + 1)
    for one in done:
        for name, of_tracks, of_boxes in one.classes:
            tracks[name] += of_tracks
            boxes[name] += of_boxes
        spans = [a + b for a, b in zip(spans, one.lengths or spans, strict=True)]
    order = sorted(tracks, key=lambda name: (-tracks[name], name))
    rows = [(_short(name), tracks[name], f"{tracks[name]:,} ({boxes[name]:,})") for name in order[:CLASSES]]
    more = f'<p class="quiet">and {len(order) - CLASSES:,} more classes</p>' if len(order) > CLASSES else ""
    classes = (bars(rows) + more) if rows else '<p class="quiet">nothing was found</p>'
    return (
        f'<div class="row"><section class="card"><h2>Tracks (boxes) by class</h2>{classes}</section>'
        f'<section class="card"><h2>Tracks by length</h2>{lengths(spans)}</section></div>\n'
    )


def _review(summaries: Sequence[VideoSummary], linked: set[int]) -> str:
    """The oddest tracks of all videos."""
    found = [(suspect, k) for k, one in enumerate(summaries) for suspect in one.suspects]
    found.sort(key=lambda pair: (-pair[0].weight, pair[1], pair[0].id))
    if not found:
        return ""
    total = sum(one.suspect_count for one in summaries)
    which = f"the {REVIEWS} oddest of {total:,}" if total > REVIEWS else "the oddest first"
    rows = "".join(
        f'<tr><td class="name">{_link(summaries[k], k, linked)}</td><td class=n>{one.id}</td>'
        f'<td class="less">{_text(one.class_name)}</td><td class="n">{one.first}&ndash;{one.last}</td>'
        f"<td>{_text('; '.join(one.reasons))}</td></tr>\n"
        for one, k in found[:REVIEWS]
    )
    table = _table((("Video", ""), ("Track", "n fit"), ("Class", "less fit"), ("Frames", "n fit"), ("Why", "")), rows)
    return (
        f'<section class="card" id="review"><h2>Tracks to review</h2><p class="quiet">{which}; frames count from 0</p>'
        f"{table}</section>\n"
    )


def _videos(summaries: Sequence[VideoSummary], linked: set[int]) -> str:
    """The table. Where not all find room, those not done are the last to be left out."""
    order = sorted(range(len(summaries)), key=lambda k: (summaries[k].outcome == DONE, k))[:ROWS]
    timed = any(one.fps for one in summaries)
    rows = "".join(_row(summaries[k], k, linked, timed=timed) for k in sorted(order))
    left = len(summaries) - len(order)
    more = f'<p class="quiet">{left:,} more videos are in the manifest</p>' if left else ""
    heads = (
        ("Video", ""), ("Outcome", "fit"), ("Frames", "n less fit"), ("Length", "n less fit"), ("Tracks", "n fit"),
        ("Boxes a frame", "n less fit"), *((("fps", "n less fit"),) if timed else ()), ("To review", "n fit"),
    )  # fmt: skip
    table = _table([(f"<button>{name}</button>", kind) for name, kind in heads], rows)
    return (
        '<section class="card" id="videos"><div class="head"><h2>Videos</h2><input class="find" type="search" '
        f'placeholder="Find a video" aria-label="Find a video"></div>{table}{more}</section>\n'
    )


def _row(one: VideoSummary, place: int, linked: set[int], *, timed: bool) -> str:
    """One video of the table."""
    mood = "warn" if one.outcome == DONE else "bad"
    reason = f'<small class="{mood}">{_text(one.reason)}</small>' if one.reason else ""
    start = f'<tr><td class="name">{_link(one, place, linked)}{reason}</td>'
    if one.outcome != DONE:
        kinds = ("n less", "n less", "n", "n less", *(("n less",) if timed else ()), "n")
        empty = "".join(f'<td class="{kind}" data-v="-1"></td>' for kind in kinds)
        return f'{start}<td class="bad">{_text(one.outcome)}</td>{empty}</tr>\n'
    share = one.boxes / one.frames if one.frames else 0.0
    fps = f'<td class="n less">{one.fps:.1f}</td>' if timed else ""
    return (
        f'{start}<td class="good">{_text(one.outcome)}</td><td class="n less" data-v="{one.frames}">{one.frames:,}</td>'
        f'<td class="n less" data-v="{one.duration_s:.2f}">{clock(one.duration_s)}</td>'
        f'<td class=n data-v="{one.tracks}">{one.tracks:,}</td><td class="n less">{share:.1f}</td>'
        f"{fps}<td class=n>{one.suspect_count}</td></tr>\n"
    )


def _sections(
    summaries: Sequence[VideoSummary], candidates: Sequence[int], room: int, pictures_of: PicturesOf
) -> dict[int, str]:
    """Single videos, as many as `room` bytes hold: first all without pictures, then as many as possible with them."""
    weights = {k: sum(suspect.weight for suspect in summaries[k].suspects) for k in candidates}
    urgent = sorted(candidates, key=lambda k: (-weights[k], k))
    sections: dict[int, str] = {}
    used = 0
    for pictures, share in ((False, 0.6), (True, 1.0)):
        for k in urgent:
            one = summaries[k]
            if pictures:
                one = replace(one, pictures=pictures_of(k) if k in sections else ())
                if not one.pictures:
                    continue
            section = _section(one, k, pictures=pictures, unfolded=len(summaries) <= OPEN)
            more = len(section.encode("utf-8")) - len(sections.get(k, "").encode("utf-8"))
            if used + more <= room * share:
                sections[k] = section
                used += more
    return sections


def _details(summaries: Sequence[VideoSummary], sections: Mapping[int, str]) -> str:
    """The sections, in the order of all videos."""
    if not sections:
        return ""
    done = sum(one.outcome == DONE for one in summaries)
    which = "" if len(sections) == done else f'<p class="quiet">{len(sections):,} of {done:,}: most to review</p>'
    inner = "".join(sections[k] for k in sorted(sections))
    return f'<section class="card" id="details"><h2>Video by video</h2>{which}{inner}</section>\n'


def _section(one: VideoSummary, place: int, *, pictures: bool, unfolded: bool) -> str:
    """A video."""
    scenes = Scenes(one, place, pictures=pictures)
    figures = [
        (drawing, f"Frame {picture.frame}, {len(picture.boxes)} boxes")
        for drawing, picture in zip(scenes.samples(), scenes.pictures, strict=True)
    ]
    if one.tracks:
        many = f"the {len(one.paths)} longest" if one.tracks > len(one.paths) else "all"
        figures += [(scenes.ways(), f"Ways of {many} tracks"), (scenes.heat(), "Where objects were, and how often")]
    drawn = "".join(f"<figure>{drawing}<figcaption>{text}</figcaption></figure>" for drawing, text in figures)
    return (
        f'<details id="v{place}"{" open" * unfolded}><summary><b>{_text(one.name)}</b><span class="quiet">'
        f"{one.width}&times;{one.height}, {clock(one.duration_s)}, {one.tracks:,} tracks</span></summary>"
        f'<div class="inner"><div class="wide"><h3>Tracks over time</h3>{active(one)}</div>{drawn}'
        f"{_suspects(one)}</div></details>\n"
    )


def _suspects(one: VideoSummary) -> str:
    """The odd tracks of a video."""
    if not one.suspects:
        return ""
    more = one.suspect_count - len(one.suspects)
    rows = "".join(
        f'<tr><td class=n>{odd.id}</td><td>{_text(odd.class_name)}</td><td class="n">{odd.first}&ndash;{odd.last}</td>'
        f"<td>{_text('; '.join(odd.reasons))}</td></tr>"
        for odd in one.suspects
    )
    table = _table((("Track", "n fit"), ("Class", "fit"), ("Frames", "n fit"), ("Why", "")), rows)
    note = f'<p class="quiet">and {more:,} more</p>' if more else ""
    return f'<div class="wide"><h3>To review</h3>{table}{note}</div>'


def _table(heads: Sequence[tuple[str, str]], rows: str) -> str:
    """A table that scrolls; `heads` are the columns with their classes."""
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in heads)
    return f'<div class="scroll"><table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _link(one: VideoSummary, place: int, linked: set[int]) -> str:
    """A video's name, leading to its section where it has one."""
    return f'<a href="#v{place}">{_text(one.name)}</a>' if place in linked else _text(one.name)


def _short(text: str) -> str:
    """Text on one line, of a bounded length."""
    text = clean(text)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def _text(text: str) -> str:
    """Text that is nothing but text."""
    return escape(_short(text))
