#!/usr/bin/env bash
# Guess: nginx in front of an MCP server holds back its events unless `proxy_buffering off` is set, which is enough.
# Seen:  it is about the version of HTTP that nginx speaks to the server. With its default, 1.0, all events arrive together at
#        the end. `proxy_http_version 1.1` alone makes them arrive one by one, with buffering on: chunks are passed on as they
#        come. With gzip for event streams they are held again, for clients that accept gzip as the SDKs do, not for curl.
#        `X-Accel-Buffering: no` from the server helps in each case. haproxy, Caddy and Apache pass them on, compressed or not.
# With:  nginx 1.22.1, haproxy 2.6.12, caddy 2.6.2, apache2 2.4.71 (Debian 12); the server is a few lines of Python.
# Why:   progress, and every answer of a listening stream, comes when the call is over, or never; a look with curl shows
#        nothing wrong.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 caddy=2.6.2-5 apache2-bin=2.4.71-1~deb12u1 libaprutil1 libapr1 \
    liblua5.3-0 liblua5.4-0 libopentracing-c-wrapper0 libjansson4
cat >server.py <<'PY'
import http.server
import sys
import time


class Server(http.server.BaseHTTPRequestHandler):
    """Sends an event, waits three seconds, and sends the last one."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        chunked = self.request_version == "HTTP/1.1"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if self.path == "/accel":
            self.send_header("X-Accel-Buffering", "no")
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
        self.end_headers()
        for text in (b"data: progress\n\n", b"data: answer\n\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text) if chunked else text)
            self.wfile.flush()
            if b"progress" in text:
                time.sleep(3)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = not chunked


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
PY
for name in server plain newer zip haproxy caddy apache; do declare "$name=$(free_port)"; done
# shellcheck disable=SC2154
{
    back="proxy_pass http://127.0.0.1:$server;"
    gzip="gzip on; gzip_proxied any; gzip_types text/event-stream;"
    cat >nginx.conf <<CONF
daemon off; pid $WORK/nginx.pid; error_log stderr; events {}
http {
  access_log off;
  client_body_temp_path $WORK/t1; proxy_temp_path $WORK/t2; fastcgi_temp_path $WORK/t3; uwsgi_temp_path $WORK/t4; scgi_temp_path $WORK/t5;
  server { listen 127.0.0.1:$plain; location / { $back } }
  server { listen 127.0.0.1:$newer; location / { proxy_http_version 1.1; $back } }
  server { listen 127.0.0.1:$zip; $gzip location / { proxy_http_version 1.1; $back } }
}
CONF
    printf 'defaults\n mode http\n timeout client 30s\n timeout server 30s\n timeout connect 5s\nlisten a\n bind 127.0.0.1:%s\n compression algo gzip\n server s 127.0.0.1:%s\n' "$haproxy" "$server" >haproxy.cfg
    printf '{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:%s {\n bind 127.0.0.1\n encode gzip\n reverse_proxy 127.0.0.1:%s\n}\n' "$caddy" "$server" >Caddyfile
    {
        printf '%s\n' "ServerRoot $WORK" "DefaultRuntimeDir $WORK" "PidFile $WORK/apache.pid" "ErrorLog $WORK/apache.log" "ServerName localhost" "Listen 127.0.0.1:$apache"
        for module in mpm_event authz_core proxy proxy_http filter deflate; do echo "LoadModule ${module}_module $WORK/deb/usr/lib/apache2/modules/mod_$module.so"; done
        printf '%s\n' "SetOutputFilter DEFLATE" "ProxyPass / http://127.0.0.1:$server/"
    } >apache.conf
}
python3 server.py "$server" 2>server.log &
nginx -p "$WORK" -c "$WORK/nginx.conf" >nginx.log 2>&1 &
trap 'code=$?; kill '"$!"' 2>/dev/null; (exit "$code"); cleanup' EXIT # nginx hides its environment, so no mark is found
haproxy -f haproxy.cfg >haproxy.log 2>&1 &
caddy run --config Caddyfile --adapter caddyfile >caddy.log 2>&1 &
apache2 -f "$WORK/apache.conf" -DFOREGROUND >apache.out 2>&1 &
for name in server plain haproxy caddy apache; do wait_for 20 listens "${!name}" || unable "$name did not come up"; done
judge 100 "$plain" "$newer" "$zip" "$haproxy" "$caddy" "$apache" <<'PY'
import http.client
import sys
import threading
import time

from wire import finish, show

NAMES = ["nginx", "nginx, HTTP/1.1", "nginx, HTTP/1.1 and gzip", "haproxy", "caddy", "apache"]
WANT = {"nginx": "held held soon", "nginx, HTTP/1.1": "soon soon soon", "nginx, HTTP/1.1 and gzip": "soon held soon"}
seen = {}


def first(port, path, accept):
    """Whether the first bytes come before the server goes on, three seconds later."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    begun = time.monotonic()
    connection.request("GET", path, headers={"Accept-Encoding": accept} if accept else {})
    connection.getresponse().read1(1000)
    return "soon" if time.monotonic() - begun < 2 else "held"


def ask(name, port):
    seen[name] = " ".join([first(port, "/", None), first(port, "/", "gzip"), first(port, "/accel", "gzip")])


threads = [threading.Thread(target=ask, args=(name, int(port))) for name, port in zip(NAMES, sys.argv[1:])]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
for name in NAMES:
    show(f"{name}: the first event of a plain client, one that accepts gzip, with X-Accel-Buffering: {seen[name]}")
finish(*[(seen[name] == WANT.get(name, "soon soon soon"), name) for name in NAMES])
PY
