"""Which texts of an entry are credentials: masked wherever they are shown, and nothing else is."""

import time

import pytest

from ostler.model.credentials import is_secret_name
from ostler.model.servers import MASK, ServerEntry


def entry(**more: object) -> ServerEntry:
    return ServerEntry.model_validate({"name": "s", "transport": "stdio", "command": "npx", **more})


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("API_KEY", True), ("OPENAI_API_KEY", True), ("githubToken", True), ("GITHUBTOKEN", True), ("DB_PWD", True),
        ("--password", True), ("X-Api-Key", True), ("Authorization", True), ("PGPASSWORD", True), ("GITLAB_PAT", True),
        ("AWS_SECRET_ACCESS_KEY", True), ("SENTRY_DSN", True), ("clientSecret", True),
        ("PATH", False), ("PWD", False), ("MEMORY_FILE_PATH", False), ("GOOGLE_APPLICATION_CREDENTIALS_FILE", False),
        ("MONKEY", False), ("KEYBOARD", False), ("AUTHOR", False), ("TOKEN_LIMIT", False), ("AUTH_TYPE", False),
        ("PASSENGERS", False), ("NODE_ENV", False), ("--key-file", False), ("KUBECONFIG", False), ("COMPASS", False),
    ],
)  # fmt: skip
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


MOST = 2.0
"""Seconds of CPU time; where a search tries every way to split a word, it takes longer."""

DASHES = "-" * 5
PEM = f"{DASHES}BEGIN PRIVATE KEY{DASHES}"


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["--token", "abcdef"], ["--token", MASK]),
        (["--token", "--verbose"], ["--token", "--verbose"]),
        (["run", "mysql", "-u", "root", "-phunter22"], ["run", "mysql", "-u", "root", f"-p{MASK}"]),
        (["/usr/bin/mysqldump", "-pab", "-P3306"], ["/usr/bin/mysqldump", f"-p{MASK}", "-P3306"]),
        (["mysql", "-p", "shop"], ["mysql", "-p", "shop"]),
        (["sshpass", "-p", "hunter22", "ssh", "h"], ["sshpass", "-p", MASK, "ssh", "h"]),
        (["redis-cli", "-a", "hunter22", "-p", "6379"], ["redis-cli", "-a", MASK, "-p", "6379"]),
        (["-c", "mysql -phunter22 shop | cat"], ["-c", f"mysql -p{MASK} shop | cat"]),
        (["docker", "login", "-u", "me", "-p", "hunter22", "h"], ["docker", "login", "-u", "me", "-p", MASK, "h"]),
        (
            ["-c", "docker login -p hunter22 h && docker run -p 80:80 -u 1000:1000 web"],
            ["-c", f"docker login -p {MASK} h && docker run -p 80:80 -u 1000:1000 web"],
        ),
        (["-c", "curl -u me:hunter22 h; ls -a x"], ["-c", f"curl -u me:{MASK} h; ls -a x"]),
        (["redis-server", "--requirepass", "hunter22"], ["redis-server", "--requirepass", MASK]),
        (["run", "-p8080:80", "nginx", "-prod"], ["run", "-p8080:80", "nginx", "-prod"]),
        (["--api-key=abcdef"], [f"--api-key={MASK}"]),
        (["--apiKey", "x1"], ["--apiKey", MASK]),
        (["-H", "Authorization: Bearer abc.def"], ["-H", f"Authorization: {MASK}"]),
        (["--header", "X-Api-Key:abcdefg"], ["--header", f"X-Api-Key:{MASK}"]),
        (["--header=Authorization: Basic dTpw"], [f"--header=Authorization: {MASK}"]),
        (["postgres://app:hunter22@db/app"], [f"postgres://app:{MASK}@db/app"]),
        (["postgres://app:p%40ss@db/app"], [f"postgres://app:{MASK}@db/app"]),
        (["https://h/mcp?token=abcdef&page=2"], [f"https://h/mcp?token={MASK}&page=2"]),
        (["-e", "GITHUB_TOKEN=abcdef", "-e", "MODE=fast"], ["-e", f"GITHUB_TOKEN={MASK}", "-e", "MODE=fast"]),
        (["--env=GITHUB_TOKEN=abcdef"], [f"--env=GITHUB_TOKEN={MASK}"]),
        (["--client-secret:abcdef"], [f"--client-secret:{MASK}"]),
        (["Server=h;Password=abcdef;Port=1"], [f"Server=h;Password={MASK};Port=1"]),
        (["host=h password='ab cdef' user=x"], [f"host=h password='{MASK}' user=x"]),
        (["https://h/sse#access_token=abcdef"], [f"https://h/sse#access_token={MASK}"]),
        (['{"user": "me", "apiToken": "abcdef"}'], [f'{{"user": "me", "apiToken": "{MASK}"}}']),
        (["-c", "exec x --password abcdef --dir /srv"], ["-c", f"exec x --password {MASK} --dir /srv"]),
        (["--db=postgres://u:pw@h/d", "URL=redis://:pw@h"], [f"--db=postgres://u:{MASK}@h/d", f"URL=redis://:{MASK}@h"]),
        (["-c", "curl 'http://u:pw@h/pw'; x --pin 12 -v"], ["-c", f"curl 'http://u:{MASK}@h/pw'; x --pin {MASK} -v"]),
        (["server=h;uid=u;pwd=abc;", "abc"], [f"server=h;uid=u;pwd={MASK};", "abc"]),
        (["-u", "me:abcdef"], ["-u", f"me:{MASK}"]),
        (["run", "-u", "1000:1000", "-u", "node:node", "node"], ["run", "-u", "1000:1000", "-u", "node:node", "node"]),
        (["-c", "x --token $TOKEN --key-file k"], ["-c", "x --token $TOKEN --key-file k"]),
        ([f"{PEM}\nabcdefgh\n{DASHES}END"], [f"{PEM}{MASK}{DASHES}END"]),
        (["mcp-neo4j-data-modeling", "k8s_tools_server_v2"], ["mcp-neo4j-data-modeling", "k8s_tools_server_v2"]),
        (["a8f3-c2d1-e4b5-a697-8812", "prod-7f3a9c2b1d4e5f6a7b"], [MASK, MASK]),
        (["-y", "mcp-remote", "ghp_0123456789abcdefghijABCDEFGHIJ"], ["-y", "mcp-remote", MASK]),
    ],
)  # fmt: skip
def test_credentials_in_arguments_are_masked(args: list[str], shown: list[str]) -> None:
    assert entry(args=args).masked()["args"] == shown


def test_a_long_word_that_begins_like_a_program_is_read_in_no_time() -> None:
    began = time.thread_time()
    word = f"mysql_{'a' * 24}=="
    assert entry(args=[word, "-pshop"]).masked()["args"] == [word, "-pshop"]
    assert time.thread_time() - began < MOST


def test_a_command_line_that_prints_headers_is_masked() -> None:
    one = entry(transport="http", command="", url="https://h/mcp", headersHelper="./headers --user ada --token abcdefg")
    assert one.masked()["headersHelper"] == f"./headers --user ada --token {MASK}"
    assert one.mask_text("it said abcdefg") == f"it said {MASK}"


def test_other_arguments_are_shown() -> None:
    args = [
        "-y",
        "@modelcontextprotocol/server-filesystem@2025.8.21",
        "/home/you/notes",
        "--root=/srv/x",
        "--port",
        "8080",
    ]
    assert entry(args=args).masked()["args"] == args


def test_only_secret_values_of_the_environment_are_masked() -> None:
    one = entry(
        env={
            "API_KEY": "k",
            "NOTES": "/home/you/notes",
            "LEVEL": "debug",
            "DATABASE": "mysql://root:hunter22@db/x",
            "BRAVE": "BSAq1w2e3r4t5y6u7i8o9p0a",
            "CREDENTIALS_FILE": "/etc/creds.json",
            "RUN": "2f1c6e3a-9d1b-4f7e-8a7d-0123456789ab",
        }
    )
    assert one.masked()["env"] == {
        "API_KEY": MASK,
        "NOTES": "/home/you/notes",
        "LEVEL": "debug",
        "DATABASE": f"mysql://root:{MASK}@db/x",
        "BRAVE": MASK,
        "CREDENTIALS_FILE": "/etc/creds.json",
        "RUN": "2f1c6e3a-9d1b-4f7e-8a7d-0123456789ab",
    }


def test_a_short_secret_is_masked_where_it_stands_as_one_and_not_where_its_characters_are() -> None:
    args = ["--pin", "80", "-p", "80:80", "--port", "80", "--pass=80", "host:80"]
    one = entry(args=args, env={"PIN": "80", "PORT": "80", "MAP": "80:80"}, secret_parts=("80", "1234"))
    assert one.masked()["args"] == ["--pin", MASK, "-p", "80:80", "--port", "80", f"--pass={MASK}", "host:80"]
    assert one.masked()["env"] == {"PIN": MASK, "PORT": "80", "MAP": "80:80"}
    web = ServerEntry(name="web", transport="http", url="http://u:80@h80:80/mcp?page=2&v=80")
    assert web.masked()["url"] == f"http://u:{MASK}@h80:80/mcp?page={MASK}&v={MASK}"


def test_what_a_server_says_of_its_arguments_is_masked() -> None:
    one = entry(args=["--token", "abcdef", "--dir", "/srv"], env={"HOME_DIR": "/home/me"})
    assert one.mask_text("bad token abcdef in /srv of /home/me") == f"bad token {MASK} in /srv of /home/me"
