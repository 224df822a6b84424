#!/usr/bin/env bash
# Guess: an emulator of S3 that is made for tests refuses a write as S3 does: 412 for a condition (If-None-Match: *, If-Match)
#        that does not hold, BadDigest for bytes that are not those of the checksum; or it says that it does not know the header.
# Seen:  of seven such requests s3rver carries out all, gofakes3 four and moto three, each with a success. s3rver overwrites for
#        If-None-Match: * and deletes for a stale If-Match; gofakes3 deletes, too, and replaces the object by a multipart upload
#        that was to create it; all three copy a source that is no longer the one asked for. moto and s3rver store bytes whose
#        Content-MD5 is another's, gofakes3 refuses them. None compares a SHA-256 with the bytes: gofakes3 gives the wrong
#        one back with the object, and boto3 fails to read it.
# With:  moto 5.2.5 and boto3 1.44.8 (PyPI), s3rver 3.7.1 (npm), github.com/johannesboyne/gofakes3 1.2.0 (Go).
# Why:   locks, leader elections and table formats on S3 rest on these answers. Against an emulator two writers both win, and
#        the test of a lost race passes or fails for the wrong reason; a service that is "up" says nothing about it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install 'moto[server,s3]==5.2.5' boto3==1.44.8
npm_install s3rver@3.7.1
go_install github.com/johannesboyne/gofakes3@v1.2.0//cmd/gofakes3
moto=$(free_port) rver=$(free_port) fakes=$(free_port)
mkdir rver
moto_server -H 127.0.0.1 -p "$moto" >moto.log 2>&1 &
s3rver -a 127.0.0.1 -p "$rver" -d rver >s3rver.log 2>&1 &
gofakes3 -backend memory -host "127.0.0.1:$fakes" >gofakes3.log 2>&1 &
for port in "$moto" "$rver" "$fakes"; do wait_for 60 listens "$port" || unable "an emulator did not start"; done
PYTHON=$WORK/venv/bin/python judge 120 "$moto" "$rver" "$fakes" <<'PY'
import base64
import hashlib
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, FlexibleChecksumError
from wire import *

WHOLE = ("put to create", "put over a changed one", "delete a changed one", "complete to create", "copy of a changed one",
         "put, wrong MD5", "put, wrong SHA-256")
REFUSED = {
    "moto": {"put to create", "put over a changed one", "delete a changed one", "complete to create"},
    "s3rver": set(),
    "gofakes3": {"put to create", "put over a changed one", "put, wrong MD5"},
}
UNREADABLE = {"moto": False, "s3rver": False, "gofakes3": True}


def digest(name, text):
    return base64.b64encode(hashlib.new(name, text).digest()).decode()


facts = []
for name, port, key in zip(REFUSED, sys.argv[1:], ("any", "S3RVER", "any"), strict=True):
    s3 = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=key,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, request_checksum_calculation="when_required"),
    )
    at = {"Bucket": "bucket", "Key": "state"}
    s3.create_bucket(Bucket="bucket")
    stale = s3.put_object(**at, Body=b"one")["ETag"]

    def complete():
        upload = s3.create_multipart_upload(**at)["UploadId"]
        part = s3.upload_part(**at, UploadId=upload, PartNumber=1, Body=b"by parts")["ETag"]
        s3.complete_multipart_upload(
            **at, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}, IfNoneMatch="*")

    requests = {
        "put to create": lambda: s3.put_object(**at, Body=b"mine", IfNoneMatch="*"),
        "put over a changed one": lambda: s3.put_object(**at, Body=b"mine", IfMatch=stale),
        "delete a changed one": lambda: s3.delete_object(**at, IfMatch=stale),
        "complete to create": complete,
        "copy of a changed one": lambda: s3.copy_object(
            Bucket="bucket", Key="copy", CopySource="bucket/state", CopySourceIfMatch=stale),
        "put, wrong MD5": lambda: s3.put_object(**at, Body=b"damaged", ContentMD5=digest("md5", b"whole")),
        "put, wrong SHA-256": lambda: s3.put_object(**at, Body=b"damaged", ChecksumSHA256=digest("sha256", b"whole")),
    }
    refused, codes, unreadable = set(), [], False
    for what in WHOLE:
        s3.put_object(**at, Body=b"theirs")
        try:
            requests[what]()
        except ClientError as error:
            refused.add(what)
            codes.append(f"{what}: {error.response['Error']['Code']}")
        if what in ("put to create", "complete to create", "put, wrong MD5"):  # a success was really carried out
            kept = s3.get_object(**at)["Body"].read() == b"theirs"
            facts.append((kept == (what in refused), f"{name}: {what} keeps the object: {kept}"))
    try:
        s3.get_object(**at)["Body"].read()
    except FlexibleChecksumError:
        unreadable = True
    show(f"{name}: refuses {codes or 'none'}, carries out the other {len(WHOLE) - len(refused)}; "
         f"the object with a wrong SHA-256 can {'not ' if unreadable else ''}be read by boto3")
    facts += [(refused == REFUSED[name], f"{name}: refused {sorted(refused)}"),
              (unreadable == UNREADABLE[name], f"{name}: unreadable {unreadable}")]
finish(*facts)
PY
