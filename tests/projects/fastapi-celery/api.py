"""Orders are taken here and packed by the worker."""

import sqlalchemy
from fastapi import FastAPI

from database import DATABASE, engine
from worker import pack

app = FastAPI()


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"database": DATABASE}


@app.get("/try")
def order() -> dict[str, object]:
    """Take an order and wait until it is packed."""
    with engine.begin() as connection:
        number = connection.execute(sqlalchemy.text("INSERT INTO orders (item) VALUES ('hat') RETURNING id")).scalar_one()
    pack.delay(number).get(timeout=20)
    with engine.begin() as connection:
        packed = connection.execute(sqlalchemy.text("SELECT packed FROM orders WHERE id = :id"), {"id": number})
        return {"packed": packed.scalar_one(), "database": DATABASE}
