#!/usr/bin/env bash
# Guess: a DICOM archive that answers a store with success (0x0000) has what was sent; a corrected image replaces the first one, or
#        is refused. A misspelled key of the configuration is an error.
# Seen:  the second image with the same SOPInstanceUID, and another patient's name, is 0x0000, and over HTTP 200 with the status
#        "AlreadyStored" in its text; the archive keeps the first. Only with OverwriteInstances, which is false by
#        default, it is replaced. "HttpPrt" is ignored silently, so the server listens on the default port. Of an archive (zip)
#        of two files, one of them cut off, one is stored, with 200.
# With:  orthanc 1.10.1 (Debian 12), pynetdicom 3.0.4, pydicom 3.0.2 (PyPI).
# Why:   a correction, or a test's second run with the same UIDs, is acknowledged and lost; a sender deletes its copy on success.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need curl
deb_install orthanc=1.10.1+dfsg-2+deb12u1 libdcmtk17=3.6.7-9~deb12u4 libboost-locale1.74.0 libboost-thread1.74.0 libcivetweb1 libpugixml1v5
pip_install pynetdicom==3.0.4 pydicom==3.0.2
DCMDICTPATH=$(find "$WORK/deb" -name dicom.dic | head -1)
export DCMDICTPATH
listens 8042 && unable "something listens on 8042, Orthanc's default"
start() { # FOLDER HTTP DICOM MORE: a server in the background
    mkdir -p "$1"
    echo "{\"StorageDirectory\": \"$WORK/$1\", \"IndexDirectory\": \"$WORK/$1\", $4 \"DicomPort\": $3, \"RemoteAccessAllowed\": false, \"AuthenticationEnabled\": false}" >"$1.json"
    Orthanc "$1.json" >"$1.log" 2>&1 &
    server=$!
    wait_for 40 curl -sf -o alive "http://127.0.0.1:$2/system" || unable "Orthanc did not come up: $(tail -1 "$1.log")"
}
http=$(free_port) dicom=$(free_port) other=$(free_port) other_dicom=$(free_port)
start misspelled 8042 "$(free_port)" "\"HttpPrt\": $http,"
observed "with \"HttpPrt\" it listens on 8042; the log has the key $(grep -c HttpPrt misspelled.log || true) times"
kill "$server"
wait "$server" 2>/dev/null || true
start plain "$http" "$dicom" "\"HttpPort\": $http,"
start overwriting "$other" "$other_dicom" "\"HttpPort\": $other, \"OverwriteInstances\": true,"
PYTHON="$WORK/venv/bin/python" judge 60 "$http" "$dicom" "$other" "$other_dicom" <<'PY'
import io
import sys
import urllib.request
import zipfile

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE
from wire import *


def image(name, uid="1.2.3.4.5.6.7"):
    made = Dataset()
    made.PatientName, made.PatientID, made.Modality = name, "p1", "OT"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = "1.2.3.1", "1.2.3.2", uid
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID, made.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = uid
    return made


def in_bytes(made):
    written = io.BytesIO()
    pydicom.dcmwrite(written, made, enforce_file_format=True)
    return written.getvalue()


def trial(http_port, dicom_port):
    def ask(path, body=None):
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{http_port}{path}", data=body), timeout=20) as answer:
            return answer.status, json.load(answer)

    def name():
        return ask(f"/instances/{ask('/instances')[1][0]}/simplified-tags")[1]["PatientName"]

    sender = AE()
    sender.add_requested_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
    link = sender.associate("127.0.0.1", dicom_port)
    statuses = [link.send_c_store(image(one)).Status for one in ("First", "Second")]
    link.release()
    kept = name()
    status, said = ask("/instances", in_bytes(image("Third")))
    return statuses, kept, (status, said["Status"]), name(), ask


*plain, ask = trial(int(sys.argv[1]), int(sys.argv[2]))
*over, _ = trial(int(sys.argv[3]), int(sys.argv[4]))
show(f"stored First and Second: {plain[0]}, kept {plain[1]}; Third over HTTP: {plain[2]}, kept {plain[3]}")
show(f"with OverwriteInstances: {over[0]}, kept {over[1]}; Third: {over[2]}, kept {over[3]}")
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w") as archive:
    archive.writestr("a.dcm", in_bytes(image("Fourth", "1.2.3.4.5.6.8")))
    archive.writestr("b.dcm", in_bytes(image("Fifth", "1.2.3.4.5.6.9"))[:140])
status, said = ask("/instances", packed.getvalue())
show(f"an archive of two, one of them cut off: {status}, {len(said)} stored")
finish((plain == [[0, 0], "First", (200, "AlreadyStored"), "First"], f"plain: {plain}"), (over == [[0, 0], "Second", (200, "Success"), "Third"], f"overwriting: {over}"),
       ((status, len(said)) == (200, 1), "an archive"))
PY
