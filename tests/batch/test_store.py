"""Files of an archive in a store: put, fetched, listed and removed, with tries where a store fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("fsspec", reason="the extra 'annotate' is not installed")

from tests.batch.stores import FlakyFileSystem
from tracker.batch.stored.store import Store
from tracker.errors import Interrupted, OutputError, UsageError, WriteError

NAMES = ("jsonl/a.jsonl", "yolo/a [x]*?/labels/0.txt", "yolo/a [x]*?/labels/1.txt")


@pytest.fixture
def flaky() -> Iterator[type[FlakyFileSystem]]:
    FlakyFileSystem.reset()
    yield FlakyFileSystem
    FlakyFileSystem.reset()


def asynchronous(url: str) -> Store:
    """A store whose file system takes many files at once, as those of object stores do."""
    module = pytest.importorskip("fsspec.implementations.asyn_wrapper", reason="this fsspec is older")
    store = Store(url, Event(), (0.0,))
    store._files = module.AsyncFileSystemWrapper(store._files, asynchronous=False)
    return store


@pytest.fixture(params=["object store", "many at once", "file system"])
def store(request: pytest.FixtureRequest, flaky: type[FlakyFileSystem], tmp_path: Path) -> Store:
    if request.param == "file system":
        return Store(f"file://{tmp_path}/far/labels/", Event(), (0.0,))
    return asynchronous("flaky://far/labels/") if request.param == "many at once" else of_flaky()


def of_flaky(*waits_s: float, stop: Event | None = None) -> Store:
    return Store("flaky://far/labels/", stop or Event(), waits_s)


def test_files_go_there_and_come_back(store: Store, tmp_path: Path) -> None:
    here = [(tmp_path / "here" / name, name) for name in NAMES]
    for path, name in here:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    assert not store.holds("yolo") and store.below("yolo") == {}
    store.put(here)
    assert store.holds("yolo") and store.holds(NAMES[0]) and not store.holds("coco")
    assert store.below("yolo") == {name: len(name) for name in NAMES[1:]}
    here[0][0].write_text("anew", encoding="utf-8")
    store.put(here)
    back = [(tmp_path / "back" / name, name) for name in NAMES]
    store.get(back)
    assert [path.read_text(encoding="utf-8") for path, _ in back] == ["anew", *NAMES[1:]]
    assert sorted(path.name for path in (tmp_path / "back").rglob("*") if path.is_file()) == [
        "0.txt", "1.txt", "a.jsonl",
    ]  # fmt: skip
    store.remove_files([NAMES[1]])
    assert list(store.below("yolo")) == [NAMES[2]]
    store.remove(["yolo", "coco"])
    assert not store.holds("yolo") and store.holds(NAMES[0])


def test_a_claim_is_what_was_said_last(store: Store) -> None:
    assert store.claim() is None
    for claim in ("one", "other"):
        store.set_claim(claim)
        assert store.claim() == claim


def test_a_file_of_a_file_system_has_its_name_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"file://{tmp_path}/labels", Event(), ())
    (tmp_path / "a").write_bytes(b"whole")

    def broken(here: str, there: str) -> None:
        Path(there).write_bytes(b"wh")
        raise OSError("the line broke")

    monkeypatch.setattr(store._files, "put_file", broken)
    with pytest.raises(WriteError, match="the line broke"):
        store.put([(tmp_path / "a", "jsonl/a")])
    assert not store.holds("jsonl/a")


def test_it_is_tried_again(flaky: type[FlakyFileSystem], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    store = of_flaky(0.0, 0.0)
    flaky.fails = 2
    store.put([(tmp_path / "a", "a")])
    assert store.below("") == {"a": 1}
    flaky.fails = 3
    with pytest.raises(WriteError, match=r"^flaky://far/labels cannot be used: .*the net is gone$"):
        store.put([(tmp_path / "a", "b")])


def test_what_no_try_changes_is_not_tried_again(flaky: type[FlakyFileSystem], tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    flaky.fails, flaky.error = 5, PermissionError("Access Denied")
    with pytest.raises(WriteError, match="Access Denied"):
        of_flaky(60.0).put([(tmp_path / "a", "a")])
    assert flaky.fails == 4


def test_waiting_ends_when_somebody_wants_to_stop(
    flaky: type[FlakyFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Event()

    def failing(path: str) -> None:
        stop.set()  # Ctrl-C while the store fails
        raise flaky.error

    monkeypatch.setattr(flaky, "_may_fail", staticmethod(failing))
    store = of_flaky(30.0, stop=stop)
    with pytest.raises(Interrupted):
        store.claim()


@pytest.mark.parametrize("url", ["https://host/labels", "zip::s3://b/x.zip", "memory://a/*/b", "memory://a[1]"])
def test_where_no_archive_can_be(url: str) -> None:
    with pytest.raises(OutputError, match=r"wanted a folder of a store"):
        Store(url, Event())


def test_secrets_are_not_told(flaky: type[FlakyFileSystem]) -> None:
    with pytest.raises(OutputError) as refused:
        Store("flaky://far/labels?token=hunter3", Event())
    assert "hunter" not in str(refused.value)
    store = Store("flaky://user:hunter2@far/labels", Event(), ())
    assert "hunter" not in store.name
    flaky.fails, flaky.error = 1, OSError("no flaky://user:hunter2@far/labels?token=hunter3")
    with pytest.raises(WriteError) as told:
        store.claim()
    assert "hunter" not in str(told.value)
    with pytest.raises(UsageError) as unknown:
        Store("nosuch://user:hunter2@far", Event())
    assert "hunter" not in str(unknown.value)
