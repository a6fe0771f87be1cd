"""Ringside between the Node library `ws` as a client and as an app; also across, with the Python library at one end."""

import os
import re
import shutil
from pathlib import Path

from support import Case, Process, skip, soon

SCRIPTS = Path(__file__).parent / "node"


class Node:
    """Both ends in Node, and each end in Node."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        if not shutil.which("node") or "NODE_PATH" not in os.environ:
            skip("Node, or npm to install its library ws, is not here")

    async def test_client_and_app(self):
        await self._run_app()
        await self._play_client()

    async def test_client_with_a_python_app(self):
        await self.run_ringside()
        await self._play_client()

    async def test_app_with_a_python_client(self):
        app = await self._run_app()
        for compression in (None, "deflate"):
            async with self.connect(token=self.issuer.token(), compression=compression) as client:
                self.assertEqual("Sec-WebSocket-Extensions" in client.response.headers, compression is not None)
                for message in ["hello", "a" * 100_000, os.urandom(1 << 20)]:
                    await self.assert_echo(client, message)
                await soon(client.close(4000, f"with {compression}"))
            await app.says(lambda lines: f"closed 4000 with {compression}" in lines)

    async def _run_app(self):
        app, path = Process(), self.directory / "node.sock"
        self.addAsyncCleanup(app.kill)
        await app.start("node", SCRIPTS / "app.cjs", path)
        await app.says(lambda lines: "listening" in lines)
        await self.run_ringside(app=f"unix:{path}")
        return app

    async def _play_client(self):
        environment = {
            "URL": f"wss://localhost:{self.ringside.port}", "TOKEN": self.issuer.token(),
            "NODE_EXTRA_CA_CERTS": str(self.directory / "ca.crt"),
        }
        client = Process()
        self.addAsyncCleanup(client.kill)
        command = ["node", "--dns-result-order=ipv4first", "--test-reporter=tap", "--test", SCRIPTS / "client.cjs"]
        await client.start(*command, environment=environment)
        code = await client.exit(within=60)
        self.assertEqual(code, 0, f"\n{client.output}")
        self.assertRegex(client.output, re.compile("^# pass [1-9]", re.MULTILINE))


class NodeOnEpoll(Node, Case):
    engine = "epoll"


class NodeOnIoUring(Node, Case):
    engine = "io_uring"
