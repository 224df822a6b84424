"""Make this worktree's database on the shared server unless it exists, and migrate it."""

import os

import psycopg
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    requires_system_checks = []

    def handle(self, *args, **options):
        name = os.environ["DATABASE"]
        with psycopg.connect(os.environ["SERVER_URL"], autocommit=True) as server:
            if server.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                server.execute(f'CREATE DATABASE "{name}"')
        call_command("migrate", interactive=False)
