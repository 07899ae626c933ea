"""Services to ask: an open one and one with a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the extra 'monitor' is not installed")
pytest.importorskip("starlette", reason="the extra 'monitor' is not installed")
pytest.importorskip("prometheus_client", reason="the extra 'monitor' is not installed")

from tests.monitor.web.site import TOKEN, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two cameras, up; no token. Its log is clean at the end."""
    with Site(tmp_path) as site:
        yield site.up()
    assert "Traceback" not in site.log.text.getvalue()
    assert not [line for line in site.log.lines() if line["event"] == "web" and line["level"] == "error"]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same for tests that change nothing, one for all of them in a module."""
    with Site(tmp_path_factory.mktemp("standing")) as site:
        yield site.up()
    assert "Traceback" not in site.log.text.getvalue()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Site]:
    """The same with a token."""
    with Site(tmp_path, token=TOKEN) as site:
        yield site.up()
