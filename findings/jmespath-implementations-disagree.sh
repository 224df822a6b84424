#!/usr/bin/env bash
# Guess: one expression has one value in every JMESPath; the Python library's errors are JMESPathErrors; a comparison of
#        unlike types is null, as the specification says, so that a filter skips such items.
# Seen:  `items[?port > `1000`]` over an item whose port is text: Python raises a bare TypeError, outside its own tree of
#        errors; the JavaScript package keeps the item, comparing as JavaScript does; the community's drops it.
#        to_number('0x10') is null in Python and 16 in both others; to_number('') null and 0; to_number('1_000') 1000
#        and null; to_number('nan') is a NaN in Python, which JSON has no word for. length of a character outside the
#        BMP is 2 in one and 1 in the others. contains([true], 1) is true in Python alone.
# With:  jmespath 1.1.0 (PyPI), jmespath 0.16.0 and @jmespath-community/jmespath 1.3.0 (npm), Node 20.
# Why:   one answer with text where a number was expected takes down code that catches JMESPathError; an expression
#        tested in one tool means another thing in the next.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install jmespath==1.1.0
npm_install jmespath@0.16.0 @jmespath-community/jmespath@1.3.0
cat >node/ask.js <<'JS'
const libraries = { javascript: require("jmespath"), community: require("@jmespath-community/jmespath") };
const answers = {};
for (const [name, library] of Object.entries(libraries))
  answers[name] = JSON.parse(process.argv[2]).map(([expression, data]) => {
    try { return JSON.stringify(library.search(data, expression)); } catch (error) { return error.message.split(":")[0]; }
  });
console.log(JSON.stringify(answers));
JS
judge 60 <<'PY'
import jmespath
from jmespath.exceptions import JMESPathError

from wire import *

questions = [["items[?port > `1000`]", {"items": [{"port": "8080"}, {"port": 80}]}], ["to_number('0x10')", {}],
             ["to_number('')", {}], ["to_number('1_000')", {}], ["to_number('nan')", {}],
             ["length(@)", "\U0001F600"], ["contains(@, `1`)", [True]]]
answers = json.loads(subprocess.run(["node", "node/ask.js", json.dumps(questions)], capture_output=True, timeout=30).stdout)
answers["python"] = []
for expression, data in questions:
    try:
        answers["python"].append(json.dumps(jmespath.search(expression, data)))
    except JMESPathError as error:
        answers["python"].append("JMESPathError")
    except Exception as error:
        answers["python"].append(f"{type(error).__name__}, no JMESPathError")
for number, (expression, data) in enumerate(questions):
    show(f"{expression} on {json.dumps(data)}: " + ", ".join(f"{name} {answers[name][number]}" for name in sorted(answers)))
finish((answers["python"] == ["TypeError, no JMESPathError", "null", "null", "1000", "NaN", "1", "true"], "Python's answers"),
       (answers["javascript"] == ['[{"port":"8080"}]', "16", "0", "null", "null", "2", "false"], "the JavaScript package's"),
       (answers["community"] == ["[]", "16", "0", "null", "null", "1", "false"], "the community package's"))
PY
