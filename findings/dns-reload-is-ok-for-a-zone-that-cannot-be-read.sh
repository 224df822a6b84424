#!/usr/bin/env bash
# Guess: a reload of a zone file that cannot be read fails, and the old zone stays; a server does not start with such a zone,
#        and no server writes to a zone file that a person keeps.
# Seen:  `rndc reload` ("server reload successful"), `nsd-control reload` ("ok") and `knotc reload` ("Reloaded") return 0, and
#        so do those of the one zone; only `knotc -b zone-reload` fails. BIND and Knot answer with the old zone; NSD answers
#        SERVFAIL for all of it, and `nsd-control zonestatus` says "master". `named-checkconf` (without -z) and `nsd-checkconf`
#        accept the zone. All three start with it and answer SERVFAIL. After `knotc reload` of the broken file, SIGTERM makes
#        Knot write the old zone over it: the edit is lost, with its comments.
# With:  BIND 9.18.49, NSD 4.6.1, Knot DNS 3.2.6 (Debian 12), run as root.
# Why:   "reloaded" is no proof; one bad line makes a whole domain disappear, or is undone at the next stop. Only a query shows it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install bind9=1:9.18.49-1~deb12u3 bind9-utils=1:9.18.49-1~deb12u3 bind9-dnsutils=1:9.18.49-1~deb12u3 bind9-libs=1:9.18.49-1~deb12u3 \
    nsd=4.6.1-1 knot=3.2.6-1 libknot13=3.2.6-1 libdnssec9=3.2.6-1 libzscanner4=3.2.6-1 libfstrm0 liblmdb0 libmaxminddb0 libprotobuf-c1 liburcu8 libxdp1
mkdir bind nsd knot
dns=$(free_port) nsd=$(free_port) knot=$(free_port) control=$(free_port)
cat >bind/named.conf <<CONF
options { directory "$WORK/bind"; listen-on port $dns { 127.0.0.1; }; listen-on-v6 { none; }; pid-file "$WORK/bind/pid";
          session-keyfile "$WORK/bind/key"; managed-keys-directory "$WORK/bind"; recursion no; dnssec-validation no; };
key k { algorithm hmac-sha256; secret "c2VjcmV0"; };
controls { inet 127.0.0.1 port $control allow { 127.0.0.1; } keys { k; }; };
zone "example.test" { type master; file "zone"; };
CONF
cat >bind/rndc.conf <<CONF
key k { algorithm hmac-sha256; secret "c2VjcmV0"; };
options { default-key k; default-server 127.0.0.1; default-port $control; };
CONF
cat >nsd/nsd.conf <<CONF
server:
  ip-address: 127.0.0.1@$nsd
  zonesdir: $WORK/nsd
  pidfile: $WORK/nsd/pid
  xfrdfile: $WORK/nsd/xfrd
  zonelistfile: $WORK/nsd/list
  database: ""
  username: ""
  server-count: 1
remote-control:
  control-enable: yes
  control-interface: $WORK/nsd/socket
zone:
  name: example.test
  zonefile: zone
CONF
cat >knot/knot.conf <<CONF
server:
  listen: 127.0.0.1@$knot
  rundir: $WORK/knot
database:
  storage: $WORK/knot/db
log:
  - target: $WORK/knot/log
    any: info
control:
  listen: $WORK/knot/socket
zone:
  - domain: example.test
    storage: $WORK/knot
    file: zone
CONF
zones() { # SERIAL ADDRESS
    local server
    for server in bind nsd knot; do
        printf '$TTL 60\n; the web server\n@ IN SOA ns. host. %s 3600 600 86400 60\n@ IN NS ns.\nwww IN A %s\n' "$1" "$2" >"$server/zone"
    done
}
start() {
    named -g -c "$WORK/bind/named.conf" >bind/log 2>&1 &
    named=$!
    nsd -d -c nsd/nsd.conf >nsd/log 2>&1 &
    nsdd=$!
    knotd -c knot/knot.conf >knot/out 2>&1 &
    knotd=$!
}
ask() { dig +time=2 +tries=1 "@127.0.0.1" -p "$1" www.example.test A | sed -n 's/.*status: \([A-Z]*\).*/\1/p; s/^www.*\sA\s*//p' | tr '\n' ' '; }
up() { [ -n "$(ask "$dns")" ] && [ -n "$(ask "$nsd")" ] && [ -n "$(ask "$knot")" ]; }
answers() { echo "BIND $(ask "$dns"), NSD $(ask "$nsd"), Knot $(ask "$knot")"; }
attempt() { local code=0; bounded 20 "$@" >said 2>&1 || code=$?; echo "$code $(head -1 said)"; }
zones 1 192.0.2.1
start
wait_for 30 up || unable "a server did not come up: $(tail -1 bind/log nsd/log knot/out | tr '\n' ' ')"
before=$(answers)
zones 2 192.0.2.999
whole="$(attempt rndc -c bind/rndc.conf reload), $(attempt nsd-control -c nsd/nsd.conf reload), $(attempt knotc -s knot/socket reload)"
one="$(attempt rndc -c bind/rndc.conf reload example.test), $(attempt nsd-control -c nsd/nsd.conf reload example.test), $(attempt knotc -s knot/socket zone-reload example.test)"
blocking=$(attempt knotc -b -s knot/socket zone-reload example.test)
lost() { case "$(ask "$nsd")" in SERVFAIL*) true ;; *) false ;; esac; }
wait_for 20 lost || true
after=$(answers)
attempt nsd-control -c nsd/nsd.conf zonestatus example.test >/dev/null
status=$(grep -o 'state: .*' said || true)
checks="$(attempt named-checkconf bind/named.conf), $(attempt nsd-checkconf nsd/nsd.conf)"
strict=$(attempt named-checkconf -z bind/named.conf)
kill "$named" "$nsdd" "$knotd"
wait "$named" "$nsdd" "$knotd" || true
kept=$(for server in bind nsd knot; do grep -c 'the web server' "$server/zone" || true; done | tr '\n' ' ')
zones 2 192.0.2.999
rm -rf knot/db
start
wait_for 30 up || true
broken=$(answers)
kill "$named" "$nsdd" "$knotd"
observed "before: $before; reload: $whole; of the zone: $one; knotc -b: $blocking"
observed "after: $after; nsd-control zonestatus: $status; checks of the configuration: $checks; named-checkconf -z: ${strict%% *}"
observed "after SIGTERM the edited file is still there, of BIND, NSD, Knot: $kept; started with it: $broken"
[ "$before" = "BIND NOERROR 192.0.2.1 , NSD NOERROR 192.0.2.1 , Knot NOERROR 192.0.2.1 " ] \
    && [ "$whole" = "0 server reload successful, 0 ok, 0 Reloaded" ] && [ "$one" = "0 zone reload queued, 0 ok, 0 OK" ] && [ "${blocking%% *}" = 1 ] \
    && [ "$after" = "BIND NOERROR 192.0.2.1 , NSD SERVFAIL , Knot NOERROR 192.0.2.1 " ] && [ "$status" = "state: master" ] \
    && [ "$checks/${strict%% *}/$kept" = "0 , 0 /1/1 1 0 " ] && [ "$broken" = "BIND SERVFAIL , NSD SERVFAIL , Knot SERVFAIL " ] && verdict 0
verdict 1
