#!/usr/bin/env bash
# Guess: a DICOM or HL7 client fails when the other side refuses the request: an image that was not stored, a search that was
#        not made, a message that was rejected.
# Seen:  of DCMTK, storescu (167) and movescu (69) do. echoscu, findscu, getscu and dcmsend end with 0, most of them silently,
#        and so do all five clients of pynetdicom; its library returns the refusal as a value, and an empty one for a lost
#        connection. hl7's mllp_send prints the rejection (AR) and ends with 0. All of them fail without a server.
# With:  dcmtk 3.6.7 (Debian 12), pynetdicom 3.0.4, hl7 0.4.5 (PyPI).
# Why:   "sent" is not "stored": a job that sends images, and a health check by echoscu or findscu, are green while the archive
#        refuses everything.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install dcmtk=3.6.7-9~deb12u4 libdcmtk17=3.6.7-9~deb12u4
pip_install pynetdicom==3.0.4 pydicom==3.0.2 hl7==0.4.5
export DCMDICTPATH="$WORK/deb/usr/share/libdcmtk17/dicom.dic"
cat >archive.py <<'PY'
import sys

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (PatientRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelGet,
                                  PatientRootQueryRetrieveInformationModelMove, Verification)

meta = FileMetaDataset()
meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3.4"
meta.TransferSyntaxUID = ExplicitVRLittleEndian
image = FileDataset("image.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3.4"
image.PatientID, image.PatientName, image.StudyInstanceUID, image.SeriesInstanceUID = "1", "A", "1.2", "1.2.3"
image.save_as("image.dcm", enforce_file_format=True)


def find(event):
    yield 0xA700, None  # out of resources


def move(event):
    yield None, None  # an unknown destination


def get(event):
    yield 1
    yield 0xA701, None


archive = AE()
archive.supported_contexts = AllStoragePresentationContexts
for context in (Verification, PatientRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelGet,
                PatientRootQueryRetrieveInformationModelMove):
    archive.add_supported_context(context)
archive.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[
    (evt.EVT_C_ECHO, lambda event: 0x0122), (evt.EVT_C_STORE, lambda event: 0xA700), (evt.EVT_C_FIND, find),
    (evt.EVT_C_MOVE, move), (evt.EVT_C_GET, get)])
PY
cat >hospital.py <<'PY'
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    heard = b""
    while not heard.endswith(b"\x1c\r") and (part := connection.recv(4096)):
        heard += part
    if heard:
        connection.sendall(b"\x0bMSH|^~\\&|B|B|A|A|20260101||ACK|2|P|2.5\rMSA|AR|1|rejected\r\x1c\r")
    connection.close()
PY
port=$(free_port)
python archive.py "$port" >archive.log 2>&1 &
wait_for 30 listens "$port" || unable "the archive did not come up: $(tail -1 archive.log)"
hospital=$(free_port)
python hospital.py "$hospital" &
wait_for 10 listens "$hospital" || unable "the HL7 server did not come up"
nobody=$(free_port)
dcmtk() { local program=$1; shift; attempt "$WORK/deb/usr/bin/$program" "$@"; } # pynetdicom's have the same names
attempt() { local code=0; bounded 30 "$@" </dev/null >said 2>&1 || code=$?; printf '%s ' "$code"; }
keys=(-P -k QueryRetrieveLevel=PATIENT -k PatientID=1)
refused="$(dcmtk echoscu 127.0.0.1 "$port"; dcmtk findscu "${keys[@]}" 127.0.0.1 "$port"; dcmtk getscu "${keys[@]}" 127.0.0.1 "$port")"
refused+=" $(dcmtk dcmsend 127.0.0.1 "$port" image.dcm; dcmtk storescu 127.0.0.1 "$port" image.dcm)"
refused+=" $(dcmtk movescu "${keys[@]}" -aem NOWHERE 127.0.0.1 "$port")"
python="$(attempt python -m pynetdicom echoscu 127.0.0.1 "$port"; attempt python -m pynetdicom findscu "${keys[@]}" 127.0.0.1 "$port")"
python+=" $(attempt python -m pynetdicom getscu "${keys[@]}" 127.0.0.1 "$port"; attempt python -m pynetdicom storescu 127.0.0.1 "$port" image.dcm)"
python+=" $(attempt python -m pynetdicom movescu "${keys[@]}" -aem NOWHERE 127.0.0.1 "$port")"
printf 'MSH|^~\\&|A|A|B|B|20260101||ADT^A01|1|P|2.5\rPID|1||1\r' >message.hl7
sent=$(attempt mllp_send --loose -p "$hospital" -f message.hl7 127.0.0.1)
answer=$(grep -c 'MSA|AR|1|rejected' said || true)
gone="$(dcmtk echoscu 127.0.0.1 "$nobody"; attempt python -m pynetdicom echoscu 127.0.0.1 "$nobody"; attempt mllp_send --loose -p "$nobody" -f message.hl7 127.0.0.1)"
observed "refused, DCMTK's echoscu, findscu, getscu, dcmsend, storescu, movescu: $refused"
observed "pynetdicom's echoscu, findscu, getscu, storescu, movescu: $python; mllp_send: $sent, its answer has the rejection: $answer"
observed "without a server, echoscu, pynetdicom's, mllp_send: $gone"
# shellcheck disable=SC2086
[ "$(echo $refused)/$(echo $python)/$(echo $sent $answer)/$(echo $gone)" = "0 0 0 0 167 69/0 0 0 0 0/0 1/1 1 1" ] && verdict 0
verdict 1
