"""What a program that died said last: the line that matters, whatever language wrote it."""

import subprocess
import sys
from textwrap import dedent

import pytest

from ostler.rules.text.last_words import SHOWN_CHARS, last_words

PYTHON = """
    INFO starting
    Traceback (most recent call last):
      File "/srv/app/server.py", line 3, in <module>
        main()
        ~~~~^^
      File "/srv/app/server.py", line 2, in main
        raise RuntimeError("DATABASE_URL is missing")
    RuntimeError: DATABASE_URL is missing
"""
CHAINED = """
    Traceback (most recent call last):
      File "a.py", line 2, in <module>
        {}["x"]
    KeyError: 'x'

    During handling of the above exception, another exception occurred:

    Traceback (most recent call last):
      File "a.py", line 4, in <module>
        raise SystemError("no settings") from None
    app.errors.ConfigError: no settings
"""
GROUP = """
      + Exception Group Traceback (most recent call last):
      |   File "a.py", line 9, in <module>
      |     anyio.run(main)
      | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
      +-+---------------- 1 ----------------
        | Traceback (most recent call last):
        |   File "a.py", line 5, in main
        |     connect()
        | ConnectionRefusedError: [Errno 111] Connection refused
        +------------------------------------
"""
NODE = """
    node:internal/modules/cjs/loader:1228
      throw err;
      ^

    Error: Cannot find module '/srv/dist/index.js'
        at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)
        at node:internal/main/run_main_module:28:49 {
      code: 'MODULE_NOT_FOUND',
      requireStack: []
    }

    Node.js v20.19.0
"""
NODE_PLAIN = """
    /srv/index.js:12
        throw new Error("API_KEY is required");
        ^

    Error: API_KEY is required
        at Object.<anonymous> (/srv/index.js:12:11)
        at Module._compile (node:internal/modules/cjs/loader:1554:14)

    Node.js v22.1.0
"""
NODE_PROPERTIES = """
    /srv/migrate.js:2
    async function main() { throw new DatabaseError('table "nowhere" does not exist') }
                                  ^

    error: table "nowhere" does not exist
        at main (/srv/migrate.js:2:30)
        at node:internal/main/run_main_module:28:49 {
      length: 105,
      severity: 'ERROR',
      code: '42P01',
      detail: undefined,
      line: '1304',
      routine: 'DropErrorMsgNonExistent'
    }

    Node.js v20.20.2
"""
NODE_BRACKETS = """
    Migration failed: [error: table "nowhere" does not exist] {
      length: 105,
      severity: 'ERROR',
      routine: 'DropErrorMsgNonExistent'
    }
"""
NODE_CODE = """
    Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /srv/x.mjs
        at packageResolve (node:internal/modules/esm/resolve:854:9)
"""
SYNTAX = """
      File "/srv/app.py", line 1
        def x(
             ^
    SyntaxError: '(' was never closed
"""
RUST = """
    thread 'main' panicked at src/main.rs:4:5:
    no configuration at /etc/x.toml
    note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
GO = """
    panic: runtime error: index out of range [3] with length 3

    goroutine 1 [running]:
    main.main()
    \t/srv/main.go:7 +0x1d
    exit status 2
"""
JAVA = """
    Exception in thread "main" java.lang.IllegalStateException: cannot start
    \tat com.acme.Main.main(Main.java:9)
    Caused by: java.net.BindException: Address already in use
    \tat java.base/sun.nio.ch.Net.bind0(Native Method)
    \t... 3 more
"""
NPM = """
    npm error code E404
    npm error 404 Not Found - GET https://npm.example/x
    npm error 404
    npm error 404 sorry
    npm error 404
    npm error 404 Note that you can also install from a
    npm error 404 tarball, folder, http url, or git url.
    npm notice
    npm notice New major version of npm available!
    npm error A complete log of this run can be found in: /home/u/.npm/_logs/x.log
"""
COUNTS = """
    07:16:12  Failure in model broken (models/broken.sql)
    07:16:12    Runtime Error in model broken (models/broken.sql)
      Binder Error: Referenced column "nothing" not found in FROM clause!
      Candidate bindings: "name"

      LINE 10:       SELECT nothing FROM "warehouse"."main"."rooms"
                            ^^^^^^^
    07:16:12
    07:16:12    compiled code at target/compiled/sensors/models/broken.sql
    07:16:12
    07:16:12  Done. PASS=2 WARN=0 ERROR=1 SKIP=0 NO-OP=0 TOTAL=3
"""


RUSTC = """
    error[E0308]: mismatched types
     --> src/main.rs:1:25
      |
    1 | fn main(){ let x: i32 = "a"; foo(); }
      |                   ---   ^^^ expected `i32`, found `&str`

    error[E0425]: cannot find function `foo` in this scope
     --> src/main.rs:1:30

    Some errors have detailed explanations: E0308, E0425.
    For more information about an error, try `rustc --explain E0308`.
    error: could not compile `r` due to 2 errors
"""
MAVEN = """
    [\x1b[1;31mERROR\x1b[m] Failed to execute goal spring-boot:3.3.5:run on project shop: terminated with exit code: 137
    [\x1b[1;31mERROR\x1b[m] -> [Help 1]
    [\x1b[1;31mERROR\x1b[m]\x20
    [\x1b[1;31mERROR\x1b[m] To see the full stack trace of the errors, re-run Maven with the \x1b[1m-e\x1b[m switch.
    [\x1b[1;31mERROR\x1b[m] Re-run Maven using the \x1b[1m-X\x1b[m switch to enable full debug logging.
    [\x1b[1;31mERROR\x1b[m] For more information about the errors and possible solutions, please read the articles:
    [\x1b[1;31mERROR\x1b[m] [Help 1] http://cwiki.apache.org/confluence/display/MAVEN/MojoExecutionException
"""
ELIXIR = """
    ** (Mix) Could not start application echo: exited in: Echo.start(:normal, [])
        ** (EXIT) an exception was raised:
            ** (RuntimeError) no DATABASE_URL
                (echo 0.1.0) lib/echo.ex:6: Echo.start/2
                (kernel 8.5.3) application_master.erl:293: :application_master.start_it_old/4
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PYTHON, "RuntimeError: DATABASE_URL is missing"),
        (CHAINED, "app.errors.ConfigError: no settings"),
        (GROUP, "ConnectionRefusedError: [Errno 111] Connection refused"),
        (NODE, "Error: Cannot find module '/srv/dist/index.js'"),
        (NODE_PLAIN, "Error: API_KEY is required"),
        (NODE_PROPERTIES, 'error: table "nowhere" does not exist'),
        (NODE_BRACKETS, 'Migration failed: [error: table "nowhere" does not exist]'),
        (NODE_CODE, "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /srv/x.mjs"),
        (SYNTAX, "SyntaxError: '(' was never closed"),
        (RUSTC, "error[E0308]: mismatched types (src/main.rs:1:25) | error: could not compile `r` due to 2 errors"),
        (MAVEN, "[ERROR] Failed to execute goal spring-boot:3.3.5:run on project shop: terminated with exit code: 137"),
        (ELIXIR, "** (RuntimeError) no DATABASE_URL"),
        (RUST, "thread 'main' panicked at src/main.rs:4:5: | no configuration at /etc/x.toml"),
        (GO, "panic: runtime error: index out of range [3] with length 3"),
        (JAVA, "Caused by: java.net.BindException: Address already in use"),
        (
            NPM,
            "npm error code E404 | npm error 404 Not Found - GET https://npm.example/x | npm error 404 sorry",
        ),
        (
            COUNTS,
            (
                'Binder Error: Referenced column "nothing" not found in FROM clause! | '
                "07:16:12    compiled code at target/compiled/sensors/models/broken.sql | "
                "07:16:12  Done. PASS=2 WARN=0 ERROR=1 SKIP=0 NO-OP=0 TOTAL=3"
            ),
        ),
        ("\x1b[31m\x1b[1merror\x1b[0m: no \x1b]8;;http://x\x07token\x1b]8;;\x07", "error: no token"),
        ("10 %\r50 %\r100 %\ndone", "100 % | done"),
        ("", ""),
        ("\n  \n\x1b[0m\n", ""),
        ("sh: 1: mcp-server-x: not found", "sh: 1: mcp-server-x: not found"),
        ("\n> shop@1.0.0 dev\n> vite --port 8\n\nsh: 1: vite: not found", "sh: 1: vite: not found"),
        ("> shop@1.0.0 dev /srv/shop\n> next dev\n\nno port\n> see above", "no port | > see above"),
        (
            (
                "yarn run v1.22.22\n$ vite\n/bin/sh: 1: vite: not found\nerror Command failed with exit code 127.\n"
                "info Visit https://yarnpkg.com/en/docs/cli/run for documentation about this command."
            ),
            "/bin/sh: 1: vite: not found | error Command failed with exit code 127.",
        ),
        (
            (
                "> @m/api@1.0.0 dev\n> node server.js\n\nSTRIPE_KEY is missing\n"
                "npm error Lifecycle script `dev` failed with error:\nnpm error code 1\n"
                "npm error path /srv/m/apps/api\nnpm error workspace @m/api@1.0.0\n"
                "npm error location /srv/m/apps/api\nnpm error command failed\n"
                "npm error command sh -c node server.js"
            ),
            "STRIPE_KEY is missing",
        ),
        (
            (
                "no port\nnpm ERR! Lifecycle script `dev` failed with error: \nnpm ERR! Error: command failed \n"
                "npm ERR!   in workspace: api@1.0.0 \nnpm ERR!   at location: /srv/m/apps/api "
            ),
            "no port",
        ),
        (
            "> api@1 dev\n> false\n\nnpm error Lifecycle script `dev` failed with error:\nnpm error code 1",
            "npm error Lifecycle script `dev` failed with error: | npm error code 1",
        ),
        ("> Task :run FAILED", "> Task :run FAILED"),
        ("one\ntwo\nthree\nfour", "two | three | four"),
        (
            "✖ Another server is already running.\nPID: 7\nYou can read\nmore at\nx.org/y",
            "✖ Another server is already running. | more at | x.org/y",
        ),
        ("ValueError: old\nstarting again\nno port is free", "ValueError: old | starting again | no port is free"),
    ],
)
def test_the_line_that_says_what_went_wrong(text: str, words: str) -> None:
    assert last_words(dedent(text).split("\n")) == words


def test_the_end_of_a_long_message_is_kept() -> None:
    said = last_words(["x" * 2000 + " the end"])
    assert len(said) == SHOWN_CHARS
    assert said.endswith("x the end")


@pytest.mark.parametrize("program", ["raise SystemExit('no key')", "import nothing_of_this_name", "1/0"])
def test_what_pythons_own_interpreter_writes(program: str) -> None:
    died = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False)
    assert last_words(died.stderr.splitlines()) == died.stderr.splitlines()[-1]
