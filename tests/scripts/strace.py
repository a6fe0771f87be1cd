"""What a loaded worker asks the kernel for, by strace: with io_uring it reads and writes no socket by itself."""

import asyncio
import re
import shutil
import signal
from pathlib import Path

from support import Case, Process, skip

CLIENTS, ECHOES = 20, 50
CALLS = ["read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg"]


class Strace(Case):
    """Each engine's worker threads are traced while clients talk."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        if not shutil.which("strace"):
            skip("strace is not here, and could not be installed")

    async def test_io_uring_workers_touch_no_socket(self):
        self.engine = "io_uring"
        counts, on_sockets = await self._trace_workers()
        self.assertGreater(counts.get("io_uring_enter", 0), 0, counts)
        self.assertEqual(on_sockets, [], f"calls on sockets; all calls: {counts}")

    # Without this, the test above could be blind.
    async def test_epoll_workers_do(self):
        self.engine = "epoll"
        counts, on_sockets = await self._trace_workers()
        self.assertNotIn("io_uring_enter", counts)
        self.assertGreater(len(on_sockets), CLIENTS * ECHOES, counts)

    async def _trace_workers(self):
        """How often the workers made which system call under load, and those of `CALLS` that were on a socket."""
        await self.run_ringside()
        clients = [await self.connect(token=self.issuer.token()) for _ in range(CLIENTS)]
        report = self.directory / "strace.txt"
        await self._trace(report, clients)
        for client in clients:
            await client.close()
        lines = report.read_text().splitlines()
        counts = {}
        for line in lines:  # % time, seconds, usecs/call, calls, perhaps errors, name
            if row := re.fullmatch(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)", line):
                counts[row[2]] = int(row[1])
        socket = re.compile(r"(?:^|\s)(?:{})\(\d+<(?:TCP|UNIX|socket)".format("|".join(CALLS)))
        return counts, [line for line in lines if socket.search(line)]

    async def _trace(self, report, clients):
        threads = [task.name for task in Path(f"/proc/{self.ringside.pid}/task").iterdir()
                   if (task / "comm").read_text().startswith("worker-")]
        self.assertNotEqual(threads, [])
        strace = Process()
        self.addAsyncCleanup(strace.kill)
        attach = [argument for thread in threads for argument in ("-p", thread)]
        await strace.start("strace", "-C", "-yy", "-o", report, *attach)
        try:
            await strace.says(lambda lines: len([line for line in lines if "attached" in line]) == len(threads))
        except AssertionError:
            if "Operation not permitted" in strace.output:
                skip(f"strace may not attach here: {strace.output}")
            raise
        await asyncio.gather(*(self._talk(client) for client in clients))
        await strace.exit(signal.SIGINT)

    async def _talk(self, client):
        for _ in range(ECHOES):
            await self.assert_echo(client)
