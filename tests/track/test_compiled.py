"""The kernels against their NumPy twins, bit for bit, and which of the two runs when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tracker.structures import Detections
from tracker.track import associate, compiled, kalman
from tracker.track.associate import Pairs
from tracker.track.sort import Sort
from tracker.track.table import COLUMNS

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def fast() -> compiled.Kernels:
    """The kernels; compiling them takes seconds once a machine."""
    compiled.load()
    if compiled._start.kernels is None:
        pytest.skip(compiled.reason())
    return compiled._start.kernels


def crowd(rng: np.random.Generator, count: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (count, 4) with sides of 5 to 100 pixels, and classes."""
    corners = rng.uniform(-spread / 4, spread, (count, 2))
    return np.concatenate((corners, corners + rng.uniform(5, 100, (count, 2))), 1), rng.integers(0, 2, count)


def same(one: tuple, other: tuple) -> None:
    """To the last bit."""
    for ours, theirs in zip(one, other, strict=True):
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("spread", [20.0, 300.0, 3000.0])
@pytest.mark.parametrize(("count", "others"), [(0, 5), (5, 0), (1, 1), (10, 9), (50, 60), (130, 100), (300, 350)])
def test_the_same_pairs_and_choice_in_any_crowd(fast: compiled.Kernels, count: int, others: int, spread: float) -> None:
    rng = np.random.default_rng([count, others, int(spread)])
    for _ in range(5):
        a, b = crowd(rng, count, spread), crowd(rng, others, spread)
        pairs = associate.overlaps_numpy(*a, *b)
        same(pairs, fast.overlaps(*a, *b))
        for least in (0.0, 0.1, 0.3):
            good = pairs.at_least(least)
            same(associate.choose_numpy(good), fast.choose(*good))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_the_same_choice_with_ties_as_scipy_makes(data: st.DataObject) -> None:
    """A sixteenth is exact in binary, so totals tie truly; every sum of it too."""
    fast = compiled._start.kernels if compiled.load() == "numba" else None
    rows, columns = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))
    steps = data.draw(st.lists(st.integers(0, data.draw(st.integers(1, 16))), min_size=rows * columns,
                               max_size=rows * columns))  # fmt: skip
    matrix = np.array(steps).reshape(rows, columns) / 16
    places = np.nonzero(matrix)
    pairs = Pairs(*places, matrix[places])
    ours = associate.choose_numpy(pairs)
    assert matrix[ours].sum() == matrix[linear_sum_assignment(matrix, maximize=True)].sum()
    assert len(set(ours[0].tolist())) == len(set(ours[1].tolist())) == len(ours[0])
    if fast is not None:
        same(ours, fast.choose(*pairs))


@pytest.mark.parametrize("shape", [(2, 2), (7, 7), (20, 31), (31, 20), (120, 90)])
@pytest.mark.parametrize("levels", [2, 5, 1000000])
def test_full_matrices_with_and_without_ties(fast: compiled.Kernels, shape: tuple[int, int], levels: int) -> None:
    rng = np.random.default_rng([*shape, levels])
    for _ in range(10):
        matrix = rng.integers(1, levels + 1, shape) / levels
        places = np.nonzero(matrix)
        ours = associate.choose_numpy(Pairs(*places, matrix[places]))
        same(ours, fast.choose(*places, matrix[places]))
        assert matrix[ours].sum() == pytest.approx(matrix[linear_sum_assignment(matrix, maximize=True)].sum())


coordinate = st.integers(-40, 40).map(lambda step: step / 8)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate, st.integers(0, 1)), max_size=80),
       st.integers(0, 80))  # fmt: skip
def test_the_same_pairs_of_odd_boxes(boxes: list, cut: int) -> None:
    """Alike, touching, without area, inside out; few (every pair is tried) and many (by windows)."""
    array = np.array(boxes, np.float64).reshape(-1, 5)
    every, kinds = np.concatenate((array[:, :2], array[:, :2] + array[:, 2:4]), 1), array[:, 4].astype(np.int64)
    a, b = (every, kinds), (every[:cut], kinds[:cut])
    ways = [way(*a, *b) for way in (associate._among_all, associate._among_near)] if len(b[0]) else []
    for one in ways[1:]:
        same(ways[0], one)
    if compiled.load() == "numba" and compiled._start.kernels is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            same(associate.overlaps_numpy(*a, *b), compiled._start.kernels.overlaps(*a, *b))


def table(count: int, align: bool) -> np.ndarray:
    """Tracks as `Table` holds them."""
    rng = np.random.default_rng(count)
    rows = np.zeros(count, np.dtype(COLUMNS, align=align))
    rows["mean"], rows["covariance"] = kalman.start(rng.uniform(0.2, 90, (count, 4)))
    rows["mean"][:, 4:] = rng.normal(0, 30, (count, 4))
    return rows


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 33, 400])
def test_the_same_filter_on_fields_and_on_arrays(fast: compiled.Kernels, count: int, align: bool) -> None:
    rng = np.random.default_rng(count)
    ours, theirs = table(count, align), table(count, align)
    mean, covariance = theirs["mean"].copy(), theirs["covariance"].copy()
    for _ in range(30):
        dt_s = float(rng.choice([0.0, 1 / 30, 0.4]))
        noise = kalman.process_noise(dt_s)
        rows = rng.permutation(np.flatnonzero(rng.random(count) < 0.6))
        measured = rng.uniform(0.1, 90, (len(rows), 4))
        measured.flags.writeable = False
        for tracks in ((theirs["mean"], theirs["covariance"]), (mean, covariance)):
            fast.predict(*tracks, dt_s, noise)
            fast.update(*tracks, rows, measured, kalman.MEASUREMENT)
        kalman.predict_numpy(ours["mean"], ours["covariance"], dt_s, noise)
        kalman.update_numpy(ours["mean"], ours["covariance"], rows, measured, kalman.MEASUREMENT)
        same((ours["mean"], ours["covariance"]), (theirs["mean"], theirs["covariance"]))
        same((ours["mean"], ours["covariance"]), (mean, covariance))


def test_arrays_of_other_types_and_flags_are_taken(fast: compiled.Kernels, monkeypatch) -> None:
    rng = np.random.default_rng(3)
    a, kinds = crowd(rng, 60, 200.0)
    results = []
    for way in (None, fast):
        monkeypatch.setattr(compiled, "kernels", lambda saving_s, way=way: way)
        pairs = associate.overlaps(a.astype(np.float32), kinds.astype(np.int32), np.asfortranarray(a), kinds)
        half = pairs._replace(rows=pairs.rows.astype(np.int32), gain=pairs.gain.astype(np.float32))
        results.append((*pairs, *(part.astype(np.int64) for part in associate.choose(half))))
    same(*results)


def test_the_tracks_do_not_tell_when_the_kernels_took_over(fast: compiled.Kernels, monkeypatch) -> None:
    """NumPy alone, kernels alone, and a change in the middle."""
    ways = [lambda saving_s: None, lambda saving_s: fast, None]
    results = []
    for way in ways:
        calls = iter(range(100000))
        monkeypatch.setattr(compiled, "kernels", way or (lambda saving_s: fast if next(calls) > 150 else None))  # noqa: B023
        rng, tracker, seen = np.random.default_rng(1), Sort(), []
        boxes = crowd(rng, 60, 600.0)[0]
        for k in range(80):
            boxes = boxes + rng.normal(0, 2, boxes.shape)
            found = rng.random(60) < 0.9
            count = int(found.sum())
            tracks = tracker.update(
                Detections(boxes[found].astype(np.float32), np.full(count, 0.9, np.float32), np.zeros(count, np.int64)),
                k / 30,
            )
            seen += [tracks.ids, tracks.boxes]
        results.append(seen)
    for other in results[1:]:
        same(tuple(results[0]), tuple(other))


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    kept = {name: value for name, value in os.environ.items() if name != "TRACKER_NO_NUMBA"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
                         env=kept | environment)  # fmt: skip
    return out.stdout.strip()


ASK = "from tracker.track import compiled as c; print(c.load(), '|', c.reason())"


def test_the_environment_keeps_numba_out() -> None:
    assert run(ASK, TRACKER_NO_NUMBA="1") == "numpy | TRACKER_NO_NUMBA is set"


def test_numba_missing_says_which_extra() -> None:
    told = run("import sys; sys.modules['numba'] = None; " + ASK)
    assert told == "numpy | numba is not installed: pip install 'tracker[fast]'"


def test_a_numba_that_does_not_start_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0')")
    told = run(ASK, PYTHONPATH=f"{tmp_path}")
    assert told == "numpy | numba failed: ImportError: Numba needs NumPy 1.0"


def test_little_work_never_imports_numba() -> None:
    told = run(
        "import sys, numpy; from tracker.track import associate, compiled; b = numpy.ones((5, 4)); "
        "[associate.overlaps(b, b[:, 0], b, b[:, 0]) for _ in range(1000)]; print('numba' in sys.modules)"
    )
    assert told == "False"


def test_enough_work_starts_it_and_a_cold_cache_waits_longer(fast: compiled.Kernels, monkeypatch) -> None:
    for cached, due_s in ((True, compiled.WARM_S), (False, compiled.COLD_S)):
        start = compiled._Start()
        monkeypatch.setattr(compiled, "_start", start)
        monkeypatch.setattr(compiled, "_cached", lambda kernel, cached=cached: cached)
        monkeypatch.setattr(compiled, "_compiled", lambda kernels: fast)
        assert compiled.kernels(due_s * 0.9) is None
        assert compiled.backend() == "numpy"
        assert compiled.reason() == "too little work so far for numba's start"
        assert compiled.kernels(due_s * 0.2) is fast
        assert (compiled.backend(), compiled.reason()) == ("numba", "")


def test_code_on_disk_is_found_unless_its_source_is_newer(fast: compiled.Kernels, monkeypatch) -> None:
    if any(kernel.stats.cache_path is None for kernel in fast):
        pytest.skip("numba found no folder to keep its machine code in")
    assert all(map(compiled._cached, fast))
    age = os.path.getmtime
    monkeypatch.setattr(os.path, "getmtime", lambda path: age(path) + 1e9 * str(path).endswith(".py"))
    assert not any(map(compiled._cached, fast))


def test_where_no_cache_can_be_written_code_is_made_in_memory(fast: compiled.Kernels, tmp_path: Path) -> None:
    """A read-only installation and no home: folders that cannot be made, for root neither."""
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "odd.py").write_text(
        "from tracker.track.jit import kernel\n\n\n@kernel\ndef more(x):\n    return x + 1\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import odd; print(odd.more(1), odd.more.stats.cache_path)"
    )
    nowhere = str(tmp_path / "__pycache__" / "none")
    assert run(code, HOME=nowhere, XDG_CACHE_HOME=nowhere, PYTHONDONTWRITEBYTECODE="1") == "2 None"
    assert run(code, NUMBA_CACHE_DIR=str(tmp_path / "kept"), HOME=nowhere).startswith(f"2 {tmp_path / 'kept'}")
