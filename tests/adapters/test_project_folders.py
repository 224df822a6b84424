"""Which project a folder belongs to, with real checkouts and worktrees of git."""

import codecs
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ostler.adapters.projects.folders import (
    find_project,
    has_pointer,
    has_worktrees,
    is_disk,
    linked_root,
    project_label,
    require_project,
)
from ostler.adapters.projects.import_sources import read_named, read_source, read_sources
from ostler.adapters.projects.project_files import read_scope, read_variables, variables_of
from ostler.adapters.projects.project_tree import digest_of_files
from ostler.model.errors import ArgumentError, ManifestError, NotFoundError
from ostler.rules.imports.found import FoundService, UnreadableSourceError
from ostler.rules.imports.project_text import project_text
from ostler.rules.loading.projects import load_project

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with a project at its top and one below, and a worktree next to it."""
    root = tmp_path / "shop"
    (root / "admin" / "src").mkdir(parents=True)
    for folder in (root, root / "admin"):
        (folder / "ostler.yaml").write_text("services: {}\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    git(root, "worktree", "add", "-q", "../Fix_UI")
    return root.resolve()


def ids(folder: Path, name: str = "", known: dict[str, str] | None = None) -> tuple[str, str]:
    found = require_project(folder)
    own, main = found.refs(name, known or {})
    return own.id, main.id


def test_a_worktree_is_a_project_of_its_own_next_to_the_main_checkout(shop: Path) -> None:
    worktree = shop.parent / "Fix_UI"
    assert ids(shop) == ("shop", "shop")
    assert ids(worktree) == ("fix-ui.shop", "shop")
    (worktree / "admin" / "src").mkdir()
    assert ids(worktree / "admin" / "src") == ("fix-ui.admin", "admin")
    found = find_project(worktree / "admin" / "src")
    assert found is not None
    assert (found.directory, found.main) == (worktree / "admin", shop / "admin")
    assert ids(worktree, "named") == ("fix-ui.named", "named")


def test_a_folder_called_ostler_yaml_counts_as_a_project_but_not_for_a_worktree_inside(shop: Path) -> None:
    git(shop, "worktree", "add", "-q", "worktrees/fix")
    inside = shop / "worktrees" / "fix"
    for folder in (shop, inside):
        (folder / "ostler.yaml").unlink()
    (shop / "ostler.yaml").mkdir()
    found = find_project(shop / "admin" / "..")
    assert found is not None
    assert found.directory == shop
    assert find_project(inside) is None


def test_projects_of_one_name_in_two_places_keep_apart_and_each_keeps_its_own(shop: Path) -> None:
    first, _ = ids(shop, known={"shop": "/home/ada/other/shop"})
    assert first != "shop"
    assert first.startswith("shop-")
    assert ids(shop, known={"shop": "/home/ada/other/shop", first: str(shop)})[0] == first
    assert ids(shop, known={first: str(shop)})[0] == first, "it keeps its id when the other is gone"
    assert ids(shop, known={"shop": str(shop)})[0] == "shop"


def test_a_project_that_has_services_keeps_its_id_and_another_repository_in_its_place_does_not_get_it(
    shop: Path,
) -> None:
    worktree = shop.parent / "Fix_UI"
    known = {"shop": str(shop), "fix-ui.shop": str(worktree)}
    assert ids(shop, "store", known) == ("shop", "shop")
    assert ids(worktree, "store", known) == ("fix-ui.shop", "shop")
    shop.rename(shop.with_name("moved"))
    assert ids(worktree, "store", known) == ("fix-ui.shop", "shop")
    assert ids(worktree, "store", {"fix-ui.shop": str(worktree)}) == ("fix-ui.shop", "fix-ui.shop")
    (worktree / ".git").unlink()
    git(worktree, "init", "-q")
    assert ids(worktree, "", known) == ("fix-ui", "fix-ui")


@pytest.mark.parametrize("repository", ["shop.git", "shop/.bare", "shop/.git"])
def test_what_worktrees_of_a_bare_repository_share_belongs_to_where_that_is(
    shop: Path, tmp_path: Path, repository: str
) -> None:
    root = tmp_path / "home"
    bare = root / repository
    git(shop, "clone", "-q", "--bare", str(shop), str(bare))
    worktrees = bare.parent
    if repository == "shop/.bare":  # with many branches
        with (bare / "config").open("a") as config:
            config.writelines(f'[branch "issue-{number}"]\n\tremote = origin\n' for number in range(200))
    elif repository == "shop/.git":
        git(bare, "config", "extensions.worktreeConfig", "true")
        git(bare, "config", "--worktree", "core.bare", "true")
        git(bare, "config", "--unset", "core.bare")
    git(bare, "worktree", "add", "-q", str(worktrees / "main"), "-b", "trunk")
    git(bare, "worktree", "add", "-q", str(worktrees / "fix-ui"), "-b", "fix-ui")
    assert ids(worktrees / "main") == ("main.shop", "shop")
    assert ids(worktrees / "fix-ui") == ("fix-ui.shop", "shop")
    place = bare if repository == "shop.git" else root / "shop"
    assert require_project(worktrees / "main").main == place
    assert find_project(place) is None
    assert has_worktrees(place)
    assert has_worktrees(place / "admin")
    assert not has_worktrees(place / "other"), "no worktree has such a project"
    (worktrees / "main" / "ostler.yaml").unlink()
    assert has_worktrees(place)
    git(bare, "worktree", "remove", "--force", str(worktrees / "fix-ui"))
    assert not has_worktrees(place)


def test_a_workspace_of_jj_is_a_project_next_to_the_first_one(tmp_path: Path) -> None:
    main, fix = tmp_path / "shop", tmp_path / "fix-ui"
    (main / ".jj" / "repo").mkdir(parents=True)
    (fix / ".jj").mkdir(parents=True)
    for written in (str(main / ".jj" / "repo"), "../../shop/.jj/repo"):
        (fix / ".jj" / "repo").write_text(written)
        for folder in (main, fix):
            (folder / "ostler.yaml").write_text("services: {}\n")
        assert ids(main) == ("shop", "shop")
        assert ids(fix) == ("fix-ui.shop", "shop")
        assert linked_root(fix) == fix
        assert has_pointer(fix)
        assert not has_pointer(main)
    inside = main / "inside"
    (inside / ".jj").mkdir(parents=True)
    (inside / ".jj" / "repo").write_text(str(main / ".jj" / "repo"))
    assert find_project(inside) is None, "what lies around it is another workspace"


@pytest.mark.parametrize(
    ("folder", "is_so"),
    [
        ("/media/ada/stick", True),
        ("/run/media/ada/stick", True),
        ("/mnt/stick", True),
        ("/Volumes/Stick", True),
        ("/media/ada/stick/shop", False),
        ("/home/ada/shop", False),
        ("/srv/media/ada/shop", False),
    ],
)
def test_a_folder_of_a_disk_that_is_plugged_in_is_known_by_where_it_is(folder: str, is_so: bool) -> None:
    assert is_disk(Path(folder)) is is_so


def test_a_command_whose_folder_was_removed_still_says_which_it_was(tmp_path: Path) -> None:
    told = "import os; from ostler.faces.client_facts import own_facts; os.rmdir(os.getcwd()); print(own_facts())"
    folder = tmp_path / "gone"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "CLAUDE_PROJECT_DIR"}
    words = [sys.executable, "-c", told]
    done = subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    assert f"'directory': '{folder}'" in done.stdout


def test_the_digest_of_files_is_of_names_and_contents_of_this_checkout_alone(shop: Path) -> None:
    sql = shop / "sql" / "deep" / "1.sql"
    sql.parent.mkdir(parents=True)
    sql.write_text("create")
    globs = ["sql/**/*.sql", "schema.prisma"]
    seen = [digest_of_files(shop, globs)]

    def differs() -> bool:
        seen.append(digest_of_files(shop, globs))
        return seen[-1] != seen[-2]

    (sql.parent / "notes.md").write_text("not meant")
    git(shop, "worktree", "add", "-q", "sql/tree")
    (shop / "sql" / "tree" / "9.sql").write_text("of another branch")
    (shop / "sql" / "node_modules").mkdir()
    (shop / "sql" / "node_modules" / "9.sql").write_text("of a package")
    assert not differs()
    (shop / "schema.prisma").write_text("model A {}")
    assert differs()
    sql.write_text("alter")
    assert differs()
    sql.rename(sql.with_name("2.sql"))
    assert differs()
    os.mkfifo(sql)
    assert differs(), "a named pipe is noticed and not waited for"
    sql.unlink()
    assert digest_of_files(shop, globs) == seen[-2]
    (shop / sql.parent.relative_to(shop) / "elsewhere").symlink_to("/", target_is_directory=True)
    assert digest_of_files(shop, globs) == seen[-2], "what a link leads to may be a whole disk"
    assert digest_of_files(shop, ["no/such/*", "*.none"]) == digest_of_files(shop, [])


def test_a_folder_outside_of_any_project_is_refused_with_what_to_do(tmp_path: Path) -> None:
    assert find_project(tmp_path) is None
    with pytest.raises(NotFoundError, match="project"):
        require_project(tmp_path)


def test_a_folder_whose_name_no_message_can_carry_is_to_be_renamed(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "ostler.yaml").write_text("services: {}\n")
    with pytest.raises(ArgumentError, match="not UTF-8 text, .* Next: rename the folder"):
        require_project(folder)
    found = find_project(folder)
    assert found is not None
    assert found.refs("", {})[0].id == "caf", "what is created by hand there needs no folder"


def test_broken_pointers_of_git_make_no_main_checkout(tmp_path: Path) -> None:
    for index, pointer in enumerate(["", "gitdir: /nowhere/at/all", "nonsense", "gitdir: "]):
        folder = tmp_path / f"p{index}"
        folder.mkdir()
        (folder / ".git").write_text(pointer)
        (folder / "ostler.yaml").write_text("services: {}\n")
        assert ids(folder) == (f"p{index}", f"p{index}")


@pytest.mark.parametrize(("text", "label"), [("Fix_UI (2)", "fix-ui-2"), ("ümlaut", "mlaut"), ("---", "project")])
def test_any_folder_gives_a_label(text: str, label: str) -> None:
    assert project_label(text) == label


@pytest.mark.parametrize(
    ("name", "text", "service"),
    [
        ("process-compose.yaml", "processes: {a: {command: sleep 1}}", "a"),
        ("process-compose.dev.yml", "processes: {a: {command: sleep 1}}", "a"),
        ("docker-compose.dev.yml", "services: {b: {image: redis}}", "b"),
        ("my-compose.yaml", "services: {b: {image: redis}}", "b"),
        ("Procfile.worker", "c: sleep 1", "c"),
    ],
)
def test_a_file_that_is_named_is_read_as_what_its_name_says(tmp_path: Path, name: str, text: str, service: str) -> None:
    (tmp_path / name).write_text(text)
    assert [found.name for found in read_source(tmp_path / name).services] == [service]


def written(top: Path, files: Mapping[str, object]) -> None:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content if isinstance(content, str) else json.dumps(content))


def found_in(top: Path) -> dict[str, FoundService]:
    return {service.name: service for found in read_sources(top) for service in found.services}


def test_the_packages_of_a_workspace_are_services_each_in_its_folder(tmp_path: Path) -> None:
    scripts = {"dev": "turbo run dev -F=!docs", "dev:web": "turbo run dev -F web", "mail": "x", "start:mail": "maildev"}
    written(
        tmp_path,
        {
            "package.json": {"scripts": scripts},
            "pnpm-workspace.yaml": "packages: [apps/*, 'packages/**', '!packages/old']",
            "pnpm-lock.yaml": "",
            "apps/web/package.json": {"scripts": {"dev": "vite dev", "start": "vite preview", "db:seed": "x"}},
            "apps/api/package.json": {"scripts": {"dev": "tsx watch api.ts", "worker": "tsx worker.ts"}},
            "apps/api/node_modules/x/package.json": {"scripts": {"dev": "vite"}},
            "apps/web/inner/package.json": {"scripts": {"dev": "vite"}},
            "packages/kit/ui/package.json": {"scripts": {"dev": "tsc -w"}},
            "packages/old/package.json": {"scripts": {"dev": "tsc -w"}},
            "packages/db/compose.yaml": "services: {postgres: {image: 'postgres:18'}}",
            "packages/db/package.json": {
                "scripts": {"db:push": "drizzle-kit push", "db:start": "docker compose up -d"}
            },
        },
    )
    made = found_in(tmp_path)
    said = {
        name: (each.class_name, each.args.get("directory"), each.args.get("command")) for name, each in made.items()
    }
    assert said == {
        "install": ("job", None, "pnpm install"),
        "mail": ("dev-server", None, "pnpm run start:mail"),
        "api": ("dev-server", "apps/api", "pnpm run dev"),
        "api-worker": ("command", "apps/api", "pnpm run worker"),
        "web": ("dev-server", "apps/web", "pnpm run dev --port {port} --strictPort"),
        "web-db-seed": ("job", "apps/web", "pnpm run db:seed"),
        "postgres": ("postgresql", None, None),
        "db-push": ("job", "packages/db", "pnpm run db:push"),
        "ui": ("command", "packages/kit/ui", "pnpm run dev"),
    }  # fmt: skip
    waiting = {name for name, each in made.items() if each.depends_on == {"install": "completed"}}
    assert waiting == made.keys() - {"install", "postgres"}
    assert made["install"].watch == ("pnpm-lock.yaml",)
    for name in (".", "apps/web", "apps/api", "packages/kit/ui", "packages/old"):
        (tmp_path / name / "package.json").write_text("{}")
    left = [(each.name, each.args.get("command")) for found in read_sources(tmp_path) for each in found.services]
    assert left == [("postgres", None), ("db-push", "pnpm run db:push")], (
        "packages are read once, if none of them runs, too"
    )


@pytest.mark.parametrize(
    ("top", "member", "installs"),
    [
        ({}, {"dependencies": {"@shop/ui": "*"}}, True),
        ({"devDependencies": {"turbo": "2"}}, {}, True),
        ({}, {}, False),
    ],
)
def test_the_packages_of_a_workspace_wait_for_its_install_without_a_lock_file(
    tmp_path: Path, top: Mapping[str, object], member: Mapping[str, object], *, installs: bool
) -> None:
    written(
        tmp_path,
        {
            "package.json": {"workspaces": ["apps/*"], "scripts": {"dev": "turbo run dev"}, **top},
            "apps/web/package.json": {"scripts": {"dev": "node server.js"}, **member},
            "apps/api/package.json": {"scripts": {"dev": "node server.js"}},
        },
    )
    made = found_in(tmp_path)
    assert [name for name in made if name == "install"] == ["install"] * installs
    needed = {"install": "completed"} if installs else {}
    assert {name: made[name].depends_on for name in ("web", "api")} == {"web": needed, "api": needed}
    if installs:
        assert made["install"].watch == ("package.json", "*/package.json")


def test_compose_files_are_put_over_each_other_as_compose_does(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    files = {
        "compose.yaml": """
include: [infra/compose.yaml, missing.yaml]
services:
  api:
    extends: {file: infra/base.yaml, service: node}
    command: serve --port 3000
    ports: ["3000:3000"]
    environment: [A=1, B=1]
    depends_on: [db]
  old: {build: ., command: run old}
  debug: {build: ., command: run debug, profiles: [debug]}
""",
        "infra/compose.yaml": "services: {db: {image: postgres, env_file: db.env, environment: {POSTGRES_DB: shop}}}",
        "infra/base.yaml": (
            "services: {node: {build: ../app, restart: always, volumes: ['./src:/src'], env_file: a.env}}"
        ),
        "compose.override.yaml": """
services:
  api: {command: [serve, --dev], ports: !override ["4000:4000"], environment: {B: 2}, restart: !reset null}
  old: !reset null
""",
        "compose.prod.yaml": "services: {api: {environment: {C: 3}}, cache: {image: redis}}",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def read(*only: str) -> tuple[dict[str, FoundService], list[str]]:
        found = read_named([tmp_path / name for name in only], tmp_path) if only else read_sources(tmp_path)
        notes = [note for each in found for note in each.notes]
        return {service.name: service for each in found for service in each.services}, notes

    made, notes = read()
    assert sorted(made) == ["api", "db", "debug"]
    assert made["api"].args["command"] == "serve --dev"
    assert (made["api"].env, made["api"].env_files) == ({"A": "1", "B": "2"}, ("infra/a.env",))
    assert (made["api"].restart_policy, made["api"].depends_on) == ("", {"db": "started"})
    assert made["api"].origin == "compose.yaml, line 4; compose.override.yaml, line 3"
    assert (made["db"].args, made["db"].origin) == ({"database": "shop"}, "infra/compose.yaml, line 1")
    assert [note.partition(",")[0] for note in notes] == ["missing.yaml is not read"]
    assert not made["debug"].enabled
    made, _ = read("compose.yaml", "compose.prod.yaml")
    assert made["api"].args["command"] == "serve --port {port}"
    assert (made["api"].env, made["api"].restart_policy) == ({"A": "1", "B": "1", "C": "3"}, "always")
    assert sorted(made) == ["api", "cache", "db", "debug", "old"]
    (tmp_path / ".env").write_text("COMPOSE_FILE=compose.yaml:compose.prod.yaml\nCOMPOSE_PROFILES=debug\n")
    made, _ = read()
    assert sorted(made) == ["api", "cache", "db", "debug", "old"]
    assert made["debug"].enabled
    (tmp_path / ".env").write_text("COMPOSE_FILE=../secret.yaml\n")
    assert "COMPOSE_FILE in .env names ../secret.yaml: it is not in the folder" in str(read()[1])
    (tmp_path / "compose.yaml").write_text("services: {a: {extends: b}, b: {extends: a, image: redis}}")
    (tmp_path / ".env").unlink()
    assert sorted(read("compose.yaml")[0]) == ["a", "b"], "a circle ends"
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: redis, depends_on: [b]}, b: {image: redis, depends_on: [a]}}"
    )
    assert any(
        note.startswith("compose.yaml is not read: its services need each other in a circle") for note in read()[1]
    )
    with pytest.raises(
        UnreadableSourceError, match="compose.yaml is not read: its services need each other in a circle"
    ):
        read("compose.yaml")
    circle = {f"s{each}": {"extends": {"file": "compose.yaml", "service": f"s{(each + 1) % 9}"}} for each in range(9)}
    text = json.dumps({"include": ["compose.yaml"] * 9, "services": {**circle, "a": {"image": "redis"}}})
    (tmp_path / "compose.yaml").write_text(text)
    made, notes = read("compose.yaml")
    assert list(made) == ["a"]
    assert "compose.yaml is not read, which compose.yaml includes: change here what it changes there" in notes


def test_python_packages_of_a_uv_workspace_run_with_its_lock_file(tmp_path: Path) -> None:
    package = tmp_path / "packages" / "api"
    package.mkdir(parents=True)
    (tmp_path / "uv.lock").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['packages/*']\n")
    (package / "pyproject.toml").write_text("[project]\nname = 'api'\ndependencies = ['fastapi']\n")
    (package / "main.py").write_text("app = FastAPI()\n")
    made = {service.name: service for found in read_sources(tmp_path) for service in found.services}
    assert made["api-install"].args["command"] == "uv sync --inexact"
    assert made["api"].args["directory"] == "packages/api"
    assert made["api"].args["command"].startswith("uv run python -m uvicorn main:app ")
    assert (made["api"].depends_on, made["api-install"].watch) == ({"api-install": "completed"}, ())
    (package / "pyproject.toml").write_text("[tool.poe.tasks]\nserve = 'x'\n")
    assert "poe serve" in str(read_source(package / "pyproject.toml").notes)


def test_packages_that_the_script_at_the_top_leaves_out_are_not_brought_up(tmp_path: Path) -> None:
    line = "turbo dev --filter=web... --filter ./apps/api"
    written(tmp_path, {"package.json": {"workspaces": {"packages": ["apps/*"]}, "scripts": {"dev": line}}})
    for name in ("web", "api", "site"):
        written(tmp_path, {f"apps/{name}/package.json": {"name": f"@shop/{name}", "scripts": {"dev": "node ."}}})
    made = found_in(tmp_path)
    assert {name: each.enabled for name, each in made.items()} == {"api": True, "site": False, "web": True}


def test_where_nothing_runs_at_the_top_the_folders_inside_say_what_does(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "compose.yaml": "services: {db: {image: postgres}}",
            "backend/Procfile": "web: gunicorn app -b :$PORT",
            "frontend/package.json": {"scripts": {"dev": "vite"}},
            "frontend/package-lock.json": "{}",
            "services/mail/compose.yaml": "services: {mail: {build: ., command: 'mail --at 25', ports: ['25:25']}}",
            "services/mail/.env": "A=1",
            "examples/demo/package.json": {"scripts": {"dev": "vite"}},
        },
    )
    made = found_in(tmp_path)
    assert {name: each.args.get("directory") for name, each in made.items()} == {
        "db": None, "web": "backend", "frontend-install": "frontend", "frontend": "frontend", "mail": "services/mail",
    }  # fmt: skip
    assert made["frontend-install"].watch == ("frontend/package-lock.json",)
    assert made["mail"].env_files == ("services/mail/.env",)
    written(
        tmp_path, {"backend/manage.py": "import django", "admin/manage.py": "import django", "Makefile": "serve:\n"}
    )
    made = found_in(tmp_path)
    assert {name: each.args.get("directory") for name, each in made.items() if name[:5] in ("web", "admin")} == {
        "web": "backend", "admin": "admin", "admin-migrate": "admin",
    }  # fmt: skip
    assert [note for found in read_sources(tmp_path) for note in found.notes if "Makefile" in note]
    (tmp_path / "Procfile").write_text("all: run everything\n")
    assert [*found_in(tmp_path)] == ["db", "all"]


def test_what_programs_load_from_their_folder_is_installed_first(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "Procfile": "web: bin/rails server\njs: yarn build --watch\nmail: mailpit\n",
            "Gemfile.lock": "",
            "yarn.lock": "",
            "package-lock.json": "{}",
            "package.json": {"scripts": {"build": "esbuild"}},
            ".claude/launch.json": {
                "configurations": [
                    {"name": "docs", "runtimeExecutable": "mix", "runtimeArgs": ["docs.serve"], "cwd": "docs"},
                    {"name": "out", "runtimeExecutable": "mix", "runtimeArgs": ["x"], "cwd": "../.."},
                ]
            },
            "docs/mix.lock": "",
        },
    )
    made = found_in(tmp_path)
    assert {name: (each.args.get("command"), [*each.depends_on]) for name, each in made.items()} == {
        "install": ("yarn install", []),
        "install-bundle": ("bundle check || bundle install", []),
        "web": ("bin/rails server", ["install-bundle"]),
        "js": ("yarn build --watch", ["install"]),
        "mail": ("mailpit", []),
        "docs-install": ("mix deps.get", []),
        "docs": ("mix docs.serve", ["docs-install"]),
        "out": ("mix x", []),
    }
    assert made["docs-install"].watch == ("docs/mix.lock",)
    (tmp_path / "Procfile").write_text("setup: bundle install\nweb: bundle exec puma\n")
    assert "install-bundle" not in found_in(tmp_path), "the Procfile does that itself"


PROCFILE = """\
web: gunicorn app:app --bind 0.0.0.0:$PORT
worker: A=1 celery -A app worker
beat: cd jobs && python beat.py
release: python manage.py migrate
shown: .venv/bin/python shown.py
other: node x.js
"""


@pytest.mark.parametrize(
    ("beside", "install", "finder"),
    [
        ({"requirements.txt": "flask\n"}, "python3 -m venv .venv && .venv/bin/python -m pip install", ".venv/bin/"),
        ({"pyproject.toml": "[project]\ndependencies = ['flask']\n"}, "pip install -q -r /dev/stdin", ".venv/bin/"),
        ({"pyproject.toml": "", "uv.lock": ""}, "uv sync", "uv run "),
        ({"poetry.lock": ""}, "poetry install", "poetry run "),
        ({"pyproject.toml": "[tool.ruff]\n", "venv/x": ""}, "", "venv/bin/"),
        ({"pyproject.toml": "[tool.ruff]\n"}, "", ""),
        ({}, "", ""),
    ],
)
def test_programs_of_python_packages_run_where_the_project_has_them(
    tmp_path: Path, beside: dict[str, object], install: str, finder: str
) -> None:
    written(tmp_path, {"Procfile": PROCFILE, **beside})
    made = found_in(tmp_path)
    commands = {name: str(each.args.get("command")) for name, each in made.items()}
    assert install in commands.pop("install", "")
    in_jobs = f'export PATH="$PWD/{finder.rstrip("/")}:$PATH"; cd jobs && python' if "/" in finder else ""
    assert commands == {
        "web": f"{finder}gunicorn app:app --bind 0.0.0.0:$PORT",
        "worker": f"A=1 {finder}celery -A app worker",
        "beat": f"{in_jobs or f'cd jobs && {finder}python'} beat.py",
        "release": f"{finder}python manage.py migrate",
        "shown": ".venv/bin/python shown.py",
        "other": "node x.js",
    }
    waiting = {name for name, each in made.items() if "install" in each.depends_on}
    assert waiting == ({"web", "worker", "beat", "release"} if install else set())
    (tmp_path / "Procfile").write_text("setup: pip install -r requirements.txt\nweb: gunicorn app:app\n")
    assert {str(each.args["command"]) for each in found_in(tmp_path).values()} == {
        "pip install -r requirements.txt", "gunicorn app:app",
    }, "the Procfile does that itself"  # fmt: skip


def test_what_a_package_loads_from_its_workspace_is_built_first(tmp_path: Path) -> None:
    def library(name: str, needs: str = "", **more: object) -> dict[str, object]:
        scripts = {"build": "tsup", **({"dev": "tsup --watch"} if name == "@t/ui" else {})}
        return {"name": name, "scripts": scripts, "devDependencies": {needs: "*"} if needs else {}, **more}

    written(
        tmp_path,
        {
            "package.json": {"workspaces": ["*/*"], "scripts": {"dev": "turbo run dev"}},
            "package-lock.json": "{}",
            "apps/web/package.json": {
                "scripts": {"dev": "vite"},
                "dependencies": {"@t/ui": "*", "@t/theme": "*", "@t/source": "*", "@t/rules": "*"},
            },
            "apps/solo/package.json": {"scripts": {"dev": "vite", "build": "vite build"}},
            "packages/ui/package.json": library("@t/ui", "@t/tokens", main="dist/index.js"),
            "packages/tokens/package.json": library(
                "@t/tokens", "@t/ui", exports={".": {"types": "./src/x.d.ts", "import": "./dist/x.mjs"}}
            ),
            "packages/source/package.json": library("@t/source", exports={".": "./src/index.ts"}),
            "packages/rules/package.json": library("@t/rules"),
            **{f"themes/ui/{name}": "" for name in ("index.ts", "parts/a.ts", "dist/index.js", "LICENSE", ".npmrc")},
            "themes/ui/package.json": library("@t/theme", main="dist/index.js"),
        },
    )
    made = found_in(tmp_path)
    assert {name: [*each.depends_on] for name, each in made.items()} == {
        "install": [],
        "solo": ["install"],
        "tokens-build": ["install"],
        "ui-build": ["install", "tokens-build"],
        "themes-ui-build": ["install"],
        "web": ["install", "tokens-build", "ui-build", "themes-ui-build"],
        "ui": ["install", "tokens-build", "ui-build"],
    }
    assert made["ui-build"].args == {"command": "npm run build", "shell": True, "directory": "packages/ui"}
    assert made["ui-build"].watch == ("packages/ui/src/**",)
    assert made["themes-ui-build"].watch == ("themes/ui/index.ts", "themes/ui/parts/**")


def test_a_framework_runs_next_to_the_scripts_of_packages_and_not_next_to_a_procfile(tmp_path: Path) -> None:
    written(tmp_path, {"artisan": "use Illuminate", "package.json": {"scripts": {"dev": "vite"}}, "Tiltfile": ""})
    runs = [service.args["command"] for found in read_sources(tmp_path) for service in found.services]
    assert runs[1:] == ["php artisan serve --port={port}", "npm run dev -- --port {port} --strictPort"]
    assert "Tiltfile is not read" in str([found.notes for found in read_sources(tmp_path)])
    written(tmp_path, {"config.ru": "run App", "crates/api/Cargo.toml": "axum = '1'", "crates/api/src/main.rs": ""})
    assert "rackup" not in str(found_in(tmp_path)), "Laravel's own server runs"
    (tmp_path / "Procfile").write_text("all: run everything\n")
    assert [*found_in(tmp_path)] == ["all"]
    (note,) = [note for found in read_sources(tmp_path) for note in found.notes if note.startswith("package.json")]
    assert note == (
        "package.json is not read (script dev), as that usually runs what Procfile has; "
        "--from Procfile --from package.json takes both"
    )
    both = read_named([tmp_path / "Procfile", tmp_path / "package.json"], tmp_path)
    assert "npm run dev" in str(both)
    (tmp_path / "package.json").write_text('{"scripts": {}}')
    assert "package.json" not in str(read_sources(tmp_path)), "nothing is left out"
    for name in ("Procfile", "artisan", "package.json", "config.ru"):
        (tmp_path / name).unlink()
    assert found_in(tmp_path)["api"].args == {"directory": "crates/api", "command": "cargo run"}


def test_the_first_of_several_containers_is_read(tmp_path: Path) -> None:
    for name in ("web", "api"):
        written(tmp_path, {f".devcontainer/{name}/devcontainer.json": {"postStartCommand": f"serve {name}"}})
    assert [service.args["command"] for service in found_in(tmp_path).values()] == ["serve api"]
    notes = [note for found in read_sources(tmp_path) for note in found.notes]
    assert notes == ["not read, as .devcontainer/api/devcontainer.json is: .devcontainer/web/devcontainer.json"]
    named = read_source(tmp_path / ".devcontainer" / "web" / "devcontainer.json")
    assert [service.args["command"] for service in named.services] == ["serve web"]


def test_what_a_named_file_says_runs_in_the_folder_that_it_speaks_of(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            ".claude/launch.json": {
                "configurations": [{"name": "app", "runtimeExecutable": "npm", "runtimeArgs": ["run", "dev"]}]
            },
            ".devcontainer/devcontainer.json": {"postStartCommand": "npm run dev"},
            "package.json": {"scripts": {"dev": "vite --port 3000"}},
            "package-lock.json": "{}",
            "web/package.json": {"scripts": {"dev": "vite --port 3000"}},
            "web/package-lock.json": "{}",
        },
    )

    def named(name: str, top: Path = tmp_path) -> dict[str, tuple[object, object, object]]:
        services = [each for found in read_named([tmp_path / name], top) for each in found.services]
        return {each.name: (each.class_name, each.args.get("directory"), each.watch) for each in services}

    for name, service in ((".claude/launch.json", "app"), (".devcontainer/devcontainer.json", "poststart")):
        assert named(name) == {
            "install": ("job", None, ("package-lock.json",)),
            service: ("dev-server", None, ()),
        }
    inner = {"install": ("job", "web", ("web/package-lock.json",)), "web": ("dev-server", "web", ())}
    assert named("web/package.json") == inner
    outside = named("web/package.json", tmp_path / "other")
    assert outside["web"] == ("dev-server", str(tmp_path / "web"), ())


def test_folders_that_this_account_may_not_read_are_passed_over() -> None:
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        top.chmod(0o755)
        written(top, {"web/Procfile": "web: serve", "data/PG_VERSION": "17", "more/in/Procfile": "in: serve"})
        written(top, {".env": "KEY=1"})
        (top / ".env").chmod(0o000)
        (top / "data").chmod(0o000)
        (top / "more").chmod(0o444)
        own = os.geteuid()
        if own == 0:  # which may read everything
            codecs.lookup("utf-8-sig")  # nobody may not read Python's own modules, and a failure would be remembered
            os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            assert [*found_in(top)] == ["web"]
            assert find_project(top / "data" / "base") is None
            assert linked_root(top / "data" / "base") is None
            with pytest.raises(ManifestError, match="the user that Ostler runs as may not read it") as refused:
                variables_of(top / ".env")
            assert refused.value.findings[0].fix == "let that user read the file and its folders"
        finally:
            os.seteuid(own)
            for name in ("data", "more"):
                (top / name).chmod(0o700)


def test_variables_that_name_a_database_by_its_port_are_pointed_at_the_one_of_the_project(tmp_path: Path) -> None:
    variables = """
PORT=4000
DATABASE_URL="postgresql+asyncpg://me:secret@localhost:5433/shop?schema=public"
CACHE_URL=redis://127.0.0.1:6379/2
DB_HOST=localhost
DB_PORT=5433
OTHER=http://localhost:9000/x
"""
    written(
        tmp_path,
        {
            "compose.yaml": {
                "services": {
                    "my-db": {"image": "postgres", "ports": ["5433:5432"]},
                    "cache": {"image": "redis", "ports": [6379]},
                }
            },
            "package.json": {"scripts": {"dev": "node .", "db:seed": "x"}, "devDependencies": {"next": "1"}},
            ".env": variables,
            ".env.local": "",
            ".env.development": "CACHE_URL=redis://cache.example.com:6379/2",
        },
    )  # fmt: skip
    found = read_sources(tmp_path)
    made = found_in(tmp_path)
    assert made["web"].env_files == made["db-seed"].env_files == (".env", ".env.development", ".env.local")
    outputs = "services['my-db'].outputs"
    url = f"{{{{ {outputs}.connectionString | replace('postgresql://', 'postgresql+asyncpg://', 1) }}}}"
    assert made["db-seed"].env == {"DATABASE_URL": url, "DB_PORT": f"{{{{ {outputs}.port }}}}"}
    assert made["web"].env == {**made["db-seed"].env, "PORT": "{port}"}
    written(tmp_path, {"package.json": {"workspaces": ["*"]}, "app/.env": variables})
    written(tmp_path, {f"{name}/package.json": {"scripts": {"dev": "x", "seed": "x"}} for name in ("app", "db")})
    assert found_in(tmp_path)["db-seed"].env["DATABASE_URL"] == url, "what seeds a database is given it, too"
    assert "it had port 4000" in made["web"].notes[-1]
    assert load_project(project_text("shop", found)).project.services["web"].env_file == made["web"].env_files
    (tmp_path / "Procfile").write_text("web: serve $PORT\n")
    assert found_in(tmp_path)["web"].env_files == (".env",)
    (tmp_path / "later.env.example").write_text("")
    with pytest.raises(ManifestError, match=r"no such file; later\.env\.example is there to copy"):
        variables_of(tmp_path / "later.env")


def test_variables_that_name_a_server_by_the_port_that_it_had_are_pointed_at_its_own(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "Procfile": "web: vite --port 5173 --strictPort\napi: uvicorn app:app --port 8000\nworker: rq worker\n",
            ".env": (
                "API_URL=http://localhost:8000/v1\nWEB_URL=http://localhost:5173\n"
                "HOOK=http://me:secret@localhost:8000/\nOTHER=http://localhost:80001\n"
            ),
        },
    )
    made = found_in(tmp_path)
    api = "http://localhost:{{ services.api.outputs.port }}/v1"
    web = "http://localhost:{{ services.web.outputs.port }}"
    assert made["web"].env == {"API_URL": api, "WEB_URL": "http://localhost:{port}"}
    assert made["api"].env == {"API_URL": "http://localhost:{port}/v1"}, "it is not to wait for what waits for it"
    *_, warned, kept = made["api"].notes
    assert "WEB_URL names the port that web had" in warned
    assert kept == "it keeps port 8000, as .env:3 names it; only one worktree can have it at a time"
    assert (made["api"].args["port"], made["web"].args.get("port")) == (8000, None)
    assert made["worker"].env == {"API_URL": api, "WEB_URL": web}
    assert "secret" not in project_text("shop", read_sources(tmp_path))


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        (
            "web/vite.config.ts",
            "export default {\n  proxy: {'/api': 'http://localhost:3001'}\n}",
            "web/vite.config.ts:2",
        ),
        ("web/package.json", '{"scripts": {"dev": "x"},\n"proxy": "http://localhost:3001"}', "web/package.json:2"),
        ("api/vite.config.ts", "origin: 'http://localhost:3001'", ""),
        ("web/vite.config.ts", "// proxy: 'http://localhost:3001'\n'http://example.com:3001'", ""),
    ],
)
def test_a_server_keeps_the_port_that_a_file_of_another_one_names(
    tmp_path: Path, file: str, text: str, place: str
) -> None:
    written(
        tmp_path,
        {
            "api/package.json": {"scripts": {"dev": "vite --port 3001"}},
            "web/package.json": {"scripts": {"dev": "vite --port 5173"}},
            "package.json": {"workspaces": ["*"]},
        },
    )
    (tmp_path / file).write_text(text)
    api = found_in(tmp_path)["api"]
    assert api.args.get("port") == (3001 if place else None)
    said = f"it keeps port 3001, as {place} names it; only one worktree can have it at a time"
    assert (said in api.notes) is bool(place)
    assert any("it had port 3001" in note for note in api.notes) is not bool(place)


def test_servers_have_the_ports_of_their_sources_where_nothing_else_says_one(tmp_path: Path) -> None:
    reads, fixes = "serve({ port: Number(process.env.PORT ?? 8787) })", "serve({\n  fetch, port: 3000\n})"
    written(
        tmp_path,
        {
            "package.json": {"workspaces": ["apps/*", "docs"]},
            "apps/api/package.json": {"scripts": {"dev": "node --watch server.js"}},
            "apps/api/server.js": reads,
            "apps/web/package.json": {"scripts": {"dev": "vite"}},
            "apps/web/vite.config.js": "export default { server: { proxy: { '/api': 'http://localhost:8787' } } }",
            "apps/fixed/package.json": {"scripts": {"dev": "tsx watch src/index.ts", "worker": "node src/index.ts"}},
            "apps/fixed/src/index.ts": fixes,
            "apps/own/package.json": {"scripts": {"dev": "node server.js"}},
            "apps/own/server.js": reads.replace("8787", "8788"),
            "apps/told/package.json": {"scripts": {"dev": "node server.js"}},
            "apps/told/server.js": reads.replace("8787", "8789"),
            "apps/told/.env": "PORT=4000",
            "docs/package.json": {"scripts": {"dev": "vite"}},
            "apps/docs/package.json": {"scripts": {"dev": "vite"}},
        },
    )
    made = found_in(tmp_path)
    ports = {name: (each.args.get("port"), each.served_at) for name, each in made.items()}
    assert ports == {
        "api": (8787, 0), "web": (None, 0), "fixed": (3000, 0), "fixed-worker": (None, 0), "own": (None, 8788),
        "told": (None, 4000), "docs": (None, 0),
    }  # fmt: skip
    assert any("as apps/web/vite.config.js:1 names it" in note for note in made["api"].notes)
    said = "apps/fixed/src/index.ts:2 fixes port 3000, which only one worktree can have at a time: let that read the"
    assert made["fixed"].notes == (f"{said} variable PORT and remove 'port', and each gets its own",)
    assert made["fixed-worker"].notes[0].startswith(said)
    assert [note for note in made["own"].notes if note.startswith("it had port 8788")]
    assert "docs-2:" in project_text("shop", read_sources(tmp_path)), "a site is a package, too"


def test_commands_that_run_a_script_of_a_package_get_its_server_s_own_port(tmp_path: Path) -> None:
    configurations = [
        {"name": "site", "runtimeExecutable": "npm", "runtimeArgs": ["run", "dev"], "port": 5173, "cwd": "site"},
        {"name": "fixed", "runtimeExecutable": "npm", "runtimeArgs": ["start"], "port": 9, "autoPort": False},
    ]
    written(
        tmp_path,
        {
            "Procfile": "web: yarn dev\nworker: npm run work\nfront: pnpm front\n",
            ".claude/launch.json": {"configurations": configurations},
            "package.json": {"scripts": {
                "dev": "next dev -p 3000", "work": "node work.js", "front": "vite", "start": "next start",
            }},
            "site/package.json": {"scripts": {"dev": "vite --port 5173 --strictPort"}},
        },
    )  # fmt: skip
    made = found_in(tmp_path)
    said = {name: (each.class_name, each.args["command"], each.args.get("port")) for name, each in made.items()}
    assert said == {
        "web": ("dev-server", "yarn run dev -p {port}", None),
        "worker": ("command", "npm run work", None),
        "front": ("dev-server", "pnpm run front --port {port} --strictPort", None),
        "site": ("dev-server", "npm run dev -- --port {port} --strictPort", None),
        "fixed": ("dev-server", "npm run start -- -p {port}", 9),
    }
    assert [sum("it had port" in note for note in made[name].notes) for name in said] == [1, 0, 0, 1, 0]
    assert "web" in {each.name for each in read_source(tmp_path / "Procfile").services}


async def test_all_that_is_wrong_with_a_project_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "ostler.yaml").write_text(
        "services:\n  a: {class: c, lease: soon, envFile: .env}\n  b: {class: c, args: {x: '{{ nope }}'}}\n"
    )
    with pytest.raises(ManifestError) as caught:
        await read_scope(require_project(tmp_path), {}, {})
    assert [(each.line, each.rule) for each in caught.value.findings] == [
        (2, "bad-duration"),
        (2, "unreadable"),
        (3, "unknown-name"),
    ]


async def test_a_file_of_variables_refers_to_its_earlier_lines_and_names_a_line_that_sets_none(tmp_path: Path) -> None:
    # Compose (compose-go 2.16.2) and python-dotenv replace ${NAME}; Compose refuses what it cannot read
    text = "HOST=db # where\nURL=postgres://me:a#b$c@${HOST}/x\nQUOTED=\"${HOST}\"\nLITERAL='${HOST}'\nLATER=${NOPE}\n"
    (tmp_path / "good.env").write_text(text)
    assert await read_variables(str(tmp_path), ["good.env"]) == {
        "HOST": "db", "URL": "postgres://me:a#b$c@db/x", "QUOTED": "db", "LITERAL": "${HOST}", "LATER": "${NOPE}",
    }  # fmt: skip
    (tmp_path / "bad.env").write_text("A=1\n\n# note\n\nSECRET='not''hers'\nB=2\n")
    with pytest.raises(ManifestError, match=r"bad\.env: line 5 is not NAME=value") as caught:
        await read_variables(str(tmp_path), ["bad.env"])
    assert "hers" not in str(caught.value)
    (tmp_path / ".env").write_text("SECRET='not''hers'\n")
    (tmp_path / "compose.yaml").write_text("services: {api: {build: ., command: serve}}")
    found = read_source(tmp_path / "compose.yaml")
    assert [service.env_files for service in found.services] == [(".env",)]  # its `up` names the line
