"""Where the orders are."""

import os
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy

_SERVER = urlsplit(os.environ["SERVER_URL"])
DATABASE = os.environ["DATABASE"]
URL = urlunsplit(_SERVER._replace(scheme="postgresql+psycopg", path=f"/{DATABASE}"))
engine = sqlalchemy.create_engine(URL)
