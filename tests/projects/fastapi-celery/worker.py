"""Packs orders."""

import os

import sqlalchemy
from celery import Celery

from database import engine

app = Celery("orders", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.task_default_queue = os.environ["QUEUE"]
app.conf.broker_connection_retry_on_startup = True


@app.task
def pack(number: int) -> None:
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE orders SET packed = true WHERE id = :id"), {"id": number})
