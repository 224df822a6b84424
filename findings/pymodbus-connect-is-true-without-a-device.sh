#!/usr/bin/env bash
# Guess: `connect()` of a Modbus client returns whether the device is there, and `connected` turns false when it has closed
#        the connection.
# Seen:  after the device (a server on this machine) is gone, `connected` and `is_socket_open()` of the synchronous client
#        are true, and `connect()` returns True without a try, until a read has failed; only then is it False. `connected`
#        of the asynchronous client is false at once. A read from a device that is gone raises; one of an address that the
#        device does not have returns an object whose `registers` is empty.
# With:  pymodbus 3.16.1 (PyPI), TCP.
# Why:   a health check by connect() or `connected` shows a device as healthy that was switched off hours ago; only a read
#        of a register shows it, and its result must be asked by isError() as well.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install pymodbus==3.16.1
cat >device.py <<'PY'
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartTcpServer

registers = ModbusDeviceContext(hr=ModbusSequentialDataBlock(1, [10, 11, 12]))
StartTcpServer(ModbusServerContext(devices=registers, single=True), address=("127.0.0.1", int(sys.argv[1])))
PY
judge 90 "$(free_port)" <<'PY'
import asyncio
import logging
import sys

from pymodbus.client import AsyncModbusTcpClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException

from wire import *

logging.disable()
port = int(sys.argv[1])


def start():
    device = subprocess.Popen([sys.executable, "device.py", str(port)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        trial = ModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
        if trial.connect():
            trial.close()
            return device
        time.sleep(0.1)
    raise SystemExit(2)


def read(client, address):
    try:
        answer = client.read_holding_registers(address, count=1)
        return f"returned error, registers {answer.registers}" if answer.isError() else answer.registers[0]
    except ModbusException as error:
        return type(error).__name__


async def watch():
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0, reconnect_delay=0)
    await client.connect()
    before = client.connected
    device.kill()
    device.wait()
    await asyncio.sleep(1)
    return before, client.connected


device = start()
client = ModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
client.connect()
value, beyond = read(client, 0), read(client, 50)
asynchronous = asyncio.run(watch())
state = client.connected, client.is_socket_open(), client.connect()
first = read(client, 0)
later = client.connected, client.connect()
show(f"while it runs: {value}, an address that it does not have: {beyond}")
show(f"after it is gone: connected, is_socket_open(), connect(): {state}; asynchronous connected: {asynchronous[1]}")
show(f"a read: {first}; then connected, connect(): {later}")
finish((value == 10, "it reads"), (beyond == "returned error, registers []", "an address that is not there"), (state == (True,) * 3, "gone, and connected"),
       (asynchronous == (True, False), "the asynchronous client"), (first == "ConnectionException", "a read"), (later == (False, False), "after a read"))
PY
