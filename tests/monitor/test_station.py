"""Cameras and storage together: what is published is kept, and totals are never behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.monitor.fakes import FakeDetector, Log, wait_for
from tracker.analyze import ZoneSettings
from tracker.errors import ConfigError, OutputError
from tracker.monitor.output_settings import MqttSettings, OutputSettings, StoreSettings
from tracker.monitor.outputs import Outputs
from tracker.monitor.settings import CameraSettings, MonitorSettings
from tracker.monitor.station import Station

ZONE = ZoneSettings(polygon=((0, 0), (1, 0), (1, 1), (0, 1)), hold_s=0.0)


def settings_of(clip: Path, **sections: object) -> MonitorSettings:
    """A camera on which the detector finds one thing that stays: it enters once."""
    camera = CameraSettings(source=str(clip), loop=True, zones={"all": ZONE})
    return MonitorSettings.model_validate(
        {"cameras": {"gate": camera}, "store": StoreSettings(save_every_s=0.1), **sections}
    )


@contextmanager
def watching(settings: MonitorSettings, folder: Path, log: Log) -> Iterator[Station]:
    station = Station(settings, FakeDetector(), log.journal, folder)
    station.start()
    try:
        yield station
    finally:
        assert station.stop(20.0)


def entered(station: Station) -> int:
    return int(station.supervisor.camera("gate").status()["counts"]["zones"]["all"]["entered"])


def test_what_is_published_is_kept_and_a_restart_goes_on(clip: Path, tmp_path: Path) -> None:
    log = Log()
    with watching(settings_of(clip), tmp_path, log) as station:
        wait_for(lambda: station.outputs.store.newest)
        (stored,) = station.outputs.store.recent(9)
        assert (stored.entry.camera, stored.entry.event.kind) == ("gate", "enter")
        assert (tmp_path / stored.entry.snapshot).is_file()
        latest = station.supervisor.latest("gate")
        assert latest is not None
        assert abs(stored.entry.wall_s - latest.wall_s) < 3600
    assert entered(station) == 1
    frames = station.supervisor.camera("gate").ledger.figures()
    with watching(settings_of(clip), tmp_path, log) as again:
        wait_for(lambda: again.supervisor.latest("gate"))
        assert again.outputs.store.newest == 1, "what was inside has not entered anew"
        assert entered(again) == 1
        assert again.supervisor.latest("gate").tracks.ids.min() > 1  # type: ignore[union-attr]
        captured = again.supervisor.camera("gate").ledger.figures()["captured"]
        assert captured > frames["captured"]  # type: ignore[operator]
    assert not log.lines("restore")


def test_totals_are_saved_while_nothing_happens(clip: Path, tmp_path: Path) -> None:
    """So that a kill costs the figures of the last moments only."""
    with watching(settings_of(clip), tmp_path, Log()) as station:

        def saved() -> int:
            found = station.outputs.restore("gate")
            return 0 if found is None else int(found[0]["frames"]["processed"])

        first = wait_for(saved)
        wait_for(lambda: saved() > first)
        assert station.outputs.store.newest <= 1


def test_a_state_that_cannot_be_used_is_told_and_the_camera_begins_anew(clip: Path, tmp_path: Path) -> None:
    before, log = Outputs(OutputSettings(), tmp_path, Log().journal.tell), Log()
    before.save("gate", {"frames": 3})
    assert before.close(20.0)
    with watching(settings_of(clip), tmp_path, log) as again:
        wait_for(lambda: again.supervisor.latest("gate"))
    assert "cannot be used" in log.lines("restore", "gate")[0]["message"]


def test_the_status_becomes_plots(clip: Path, tmp_path: Path) -> None:
    with watching(settings_of(clip), tmp_path, Log()) as station:
        wait_for(lambda: station.supervisor.latest("gate"))
        until = time.monotonic() + 1.5
        wait_for(lambda: station.tick() or time.monotonic() > until)
    with watching(settings_of(clip), tmp_path, Log()) as again:
        assert again.outputs.store.series("gate", "tracks", 3600)[0].most == 1.0


def test_a_camera_removed_in_the_middle_of_a_frame_harms_nobody(clip: Path, tmp_path: Path) -> None:
    log = Log()
    with watching(settings_of(clip), tmp_path, log) as station:
        wait_for(lambda: station.supervisor.latest("gate"))
        for _ in range(3):
            station.supervisor.remove("gate")
            station.supervisor.add("gate", settings_of(clip).cameras["gate"])
            wait_for(lambda: station.supervisor.latest("gate"))
        assert station.supervisor.callback_errors == 0
    assert not log.lines("output")


def test_secrets_of_outputs_are_hidden_and_what_is_missing_is_said(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(clip, mqtt=MqttSettings(host="127.0.0.1", port=1, password_env="BROKER_PASSWORD"))
    with pytest.raises(ConfigError, match="BROKER_PASSWORD is wanted"):
        Station(settings, FakeDetector(), Log().journal, tmp_path)
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    log = Log()
    with watching(settings, tmp_path, log) as station:
        log.journal.tell("test", "somebody says hunter2")
        with pytest.raises(OutputError, match="used by another"):
            Station(settings, FakeDetector(), log.journal, tmp_path)
        assert set(station.outputs.stats()["outputs"]) == {"mqtt"}
    assert "hunter2" not in log.text.getvalue()
