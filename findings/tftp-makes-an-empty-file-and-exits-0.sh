#!/usr/bin/env bash
# Guess: `tftp host -c get image` of a file that is not there fails and leaves nothing.
# Seen:  it prints "File not found", leaves an empty file of that name, replacing the one that was there, and ends with 0.
#        A put that the server refuses ends with 0, too. atftp fails (255), and the old file is empty all the same; curl
#        fails (68) and keeps it.
# With:  tftp-hpa and tftpd-hpa 5.2, atftp 0.8.0, curl 7.88.1 (Debian 12).
# Why:   the script that fetches firmware or a configuration for a device goes on with an empty file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install tftp-hpa=5.2+20150808-1.4 tftpd-hpa=5.2+20150808-1.4 atftp=0.8.0-3 libwrap0
need curl
curl --version | grep -q tftp || unable "curl without tftp"
port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir served here
echo image >served/there
chmod 755 "$WORK" served && chmod 644 served/there
in.tftpd -L -a "127.0.0.1:$port" -u "$(id -un)" -s "$WORK/served" >server.log 2>&1 &
cd here
there() { curl -s "tftp://127.0.0.1:$port/there" | grep -q image; }
wait_for 10 there || unable "in.tftpd did not come up (it needs root): $(tail -1 ../server.log)"
fetch() { # COMMAND…: status, and the size of what it leaves of a file that was there
    local code=0
    echo old >missing
    bounded 30 "$@" >../out 2>&1 || code=$?
    echo "$code/$(wc -c <missing)"
}
hpa=$(fetch tftp 127.0.0.1 "$port" -c get missing)
message=$(head -1 ../out)
atftp=$(fetch atftp -g -r missing -l missing 127.0.0.1 "$port")
curl=$(fetch curl -s -o missing "tftp://127.0.0.1:$port/missing")
put=$(fetch tftp 127.0.0.1 "$port" -c put missing)
observed "status and bytes left of a file of 4: tftp $hpa ('$message'), atftp $atftp, curl $curl; status of a refused put: ${put%/*}"
[ "$hpa $atftp $curl ${put%/*}" = "0/0 255/0 68/4 0" ] && [[ $message == *"File not found"* ]] && verdict 0
verdict 1
