"""Events and states to an MQTT broker.

    <topic>/status             online | offline, kept; the broker itself says offline when the connection is lost
    <topic>/<camera>/event     an event as JSON, once or more often under the same id, in order (QoS 1, not kept)
    <topic>/<camera>/state     up | down | stalled | ..., kept
    <topic>/<camera>/counts    what stands in the zones' and lines' counters as JSON, kept

Events wait in the spool while the broker is away; states do not, for the newest is sent when it is back.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from tracker.errors import ConfigError, RequirementError
from tracker.monitor.courier import DeliveryError
from tracker.monitor.discovery import announcements, node_of
from tracker.monitor.journal import Level
from tracker.monitor.output_settings import MqttSettings
from tracker.monitor.say import Say
from tracker.monitor.stored import StoredEvent

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PORT, TLS_PORT = 1883, 8883
MESSAGE_IDS = 65_536
MOST_QUEUED, QUEUE_FULL = 1000, 15  # MQTT_ERR_QUEUE_SIZE
CONNECT_S, RECONNECT_S = 5.0, (1, 30)


class MqttOutput:
    """One connection that comes back by itself.

    Attributes:
        connected: at present.
        came: called each time that the connection is there.
    """

    name = "mqtt"

    def __init__(self, settings: MqttSettings, say: Say) -> None:
        """Begin to connect; does not wait for it.

        Raises:
            RequirementError: paho-mqtt is not installed.
            ConfigError: a password or a certificate is not where the settings say.
        """
        self._settings, self._say = settings, say
        self._topic = settings.topic.rstrip("/")
        port = settings.port or (TLS_PORT if settings.tls else PORT)
        self._place = f"{settings.host}:{port}"
        self.connected, self._why, self._closing = False, "not yet", False
        self.came: Callable[[], None] = lambda: None
        self._changed = Condition()
        self._acknowledged = bytearray(MESSAGE_IDS)
        self._on_way: dict[int, int] = {}  # id of an event -> number of its message
        self._kept: dict[str, str] = {}  # topic -> newest content, "" for what is to be taken back
        self._telling = Lock()  # old contents must not overtake new ones
        self._client = self._make()
        self._client.connect_async(settings.host, port, keepalive=settings.keepalive_s)
        self._client.loop_start()

    def send(self, events: Sequence[StoredEvent], done: Callable[[int], None]) -> None:
        """Publish and wait for the broker's answers. Raises DeliveryError."""
        self._forget_answers(events[0].id)
        # What is on its way the client itself sends again when the broker is back, before anything newer may be sent.
        again = [event for event in events if event.id in self._on_way]
        self._await(again, done)
        fresh = events[len(again) :]
        for event in fresh:
            self._publish(event)
        self._await(fresh, done)

    def on_status(self, cameras: Mapping[str, Mapping[str, Any]]) -> None:
        """States and counts of all cameras (`Supervisor.status()["cameras"]`). Returns at once."""
        wanted: dict[str, str] = {}
        for name, status in cameras.items():
            counts = status.get("counts") or {}
            wanted[f"{self._topic}/{name}/state"] = str(status["state"])
            wanted[f"{self._topic}/{name}/counts"] = json.dumps(counts)
            for topic, content in announcements(self._topic, name, counts) if self._settings.discovery else ():
                wanted[f"{self._settings.discovery_prefix}/{topic}"] = json.dumps(content)
        with self._telling:
            gone = {topic: "" for topic in self._kept if topic not in wanted}
            news = {topic: content for topic, content in (wanted | gone).items() if self._kept.get(topic) != content}
            self._kept = wanted | gone
            if self.connected:
                self._tell(news)

    def close(self, timeout_s: float) -> None:
        """Say offline and disconnect."""
        client, self._closing = self._client, True
        if self.connected:
            client.publish(f"{self._topic}/status", "offline", qos=0, retain=True)
        client.disconnect()
        stopper = Thread(target=client.loop_stop, name="mqtt stop", daemon=True)
        stopper.start()
        stopper.join(timeout_s)  # a connection being opened cannot be interrupted

    # In the thread of the courier.

    def _publish(self, event: StoredEvent) -> None:
        """Hand one event to the client. Raises DeliveryError."""
        self._check()
        content = event.as_dict() | {"event_type": event.entry.event.kind}
        sent = self._client.publish(f"{self._topic}/{event.entry.camera}/event", json.dumps(content), qos=1)
        if sent.rc == QUEUE_FULL:
            raise DeliveryError(f"{self._place} takes no more")
        self._on_way[event.id] = sent.mid

    def _await(self, events: Sequence[StoredEvent], done: Callable[[int], None]) -> None:
        """Until the broker has answered all of them. Raises DeliveryError."""
        until_s = monotonic() + self._settings.timeout_s
        for event in events:
            number = self._on_way[event.id]
            with self._changed:
                while not self._acknowledged[number]:
                    self._check()
                    if not self._changed.wait(max(0.0, until_s - monotonic())) and monotonic() >= until_s:
                        raise DeliveryError(f"{self._place} gave no answer in {self._settings.timeout_s:g} s")
            del self._on_way[event.id]
            done(event.id)

    def _check(self) -> None:
        """Raise DeliveryError while there is no connection."""
        if not self.connected:
            raise DeliveryError(f"no connection to {self._place}: {self._why}")

    def _forget_answers(self, first: int) -> None:
        """Numbers are used again: what was answered counts only for what is on its way."""
        self._on_way = {event_id: number for event_id, number in self._on_way.items() if event_id >= first}
        with self._changed:
            fresh = bytearray(MESSAGE_IDS)
            for number in self._on_way.values():
                fresh[number] = self._acknowledged[number]
            self._acknowledged = fresh

    # In the thread of the client.

    def _make(self) -> Client:
        """The client, not connected. Raises RequirementError, ConfigError."""
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise RequirementError("MQTT needs paho-mqtt 2; pip install 'tracker[monitor]'") from None
        settings = self._settings
        name = settings.client_id or f"tracker-{socket.gethostname()}-{node_of(self._topic)}"
        client = Client(CallbackAPIVersion.VERSION2, client_id=name)
        password = settings.secret()
        if settings.username or password:
            client.username_pw_set(settings.username, password or None)
        if settings.tls:
            try:
                client.tls_set(ca_certs=settings.ca_file or None)
            except (OSError, ValueError) as error:
                raise ConfigError(f"mqtt.ca_file: {settings.ca_file or 'none'} cannot be used: {error}") from None
        client.will_set(f"{self._topic}/status", "offline", qos=1, retain=True)
        client.connect_timeout = CONNECT_S
        client.reconnect_delay_set(*RECONNECT_S)
        client.max_queued_messages_set(MOST_QUEUED)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_connect_fail, client.on_publish = self._on_connect_fail, self._on_publish
        client.on_message = self._on_message
        return client

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        """The broker answered."""
        if reason.is_failure:
            self._lose(f"it refused: {reason}; check user name and password", "warning")
            return
        client.publish(f"{self._topic}/status", "online", qos=0, retain=True)
        if self._settings.discovery:
            client.subscribe(f"{self._settings.discovery_prefix}/status")
        with self._changed:
            self.connected, self._why = True, ""
            self._changed.notify_all()
        with self._telling:
            self._tell(self._kept)
        self._say("mqtt", f"mqtt: connected to {self._place}")
        self.came()

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        """The connection is gone, and tried again by the client."""
        self._lose(f"it was lost: {reason}", "warning" if reason.is_failure else "info")

    def _on_connect_fail(self, client: Client, data: Any) -> None:
        """Nobody answered."""
        self._lose("it cannot be reached", "warning")

    def _lose(self, why: str, level: Level) -> None:
        """There is no connection, once said."""
        with self._changed:
            known = self._closing or self._why == why or (not self.connected and why.startswith("it was lost"))
            self.connected = False
            self._why = self._why if known else why
            self._changed.notify_all()
        if not known:
            self._say("mqtt", f"mqtt: no connection to {self._place}: {why}", level=level)

    def _on_publish(self, client: Client, data: Any, number: int, reason: Any, properties: Any) -> None:
        """The broker has a message."""
        with self._changed:
            self._acknowledged[number] = 1
            self._changed.notify_all()

    def _on_message(self, client: Client, data: Any, message: Any) -> None:
        """Home Assistant has started: tell it everything again."""
        if message.payload == b"online":
            with self._telling:
                self._tell(self._kept)

    def _tell(self, contents: Mapping[str, str]) -> None:
        """Publish what is kept by the broker. Without QoS: the client would send old states again after new ones."""
        for topic, content in contents.items():
            self._client.publish(topic, content, qos=0, retain=True)
