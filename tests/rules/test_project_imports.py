"""What other tools' files become in an `ostler.yaml`: every text made passes the check and says where it is from."""
# ruff: noqa: E501 (one case a line)

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ostler.model.json import JsonObject
from ostler.model.projects import ProjectServiceSpec
from ostler.rules.imports.compose import read_compose
from ostler.rules.imports.devcontainer import read_devcontainer
from ostler.rules.imports.found import Found, UnreadableSourceError, read_yaml, shell_service
from ostler.rules.imports.frameworks import (
    read_composer,
    read_deno,
    read_framework,
    read_pyproject,
    unread_notes,
)
from ostler.rules.imports.go_programs import read_go_module
from ostler.rules.imports.launch_json import read_launch_json
from ostler.rules.imports.node_package import read_package_json
from ostler.rules.imports.process_compose import read_process_compose
from ostler.rules.imports.procfile import read_procfile
from ostler.rules.imports.project_text import project_text
from ostler.rules.imports.python_apps import read_manage, read_python_app
from ostler.rules.imports.source_ports import SourcePort, entry_of, source_port
from ostler.rules.imports.task_files import read_justfile, read_makefile, read_mise, read_taskfile
from ostler.rules.imports.workspaces import workspace_of
from ostler.rules.loading.projects import load_project
from ostler.rules.templates.template import render

HERE = {"project": {"directory": "/p"}}


def services(*found: Found) -> dict[str, ProjectServiceSpec]:
    return load_project(project_text("shop", found)).project.services


def args(spec: ProjectServiceSpec) -> Any:
    return render(spec.args, HERE)


def test_compose_gives_the_programs_that_there_are_classes_for_and_names_the_rest() -> None:
    found = read_compose(
        """
x-common: &common {POSTGRES_USER: shop}
services:
  db:
    image: docker.io/library/postgres:16-alpine
    environment:
      <<: *common
      POSTGRES_PASSWORD: ${DB_PASSWORD:-pass-word}
    ports: ["127.0.0.1:5433:5432"]
  cache: {image: "valkey/valkey:8", depends_on: [db]}
  api: {build: ., depends_on: {db: {condition: service_healthy}}}
""",
        "compose.yaml",
    )
    made = services(found)
    assert args(made["db"]) == {"user": "shop", "password": "pass-word", "database": "shop"}
    assert (made["cache"].class_name, list(made["cache"].depends_on)) == ("redis", ["db"])
    assert "api" not in made
    text = project_text("shop", [found])
    assert "# compose.yaml, line 4" in text
    assert "'api' runs an image that is built" in text
    assert "'port: 5433' would" in text


def test_compose_services_that_run_the_project_s_own_sources_run_their_commands_here() -> None:
    found = read_compose(
        """
services:
  db:
    image: postgres:16
    environment: {POSTGRES_USER: "${PG_USER?not set}", POSTGRES_PASSWORD: "${PG_PASSWORD?not set}", POSTGRES_DB: "${PG_DB:-shop}"}
  cache: {image: "redis:7"}
  migrate: {build: ./api, command: bash migrate.sh, depends_on: {db: {condition: service_healthy}}, environment: [PG_SERVER=db, "PG_PORT=${PG_PORT}"]}
  api:
    build: {context: ./api}
    command: uvicorn app:app --host 0.0.0.0 --port 8000 --reload
    ports: ["8080:8000"]
    restart: unless-stopped
    depends_on: {migrate: {condition: service_completed_successfully}}
    environment:
      DATABASE_URL: "postgresql+asyncpg://${PG_USER}:${PG_PASSWORD}@db:5432/shop"
      REDIS_URL: redis://cache:6379/1
      SITE: http://web:3000
      SMTP: mail:1025
      MAIL_HOST: mail
      ORIGIN: mail
      KEY: ${KEY}
      ROOT: ${HOME}/$$files
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000/health"]}
  web: {image: "node:22", command: [npm, run, dev], volumes: [".:/app"], ports: ["3000:3000"], depends_on: [api], environment: {API: "http://api:8000/v1"}, profiles: [site]}
  shell: {build: ., command: sleep infinity, environment: {DB_HOST: db, DB_PORT: "5432"}}
  mail: {image: axllent/mailpit}
""",
        "compose.yaml",
        {"PG_USER": "shop", "PG_PASSWORD": "from .env"},
    )
    made = services(found)
    assert list(made) == ["db", "cache", "migrate", "api", "web"]
    assert args(made["db"]) == {"user": "shop", "database": "shop"}, "a password of .env is not copied"
    assert (made["migrate"].class_name, args(made["migrate"])["directory"]) == ("job", "api")
    assert made["migrate"].env == {"PG_SERVER": "127.0.0.1", "PG_PORT": "{{ services.db.outputs.port }}"}
    api = made["api"]
    assert args(api) == {
        "command": 'export ROOT="${HOME}/\\$files"\nuvicorn app:app --host 0.0.0.0 --port {port} --reload',
        "directory": "api", "readyPath": "/health",
    }  # fmt: skip
    assert api.env == {
        "DATABASE_URL": "{{ services.db.outputs.connectionString | replace('postgresql://', 'postgresql+asyncpg://', 1) }}",
        "REDIS_URL": "{{ services.cache.outputs.url }}/1",
        "SITE": "http://web:3000",
        "SMTP": "mail:1025",
        "MAIL_HOST": "mail",
        "ORIGIN": "mail",
    }
    assert (api.env_file, api.restart_policy and api.restart_policy.policy) == ((".env",), "always")
    assert made["web"].env == {"API": "{{ services.api.outputs.url }}v1"}
    assert not made["web"].enabled
    text = " ".join(project_text("shop", [found]).replace("#", "").split())
    for variable, host in (("SITE", "web"), ("SMTP", "mail"), ("MAIL_HOST", "mail")):
        assert f"{variable} names {host!r}, as it is called among containers" in text
    assert "ORIGIN names" not in text
    assert "'shell' runs an image that is built, to work in" in text
    assert 'DB_PORT: "{{ services.db.outputs.port }}" in its env' in text
    assert "'mail' runs image axllent/mailpit" in text


@pytest.mark.parametrize(
    ("command", "runs", "left"),
    [
        (
            ">\n      uvicorn shop:app\n        --host 0.0.0.0\n        --reload",
            "uvicorn shop:app   --host 0.0.0.0   --reload",
            "",
        ),
        ("|\n      uvicorn shop:app\n      --reload", "uvicorn shop:app --reload", ""),
        ("npm run build && npm start", "npm run build", "&& npm start"),
        ("crawl http://shop/?page=1&size=9", "crawl http://shop/?page=1", "&size=9"),
        ("serve 2>&1", "serve", "2>&1"),
        ("serve a2 > log", "serve a2", "> log"),
        (r"""say a\;b 'c;d' "e|f" `g&h`""", r"""say a\;b 'c;d' "e|f" `g&h`""", ""),
        ("sh -c 'npm run build && npm start'", "sh -c 'npm run build && npm start'", ""),
        ("[sh, -c, npm run build && npm start]", "sh -c 'npm run build && npm start'", ""),
        ("serve it's; true", "serve it's; true", ""),
    ],
)
def test_a_compose_command_is_what_compose_runs_of_it(command: str, runs: str, left: str) -> None:
    """Compose 2 (compose-go 2.16.2) has no shell: line breaks are blanks, and it stops at an operator, silently."""
    found = read_compose(f"services:\n  web:\n    build: .\n    command: {command}\n", "compose.yaml")
    web = found.services[0]
    assert web.args["command"] == runs
    assert [note for note in web.notes if "does not run" in note] == (
        [f"Compose does not run {left!r}, which follows its command; to run it, write it into 'command' here"]
        if left
        else []
    )


def test_a_compose_service_with_a_dash_in_its_name_is_named_as_a_template_can() -> None:
    text = (
        "services: {my-db: {image: postgres}, api: {build: ., command: serve, environment: {DB: 'postgres://my-db/x'}}}"
    )
    api = services(read_compose(text, "compose.yaml"))["api"]
    assert api.env == {"DB": "{{ services['my-db'].outputs.connectionString }}"}


def test_compose_copies_no_secret_of_the_env_file_and_takes_a_port_as_it_is_written() -> None:
    text = 'services: {api: {build: ., command: serve 3000, ports: ["3000:(3000"], environment: {KEY: "${GH_TOKEN}", PW: "${DB_PWD}"}}}'
    found = read_compose(text, "compose.yaml", {"GH_TOKEN": "copied-token", "DB_PWD": "copied-pwd"})
    assert "copied" not in project_text("shop", [found])


def test_process_compose_is_read_with_its_variables_files_and_patience() -> None:
    made = services(
        read_process_compose(
            """
environment: ["HOME_OF=${HOME_OF}", MODE=dev]
env_file: [local.env]
processes:
  infra: {command: docker compose up -d --wait, availability: {restart: "no"}, readiness_probe: {exec: {command: x}}}
  api:
    working_dir: "${HOME_OF}/api"
    command: 'echo "$$HOME"'
    environment: ["CACHE=${CACHE:-off}"]
    depends_on: {infra: {condition: process_healthy}}
    readiness_probe: {http_get: {port: 9000}, initial_delay_seconds: 10, period_seconds: 5, failure_threshold: 30}
    availability: {restart: on_failure, max_restarts: 3, backoff_seconds: 10}
""",
            "process-compose.yaml",
            [".env"],
        )
    )
    assert (made["infra"].class_name, made["api"].depends_on["infra"].condition) == ("job", "completed")
    api = made["api"]
    assert args(api)["command"] == 'cd "${HOME_OF}/api" || exit\nexport CACHE="${CACHE:-off}"\necho "$HOME"'
    assert (args(api).get("directory"), args(api)["readyTimeout"]) == (None, "160s")
    assert (api.env, api.env_file) == ({"MODE": "dev"}, (".env", "local.env"))
    assert api.restart_policy is not None
    assert (api.restart_policy.max_restarts, api.restart_policy.backoff.initial) == (3, 10.0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("web: uv run python manage.py runserver", "uv run python manage.py runserver {port}"),
        ("web: python manage.py runserver 0.0.0.0:8000", "python manage.py runserver 0.0.0.0:{port}"),
        ("api: uvicorn app:app --reload", "uvicorn app:app --reload --port {port}"),
        ("site: npx vite", "npx vite --port {port} --strictPort"),
        ("site: npx vite --port 5173 --strictPort", "npx vite --port {port} --strictPort"),
        ("site: PORT=3000 node server.js", "PORT={port} node server.js"),
        ("site: next dev --port=3000 & wait-on localhost:3000", "next dev --port={port} & wait-on localhost:{port}"),
        ("site: gunicorn -b 0.0.0.0:8000 app", "gunicorn -b 0.0.0.0:{port} app"),
        ("site: a -p 3000 & b -p 3001", "a -p 3000 & b -p 3001"),
        ("site: bin/vite dev", "bin/vite dev"),
        ("web: cd api && flask run", "cd api && flask run"),
        ("web: bin/rails server", "bin/rails server"),
    ],
)
def test_servers_that_do_not_take_the_variable_port_are_given_it(line: str, expected: str) -> None:
    [spec] = services(read_procfile(line, "Procfile")).values()
    assert args(spec)["command"] == expected


def test_process_compose_keeps_conditions_probes_policies_and_signals() -> None:
    made = services(
        read_process_compose(
            """
environment: ["MODE=dev"]
processes:
  Migrate_DB: {command: alembic upgrade head}
  api:
    command: uvicorn app:app
    working_dir: ./api
    depends_on: {Migrate_DB: {condition: process_completed_successfully}}
    readiness_probe: {http_get: {port: 8000, path: /health}}
    availability: {restart: on_failure}
    shutdown: {signal: 2, timeout_seconds: 500}
  web: {command: "echo {{ not a template }}", disabled: true, depends_on: {api: {condition: process_healthy}}}
""",
            "process-compose.yaml",
        )
    )
    assert (made["migrate-db"].class_name, made["migrate-db"].env) == ("job", {"MODE": "dev"})
    api = made["api"]
    assert {name: need.condition for name, need in api.depends_on.items()} == {"migrate-db": "completed"}
    assert api.restart_policy is not None
    assert api.restart_policy.policy == "on-failure"
    assert args(api) == {
        "command": "uvicorn app:app", "shell": True, "directory": "api",
        "readyHttp": "http://127.0.0.1:8000/health", "stopSignal": "SIGINT", "stopTimeout": "90s",
    }  # fmt: skip
    assert not made["web"].enabled
    assert args(made["web"])["command"] == "echo {{ not a template }}"


def test_what_a_file_means_elsewhere_is_filled_in_or_named() -> None:
    found = read_process_compose(
        """
extends: base.yaml
vars: {HOST: 127.0.0.1}
processes:
  api: {vars: {PORT: 8000}, command: "uvicorn app:app --host {{.HOST}} --port {{ .PORT }}", depends_on: {nginx: {}}}
  db: {command: serve, readiness_probe: {exec: {command: "pg_isready -q"}}}
""",
        "process-compose.yaml",
    )
    made = services(found)
    assert args(made["api"])["command"] == "uvicorn app:app --host 127.0.0.1 --port {port}"
    assert args(made["api"])["port"] == 0
    assert made["api"].depends_on == {}
    assert args(made["db"])["readyCommand"] == ["/bin/sh", "-c", "pg_isready -q"]
    assert [note.partition(";")[0] for note in found.services[0].notes] == ["it had port 8000"]
    assert found.notes == (
        "process-compose.yaml: 'extends' is not followed: base.yaml", "'api' needs 'nginx', which is not in this file",
    )  # fmt: skip
    text = "services:\n  db: {image: postgres}\n  api: {build: ., environment: [DB_URL=postgres://a:b@db:5432/c, MODE=db]}\n"
    assert read_compose(text, "compose.yaml").notes[1:] == (
        "'api' reaches a service by a variable: DB_URL: \"{{ services.db.outputs.connectionString }}\" in its env",
    )


def test_a_procfile_s_release_runs_before_the_rest() -> None:
    made = services(read_procfile("# c\nweb: gunicorn -b :$PORT app\nworker: celery\nrelease: ./migrate\n", "Procfile"))
    assert [made[name].class_name for name in ("web", "worker", "release")] == ["dev-server", "command", "job"]
    assert all(made[name].depends_on["release"].condition == "completed" for name in ("web", "worker"))
    with pytest.raises(UnreadableSourceError, match="line 2"):
        read_procfile("web: x\nnonsense", "Procfile")
    made = services(read_procfile("release: migrate\nweb: x -p 3000\nrelease: seed\n", "Procfile"))
    assert list(made["web"].depends_on) == ["release", "release-2"]
    assert list(made["release-2"].depends_on) == ["release"]
    assert "it had port 3000" in read_procfile("web: x -p 3000", "Procfile").services[0].notes[0]
    listed = read_procfile(
        "etcd: etcd --peers http://127.0.0.1:12380 --clients http://[::1]:2379", "Procfile"
    ).services[0]
    assert listed.notes[0].endswith("listens, of those in its command: 12380, 2379")


@pytest.mark.parametrize(
    ("text", "beside", "expected"),
    [
        ('{"scripts": {"dev": "vite", "build": "vite build"}}', [], {"web": "npm run dev -- --port {port} --strictPort"}),
        ('{"scripts": {"dev": "next dev --turbo"}}', ["pnpm-lock.yaml"], {"web": "pnpm run dev -p {port}"}),
        ('{"scripts": {"start": "node server.js"}}', ["yarn.lock"], {"web": "yarn run start"}),
        ('{"packageManager": "bun@1.2", "scripts": {"dev": "bun --hot x"}}', ["yarn.lock"], {"web": "bun run dev"}),
        (
            '{"scripts": {"dev": "concurrently npm:dev:*", "dev:api": "node api.js", "dev:css": "x", "worker": "w"}}',
            [],
            {"api": "npm run dev:api", "css": "npm run dev:css", "worker": "npm run worker"},
        ),
        ('{"scripts": {"test": "vitest", "build": "tsc", "lint": "eslint"}}', [], {}),
        ('{"name": "nothing"}', [], {}),
    ],
)  # fmt: skip
def test_scripts_that_run_while_one_works_are_services(text: str, beside: list[str], expected: dict[str, str]) -> None:
    made = services(read_package_json(text, "package.json", beside))
    install = made.pop("install", None)
    assert {name: spec.args["command"] for name, spec in made.items()} == expected
    assert [*(install.watch if install else ())] == beside
    assert all([*spec.depends_on] == (["install"] if beside else []) for spec in made.values())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tsc --watch --preserveWatchOutput", "command"),
        ("tsup src/index.ts --watch", "command"),
        ("vite build -w", "command"),
        ("tsup --watch --onSuccess 'node dist/server.js'", "dev-server"),
        ("tsx watch src/server.ts", "dev-server"),
        ("node --watch server.js", "dev-server"),
        ("tsc && node --watch dist/server.js", "dev-server"),
        ("tsc --watch & node dist/server.js", "dev-server"),
        ("docker compose up", ""),
    ],
)
def test_a_script_that_only_builds_again_is_not_waited_for_as_a_server(line: str, expected: str) -> None:
    made = services(read_package_json(json.dumps({"scripts": {"dev": line}}), "package.json"))
    assert [spec.class_name for spec in made.values()] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("globs", "has", "has_not"),
    [
        (["apps/*", "!apps/old"], ["apps/web"], ["apps", "apps/old", "apps/web/e2e", "lib"]),
        (["packages/**", "!**/test/**"], ["packages/a", "packages/a/b"], ["packages/a/test", "packages/test/x"]),
        (["**/web"], ["web", "apps/web"], ["apps/my-web"]),
    ],
)
def test_folders_of_a_workspace_are_those_of_its_patterns(globs: list[str], has: list[str], has_not: list[str]) -> None:
    workspace = workspace_of(json.dumps({"workspaces": globs}), "", "", ())
    assert workspace is not None
    assert ([*filter(workspace.has, has)], [*filter(workspace.has, has_not)]) == (has, [])


@pytest.mark.parametrize(
    ("line", "beside", "command"),
    [
        ("vite --port 5173 --strictPort", "pnpm-lock.yaml", "pnpm run dev --port {port} --strictPort"),
        ("tsc -b && vite --port 5173", "", "npm run dev -- --port {port} --strictPort"),
        ("NODE_ENV=x next dev -p 5173", "bun.lock", "bun run dev -p {port}"),
        ("astro dev --port 5173", "pnpm-lock.yaml", "pnpm exec astro dev --port {port}"),
        ("webpack serve --port 5173", "", "npm run dev -- --port {port}"),
        ("ng serve --port 5173", "yarn.lock", "yarn run dev --port {port}"),
        ("node server.js --port=5173", "", "node server.js --port={port}"),
        ("A=1 http-server -p 5173", "", "A=1 npx http-server -p {port}"),
        ("react-router dev --port 5173", "", "npx react-router dev --port {port}"),
        ("wrangler dev --port 5173 src/index.ts", "pnpm-lock.yaml", "pnpm exec wrangler dev --port {port} src/index.ts"),
        ("PORT=5173 react-scripts start", "", "PORT={port} npx react-scripts start"),
        ("vite --port 5173 && echo over", "", ""),
        ("vite --port 5173 & node api.js --port 3000", "", ""),
        ('concurrently "vite --port 5173" "node a"', "", 'npx concurrently "vite --port {port}" "node a"'),
    ],
)  # fmt: skip
def test_a_script_with_a_fixed_port_runs_with_the_worktree_s_own_where_that_can_be_said(
    line: str, beside: str, command: str
) -> None:
    found = read_package_json(json.dumps({"scripts": {"dev": line}}), "package.json", [beside] if beside else [])
    web = next(each for each in found.services if each.name == "web")
    assert web.args.get("port", 0) == (0 if command else 5173)
    if command:
        assert web.args["command"] == command
        assert "it had port 5173; each worktree gets its own" in web.notes[-1]
        assert web.served_at == web.args.get("port", 5173)
    else:
        assert "only one worktree can have port 5173, which its script has" in web.notes[-1]


def test_scripts_that_change_a_database_are_jobs_that_run_when_they_are_named() -> None:
    names = ("db:migrate", "migrate:dev", "seed", "db:push", "migrate:create", "seedling", "immigrate")
    text = json.dumps({"scripts": dict.fromkeys(names, "x")})
    made = services(read_package_json(text, "package.json"))
    assert list(made) == ["db-migrate", "migrate-dev", "seed", "db-push"]
    assert all(spec.class_name == "job" and not spec.enabled for spec in made.values())


MANAGE = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.local')"
IN_VENV = "[ -x {0}/bin/pip ] || python3 -m venv {0} && {0}/bin/python -m pip install -q"


@pytest.mark.parametrize(
    ("beside", "python", "install"),
    [
        ([], "python3", ""),
        (["venv", ".env"], "venv/bin/python", ""),
        (["uv.lock", ".venv"], "uv run python", "uv sync --inexact"),
        (["requirements.txt"], ".venv/bin/python", f"{IN_VENV.format('.venv')} -r requirements.txt"),
    ],
)
def test_a_django_project_is_served_and_migrated_by_the_python_that_has_its_packages(
    beside: list[str], python: str, install: str
) -> None:
    files = {"shop/celery.py": "from celery import Celery\napp = Celery('shop')\n"}
    made = services(read_manage(MANAGE, "manage.py", beside, reads(files)))
    assert {name: args(each)["command"] for name, each in made.items()} == {
        **({"install": install} if install else {}),
        "migrate": f"{python} manage.py migrate",
        "web": f"{python} manage.py runserver {{port}}",
        "worker": f"{python} -m celery -A shop.celery:app worker --loglevel info",
    }
    assert (made["migrate"].class_name, made["migrate"].enabled) == ("job", False)
    assert made["web"].env_file == ((".env",) if ".env" in beside else ())
    assert list(made["worker"].depends_on) == (["install"] if install else [])
    assert "worker" not in services(read_manage(MANAGE, "manage.py", beside, reads({})))
    assert read_manage("print('another manage.py')", "manage.py", [], reads({})).services == ()


def reads(files: Mapping[str, str]) -> Callable[[str], str]:
    """Return what returns the text of one of `files`, and refuses every other."""

    def read(path: str) -> str:
        if path not in files:
            raise UnreadableSourceError("no such file")
        return files[path]

    return read


@pytest.mark.parametrize(
    ("package", "installs"),
    [
        ({"devDependencies": {"vite": "*"}}, "npm install --no-audit --no-fund"),
        ({"dependencies": {"express": "*"}, "packageManager": "pnpm@9.0.0"}, "pnpm install"),
        ({}, ""),
    ],
)
def test_what_a_package_needs_is_installed_before_it_has_a_lock_file(package: JsonObject, installs: str) -> None:
    made = services(read_package_json(json.dumps({"scripts": {"dev": "vite"}, **package}), "package.json"))
    assert [args(each)["command"] for each in made.values() if each.class_name == "job"] == [installs][: bool(installs)]
    if installs:
        assert list(made["web"].depends_on) == ["install"]
        assert made["install"].watch == ("package.json",)


@pytest.mark.parametrize(
    ("file", "text", "beside", "runs"),
    [
        ("artisan", "use Illuminate", (), {
            "migrate": "php artisan migrate --force", "web": "php artisan serve --port={port}",
        }),
        ("shop/bin/rails", "require 'rails/commands'", (), {
            "shop-migrate": "bin/rails db:prepare", "shop": "bin/rails server -p {port}",
        }),
        ("bin/rails", "require 'rails/commands'", (), {
            "migrate": "bin/rails db:prepare", "web": "bin/rails server -p {port}",
        }),
        ("config.ru", "run App", (), {"web": "rackup -p {port}"}),
        ("config.ru", "run App", ("Gemfile",), {"web": "bundle exec rackup -p {port}"}),
        ("app.rb", "require 'sinatra'", ("Gemfile",), {"web": "bundle exec ruby app.rb -p {port}"}),
        ("app.rb", "class App; end", (), {}),
        ("public/index.php", "<?php echo 1;", (), {"web": "php -S 127.0.0.1:{port} -t public"}),
        ("index.php", "<?php // Silence is golden.", (), {}),
        ("src/Shop/Shop.csproj", '<Project Sdk="Microsoft.NET.Sdk.Web">', (), {
            "shop-build": "dotnet build", "shop": "dotnet run --urls http://127.0.0.1:{port}",
        }),
        ("Shop.csproj", '<Project Sdk="Microsoft.NET.Sdk">', (), {}),
        ("mix.exs", "{:phoenix, '~> 1.8'}", (), {"migrate": "mix ecto.migrate", "web": "mix phx.server"}),
        ("mix.exs", "{:phoenix_html, '~> 4'}", (), {}),
        ("mix.exs", "{:bandit, '~> 1.0'}", (), {"web": "mix run --no-halt"}),
        ("pom.xml", "<artifactId>quarkus-maven-plugin</artifactId>", (), {
            "build": "mvn -q compile", "web": "mvn -q quarkus:dev -Dquarkus.http.port={port}",
        }),
        ("pom.xml", "<artifactId>spring-boot-maven-plugin</artifactId>", ("mvnw",), {
            "build": "./mvnw -q compile",
            "web": "./mvnw -q spring-boot:run -Dspring-boot.run.arguments=--server.port={port}",
        }),
        ("pom.xml", "<project/>", (), {}),
        ("api/build.gradle.kts", 'id("org.springframework.boot")', (), {
            "api-build": "gradle classes", "api": "gradle bootRun --args=--server.port={port}",
        }),
        ("Cargo.toml", 'axum = "0.8"', ("src", "Cargo.lock"), {"build": "cargo build", "web": "cargo run"}),
        ("Cargo.toml", '[dependencies.axum]\nversion = "0.8"', ("src",), {"build": "cargo build", "web": "cargo run"}),
        ("Cargo.toml", 'axum = "0.8"', (), {}),
        ("Cargo.toml", 'serde = "1" # no axum', ("src",), {}),
    ],
)  # fmt: skip
def test_a_framework_is_served_by_its_own_program(
    file: str, text: str, beside: tuple[str, ...], runs: dict[str, str]
) -> None:
    made = services(read_framework(text, file, beside))
    assert {name: args(service)["command"] for name, service in made.items()} == runs
    for build in [name for name in made if name.endswith("build")]:
        needs = made[build.removesuffix("-build") if "-" in build else "web"].depends_on
        assert {name: need.condition for name, need in needs.items()} == {build: "completed"}
        assert made[build].watch
        assert ("Cargo.lock" in made[build].watch) == ("Cargo.lock" in beside), "the first build writes one"
    assert all(not service.enabled for name, service in made.items() if name.endswith("migrate"))


FASTAPI = "from fastapi import FastAPI\napp: FastAPI = FastAPI()\n"
FLASK = "from flask import Flask\n\ndef create_app() -> Flask:\n    return Flask(__name__)\n"
DEPENDS = "[project]\nname = 'my-shop'\ndependencies = ['fastapi', 'flask', 'streamlit', 'celery']\n"


@pytest.mark.parametrize(
    ("text", "beside", "files", "runs"),
    [
        (DEPENDS, ["uv.lock"], {"app/main.py": FASTAPI, "app/worker.py": "jobs = Celery('x')"}, {
            "install": "uv sync --inexact",
            "web": "uv run python -m uvicorn app.main:app --reload --port {port}",
            "worker": "uv run python -m celery -A app.worker:jobs worker --loglevel info",
        }),
        (DEPENDS, ["poetry.lock", "alembic.ini"], {"my_shop/__init__.py": FLASK}, {
            "install": "poetry install --no-interaction",
            "migrate": "poetry run python -m alembic upgrade head",
            "web": "poetry run python -m flask --app my_shop run --debug --port {port}",
        }),
        (DEPENDS + "[tool.pdm]\n", [], {"src/my_shop/main.py": FASTAPI}, {
            "install": "pdm install",
            "web": "pdm run python -m uvicorn my_shop.main:app --reload --port {port} --app-dir src",
        }),
        (DEPENDS + "[tool.hatch.envs.default]\n", [], {"app.py": "import streamlit as st"}, {
            "install": "hatch env create",
            "web": "hatch run python -m streamlit run app.py --server.port {port} --server.headless true",
        }),
        (DEPENDS + "[build-system]\n", ["venv"], {"main.py": FLASK.replace("Flask", "FastAPI")}, {
            "install": f"{IN_VENV.format('venv')} -e .",
            "web": "venv/bin/python -m uvicorn main:create_app --factory --reload --port {port}",
        }),
        (DEPENDS, [], {"main.py": "application = Flask(__name__)"}, {
            "install": (
                "[ -x .venv/bin/pip ] || python3 -m venv .venv && .venv/bin/python -c 'import tomllib; "
                'print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\\n")\' | '
                ".venv/bin/python -m pip install -q -r /dev/stdin"
            ),
            "web": ".venv/bin/python -m flask --app main:application run --debug --port {port}",
        }),
        (DEPENDS.replace("fastapi", "gradio"), ["uv.lock"], {"app.py": "import gradio as gr\ndemo = gr.Blocks()\ndemo.launch()"}, {
            "install": "uv sync --inexact",
            "web": "uv run python app.py",
        }),
        (DEPENDS, ["uv.lock"], {"main.py": "print('no application')"}, {}),
        ("[project]\ndependencies = ['rich']\n", ["uv.lock"], {"main.py": FASTAPI}, {}),
    ],
)  # fmt: skip
def test_an_application_in_python_is_served_as_its_source_shows(
    text: str, beside: list[str], files: dict[str, str], runs: dict[str, str]
) -> None:
    made = services(read_python_app(text, "pyproject.toml", beside, reads(files)))
    assert {name: args(spec)["command"] for name, spec in made.items()} == runs
    for name in made.keys() & {"web", "worker"}:
        assert list(made[name].depends_on) == (["install"] if "install" in made else [])
    is_streamlit = "streamlit run" in runs.get("web", "")
    assert "web" not in made or args(made["web"]).get("readyPath") == ("/_stcore/health" if is_streamlit else None)


@pytest.mark.parametrize(
    ("path", "source", "runs"),
    [
        ("worker.py", "from rq import Worker\nWorker(['default'], connection=redis).work()\n", "worker.py"),
        ("worker.py", "from redis import Redis\njob.work()\n", ""),
        ("app/worker.py", "class WorkerSettings:\n    functions = [send]\n", "-m arq app.worker.WorkerSettings"),
        ("tasks.py", "from huey import SqliteHuey\nqueue = SqliteHuey()\n", "-m huey.bin.huey_consumer tasks.queue"),
        ("app/tasks.py", "import dramatiq\n\n@dramatiq.actor\ndef send(): ...\n", "-m dramatiq app.tasks"),
        ("src/broker.py", "import taskiq_redis as t\nbroker = t.ListQueueBroker(url)\n", "-m taskiq worker broker:broker"),
        ("broker.py", "broker = StockBroker()\n", ""),
        ("app/jobs.py", "from procrastinate import App\nq = App(connector=c)\n", "-m procrastinate --app app.jobs.q worker"),
    ],
)  # fmt: skip
def test_the_worker_of_a_queue_is_run_as_its_source_shows(path: str, source: str, runs: str) -> None:
    needs = "flask\nrq arq huey dramatiq taskiq procrastinate\n"
    made = services(read_python_app(needs, "requirements.txt", ["requirements.txt"], reads({path: source})))
    assert (args(made["worker"])["command"] if made else "") == (runs and f".venv/bin/python {runs}")
    assert not made or made["worker"].env == ({"PYTHONPATH": "src"} if path.startswith("src/") else {})


@pytest.mark.parametrize(
    ("application", "command"),
    [
        ("huey.contrib.djhuey", "run_huey"),
        ("django_rq", "rqworker default"),
        ("django_dramatiq", "rundramatiq"),
        ("django_q", "qcluster"),
        ("procrastinate.contrib.django", "procrastinate worker"),
        ("django_tasks_db", "db_worker"),
    ],
)
def test_the_worker_of_a_django_project_is_that_of_its_applications(application: str, command: str) -> None:
    installed = f"INSTALLED_APPS = ['django.contrib.admin', '{application}']"
    for file in ("local", "base"):
        made = services(read_manage(MANAGE, "manage.py", ["venv"], reads({f"shop/settings/{file}.py": installed})))
        assert args(made["worker"])["command"] == f"venv/bin/python manage.py {command}"


@pytest.mark.parametrize(
    ("file", "path", "source", "runs"),
    [
        ("go.mod", "main.go", "log.Fatal(http.ListenAndServe(addr, nil))", {
            "build": "go build -o /dev/null .", "web": "go run .",
        }),
        ("go.mod", "cmd/shop/main.go", "r := gin.Default()", {
            "build": "go build -o /dev/null ./cmd/shop", "web": "go run ./cmd/shop",
        }),
        ("back/go.mod", "main.go", "e := echo.New()", {
            "back-build": "go build -o /dev/null .", "back": "go run .",
        }),
        ("go.mod", "main.go", "fmt.Println()", {}),
    ],
)  # fmt: skip
def test_a_server_in_go_is_run_as_its_source_shows(file: str, path: str, source: str, runs: dict[str, str]) -> None:
    def read(wanted: str) -> str:
        if wanted != path:
            raise UnreadableSourceError("no such file")
        return source

    for module in ("example.com/shop", "shop // old", '"example.com/team/shop/v2"'):
        made = services(read_go_module(f"module {module}\n\ngo 1.24\n", file, (), read))
        assert {name: args(spec)["command"] for name, spec in made.items()} == runs


def test_a_go_project_with_air_is_run_by_it() -> None:
    module = "module example.com/shop\n\ngo 1.24\n"
    sources = {"cmd/shop/main.go": "r := gin.Default()"}
    for text, files, build, serve in (
        (module, sources, "./cmd/shop", "air"),
        (module + "tool github.com/air-verse/air\n", sources, "./cmd/shop", "go tool air"),
        (module, {}, "./...", "air"),
    ):
        made = services(read_go_module(text, "go.mod", (".air.toml",), reads(files)))
        assert {name: args(spec)["command"] for name, spec in made.items()} == {
            "build": f"go build -o /dev/null {build}", "web": serve,
        }  # fmt: skip


def test_a_program_in_go_that_may_serve_is_named_and_one_that_needs_a_router_is_taken() -> None:
    module = "module example.com/shop\n\nrequire (\n\tgithub.com/go-chi/chi/v5 v5.2.0%s\n)\n"
    named = read_go_module(module % " // indirect", "go.mod", (), lambda _path: "package main\n")
    assert named.services == ()
    assert 'command: "go run ."' in named.notes[0]
    taken = services(read_go_module(module % "", "go.mod", (), lambda _path: "package main\n"))
    assert args(taken["web"])["command"] == "go run ."


def test_tasks_of_deno_python_and_php() -> None:
    made = services(read_deno({"tasks": {"dev": "deno run main.ts"}}, "deno.json"))
    assert args(made["web"])["command"] == "deno task dev"
    for task in ("vite --port 5173", {"command": "vite --port 5173"}):
        (web,) = read_deno({"tasks": {"dev": task}}, "deno.json").services
        assert web.args == {"command": "deno task dev --port {port} --strictPort"}
        assert web.served_at == 5173
    assert "'deno task serve-all'" in read_deno({"tasks": {"serve-all": "x"}}, "deno.json").notes[0].replace('"', "'")
    for table, program in (
        ("poe.tasks", "uv run poe"), ("pdm.scripts", "pdm run"), ("hatch.envs.default.scripts", "hatch run"),
        ("taskipy.tasks", "task"), ("pixi.tasks", "pixi run"),
    ):  # fmt: skip
        found = read_pyproject(f"[tool.{table}]\nserve = 'x'\nlint = 'y'\n", "pyproject.toml")
        assert f'command: "{program} serve"' in found.notes[0]
        assert "lint" not in found.notes[0]
    assert read_pyproject("[project]\nname = 'x'\n[tool]\npoe = 1\n", "pyproject.toml") == Found()
    assert '"composer run dev"' in read_composer({"scripts": {"dev": ["x"], "test": "y"}}, "composer.json").notes[0]
    assert unread_notes(["Tiltfile", "README.md"]) == (
        "Tiltfile is not read: run 'tilt up' as a service of class command, or list here what it starts",
    )


def test_tasks_whose_names_say_that_they_serve_are_noted_and_not_taken() -> None:
    for read, text, program in (
        (read_makefile, "PORT := 1\nall: build\nserve: all\n\tgo run .\nrun-api :\n.PHONY: serve\nserver:=x\n", "make"),
        (
            read_justfile,
            "set dotenv-load\nport := '1'\nserve target='x':\n  go\nrun-api: build\n[private]\nserver:\n  x\n_up:\n",
            "just",
        ),
        (read_taskfile, "tasks: {serve: {cmd: go}, run-api: x, build: y, up: {internal: true}, 3: z}", "task"),
        (read_mise, "[tasks.serve]\nrun = 'go'\n[tasks]\nrun-api = 'x'\nbuild = 'y'\n", "mise run"),
    ):
        found = read(text, "file")
        assert found.services == ()
        assert "serve, run-api may start what serves" in found.notes[0]
        assert f'command: "{program} serve"' in found.notes[0]
        assert read(text.replace("serve", "lint").replace("run-api", "fmt"), "file") == Found()
    with pytest.raises(UnreadableSourceError, match="TOML"):
        read_mise("[", "mise.toml")


def test_launch_configurations_and_container_commands() -> None:
    launch = read_launch_json(
        {
            "configurations": [
                {"name": "Web App", "runtimeExecutable": "npm", "runtimeArgs": ["run", "dev"], "port": 3000,
                 "cwd": "${workspaceFolder}/web", "env": {"A": 1}},
                {"name": "Free", "runtimeExecutable": "x", "port": 3000, "autoPort": True},
                {"name": "Strict", "runtimeExecutable": "y", "port": 3000, "autoPort": False},
                {"name": "Said", "runtimeExecutable": "serve", "runtimeArgs": ["3000"], "port": 3000},
                {"name": "Debug", "request": "attach"},
                "broken",
            ]
        },
        ".claude/launch.json",
    )  # fmt: skip
    container = read_devcontainer(
        {"image": "i", "postCreateCommand": ["npm", "ci"], "postStartCommand": {"css": "npm run css"}},
        "devcontainer.json",
    )
    made = services(launch, container)
    assert args(made["web-app"]) == {"directory": "web", "command": "npm run dev"}
    assert args(made["strict"]) == {"command": "y", "port": 3000}
    assert "as autoPort is false" in launch.services[2].notes[-1]
    assert args(made["said"]) == {"command": "serve {port}"}
    assert made["web-app"].env == {"A": "1"}
    assert "port" not in made["free"].args
    assert made["postcreate"].class_name == "job"
    assert made["css"].depends_on["postcreate"].condition == "completed"
    assert len(launch.notes) == 2
    assert len(container.notes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "at: 2024-13-45",
        "port: !!int http",
        "processes: {a: &a {command: x, again: *a}}",
        f"a: {'[' * 4000}{']' * 4000}",
        f'{{"a": {"[" * 99_999}{"]" * 99_999}}}',
    ],
)
def test_a_value_that_cannot_be_read_is_a_reason(text: str) -> None:
    with pytest.raises(UnreadableSourceError):
        read_process_compose(text, "file")


def test_what_is_nested_too_deeply_is_a_reason() -> None:
    deep = f"{'[' * 99_999}{']' * 99_999}"
    with pytest.raises(UnreadableSourceError, match="too deeply"):
        read_package_json(f'{{"a": {deep}}}', "package.json")
    with pytest.raises(UnreadableSourceError, match="too deeply"):
        read_pyproject(f"a = {deep}", "pyproject.toml")
    assert workspace_of(f'{{"a": {deep}}}', "", "", []) is None


def test_yaml_is_read_with_its_tags_and_with_anchors_that_are_set_again() -> None:
    text = """
x-a: &env {A: one}
services:
  db: {image: postgres, ports: !reset [], environment: !override {POSTGRES_USER: shop}}
  web: {build: ., command: !override [serve, !x 5], environment: *env}
x-b: &env {A: two}
services_more: {cache: *env, deep: !override {list: [1, !override true]}}
"""
    content = read_yaml(text)
    assert content["services_more"] == {"cache": {"A": "two"}, "deep": {"list": [1, True]}}
    made = services(read_compose(text, "compose.yaml"))
    assert args(made["db"])["user"] == "shop"
    assert (args(made["web"])["command"], made["web"].env) == ("serve 5", {"A": "one"})
    assert "compose.yaml, line 4" in project_text("shop", [read_compose(text, "compose.yaml")])
    with pytest.raises(UnreadableSourceError, match="undefined alias"):
        read_yaml("a: *b")


def test_process_compose_files_as_they_are_found_elsewhere() -> None:
    made = services(
        read_process_compose(
            """
availability: {run: &run {restart: always}}
availability: {run: &once {restart: no}}
processes:
  named: {command: serve, availability: *once, readiness_probe: {http_get: {port: $CORE_PORT, path: /up}}}
  first: {command: "serve {{.PC_REPLICA_NUM}}", replicas: 2, readiness_probe: {http_get: {port: "404{{.PC_REPLICA_NUM}}"}}}
  far: {command: sleep 9, readiness_probe: {http_get: {host: a.example, scheme: https}}}
  shell: {command: repl, is_foreground: true, is_dotenv_disabled: true}
  made: {command: make, is_tty: true, success_exit_codes: [0, 3]}
  last: {command: x, depends_on: {made: {condition: process_completed}}}
""",
            "process-compose.yaml",
            [".env"],
        )
    )
    assert args(made["named"])["readyCommand"][-1] == 'curl -fsS -o /dev/null "http://127.0.0.1:$CORE_PORT/up"'
    assert (args(made["first"])["command"], args(made["first"])["readyHttp"]) == ("serve 0", "http://127.0.0.1:4040/")
    assert args(made["far"])["readyHttp"] == "https://a.example/"
    assert (made["shell"].enabled, made["shell"].env_file, args(made["shell"])["terminal"]) == (False, (), True)
    assert made["named"].env_file == (".env",)
    assert (made["made"].class_name, args(made["made"])) == (
        "job",
        {"command": "make", "shell": True, "terminal": True},
    )


def test_a_launch_configuration_with_a_script_runs_it_with_node() -> None:
    launch = read_launch_json(
        {
            "configurations": [
                {"name": "api", "program": "${workspaceFolder}/api/server.js", "args": ["--x"], "port": 3000},
                {"name": "inner", "program": "server.js", "args": ["${workspaceFolder}/a.json"], "cwd": "${workspaceFolder}/b/c"},
                {"name": "py", "type": "debugpy", "request": "launch", "program": "app.py"},
                {"name": "seen", "url": "http://localhost:3000", "port": 3000},
            ]
        },
        ".claude/launch.json",
    )  # fmt: skip
    made = services(launch)
    assert args(made["api"]) == {"command": "node ./api/server.js --x"}
    assert args(made["inner"]) == {"directory": "b/c", "command": "node server.js ../../a.json"}
    assert [note.split("'")[1] for note in launch.notes] == ["py", "seen"]


@pytest.mark.parametrize(
    ("line", "class_name", "expected"),
    [
        ("nohup bash -c 'npm ci && npm start &'", "command", "bash -c 'npm ci && npm start'"),
        ("nohup ttyd -W -p 7681 bash > /tmp/ttyd.log 2>&1 &", "dev-server", "ttyd -W -p {port} bash"),
        ("./a.sh && (npm run dev >/tmp/v.log 2>&1 &)", "command", "./a.sh && (npm run dev)"),
        ("streamlit run app.py", "dev-server", "streamlit run app.py --server.port {port}"),
        ("python manage.py runserver", "dev-server", "python manage.py runserver {port}"),
        ("ollama serve", "command", "ollama serve"),
        ("sudo service postgresql start", "job", "sudo service postgresql start"),
        ("docker compose up -d", "job", "docker compose up -d"),
        ("git config --global a b && flutter pub get", "job", "git config --global a b && flutter pub get"),
        (
            "X=${containerWorkspaceFolder}/a ./up ${localEnv:TZ:UTC} ${containerEnv:HOME}",
            "job",
            "X=./a ./up ${TZ:-UTC} ${HOME}",
        ),
    ],
)
def test_what_a_container_runs_at_each_start_serves_or_sets_up(line: str, class_name: str, expected: str) -> None:
    content: Any = {"onCreateCommand": "sudo apt install x", "postCreateCommand": "npm ci", "postAttachCommand": line}
    made = services(read_devcontainer(content, "devcontainer.json"))
    assert (made["postattach"].class_name, args(made["postattach"])["command"]) == (class_name, expected)
    assert (*made["postattach"].depends_on,) == ("oncreate", "postcreate")
    assert (*made["postcreate"].depends_on,) == ("oncreate",)


def test_what_a_container_puts_into_the_background_once_is_a_service() -> None:
    content: Any = {"postCreateCommand": {"run": "npm run dev &", "set": "npm ci"}, "postStartCommand": "echo x"}
    made = services(read_devcontainer(content, "devcontainer.json"))
    assert {name: one.class_name for name, one in made.items()} == {"run": "command", "set": "job", "poststart": "job"}
    assert (*made["poststart"].depends_on,) == ("set",)


def test_what_a_container_has_besides_commands_is_named() -> None:
    found = read_devcontainer(
        {"image": "i", "containerEnv": {"DB_URL": "secret"}, "postCreateCommand": "sudo apt install x"}, "d.json"
    )
    assert found.notes == (
        "d.json: image: the services here run on this machine, in no container",
        "d.json: variables of its container are not set: DB_URL",
    )
    assert found.services[0].notes == ("it was made for a container: with sudo it changes this machine",)


def test_services_that_need_each_other_in_a_circle_are_refused_as_by_their_own_tools() -> None:
    two = {
        "a": {"command": "a", "build": ".", "depends_on": {"b": {}}},
        "b": {"command": "b", "build": ".", "depends_on": {"a": {}}},
    }
    for read, parent in ((read_compose, "services"), (read_process_compose, "processes")):
        with pytest.raises(
            UnreadableSourceError, match="need each other in a circle: (a -> b -> a|b -> a -> b); remove"
        ):
            read(json.dumps({parent: two}), "file")


def test_the_same_command_is_one_service_and_the_same_name_gets_a_number() -> None:
    one, same = (shell_service("web", "run me", origin) for origin in ("a", "b"))
    other = shell_service("web", "run another", "c")
    using = shell_service("api", "x", "d", depends_on={"web": "started"}, env={"WEB": "{{ services.web.outputs.url }}"})
    made = services(Found((one,)), Found((same,)), Found((other, using)))
    assert list(made) == ["web", "web-2", "api"]
    assert list(made["api"].depends_on) == ["web-2"], "the one that its own file means"
    assert made["api"].env == {"WEB": "{{ services['web-2'].outputs.url }}"}


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["command", "depends_on", "image", "environment", "readiness_probe", "shutdown", "availability", "ports", "volumes",
     "scripts", "configurations", "name", "runtimeExecutable", "runtimeArgs", "postCreateCommand", "working_dir"]
)  # fmt: skip


_ODD: dict[str, Any] = {
    "command": "run {{ x }}",
    "working_dir": "{{ x }}",
    "cwd": "{% for a in b %}",
    "runtimeExecutable": "node",
    "ready_log_line": "{% if",
    "readiness_probe": {"http_get": {"path": "{{ x }}", "port": 80}},
    "shutdown": {"signal": {}},
    "depends_on": {"some service": {}},
}


@given(st.dictionaries(_KEYS, _JSON, max_size=6), st.sampled_from(["processes", "services"]))
@example(_ODD, "processes")
@example({"postCreateCommand": {":": "a", "": "b"}}, "processes")
def test_whatever_stands_in_a_file_gives_a_project_or_a_reason(entry: dict[str, Any], parent: str) -> None:
    text = json.dumps({parent: {"some service": entry}, **entry})
    for read in (read_compose, read_process_compose, read_package_json):
        try:
            found = read(text, "file")
        except UnreadableSourceError:
            continue
        services(found)
    services(read_launch_json({"configurations": [entry]}, "file"), read_devcontainer(entry, "file"))


@pytest.mark.parametrize(
    ("source", "port", "line", "is_fixed"),
    [
        ("app.listen(3000, () => {})", 3000, 1, True),
        ("import x\nserve({\n  fetch: app.fetch,\n  port: 3000\n}, (info) => {})", 3000, 4, True),
        ("export default {\n  port: 3000,\n  fetch: app.fetch,\n}", 3000, 2, True),
        ("fastify.listen({ port: 3000 }, done)", 3000, 1, True),
        ("const port = 3000\napp.listen(port)", 3000, 1, True),
        ("const port = 3000\nserve({ fetch: app.fetch, port })", 3000, 1, True),
        ("if x:\n    app.run(debug=True, port=5001)", 5001, 2, True),
        ('uvicorn.run(\n    "app:app",\n    host="0.0.0.0",\n    port=8001,\n)', 8001, 4, True),
        ("uvicorn.run(create_app(settings()), port=8001)", 0, 0, False),  # calls in calls: not read, and not guessed
        ("uvicorn.run(create_app(), port=8001)", 8001, 1, True),
        ("web.run_app(make(app), port=8080)", 8080, 1, True),
        ("serve(app, host='0.0.0.0', port=8080)", 8080, 1, True),
        ('with make_server("", 8000, app) as server:', 8000, 1, True),
        ('ThreadingHTTPServer(("", 8000), Handler).serve_forever()', 8000, 1, True),
        ("app.run(debug=True)\nconnect(port=5432)", 0, 0, False),
        ('log.Fatal(http.ListenAndServe(":8080", nil))', 8080, 1, True),
        ("serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8787) })", 8787, 1, False),
        ("const port = parseInt(process.env.PORT || '3000', 10)", 3000, 1, False),
        ('port = int(os.environ.get("PORT", 5000))', 5000, 1, False),
        ('port := os.Getenv("PORT")\nif port == "" {\n\tport = "8080"\n}', 8080, 3, False),
        ("app.listen(process.env.PORT)", 0, 0, False),
        ("const db = new Client({ port: 5432 }); app.listen(config.at)", 0, 0, False),
        ("const port = 5432; new Client({ port })", 0, 0, False),
        ("const at = process.env.DB_PORT || 5432", 0, 0, False),
        ("// app.listen(3000)", 0, 0, False),
        ("import x\n\n// a server\n\napp.listen(3000)", 3000, 5, True),
    ],
)
def test_a_program_s_source_says_where_it_listens(source: str, port: int, line: int, *, is_fixed: bool) -> None:
    assert source_port(source) == (SourcePort(port, line, is_fixed) if port else None)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("tsx watch src/index.ts", "src/index.ts"),
        ("node --watch ./server.js", "server.js"),
        ("python app.py --debug", "app.py"),
        ("go run .", "main.go"),
        ("go run ./cmd/api", "cmd/api/main.go"),
        ("go run main.go", "main.go"),
        ("vite dev", ""),
        ("node a.js & node b.js", ""),
    ],
)
def test_a_command_names_the_file_with_which_its_program_begins(line: str, entry: str) -> None:
    assert entry_of(line) == entry


@pytest.mark.parametrize(
    ("ports", "commands", "served"),
    [
        ([3000], {"server": "node server.js"}, 3000),
        ([3000, 5432], {"server": "node server.js"}, 0),
        (["db:5432"], {"server": "node server.js"}, 0),
        ([3000], {"server": "node server.js", "watch": "node watch.js"}, 0),
    ],
)
def test_the_port_that_a_devcontainer_forwards_is_that_of_its_only_server(
    ports: list[int | str], commands: dict[str, str], served: int
) -> None:
    found = read_devcontainer({"forwardPorts": [*ports], "postAttachCommand": {**commands}}, "devcontainer.json")
    server = found.services[0]
    assert (server.class_name, server.served_at) == ("dev-server" if served else "command", served)
    assert ("shell" in server.args) is not bool(served)
    services(found)


@pytest.mark.parametrize(
    ("line", "several"),
    [("nx serve api", False), ("nx run api:serve", False), ("nx run-many -t dev", True), ("turbo run dev", True)],
)
def test_only_a_script_that_starts_several_packages_is_said_to_do_so(line: str, *, several: bool) -> None:
    (web,) = read_package_json(json.dumps({"scripts": {"start": line}}), "package.json").services
    assert bool(web.notes) is several
