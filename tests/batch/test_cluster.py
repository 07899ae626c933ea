"""Jobs on a Ray cluster: the same files as without one, also when a node dies. Needs the extra 'ray'."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra 'annotate' is not installed")
pytest.importorskip("ray", reason="the extra 'ray' is not installed")

from tests.batch.test_detecting import panned  # noqa: F401 - a fixture
from tests.batch.test_parts import annotate, differing, long_video  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Ray's own warnings are not ours


@pytest.fixture
def videos(tmp_path: Path, panned: Path) -> Path:  # noqa: F811
    (tmp_path / "in").mkdir()
    for name in "abcd":
        shutil.copy(panned, tmp_path / "in" / f"{name}.mp4")
    return tmp_path / "in"


@pytest.fixture
def cluster() -> Iterator[object]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        yield made
    finally:
        made.shutdown()


def test_ray_here_gives_the_same_files(videos: Path, tmp_path: Path) -> None:
    assert annotate(videos, tmp_path / "plain").returncode == 0
    done = annotate(videos, tmp_path / "ray", "--ray", "local", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert differing(tmp_path / "plain", tmp_path / "ray") == []


def test_a_node_that_dies_loses_nothing(videos: Path, tmp_path: Path, cluster) -> None:
    node = cluster.add_node(num_cpus=1)
    assert annotate(videos, tmp_path / "plain").returncode == 0

    def kill() -> None:
        until = time.monotonic() + 120
        while not list((tmp_path / "ray").glob("spool/*")) and time.monotonic() < until:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    done = annotate(videos, tmp_path / "ray", "--ray", cluster.address)
    killer.join()
    assert done.returncode == 0, done.stderr
    assert differing(tmp_path / "plain", tmp_path / "ray") == []


def test_nodes_share_a_long_video_and_one_that_dies_loses_nothing(long_video: Path, tmp_path: Path, cluster) -> None:  # noqa: F811
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    assert annotate(long_video, tmp_path / "plain", "--workers", "1", "--stride", "8").returncode == 0

    def kill() -> None:
        until = time.monotonic() + 120
        while not list((tmp_path / "ray").glob("spool/*/*.ahead.parquet")) and time.monotonic() < until:
            time.sleep(0.05)
        cluster.remove_node(nodes[-1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    done = annotate(long_video, tmp_path / "ray", "--ray", cluster.address, "--stride", "8")
    killer.join()
    assert done.returncode == 0, done.stderr
    assert differing(tmp_path / "plain", tmp_path / "ray") == []


def test_no_cluster_there_is_told(videos: Path, tmp_path: Path) -> None:
    done = annotate(videos, tmp_path / "out", "--ray", "127.0.0.1:1")
    assert done.returncode == 2 and "no cluster there" in done.stderr and "Traceback" not in done.stderr
