import os
from pathlib import Path
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).parent.parent
SECRET_KEY = "for development only"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = ["django_q", "notes"]
ROOT_URLCONF = "config.urls"
USE_TZ = True
_server = urlsplit(os.environ["SERVER_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _server.hostname,
        "PORT": _server.port,
        "USER": _server.username,
        "NAME": os.environ["DATABASE"],
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = {"name": os.environ["DATABASE"], "workers": 2, "timeout": 30, "retry": 60, "orm": "default", "poll": 0.2}
