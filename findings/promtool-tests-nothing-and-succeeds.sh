#!/usr/bin/env bash
# Guess: promtool fails for tests whose rule file is not there, for an expectation about an alert that no rule has, and for a
#        configuration whose rules pattern matches nothing.
# Seen:  SUCCESS and status 0 for each; the missing file is a WARNING, the others are not mentioned. Only a file named without
#        a pattern in a configuration is missed. An empty rules file is "SUCCESS: 0 rules found"; so is a query without a
#        result.
# With:  prometheus 2.42.0 (Debian 12).
# Why:   after a rename all tests of alerts keep passing, and Prometheus runs without its alerts. Count what was checked.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install prometheus=2.42.0+ds-5+deb12u1
attempt() { local code=0; bounded 30 promtool "$@" </dev/null >said 2>&1 || code=$?; echo "$code $(grep -Eo 'SUCCESS|FAILED|WARNING' said | sort -u | tr '\n' ' ')"; }
echo 'groups: [{name: g, rules: [{alert: Down, expr: "up == 0"}]}]' >rules.yml
test_of() { echo "rule_files: [$1]
tests: [{interval: 1m, input_series: [{series: up, values: 0}], alert_rule_test: [{eval_time: 0m, alertname: $2, exp_alerts: []}]}]" >tests.yml; }
test_of rules.yml Down
right=$(attempt test rules tests.yml)
test_of rulez.yml Down
file=$(attempt test rules tests.yml)
test_of rules.yml Dwon
alert=$(attempt test rules tests.yml)
echo 'rule_files: ["rulez/*.yml"]' >pattern.yml
pattern=$(attempt check config pattern.yml)
echo 'rule_files: [rulez.yml]' >named.yml
named=$(attempt check config named.yml)
: >empty.yml
empty=$(attempt check rules empty.yml)
observed "tests with a wrong expectation: $right; of a missing rules file: $file; of an alert that does not exist: $alert"
observed "configuration with a pattern that matches nothing: $pattern; with a missing file: $named; empty rules: $empty"
[ "$right/$file/$alert" = "1 FAILED /0 SUCCESS WARNING /0 SUCCESS " ] && [ "$pattern/$named/$empty" = "0 SUCCESS /1 FAILED /0 SUCCESS " ] && verdict 0
verdict 1
