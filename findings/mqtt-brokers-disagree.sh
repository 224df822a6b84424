#!/usr/bin/env bash
# Guess: a program of MQTT 3.1.1 finds the same in each broker: a subscription that is granted gets its messages, a second client with a name
#        replaces the first, whose will is published, a silent client is ended, a kept session gets in order what came meanwhile.
# Seen:  no two of five brokers agree. "$share/g/…" is shared by mosquitto and mochi; aedes, amqtt and NATS grant it, and nobody ever gets a
#        message. With amqtt both clients of one name go on, a silent client is never ended (so its will never comes), and a session
#        that is kept gets nothing of what came meanwhile; mochi delivers that in another order. NATS publishes no will of a
#        client that was replaced, ends the connection for a topic with a space or a message above 1 MiB, and delivers
#        twice, as amqtt does, where two subscriptions of a client match.
# With:  mosquitto 2.0.11 (Debian 12), github.com/mochi-mqtt/server/v2 2.7.9, nats-server 2.15.3 with JetStream (Go), aedes 1.2.0 (npm), amqtt
#        0.12.1 (PyPI), with their defaults; paho-mqtt 2.2.0 as the client.
# Why:   tests use the broker of the language at hand. There workers that share a subscription get nothing, or a dead device stays online.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go node
pip_install amqtt==0.12.1 paho-mqtt==2.2.0
npm_install aedes@1.2.0
deb_install mosquitto=2.0.11-1.2+deb12u2 libmosquitto1 libcjson1 libdlt2 libwebsockets17 libev4 libuv1
go_install github.com/nats-io/nats-server/v2@v2.15.3
go_build gobin/mochi github.com/mochi-mqtt/server/v2@v2.7.9 <<'GO'
package main

import (
	"os"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	server := mqtt.New(nil)
	if server.AddHook(new(auth.AllowHook), nil) != nil {
		os.Exit(1)
	}
	if server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:" + os.Args[1]})) != nil || server.Serve() != nil {
		os.Exit(1)
	}
	select {}
}
GO
cat >node/aedes.mjs <<'JS'
import { createServer } from 'net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
createServer(broker.handle).listen(+process.argv[2], '127.0.0.1')
JS
PYTHON=python judge 400 <<'PY'
import signal
import socket
from pathlib import Path

import paho.mqtt.client as mqtt
from wire import *

AMQTT = ("listeners: {{default: {{type: tcp, bind: '127.0.0.1:{p}'}}}}\nplugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n"
         "    allow_anonymous: true\n")
BROKERS = {
    "mosquitto": ("mosquitto -c conf", "listener {p} 127.0.0.1\nallow_anonymous true\nuser root\n"),
    "mochi": ("mochi {p}", ""),
    "aedes": ("node node/aedes.mjs {p}", ""),
    "amqtt": ("amqtt -c conf", AMQTT),
    "NATS": ("nats-server -c conf", "server_name: one\nlisten: 127.0.0.1:{q}\njetstream {{ store_dir: js }}\nmqtt {{ listen: 127.0.0.1:{p} }}\n"),
}


class Client:
    def __init__(self, port, *topics, name="", clean=True, will=None):
        self.got, self.ended, self.connected, self.granted = [], threading.Event(), threading.Event(), threading.Event()
        self.mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, reconnect_on_failure=False)
        self.mqtt.on_message = lambda _c, _u, message: self.got.append((message.topic, message.payload[:9].decode()))
        self.mqtt.on_connect = lambda *_: self.connected.set()
        self.mqtt.on_subscribe = lambda *_: self.granted.set()
        self.mqtt.on_disconnect = lambda *_: self.ended.set()
        if will:
            self.mqtt.will_set(will, "gone", 1)
        self.mqtt.connect("127.0.0.1", port)
        self.mqtt.loop_start()
        assert self.connected.wait(10)
        for topic in topics:
            self.granted.clear()
            self.mqtt.subscribe(topic, 1)
            assert self.granted.wait(10), topic

    def publish(self, topic, text="1"):
        message = self.mqtt.publish(topic, text, 1)
        try:
            return until(lambda: message.is_published() or self.ended.is_set(), 5) and message.is_published()
        except RuntimeError:  # the connection has ended before
            return False

    def receives(self, number, seconds=1.5):
        """What has come once `number` messages are there, and a moment more."""
        deadline = time.monotonic() + 10
        while len(self.got) < number and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(seconds if len(self.got) >= number else 0)
        return self.got

    def close(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def shared(port):
    one, two, sender = Client(port, "$share/g/jobs"), Client(port, "$share/g/jobs"), Client(port)
    for _ in range(6):
        sender.publish("jobs")
    one.receives(1)
    return len(one.got) + len(two.receives(0))


def replaced(port):
    watcher, first = Client(port, "w/#"), Client(port, name="same", will="w/a")
    Client(port, name="same")
    return "ended" if first.ended.wait(3) else "goes on", len(watcher.receives(1))


def silent(port):
    watcher = Client(port, "k/#")
    with socket.create_connection(("127.0.0.1", port), 15) as peer:  # a keep-alive of one second; mosquitto looks every five
        body = b"\x00\x04MQTT\x04\x06\x00\x01\x00\x04mute\x00\x03k/a\x00\x04gone"
        peer.sendall(b"\x10" + bytes([len(body)]) + body)
        assert len(peer.recv(4)) == 4
        try:
            ended = not peer.recv(4)
        except TimeoutError:
            ended = False
        return ended, len(watcher.receives(1, 0))


def kept(port):
    Client(port, "f/#", name="kept", clean=False).close()
    time.sleep(1)
    sender = Client(port)
    texts = [str(number) for number in range(150)]
    for text in texts:
        assert sender.publish("f/t", text)
    back = Client(port, name="kept", clean=False)
    got = [text for _, text in back.receives(150)]
    return "none" if not got else "in order" if got == texts else "in another order" if sorted(got) == sorted(texts) else f"{len(got)}"


def twice(port):
    one, sender = Client(port, "o/+", "o/#"), Client(port)
    sender.publish("o/t")
    return len(one.receives(1))


def odd(port):
    seen = []
    for topic, text in (("b/a name", "1"), ("b/t", "x" * 2_000_000)):
        one, sender = Client(port, "b/#"), Client(port)
        sender.publish(topic, text)
        seen.append(len(one.receives(1, 0)))
    return tuple(seen)


QUESTIONS = {shared: "messages for two shared subscriptions, of 6", replaced: "a replaced client, and its wills", silent: "a silent client is ended, and its wills",
             kept: "a kept session gets", twice: "copies for two subscriptions", odd: "with a space, of 2 MB"}
EXPECTED = {
    "mosquitto": (6, ("ended", 1), (True, 1), "in order", 1, (1, 1)),
    "mochi": (6, ("ended", 1), (True, 1), "in another order", 1, (1, 1)),
    "aedes": (0, ("ended", 1), (True, 1), "in order", 1, (1, 1)),
    "amqtt": (0, ("goes on", 0), (False, 0), "none", 2, (1, 1)),
    "NATS": (0, ("ended", 0), (True, 1), "in order", 2, (0, 0)),
}
facts = []
for name, (command, text) in BROKERS.items():
    port = free_port()
    Path("conf").write_text(text.format(p=port, q=free_port()))
    env = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH" or name == "mosquitto"}
    with open(f"{name}.log", "wb") as log:
        process = subprocess.Popen(command.format(p=port).split(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)
    deadline = time.monotonic() + 20
    while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    if process.poll() is not None:
        print(f"  {name} did not come up: {open(f'{name}.log').read()[-300:]}")
        raise SystemExit(2)
    seen = tuple(ask(port) for ask in QUESTIONS)
    show(f"{name}: " + "; ".join(f"{what}: {answer}" for what, answer in zip(QUESTIONS.values(), seen)))
    facts.append((seen == EXPECTED[name], f"{name}: {seen}"))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
facts.append((len(set(EXPECTED.values())) == 5, "two agree"))
finish(*facts)
PY
