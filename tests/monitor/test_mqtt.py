"""Events and states to a real broker, which goes away, hangs and refuses."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from tests.monitor.fakes import wait_for
from tests.monitor.saving import Told, fill, opened
from tests.monitor.test_spool import delivering
from tracker.errors import ConfigError, RequirementError
from tracker.monitor.mqtt import MqttOutput
from tracker.monitor.output_settings import MqttSettings

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'tracker[monitor]'")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt-get install mosquitto")

COUNTS = {"zones": {"door": {"occupancy": 2}}, "lines": {"gate.1": {"in": 5, "out": 3}}}
STATUS = {"front": {"state": "up", "counts": COUNTS}, "back.yard": {"state": "down", "counts": {}}}


class Broker:
    """mosquitto on a port of its own; what it keeps survives a restart."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        self._folder, self.extra = folder, "allow_anonymous true"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        config = self._folder / "mosquitto.conf"
        keep = f"persistence true\npersistence_location {self._folder}/\nautosave_on_changes true\nautosave_interval 1"
        config.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{keep}\n{self.extra}\n")
        command = [str(MOSQUITTO), "-c", str(config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    yield broker
    broker.stop()


class Listener:
    """Another client; comes back by itself and misses nothing meanwhile (a session kept by the broker)."""

    def __init__(self, port: int, topic: str = "#") -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, bytes, bool]] = []
        self.ready = False
        self._lock = Lock()
        client = self._client = Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda client, *rest: client.subscribe(topic, qos=1)
        client.on_subscribe = lambda *args: setattr(self, "ready", True)
        client.on_message = self._take
        client.connect("127.0.0.1", port)
        client.loop_start()
        wait_for(lambda: self.ready)

    def _take(self, client: Any, data: Any, message: Any) -> None:
        with self._lock:
            self.got.append((message.topic, message.payload, bool(message.retain)))

    def events(self) -> list[dict[str, Any]]:
        with self._lock:
            return [json.loads(content) for topic, content, _ in self.got if topic.endswith("/event")]

    def numbers(self) -> list[int]:
        """Of the events, in the order of their first arrival."""
        return list(dict.fromkeys(int(each["value"]) for each in self.events()))

    def newest(self) -> dict[str, str]:
        with self._lock:
            return {topic: content.decode() for topic, content, _ in self.got}

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def listening(port: int) -> Iterator[Listener]:
    listener = Listener(port)
    try:
        yield listener
    finally:
        listener.close()


def output_of(broker: Broker, say: Any = None, **values: Any) -> MqttOutput:
    settings = {"host": "127.0.0.1", "port": broker.port, "timeout_s": 2.0, "keepalive_s": 1} | values
    return MqttOutput(MqttSettings(**settings), say or Told())


@contextmanager
def publishing(store: Any, broker: Broker, say: Any = None, **values: Any) -> Iterator[Any]:
    """The output at work."""
    output = output_of(broker, say, **values)
    with delivering(store, output, say=say) as courier:
        output.came = courier.hurry
        yield courier


def test_events_arrive_in_order_as_they_are_stored(tmp_path: Path, broker: Broker) -> None:
    with opened(tmp_path) as store, listening(broker.port) as listener:
        with publishing(store, broker) as courier:
            fill(store, 0, 150)
            wait_for(lambda: len(listener.numbers()) == 150)
            wait_for(lambda: courier.spool.waiting == 0)
        assert [each["value"] for each in listener.events()] == list(range(150))
        assert listener.events()[3] == store.after(3, 1)[0].as_dict() | {"event_type": "enter"}
        assert {topic for topic, *_ in listener.got} == {"tracker/gate/event", "tracker/status"}
        wait_for(lambda: listener.newest().get("tracker/status") == "offline")
        assert [content for topic, content, _ in listener.got if topic == "tracker/status"] == [b"online", b"offline"]


@pytest.mark.parametrize("how", ["stop", "kill", "freeze"])
def test_a_broker_that_is_away_costs_nothing(tmp_path: Path, broker: Broker, how: str) -> None:
    """Nothing is lost, the order holds, and what comes twice has the same id."""
    told = Told()
    with opened(tmp_path) as store, listening(broker.port) as listener, publishing(store, broker, told) as courier:
        fill(store, 0, 20)
        wait_for(lambda: len(listener.numbers()) == 20)
        if how == "freeze":
            broker.freeze()
        else:
            broker.stop(signal.SIGTERM if how == "stop" else signal.SIGKILL)
        for first in range(20, 70, 10):
            fill(store, first, 10)
            time.sleep(0.1)
        wait_for(lambda: courier.failures)
        assert courier.spool.waiting == 50
        broker.thaw() if how == "freeze" else broker.start()
        wait_for(lambda: courier.spool.waiting == 0, 60)
        fill(store, 70, 10)
        wait_for(lambda: len(listener.numbers()) == 80, 60)
        assert listener.numbers() == list(range(80))
        ids = [each["id"] for each in listener.events()]
        assert sorted(set(ids)) == list(range(1, 81))
        assert len(ids) - 80 <= 20, "only what was on its way may come twice"
        assert courier.spool.lost == 0
    assert "mqtt: connected" in told


def test_events_of_a_broker_that_was_never_there_come_when_it_is(tmp_path: Path, broker: Broker) -> None:
    broker.stop()
    told = Told()
    with opened(tmp_path) as store:
        with publishing(store, broker, told) as courier:
            fill(store, 0, 25)
            wait_for(lambda: courier.failures and "cannot be reached" in told)
        broker.start()
        with listening(broker.port) as listener, publishing(store, broker):
            wait_for(lambda: listener.numbers() == list(range(25)))


def test_the_broker_says_offline_when_the_process_is_gone(tmp_path: Path, broker: Broker) -> None:
    code = (
        "import sys, time\nfrom tracker.monitor.mqtt import MqttOutput\n"
        "from tracker.monitor.output_settings import MqttSettings\n"
        "MqttOutput(MqttSettings(host='127.0.0.1', port=int(sys.argv[1])), lambda *args, **more: None)\n"
        "time.sleep(60)"
    )
    with listening(broker.port) as listener:
        with subprocess.Popen([sys.executable, "-c", code, str(broker.port)]) as child:
            wait_for(lambda: listener.newest().get("tracker/status") == "online")
            child.kill()
        wait_for(lambda: listener.newest().get("tracker/status") == "offline")


def test_states_are_kept_and_announced(tmp_path: Path, broker: Broker) -> None:
    output = output_of(broker, topic="site/a")
    wait_for(lambda: output.connected)
    output.on_status(STATUS)
    with listening(broker.port) as listener:
        wait_for(lambda: len(listener.newest()) == 12)
        found = listener.newest()
        assert (found["site/a/status"], found["site/a/front/state"], found["site/a/back.yard/state"]) == (
            "online", "up", "down",
        )  # fmt: skip
        assert json.loads(found["site/a/front/counts"]) == COUNTS
        entities = {
            topic: json.loads(content) for topic, content in found.items() if topic.startswith("homeassistant/")
        }
        assert set(entities) == {
            "homeassistant/binary_sensor/site_a_front/connection/config",
            "homeassistant/event/site_a_front/event/config",
            "homeassistant/sensor/site_a_front/zone_door/config",
            "homeassistant/sensor/site_a_front/line_gate_dot_1_in/config",
            "homeassistant/sensor/site_a_front/line_gate_dot_1_out/config",
            "homeassistant/binary_sensor/site_a_back_dot_yard/connection/config",
            "homeassistant/event/site_a_back_dot_yard/event/config",
        }
        assert len({entity["unique_id"] for entity in entities.values()}) == len(entities)
        for entity in entities.values():
            assert entity["availability_topic"] == "site/a/status"
            assert entity["state_topic"] in found or entity["state_topic"].endswith("/event")
        line = entities["homeassistant/sensor/site_a_front/line_gate_dot_1_in/config"]
        assert line["value_template"] == "{{ value_json['lines']['gate.1']['in'] }}"
        output.on_status({"front": {"state": "stalled", "counts": COUNTS}})
        wait_for(lambda: listener.newest()["site/a/front/state"] == "stalled")
        gone = "homeassistant/event/site_a_back_dot_yard/event/config"
        wait_for(lambda: listener.newest()[gone] == "")  # a camera that was removed is taken back
    output.close(5)


def test_after_an_absence_the_newest_state_counts(tmp_path: Path, broker: Broker) -> None:
    output = output_of(broker)
    wait_for(lambda: output.connected)
    output.on_status(STATUS)
    broker.stop(signal.SIGKILL)
    wait_for(lambda: not output.connected)
    for state in ("down", "stalled", "paused"):
        output.on_status({"front": {"state": state, "counts": {}}})
    broker.start()
    with listening(broker.port) as listener:
        wait_for(lambda: listener.newest().get("tracker/front/state") == "paused", 60)
    output.close(5)


def test_a_wrong_password_is_said_without_it(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2-secret")
    broker.stop()
    broker.extra = "allow_anonymous false"
    broker.start()
    told = Told()
    output = output_of(broker, told, username="me", password_env="BROKER_PASSWORD")
    wait_for(lambda: "check user name and password" in told)
    assert not output.connected
    assert "hunter2" not in "".join(told.lines)
    output.close(5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"topic": "a/#"}, "pattern"),
        ({"topic": "/a"}, "pattern"),
        ({"password": "x", "password_env": "Y"}, "one of them is enough"),
        ({"qos": 2}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MqttSettings(host="localhost", **values)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH is wanted and not set"):
        MqttOutput(MqttSettings(host="127.0.0.1", username="me", password_env="NO_SUCH"), Told())
    with pytest.raises(ConfigError, match=r"mqtt\.ca_file: /no/such\.pem cannot be used"):
        MqttOutput(MqttSettings(host="127.0.0.1", tls=True, ca_file="/no/such.pem"), Told())
    monkeypatch.setitem(__import__("sys").modules, "paho.mqtt.client", None)
    with pytest.raises(RequirementError, match=r"pip install 'tracker\[monitor\]'"):
        MqttOutput(MqttSettings(host="127.0.0.1"), Told())


def test_a_password_in_the_settings_is_masked_and_warned_of() -> None:
    settings = MqttSettings(host="localhost", password="hunter2")  # type: ignore[arg-type]
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert "password_env" in settings.warnings()[0]
