from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.execute("CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL, packed boolean NOT NULL DEFAULT false)")
