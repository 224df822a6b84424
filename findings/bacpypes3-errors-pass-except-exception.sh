#!/usr/bin/env bash
# Guess: a BACnet read that the device refuses, or that no device answers, raises an exception that `except Exception`
#        catches; a list of reads raises, too, or has an exception for what failed.
# Seen:  what read_property and write_property raise is a BaseException, as KeyboardInterrupt is: `except Exception` and
#        contextlib.suppress(Exception) let it through, and a loop that reads many devices ends with the first one that
#        is gone. read_property_multiple returns the error in the place of the value.
# With:  bacpypes3 0.0.110 (PyPI), two devices on the loopback interface.
# Why:   a poller that is written to survive a device that is switched off does not.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install bacpypes3==0.0.110
PYTHON=python judge 60 <<'PY'
import asyncio
import socket

from bacpypes3.app import Application
from bacpypes3.argparse import SimpleArgumentParser
from bacpypes3.local.analog import AnalogValueObject
from bacpypes3.pdu import Address

from wire import *


def free():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def device(instance, port):
    return Application.from_args(SimpleArgumentParser().parse_args(
        ["--name", f"device{instance}", "--instance", str(instance), "--address", f"127.0.0.1/32:{port}"]))


async def attempt(call):
    try:
        return await call
    except Exception as error:
        return f"caught {type(error).__name__}"
    except BaseException as error:
        return f"not caught: {type(error).__name__}"


async def main():
    ports = [free() for _ in range(3)]
    poller, other = device(1, ports[0]), device(2, ports[1])
    other.add_object(AnalogValueObject(objectIdentifier=("analog-value", 1), objectName="value", presentValue=1.5))
    there, gone = (Address(f"127.0.0.1:{port}") for port in ports[1:])
    good = await attempt(poller.read_property(there, "analog-value,1", "present-value"))
    missing = await attempt(poller.read_property(there, "analog-value,9", "present-value"))
    silent = await attempt(poller.read_property(gone, "analog-value,1", "present-value"))
    refused = await attempt(poller.write_property(there, "analog-value,9", "present-value", 2.0))
    several = await attempt(poller.read_property_multiple(there, ["analog-value,1", ["present-value"], "analog-value,9", ["present-value"]]))
    values = [type(row[3]).__name__ for row in several]
    show(f"a value {good}; under `except Exception`: an object that is not there {missing}, a device that is gone {silent}, a refused write {refused}")
    show(f"values of read_property_multiple: {values}")
    finish((good == 1.5, f"good: {good}"), (all(one.startswith("not caught") for one in (missing, silent, refused)), f"{missing}, {silent}, {refused}"),
           (values[1] == "ErrorType" and values[0] != "ErrorType", f"several: {values}"))


asyncio.run(main())
PY
