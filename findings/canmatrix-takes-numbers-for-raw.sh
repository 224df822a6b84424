#!/usr/bin/env bash
# Guess: to encode a signal of 2.3 V, with a factor of 0.1, is to put 23 on the bus, as decoding gives 2.3 back; a number and
#        its text mean the same; what is out of range is refused.
# Seen:  cantools does so. canmatrix takes a number for the raw value, cut to an integer: 2.3 puts 2 on the bus and is decoded
#        as 0.2. The text "2.3" it takes for the physical value: 23. It takes what is above the maximum of 25 V both ways, and
#        cantools refuses; reading, cantools gives 25.5 V and takes twelve bytes for a message of eight.
# With:  canmatrix 1.3.3, cantools 45.1.0 (PyPI).
# Why:   a set point that is right in one library is a tenth in the other, for the same file and the same call, `encode`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install canmatrix==1.3.3 cantools==45.1.0
PYTHON=python judge 30 <<'PY'
import cantools
import canmatrix.formats

from wire import *

DBC = """VERSION ""
NS_ :
BS_:
BU_: Node
BO_ 256 Supply: 8 Node
 SG_ Voltage : 0|8@1+ (0.1,0) [0|25] "V" Node
"""
tools = cantools.database.load_string(DBC, "dbc").get_message_by_name("Supply")
[matrix] = canmatrix.formats.loads_flat(DBC.encode(), "dbc").frames


def encoded(message, value):
    try:
        return message.encode({"Voltage": value})[0]
    except Exception as error:
        return type(error).__name__


numbers = encoded(tools, 2.3), encoded(matrix, 2.3), encoded(matrix, "2.3")
back = tools.decode(tools.encode({"Voltage": 2.3}))["Voltage"], float(matrix.decode(matrix.encode({"Voltage": 2.3}))["Voltage"].phys_value)
above = encoded(tools, 30), encoded(matrix, 30), encoded(matrix, "24.9"), encoded(matrix, "25.4")
read = tools.decode(b"\xff" * 8)["Voltage"], tools.decode(b"\xff" * 12)["Voltage"]
show(f"2.3 V on the bus: cantools {numbers[0]}, canmatrix {numbers[1]}, of the text '2.3' {numbers[2]}; read back {back[0]:.1f} and {back[1]:.1f}")
show(f"30 V: cantools {above[0]}, canmatrix {above[1]}; the text '25.4' {above[3]}; 255 read by cantools {read[0]} V, of twelve bytes {read[1]}")
finish((numbers == (23, 2, 23), f"encoded: {numbers}"), (abs(back[0] - 2.3) < 1e-9 and abs(back[1] - 0.2) < 1e-9, f"back: {back}"),
       (above == ("EncodeError", 30, 249, 254), f"above: {above}"), (read == (25.5, 25.5), f"read: {read}"))
PY
