"""Everything that ringside does in a pod, in some seconds: for what it asks the kernel, and whether it may."""

import asyncio
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import sys
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from spans import Rotel
from support import EXIT, RINGSIDE, App, Case, Process, Ringside, ask, free_port, soon

WAVES, WAVE = 3, 40  # connections that come and go at once
SIZES = [0, 1, 125, 126, 65_536, 4 * 1024 * 1024]  # of messages: each form of a length, and some that make buffers grow
READY = {"io_uring": 0, "epoll": 3}  # how `ringside check` exits
NAMED = (sys.executable, Path(__file__).parent / "named.py")


class Sink:
    """A collector behind https:// that takes whatever comes over OTLP/HTTP."""

    def __init__(self):
        self.taken = asyncio.Queue()

    async def listen(self, certificates):
        context = certificates.server_context()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=context)
        self.endpoint = "https://localhost:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    def close(self):
        self._server.close()

    async def _take(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                self.taken.put_nowait(head.split(b" ")[1].decode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class Workload(Case):
    """A ringside with every feature in use, from its start to its end, as often as one likes."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.sink, self.rotel = await Sink().listen(self.certificates), Rotel()
        self.addCleanup(self.sink.close)
        self.addAsyncCleanup(self.rotel.kill)
        await self.rotel.run()
        self.probed = await App().listen()
        self.addAsyncCleanup(self.probed.close)
        authorities = self.directory / "authorities"
        authorities.mkdir()
        shutil.copy(self.directory / "ca.crt", authorities / "01234567.0")  # a name as OpenSSL gives them
        self.environment = {"SSL_CERT_DIR": str(authorities), "OTEL_BSP_SCHEDULE_DELAY": "100"}

    async def work(self, engine, launcher, by_name, meanwhile=lambda: None):
        """Runs all of it, each command by `launcher`: before an app on a TCP port that is found by name, and drains at
        `ringside drain`; or before one on a Unix socket, and drains at SIGTERM. Whatever fails there fails the test."""
        self.engine, self.app, self.ringside = engine, App(), Ringside()
        self.ringside.launcher = launcher
        self.admin, self.health = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        app = None
        if by_name:
            app = (await self.app.listen()).address.replace("127.0.0.1", "localhost")
            self.addAsyncCleanup(self.app.close)
        await self.run_ringside(app=app, more=self._more(), environment=self.environment)
        await self.ringside.event("listening", engine=engine)
        await self._talk()
        await self._turn_over()
        await self._ask_admin()
        await self._pause()
        meanwhile()
        await self._run_commands(launcher)
        while await soon(self.sink.taken.get()) != "/v1/traces":
            pass
        await self._drain(launcher if by_name else None)
        for fault in ["not permitted", '"level":"ERROR"', "the collector does not take"]:
            self.assertNotIn(fault, self.ringside.output)

    async def find_by_dns(self, launcher):
        """A name is looked up where DNS alone knows it."""
        configuration = self.directory / "ringside.toml"
        configuration.write_text('[app]\naddress = "app.test:3000"\n')
        told = await self._command((*NAMED, *launcher), READY["io_uring"], "check", "--config", configuration)
        self.assertIn("-> 127.0.0.7:3000, [::7]:3000;", told)

    async def can_find_by_dns(self):
        """Whether namespaces can be made here, for a name server of our own."""
        trial = await Process().start(*NAMED, "true")
        return await trial.exit() == 0

    def _more(self):
        probed = self.probed.address
        return {
            "[admin]": f'address = "{self.admin}"',
            "[drain]": 'spread = "1s"',
            "[health]": f'address = "{self.health}"',
            "[health.app]": f'ready = "http://{probed}/healthz"\nlive = "tcp://{probed}"',
            "[telemetry.traces]": f'endpoint = "{self.sink.endpoint}"\ncheckpoint = "1s"',
            "[telemetry.metrics]": f'endpoint = "{self.rotel.endpoints["grpc"]}"\nprotocol = "grpc"\ninterval = "1s"',
            "[runtime]": "workers = 2",
        }

    async def _talk(self):
        async with self.connect(token=self.issuer.token()) as client:
            for size in SIZES:
                await self.assert_echo(client, bytes(size))
            await self.assert_echo(client, "text")
            await soon(await client.ping())
        await self.refused(token=self.issuer.token(aud="billing"))

    async def _turn_over(self):
        """Waves of connections that all come, talk and go at once: memory is taken and given back."""
        async def visit():
            async with self.connect(token=self.issuer.token()) as client:
                await self.assert_echo(client, bytes(100_000))
        for _ in range(WAVES):
            await asyncio.gather(*(visit() for _ in range(WAVE)))

    async def _ask_admin(self):
        for method, path, body in [
            ("GET", "/livez", None), ("GET", "/readyz", None), ("GET", "/metrics", None), ("GET", "/connections", None),
            ("PUT", "/log/filter", "info"), ("PUT", "/log/filter", "trace"),
        ]:
            await asyncio.to_thread(ask, self.admin, path, method, body)
        for path in ["/readyz", "/app/ready", "/app/live"]:
            await asyncio.to_thread(ask, self.health, path)

    async def _pause(self):
        """It is stopped and goes on, as a container is that is frozen for a moment."""
        pid = self.ringside.pid
        os.kill(pid, signal.SIGSTOP)
        await soon(asyncio.to_thread(os.waitid, os.P_PID, pid, os.WSTOPPED | os.WNOWAIT))
        os.kill(pid, signal.SIGCONT)

    async def _run_commands(self, launcher):
        """What is run beside it in the same container."""
        configuration = self.directory / "ringside.toml"
        found = await self._command(launcher, READY[self.engine], "check", "--config", configuration, "--json")
        self.assertEqual(json.loads(found)["engine"]["runs"], self.engine)
        await self._command(launcher, READY["io_uring"], "check", "--platform")
        async with self.connect(token=self.issuer.token()):
            self.assertIn("ann", await self._command(launcher, 0, "top", "--once", "--config", configuration))
            await self._watch(launcher)

    async def _command(self, launcher, code, *arguments):
        command = await Process().start(*launcher, RINGSIDE, *arguments, environment=self.environment)
        self.assertEqual(await command.exit(), code, command.output)
        return command.output

    async def _watch(self, launcher):
        """`top` at a terminal, until q is pressed."""
        ours, theirs = pty.openpty()
        command = [*launcher, RINGSIDE, "top", "--admin", self.admin]
        top = await asyncio.create_subprocess_exec(*map(str, command), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""
        while b"ann" not in seen:
            seen += await soon(asyncio.to_thread(os.read, ours, 65_536))
        os.write(ours, b"q")
        self.assertEqual(await soon(top.wait()), 0, seen)
        await soon(asyncio.to_thread(self._read_to_end, ours))

    @staticmethod
    def _read_to_end(terminal):
        """Until nobody writes there any more."""
        with open(terminal, "rb", buffering=0) as stream, contextlib.suppress(OSError):
            while stream.read(65_536):
                pass

    async def _drain(self, launcher):
        """It ends while clients are there: by `ringside drain`, or at SIGTERM where there is no launcher for that."""
        clients = [await self.connect(token=self.issuer.token()) for _ in range(10)]
        if launcher:
            await self._command(launcher, 0, "drain", "--wait", "--admin", self.admin)
        code = await self.ringside.exit(None if launcher else signal.SIGTERM, within=EXIT)
        self.assertEqual(code, 0, self.ringside.last_words)
        for client in clients:
            with self.assertRaises(ConnectionClosed):
                await soon(client.recv())
            self.assertEqual(client.close_code, 1001)
