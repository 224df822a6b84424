#!/usr/bin/env bash
# Guess: a run of a pipeline or a crawl whose only task raised, or whose input is missing, fails.
# Seen:  `luigi` ends with 0 for both, with "This progress looks :(" in its report; only a task name that does not exist
#        gives 1 (its retcodes are 0 unless a configuration sets them). `scrapy runspider` ends with 0 when every request was
#        refused and when the callback raised.
# With:  luigi 3.8.1, Scrapy 2.19.0 (PyPI).
# Why:   as a job of a scheduler or a supervisor they have always "completed". luigi needs [retcode] in its configuration,
#        Scrapy a check of its stats.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install luigi==3.8.1 Scrapy==2.19.0
cat >job.py <<'PY'
import luigi


class Raises(luigi.Task):
    def run(self):
        raise RuntimeError("no disk")


class Input(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("no-such-file")


class Waits(luigi.Task):
    def requires(self):
        return Input()
PY
cat >spider.py <<'PY'
import scrapy


class Spider(scrapy.Spider):
    name = "spider"
    custom_settings = {"RETRY_ENABLED": False}

    async def start(self):
        yield scrapy.Request(self.url)

    def parse(self, response):
        raise RuntimeError("boom")
PY
attempt() { local code=0; PYTHONPATH=. bounded 60 "$@" </dev/null >said 2>&1 || code=$?; echo "$code"; }
run() { attempt luigi --module job "$1" --local-scheduler; }
raises=$(run Raises)
report=$(grep -o 'This progress looks :(' said || true)
waits=$(run Waits)
missing=$(run NoSuchTask)
echo page >page.html
spider() { attempt scrapy runspider spider.py -a "url=$1"; }
callback=$(spider "file://$WORK/page.html")
raised=$(grep -c "'spider_exceptions/RuntimeError': 1" said || true)
refused=$(spider "http://127.0.0.1:$(free_port)/")
none=$(grep -c "'downloader/exception_count': 1" said || true)
observed "luigi: a task that raises $raises ('$report'), a missing input $waits, a missing task $missing"
observed "scrapy: a callback that raises $callback (exceptions $raised), every request refused $refused (exceptions $none)"
[ "$raises/$report/$waits/$missing/$callback/$raised/$refused/$none" = "0/This progress looks :(/0/1/0/1/0/1" ] && verdict 0
verdict 1
