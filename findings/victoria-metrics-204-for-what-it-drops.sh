#!/usr/bin/env bash
# Guess: a write that is not in the requested format, or whose time is out of the retention, is refused; one that was answered
#        204 can be queried, and is there after a crash.
# Seen:  204 for every line of text in four formats, for a sample of last year and for one of next month; the log alone says
#        that they were skipped. A sample that was taken is not in the answer to a query at once (`/api/v1/query` looks 30 s
#        into the past). One that was answered 204 a moment before kill -9 is lost.
# With:  victoria-metrics 1.79.5 (Debian 12).
# Why:   a service that reports to a wrong path or with a wrong clock looks healthy; a test that writes and reads back fails
#        unless it waits for half a minute, or asks /api/v1/export, whose empty answer
#        is kept for some seconds, too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install victoria-metrics=1.79.5+ds1-2+b5
need curl
port=$(free_port)
url="http://127.0.0.1:$port"
start() { victoria-metrics -storageDataPath="$WORK/data" -httpListenAddr="127.0.0.1:$port" >>log 2>&1 & server=$!; wait_for 30 curl -sf -o answer "$url/health" || unable "it did not come up: $(tail -1 log)"; }
post() { curl -s -o answer -w '%{http_code}' "$url/$1" --data-binary "$2"; }
rows() { curl -s "$url/$1" | grep -c '"[abc]_metric"' || true; }
start
now=$(date +%s)
texts="$(post api/v1/import/prometheus 'not {a metric') $(post api/v1/import nope) $(post write 'nope nope nope') $(post 'api/v1/import/csv?format=1:metric:x' abc)"
times="$(post api/v1/import/prometheus "b_metric 1 $(((now - 400 * 86400) * 1000))") $(post api/v1/import/prometheus "b_metric 1 $(((now + 30 * 86400) * 1000))")"
good=$(post api/v1/import/prometheus 'a_metric 1')
exported() { curl -sG "$url/api/v1/export" --data-urlencode "match={__name__=~\"a_metric|$RANDOM\"}" | grep -q '"a_metric"'; } # an answer is cached for its text
export=no
wait_for 20 exported && export=yes
dropped=$(rows 'api/v1/export?match=b_metric&start=0')
query=$(rows 'api/v1/query?query=a_metric')
late=$(post api/v1/import/prometheus 'c_metric 1')
kill -9 "$server"
wait "$server" 2>/dev/null || true
start
after=$(rows 'api/v1/export?match=c_metric&start=0')
kill "$server"
observed "text in four formats: $texts; a time of last year, of next month: $times, stored $dropped"
observed "a good sample: $good, exported: $export, in a query at once: $query; another: $late, after kill -9: $after"
[ "$texts/$times/$dropped/$good/$export/$query/$late/$after" = "204 204 204 204/204 204/0/204/yes/0/204/0" ] && verdict 0
verdict 1
