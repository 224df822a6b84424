"""The stacks: what is asked of each, which service is killed, and what makes its migration fail."""

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "tests" / "projects"

PYTHON = (
    "fastapi", "uvicorn", "celery", "redis", "psycopg[binary]", "sqlalchemy", "alembic", "django>=5,<6", "django-q2",
    "gunicorn", "packaging", "paho-mqtt", "duckdb", "dbt-core<1.11", "dbt-duckdb",
)  # fmt: skip
NPM = (
    "next@16", "react@19", "react-dom@19", "prisma@7", "@prisma/client@7", "@prisma/adapter-pg@7", "pg@8", "vite@7",
    "express@5", "redis@6", "typescript@5", "tsx@4", "esbuild@0.28", "@types/node", "@types/react",
    "dbmate@2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack.

    Attributes:
        name: its folder in tests/projects.
        asked: service → path and what its answer must hold.
        killed: the service whose process is killed.
        job: the job that a broken file makes fail.
        broken: that file and its text; it replaces one that exists.
        shared: the service that both worktrees use.
    """

    name: str
    asked: dict[str, tuple[str, str]]
    killed: str
    job: str
    broken: tuple[str, str]
    shared: str = ""


_ALEMBIC = (
    "from alembic import op\nrevision = '2'\ndown_revision = '1'\n"
    "def upgrade():\n    op.execute('DROP TABLE nowhere')\n"
)
_DJANGO = (
    "from django.db import migrations\nclass Migration(migrations.Migration):\n"
    "    dependencies = [('notes', '0001_initial')]\n    operations = [migrations.RunSQL('DROP TABLE nowhere')]\n"
)

STACKS = (
    Stack(
        "fastapi-celery", {"api": ("try", '"packed":true')}, "api", "migrate",
        ("migrations/versions/2_broken.py", _ALEMBIC), "db",
    ),
    Stack(
        "vite-api", {"web": ("api/books", "Middlemarch"), "api": ("books", "Emma")}, "web", "seed",
        ("seed.json", "no JSON"), "store",
    ),
    Stack(
        "next-prisma", {"web": ("notes", '"notes":true')}, "web", "migrate",
        ("prisma/migrations/2_broken/migration.sql", "DROP TABLE nowhere;"), "db",
    ),
    Stack(
        "django-queue", {"web": ("try", '"sent": true'), "site": ("try", '"sent": true')}, "worker", "migrate",
        ("notes/migrations/0002_broken.py", _DJANGO), "db",
    ),
    Stack(
        "monorepo", {"web": ("", "Hello, api"), "api": ("", "Hello, api")}, "api", "shared",
        ("packages/shared/src/greeting.ts", "export const greeting = 1 +;"),
    ),
    Stack(
        "go-vite", {"web": ("api/tracks", "So What"), "api": ("tracks", "Blue in Green")}, "api", "migrate",
        ("db/migrations/2_broken.sql", "-- migrate:up\nDROP TABLE nowhere;\n-- migrate:down\n"), "db",
    ),
    Stack(
        "sensors", {"dashboard": ("try", "Cellar")}, "collector", "tables",
        ("models/broken.sql", "SELECT nothing FROM {{ ref('rooms') }}"), "broker",
    ),
)  # fmt: skip


def tools_environment(tools: Path) -> dict[str, str]:
    """Return the variables by which programs find what is in `tools`."""
    folders = [str(tools / "py/bin"), str(tools / "npm/node_modules/.bin"), str(tools), os.environ["PATH"]]
    return {
        "PATH": os.pathsep.join(folders),
        "GOMODCACHE": str(tools / "go/mod"),
        "GOCACHE": str(tools / "go/build"),
    }


def copy_stack(stack: Stack, folder: Path) -> None:
    """Copy a stack to `folder`, under a name of its own: a user's databases outlive what used them."""
    shutil.copytree(FOLDER / stack.name, folder)
    file = folder / "ostler.yaml"
    lines = file.read_text().splitlines(keepends=True)
    named = [f"{line.rstrip()}-{uuid.uuid4().hex[:6]}\n" if line.startswith("name: ") else line for line in lines]
    file.write_text("".join(named))


def remove_databases(folder: Path) -> None:
    """Remove what the copy in `folder` keeps in the home folder of the user postgres, if it ran as that."""
    name = next(line for line in (folder / "ostler.yaml").read_text().splitlines() if line.startswith("name: "))
    kept = Path("~postgres/.local/share/ostler/postgresql").expanduser() if os.getuid() == 0 else folder
    shutil.rmtree(kept / f"db.{name.removeprefix('name: ')}", ignore_errors=True)
