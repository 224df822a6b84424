"""Make this worktree's database on the shared server, unless it exists."""

import os

import psycopg

name = os.environ["DATABASE"]
with psycopg.connect(os.environ["SERVER_URL"], autocommit=True) as server:
    if server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        server.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
print(f"database {name} exists")
