"""What the scripts share: an app, a running ringside, and waits that end with an event or a deadline."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import unittest
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve, unix_serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from confine import library
from credentials import Certificates, Issuer

# Not passed on: ringside takes them for keys of its configuration.
RINGSIDE, INJECTOR = (os.environ.pop(name, None) for name in ("RINGSIDE_BIN", "RINGSIDE_INJECTOR_BIN"))
IN_CI = os.environ.get("CI") == "true"
PATIENCE = 20  # seconds for anything that is about to happen
EXIT = 10  # seconds from SIGTERM to the exit: what ringside promises
MESSAGE_LIMIT = 16 * 1024 * 1024  # the default of limits.message


def skip(why, also_in_ci=False):
    """Skips the test and says why. In CI nothing may be skipped: there it fails, unless the test is one that CI can do
    without (`also_in_ci`), for a program that is not to be had everywhere. The last line counts it either way."""
    if IN_CI and not also_in_ci:
        raise AssertionError(f"must not be skipped in CI: {why}")
    raise unittest.SkipTest(why)


def libseccomp():
    """The library, or the test is skipped."""
    try:
        return library()
    except OSError as error:
        skip(f"libseccomp is not here: {error}")


def confined(profile):
    """What runs a command under the seccomp profile in this file."""
    libseccomp()
    return sys.executable, Path(__file__).parent / "confine.py", profile


def contained(profile, directory):
    """What runs a command in a container under the seccomp profile in this file."""
    return sys.executable, Path(__file__).parent / "contain.py", profile, directory


def free_port():
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(address, path, method="GET", body=None):
    """What a request brings, as text."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        if response.status >= 300:
            raise AssertionError(f"{method} {path}: {response.status} {response.read()}")
        return response.read().decode()
    finally:
        connection.close()


async def soon(awaitable, within=PATIENCE):
    """Waits for something that has to happen."""
    async with asyncio.timeout(within):  # wait_for of Python 3.11 may swallow that who waits is cancelled
        return await awaitable


class App:
    """An echo app by the Python library `websockets`. A path says what else it does: /forbidden, /healthz, /close?code=N."""

    def __init__(self):
        self.requests, self.offers, self.closes = [], [], asyncio.Queue()
        self.address = self._server = None

    async def listen(self, unix_path=None):
        options = {
            "subprotocols": ["chat.v1"], "select_subprotocol": self._choose, "process_request": self._admit,
            "max_size": None,
        }
        if unix_path:
            self.address = f"unix:{unix_path}"
            self._server = await unix_serve(self._converse, str(unix_path), **options)
        else:
            self._server = await serve(self._converse, "127.0.0.1", 0, **options)
            self.address = "127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    async def close(self):
        self._server.close()
        await soon(self._server.wait_closed())

    @property
    def heard(self):
        """Everything the requests said, as text."""
        return "\n".join(f"{request.path}\n{request.headers}" for request in self.requests)

    def _admit(self, connection, request):
        self.requests.append(request)
        if urlsplit(request.path).path == "/forbidden":
            return connection.respond(403, "not for you\n")
        if urlsplit(request.path).path == "/healthz":
            return connection.respond(200, "well\n")
        return None

    def _choose(self, _connection, offered):
        self.offers.append(list(offered))
        return next((name for name in offered if name == "chat.v1"), None)

    async def _converse(self, connection):
        try:
            url = urlsplit(connection.request.path)
            if url.path == "/close":
                await connection.close(int(parse_qs(url.query)["code"][0]), "as asked")
            async for message in connection:
                await connection.send(message)
        except ConnectionClosed:
            pass  # how it closed is looked at by the test
        await connection.wait_closed()
        self.closes.put_nowait((connection.close_code, connection.close_reason))


class Process:
    """A process whose output is read as it comes. It is ended by its own pid, never by name."""

    def __init__(self):
        self.lines, self._ended, self._news = [], False, asyncio.Condition()
        self._process = self._reader = None

    async def start(self, *command, environment=None):
        self._process = await asyncio.create_subprocess_exec(
            *map(str, command), env=os.environ | (environment or {}), limit=2**20, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    @property
    def pid(self):
        return self._process.pid

    @property
    def is_running(self):
        return self._process is not None and self._process.returncode is None

    @property
    def output(self):
        return "\n".join(self.lines)

    @property
    def last_words(self):
        return "\n".join(self.lines[-30:])

    async def says(self, find):
        """Waits until `find` makes something of the lines written so far, and returns that."""
        async def until_found():
            async with self._news:
                while not (found := find(self.lines)):
                    if self._ended:
                        raise AssertionError(f"it ended before it said what was waited for:\n{self.last_words}")
                    await self._news.wait()
                return found
        try:
            return await soon(until_found())
        except TimeoutError:
            raise AssertionError(f"it did not say what was waited for:\n{self.last_words}") from None

    async def event(self, message, **fields):
        """Waits for a line of JSON with this message and these fields, and returns it."""
        return await self.says(self._event(message, **fields))

    async def exit(self, signal_number=None, within=PATIENCE):
        """Waits for the end, after sending a signal if one is given. Returns the exit code."""
        if signal_number:
            self._process.send_signal(signal_number)
        code = await soon(self._process.wait(), within)
        await soon(self._reader)
        return code

    async def kill(self):
        if self.is_running:
            await self.exit(signal.SIGKILL)

    @staticmethod
    def _event(message, **fields):
        def find(lines):
            events = (json.loads(line) for line in lines if line.startswith("{"))
            wanted = {"message": message} | fields
            return next((event for event in events if wanted.items() <= event.items()), None)
        return find

    async def _read(self):
        async for line in self._process.stdout:
            await self._tell(line.decode(errors="replace").rstrip("\n"))
        self._ended = True
        await self._tell()

    async def _tell(self, *lines):
        async with self._news:
            self.lines.extend(lines)
            self._news.notify_all()


async def needs_containers(directory):
    """Skips the test where runc makes none."""
    if not shutil.which("runc"):
        skip("runc is not here, and could not be installed", also_in_ci=True)
    anything = directory / "anything.json"
    anything.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}')
    trial = await Process().start(*contained(anything, directory), "/usr/bin/true")
    if await trial.exit() != 0:
        skip(f"no containers can be made here: {trial.output}", also_in_ci=True)


class Ringside(Process):
    """`ringside run` that checks everything it can be asked to check. Its log is JSON, as talkative as it gets."""

    address = None
    launcher = ()  # a command that runs it

    async def launch(self, directory, environment=None):
        """Starts it with the configuration in `directory`."""
        configuration = directory / "ringside.toml"
        await self.start(*self.launcher, RINGSIDE, "run", "--config", configuration, environment=environment)

    async def run(self, directory, engine, app, tls=True, more=None, environment=None):
        """`more` has further lines for tables of the configuration. A drain tells all clients at once, unless it says else."""
        text = CONFIGURATION.format(engine=engine, app=app, tls=TLS if tls else "")
        for table, lines in ({"[drain]": 'spread = "0s"'} | (more or {})).items():
            text = text.replace(table, f"{table}\n{lines}") if table in text else f"{text}{table}\n{lines}\n"
        (directory / "ringside.toml").write_text(text)
        await self.launch(directory, environment)
        self.address = (await self.event("listening"))["address"]
        return self

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])


TLS = """\
[tls]
certificate = "tls.crt"
key = "tls.key"
"""

CONFIGURATION = """\
[listen]
address = "127.0.0.1:0"
{tls}[app]
address = "{app}"
[auth.jwt]
keys = "jwks.json"
issuer = "https://issuer.example"
audience = ["chat"]
algorithms = ["RS256"]
from = ["header", "subprotocol", "query:access_token", "cookie:session"]
claims_to_headers = {{ tenant = "x-tenant" }}
[log]
format = "json"
filter = "trace"
[runtime]
engine = "{engine}"
"""


class Case(unittest.IsolatedAsyncioTestCase):
    """A test with a directory, certificates, an issuer, an app and a ringside of its own.

    Whatever the test was about, at its end ringside must stop in order, and no token may have leaked.
    """

    engine = None  # what a subclass is about

    async def asyncSetUp(self):
        asyncio.get_running_loop().set_debug(False)  # unittest switches it on; it is slow, and complains of slowness
        directory = tempfile.TemporaryDirectory(prefix="ringside-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.certificates, self.issuer = Certificates(self.directory), Issuer(self.directory)
        self.app, self.ringside = App(), Ringside()

    async def run_ringside(self, app=None, **options):
        """Starts the app (unless it is somewhere else) on a Unix socket, and ringside in front of it."""
        if app is None:
            app = (await self.app.listen(self.directory / "app.sock")).address
            self.addAsyncCleanup(self.app.close)
        self.addAsyncCleanup(self.ringside.kill)
        self.addAsyncCleanup(self._stop)
        try:
            await self.ringside.run(self.directory, self.engine, app, **options)
        except AssertionError:
            if "kernel refuses it" in self.ringside.output:
                skip(f"this kernel refuses io_uring:\n{self.ringside.output}")
            raise

    @property
    def destination(self):
        """Where clients connect: host and port."""
        return "127.0.0.1", self.ringside.port

    def connect(self, path="/", token=None, **options):
        """A client by the Python library `websockets`. `token` goes into the header that is meant for it."""
        headers = dict(options.pop("additional_headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        options = {"ssl": self.certificates.context(), "max_size": None, "compression": None, "proxy": None} | options
        host, port = self.destination
        return connect(f"wss://localhost:{port}{path}", host=host, port=port, additional_headers=headers, **options)

    async def refused(self, path="/", **options):
        """The response to a client that must not get in."""
        with self.assertRaises(InvalidStatus) as refused:
            async with self.connect(path, **options):
                pass
        return refused.exception.response

    async def assert_echo(self, client, message="hello"):
        await soon(client.send(message))
        self.assertEqual(await soon(client.recv()), message)

    async def _stop(self):
        if self.ringside.is_running:
            self.assertEqual(await self.ringside.exit(signal.SIGTERM, within=EXIT), 0, self.ringside.last_words)
        self.assertFalse(self.issuer.leaked_into(self.ringside.output), "a token stands in ringside's output")
        self.assertFalse(self.issuer.leaked_into(self.app.heard), "a token reached the app")
