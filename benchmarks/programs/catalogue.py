"""The programs: how each is run as a service of a shipped class, and what it needs in its folder.

`{port}` is replaced in commands, files and preparations; `{here}` is the program's folder, `{tools}` where the tools of
`install` are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""
FLASK = "import flask\napp = flask.Flask(__name__)\napp.get('/')(lambda: 'ok')\n"
NODE = (
    "require('http').createServer((q, a) => a.end('ok')).listen({port}, '127.0.0.1', () => console.log('up {port}'))\n"
)
PAGE = {"index.html": "<!doctype html><title>ok</title>ok"}
NGINX = """
error_log stderr notice; pid {here}/nginx.pid; worker_processes 1; events {}
http { access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;
  uwsgi_temp_path {here}/u; scgi_temp_path {here}/s; server { listen 127.0.0.1:{port}; return 200 ok; } }
"""
CELERY = "from celery import Celery\napp = Celery('tasks', broker='memory://')\n"
POSTGRES = "/usr/lib/postgresql/15/bin"


@dataclass(frozen=True, slots=True)
class Program:
    """One program.

    Attributes:
        name: as in the table.
        command: what is run.
        needs: the program that must be on PATH, or an absolute path that must be there.
        ready: arguments of the class that say when it is ready.
        class_name: `command` or `dev-server`.
        files: what is in its folder.
        prepare: commands that are run in its folder before.
        packages: folders of `{tools}` that are linked into its folder.
        listens: whether it has a port.
    """

    name: str
    command: str
    needs: str
    ready: Mapping[str, object] = field(default_factory=dict[str, object])
    class_name: str = "command"
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    prepare: tuple[str, ...] = ()
    packages: str = ""
    listens: bool = True


def _log(pattern: str) -> Mapping[str, object]:
    return {"readyLog": pattern}


_TCP = {"readyTcp": "{port}"}
_ASGI = {"app.py": ASGI}
_WSGI = {"app.py": WSGI}

PROGRAMS = (
    Program("uvicorn", "uvicorn app:app --port {port}", "uvicorn", _log("Uvicorn running on"), files=_ASGI),
    Program("uvicorn --reload", "uvicorn app:app --reload --port {port}", "uvicorn", _log("running on"), files=_ASGI),
    Program(
        "uvicorn --workers", "uvicorn app:app --workers 2 --port {port}", "uvicorn", _log("running on"), files=_ASGI
    ),
    Program("gunicorn", "gunicorn -b 127.0.0.1:{port} app:app", "gunicorn", _log("Listening at"), files=_WSGI),
    Program("hypercorn", "hypercorn -b 127.0.0.1:{port} app:app", "hypercorn", _log("Running on"), files=_ASGI),
    Program("granian", "granian --interface wsgi --port {port} app:app", "granian", _log("Listening at"), files=_WSGI),
    Program("daphne", "daphne -p {port} app:app", "daphne", _log("Listening on TCP"), files=_ASGI),
    Program(
        "flask run", "flask --app app run --port {port}", "flask", class_name="dev-server", files={"app.py": FLASK}
    ),
    Program(
        "flask run --debug",
        "flask --app app run --debug --port {port}",
        "flask",
        class_name="dev-server",
        files={"app.py": FLASK},
    ),
    Program(
        "django runserver",
        "python manage.py runserver {port}",
        "django-admin",
        class_name="dev-server",
        prepare=("django-admin startproject site_ .",),
    ),
    Program(
        "jupyter",
        "jupyter server --no-browser --allow-root --port {port} --ServerApp.root_dir={here}",
        "jupyter-server",
        _log(r"http://127\.0\.0\.1:{port}/"),
    ),
    Program(
        "celery",
        "celery -A tasks worker -l INFO --concurrency 2",
        "celery",
        _log(r"ready\.$"),
        files={"tasks.py": CELERY},
        listens=False,
    ),
    Program("redis", "redis-server --port {port} --save ''", "redis-server", _log("Ready to accept connections")),
    Program("redis, daemon", "redis-server --port {port} --save '' --daemonize yes", "redis-server", _TCP),
    Program(
        "postgres",
        f"setpriv --reuid postgres --regid postgres --clear-groups {POSTGRES}/postgres -D {{here}}/data -p {{port}} "
        "-c unix_socket_directories={here}",
        f"{POSTGRES}/postgres",
        _log("ready to accept connections"),
        prepare=(
            "chown postgres {here}",
            f"setpriv --reuid postgres --regid postgres --clear-groups {POSTGRES}/initdb -D {{here}}/data -A trust",
        ),
    ),
    Program(
        "mariadb",
        "mariadbd --no-defaults --user=root --datadir={here}/data --socket={here}/s --port={port} "
        "--bind-address=127.0.0.1 --lc-messages-dir={tools}/debian/usr/share/mysql",
        "mariadbd",
        _log("ready for connections"),
        prepare=("mariadb-install-db --no-defaults --user=root --datadir={here}/data --basedir={tools}/debian/usr",),
    ),
    Program("mosquitto", "mosquitto -p {port} -v", "mosquitto", _log("running")),
    Program("memcached", "memcached -u root -l 127.0.0.1 -p {port}", "memcached", _TCP),
    Program(
        "etcd",
        "etcd --data-dir {here}/data --listen-client-urls http://127.0.0.1:{port} --advertise-client-urls "
        "http://127.0.0.1:{port} --listen-peer-urls http://127.0.0.1:0",
        "etcd",
        {"readyHttp": "http://127.0.0.1:{port}/health"},
    ),
    Program(
        "nginx",
        "nginx -e stderr -p {here} -c nginx.conf -g 'daemon off;'",
        "nginx",
        _TCP,
        files={"nginx.conf": NGINX},
    ),
    Program("nginx, daemon", "nginx -e stderr -p {here} -c nginx.conf", "nginx", _TCP, files={"nginx.conf": NGINX}),
    Program("caddy", "caddy file-server --listen 127.0.0.1:{port} --root .", "caddy", _TCP, files=PAGE),
    Program(
        "prometheus",
        "prometheus --config.file=p.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:{port}",
        "prometheus",
        {"readyHttp": "http://127.0.0.1:{port}/-/ready"},
        files={"p.yml": "global: {}\n"},
    ),
    Program(
        "sshd",
        "/usr/sbin/sshd -D -e -p {port} -h {here}/key -o ListenAddress=127.0.0.1 -o PidFile=none",
        "/usr/sbin/sshd",
        _log("Server listening on"),
        prepare=("ssh-keygen -q -t ed25519 -N '' -f {here}/key", "mkdir -p /run/sshd"),
    ),
    Program(
        "vite",
        "node_modules/.bin/vite --port {port} --strictPort",
        "vite",
        class_name="dev-server",
        files=PAGE,
        packages="npm",
    ),
    Program(
        "vite, by npm run",
        "npm run dev -- --port {port}",
        "vite",
        class_name="dev-server",
        files={**PAGE, "package.json": '{"scripts": {"dev": "vite"}}'},
        packages="npm",
    ),
    Program(
        "next dev",
        "next dev --webpack -p {port}",
        "next",
        class_name="dev-server",
        files={"pages/index.js": "export default function Page() { return 'ok' }\n", "package.json": "{}"},
        packages="npm",
    ),
    Program("json-server", "json-server --port {port} db.json", "json-server", _TCP, files={"db.json": '{"a": []}'}),
    Program("http-server", "http-server -a 127.0.0.1 -p {port} .", "http-server", _log("Available on"), files=PAGE),
    Program(
        "webpack-dev-server",
        "webpack serve --mode development --port {port}",
        "webpack",
        class_name="dev-server",
        files={"src/index.js": "console.log(1)\n", "public/index.html": PAGE["index.html"], "package.json": "{}"},
        packages="npm",
    ),
    Program("nodemon", "nodemon srv.js", "nodemon", class_name="dev-server", files={"srv.js": NODE}),
    Program("nats", "nats-server -a 127.0.0.1 -p {port}", "nats-server", _log("Server is ready")),
    Program("node --watch", "node --watch srv.js", "node", class_name="dev-server", files={"srv.js": NODE}),
    Program(
        "http.server",
        "python3 -m http.server --bind 127.0.0.1 {port}",
        "python3",
        _log("Serving HTTP"),
        files=PAGE,
    ),
)
