#!/usr/bin/env bash
# Guess: a resolution or an area that the scanner does not have is an error; a list of scanners without one is a failure.
# Seen:  they are "rounded": 5000 dpi become 1200, 5000 mm become 200, with status 0 and a picture of that size. `scanimage -L`
#        without a scanner ends with 0 as well.
# With:  sane-utils 1.2.1 (Debian 12) with SANE's own test backend.
# Why:   status and file are those of a good scan; the size of the picture has to be checked. A check that a scanner is there
#        has to read the list.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install sane-utils=1.2.1-2 libsane1=1.2.1-2 libusb-1.0-0
export SANE_CONFIG_DIR="$WORK/sane.d" LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$LD_LIBRARY_PATH/sane"
mkdir sane.d
echo test >sane.d/dll.conf
scan() { local code=0; bounded 30 scanimage -d test:0 --format=pnm -o picture "$@" </dev/null >said 2>&1 || code=$?; echo "$code, $(sed -n 3p picture | tr ' ' x), $(grep -o 'rounded.*' said | head -1)"; }
plain=$(scan --resolution 100 -x 20 -y 20)
fine=$(scan --resolution 5000 -x 20 -y 20)
wide=$(scan --resolution 10 -x 5000 -y 20)
listed=$(scanimage -L | grep -c 'test:' || true)
: >sane.d/dll.conf
code=0
bounded 30 scanimage -L >said 2>&1 || code=$?
none=$(grep -c 'No scanners were identified' said || true)
observed "100 dpi: $plain; 5000 dpi: $fine; 5000 mm at 10 dpi: $wide"
observed "-L with $listed test devices, then without any: 'No scanners' $none, status $code"
[ "$plain" = "0, 78x78, " ] && [ "$fine" = "0, 944x944, rounded value of resolution from 5000 to 1200" ] \
    && [ "$wide" = "0, 78x7, rounded value of br-x from 5000 to 200" ] && [ "$none $code" = "1 0" ] && verdict 0
verdict 1
