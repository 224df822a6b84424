#!/usr/bin/env bash
# Guess: an OPC UA server that refuses an integer for a Double refuses a list for it, too; a write of two values of which one
#        is refused changes nothing.
# Seen:  it takes the list: the node of one number has an array from then on, for every client. write_values of two nodes
#        raises for the one that may not be written, and has written the other.
# With:  asyncua 2.1.0 (PyPI), its server and its client.
# Why:   a client's slip changes what a simulated device is, and who reads a number gets a list; after an error of
#        write_values each value has to be read back.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install asyncua==2.1.0
PYTHON=python judge 60 "$(free_port)" <<'PY'
import asyncio
import logging
import sys

from asyncua import Client, Server

from wire import *

logging.disable(logging.CRITICAL)
URL = f"opc.tcp://127.0.0.1:{sys.argv[1]}/device"


async def attempt(call):
    try:
        return await call
    except Exception as error:
        return type(error).__name__


async def main():
    server = Server()
    await server.init()
    server.set_endpoint(URL)
    space = await server.register_namespace("urn:device")
    device = await server.nodes.objects.add_object(space, "device")
    speed = await device.add_variable(space, "speed", 1.5)
    serial = await device.add_variable(space, "serial", 7.0)
    await speed.set_writable()
    async with server, Client(URL) as client:
        node = client.get_node(speed.nodeid)
        integer, text = await attempt(node.write_value(2)), await attempt(node.write_value("fast"))
        several = await attempt(client.write_values([node, client.get_node(serial.nodeid)], [2.5, 8.0]))
        after = await node.read_value()
        array = await attempt(node.write_value([1.0, 2.0]))
        async with Client(URL) as other:
            last = await other.get_node(speed.nodeid).read_value()
    show(f"written to a Double: 2 → {integer}, 'fast' → {text}, [1.0, 2.0] → {array}, read by another client: {last}")
    show(f"2.5 written with one that is read-only → {several}, read: {after}")
    return integer, text, array, last, several, after


seen = asyncio.run(main())
finish((seen[:4] == ("BadTypeMismatch", "BadTypeMismatch", None, [1.0, 2.0]), f"types: {seen}"),
       (seen[4:] == ("BadUserAccessDenied", 2.5), f"several: {seen}"))
PY
