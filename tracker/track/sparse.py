"""The online tracker for time-lapse: pictures seconds to hours apart.

Each picture's detections go to the tracks by the odds of `tracker.track.sparse_gain`, in the one best choice. What is
shown at once is what is probably real: `tracker.track.sparse_scores` learns that from the links so far. What stood in
one place is known again there after long (a parked car behind a lorry), what moved only after a few pictures.
`tracker.track.sparse_link` does the same for all pictures at once, better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracker.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from tracker.config import SparseSettings, SteadySettings
from tracker.structures import Detections, Frame, Ids, Tracks
from tracker.track import kalman
from tracker.track.associate import Pairs, choose, overlaps
from tracker.track.cues import Observer
from tracker.track.looks import Looks, Vectors
from tracker.track.sparse_chains import STANDING, STOOD
from tracker.track.sparse_gain import SHORTEST_S, Sights, candidates, gains, room
from tracker.track.sparse_scores import LinkedScores, together
from tracker.track.table import SLACK_S, Clock, Table, as_tracks, usable

Array = NDArray[np.float64]

LOOKS = 2.0  # how much the odds of looks count beside those of places
COLUMNS = (
    ("speed", np.float64, (2,)),  # pixels a second between the last two sights; not a number after one
    ("missed", np.int64),  # pictures since the last sight
    ("stands", np.bool_),  # hardly moved between the last two sights
    ("doubt", np.float64),  # sum of log(1 - probability) of the sights
)


def observer_of(settings: SparseSettings) -> Observer:
    """What reads pictures as the settings ask. Raises ConfigError or ModelError where that cannot be had."""
    appearance = "colour" if settings.appearance == "auto" else settings.appearance
    return Observer(SteadySettings(camera_motion=settings.camera_motion, appearance=appearance))


class Sparse:
    """The tracker of one stream."""

    def __init__(self, settings: SparseSettings | None = None) -> None:
        """No tracks; ids start at 1."""
        self.settings = settings or SparseSettings()
        self._observer, self._looks = observer_of(self.settings), Looks()
        self._table, self._clock, self._scores = Table(*COLUMNS), Clock(), LinkedScores()
        self._extent = np.array((np.inf, np.inf, -np.inf, -np.inf))  # of all boxes so far, xyxy
        self._sights: dict[int, int] = {}  # by class
        self._pictures, self._size = 0, (0, 0)

    def update(self, detections: Detections, time_s: float, frame: Frame | None = None) -> Tracks:
        """Advance to `time_s` (seconds of the stream, never backwards) and return the tracks seen in this picture.

        They are those that are probably real. With its picture, camera motion is taken out and looks are compared, as
        far as the settings say so.

        Raises:
            ValueError: `time_s` lies before the last update.
        """
        found = usable(detections, 0.0)
        cues = self._observer.read(frame, found)
        table = self._table
        self._clock.advance(time_s)
        if cues.motion is not None:
            table["mean"][:, :4] = kalman.warped(table["mean"][:, :4], cues.motion)
        boxes = xyxy_to_cxcywh(found.boxes.astype(np.float64))
        sights = Sights(boxes, found.class_ids, found.scores.astype(np.float64))
        self._count(found)
        if frame is not None:
            self._size = (frame.width, frame.height)
        rows, columns = self._match(sights, cues.vectors)
        rows, columns = self._stood(sights, rows, columns)
        if self.settings.learn_scores:
            self._scores.count(sights.scores)
            before = table["score"][rows].astype(np.float64)
            self._scores.link(before, sights.scores[columns], sights.class_ids[columns])
        ids = self._take(sights, found, rows, columns)
        if cues.vectors is not None:
            self._looks.take(ids, cues.vectors, sights.scores, found.class_ids)
        self._remove()
        shown = table["seen"] & table["confirmed"]
        return as_tracks(table.rows[shown], time_s)

    def all(self) -> Tracks:
        """Every living track: those hardly real, those seen and those lost."""
        return self._table.tracks(self._clock.now_s)

    def _count(self, found: Detections) -> None:
        """What there is to know of how dense pictures are."""
        self._pictures += 1
        for label, count in zip(*np.unique(found.class_ids, return_counts=True), strict=True):
            self._sights[int(label)] = self._sights.get(int(label), 0) + int(count)
        if len(found):
            low, high = found.boxes[:, :2].min(0), found.boxes[:, 2:].max(0)
            self._extent = np.concatenate((np.minimum(self._extent[:2], low), np.maximum(self._extent[2:], high)))

    def _match(self, sights: Sights, vectors: Vectors | None) -> tuple[Ids, Ids]:
        """Rows and columns of the one best choice, all tracks that were missed for a short while."""
        table = self._table
        lost_s = self._clock.now_s - table["last_s"]
        living = np.flatnonzero(
            (table["missed"] <= self.settings.max_missed) | (lost_s <= self.settings.max_lost_s + SLACK_S)
        )
        old = Sights(table["mean"][living, :4], table["class_id"][living], table["score"][living].astype(np.float64))
        rows, columns = candidates(old, sights)
        if not len(rows):
            return rows, columns
        area = max(room(self._extent, sights.boxes), float(self._size[0] * self._size[1]))
        rivals = np.array([self._sights[label] for label in sights.class_ids.tolist()])[columns] / self._pictures
        names = living[rows]
        gain = gains(
            old[rows],
            sights[columns],
            lost_s[names],
            table["missed"][names],
            (table["speed"][names],),
            rivals,
            max(area, 1.0),
        )
        if vectors is not None:
            alike = self._looks.alike(table["id"][names], vectors[columns])
            gain += LOOKS * np.log(alike / (1 - alike))
        rows, columns = choose(Pairs(names, columns, gain).at_least(1e-9))
        return rows, columns

    def _stood(self, sights: Sights, rows: Ids, columns: Ids) -> tuple[Ids, Ids]:
        """Rows and columns, with those left over that stood where something is now."""
        table = self._table
        free, open_ = table["stands"].copy(), np.ones(len(sights.boxes), np.bool_)
        free[rows] = open_[columns] = False
        mine, theirs = np.flatnonzero(free), np.flatnonzero(open_)
        if not len(mine) or not len(theirs):
            return rows, columns
        pairs = overlaps(
            self._table.boxes()[mine], table["class_id"][mine],
            cxcywh_to_xyxy(sights.boxes[theirs]), sights.class_ids[theirs],
        ).at_least(STANDING)  # fmt: skip
        again, where = choose(pairs)
        return np.concatenate((rows, mine[again])), np.concatenate((columns, theirs[where]))

    def _take(self, sights: Sights, found: Detections, rows: Ids, columns: Ids) -> Ids:
        """Matched tracks take their detections in, all others begin tracks; the track of each (N,)."""
        table, now_s = self._table, self._clock.now_s
        chance = np.clip(sights.scores, 1e-3, 1 - 1e-3)
        if self.settings.learn_scores:
            chance = self._scores.real(sights.scores, sights.class_ids)
        doubts = np.log1p(-chance)
        table["seen"][:] = False
        table["missed"][:] += 1
        step = sights.boxes[columns, :2] - table["mean"][rows, :2]
        dt_s = np.maximum(now_s - table["last_s"][rows], SHORTEST_S)
        table["speed"][rows] = step / dt_s[:, None]
        table["stands"][rows] = np.hypot(step[:, 0], step[:, 1]) < STOOD * sights.boxes[columns, 3]
        table["mean"][rows, :4] = sights.boxes[columns]
        table["score"][rows], table["last_s"][rows] = found.scores[columns], now_s
        table["seen"][rows], table["missed"][rows] = True, 0
        table["hits"][rows] += 1
        table["doubt"][rows] += doubts[columns]
        ids = np.zeros(len(found), np.int64)
        ids[columns] = table["id"][rows]
        fresh = np.flatnonzero(ids == 0)
        new = table.add(sights.boxes[fresh], found.class_ids[fresh], found.scores[fresh], now_s)
        new["speed"], new["doubt"] = np.nan, doubts[fresh]
        ids[fresh] = new["id"]
        least = np.where(table["hits"] > 1, self.settings.min_probability, self.settings.min_probability_once)
        table["confirmed"][:] = together(table["doubt"], table["hits"]) >= least
        return ids

    def _remove(self) -> None:
        """Tracks unseen for too long go; what stands has the longer patience."""
        table, settings = self._table, self.settings
        longest = np.where(table["stands"], max(settings.remember, settings.max_missed), settings.max_missed)
        recent = self._clock.now_s - table["last_s"] <= settings.max_lost_s + SLACK_S
        table.keep((table["missed"] < longest + 1) | recent)
        self._looks.keep(table["id"])
