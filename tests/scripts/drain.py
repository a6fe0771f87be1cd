"""SIGTERM while clients by the Python library `websockets` talk: each of them reports 1001, and none a 1006."""

import asyncio
import collections
import itertools
import signal
import time

from websockets.exceptions import ConnectionClosed

from support import Case, soon

CLIENTS = 50
SPREAD, TIMEOUT = 2, 20  # seconds
DRAIN = {"[drain]": f'spread = "{SPREAD}s"\ntimeout = "{TIMEOUT}s"\nreason = "deploy"'}


class Draining:
    async def test_sigterm_under_load_shows_only_1001(self):
        await self.run_ringside(more=DRAIN)
        clients = [await self.connect(token=self.issuer.token()) for _ in range(CLIENTS)]
        everybody = asyncio.Barrier(CLIENTS + 1)
        talking = [asyncio.create_task(self._talk(client, everybody)) for client in clients]
        await soon(everybody.wait())
        began = time.monotonic()
        self.assertEqual(await self.ringside.exit(signal.SIGTERM, within=TIMEOUT), 0, self.ringside.last_words)
        self.assertLess(time.monotonic() - began, TIMEOUT)
        ends = collections.Counter(await soon(asyncio.gather(*talking)))
        self.assertEqual(ends, {(1001, "deploy"): CLIENTS})
        for _ in clients:
            self.assertEqual((await soon(self.app.closes.get()))[0], 1001)
        await self.ringside.event("drained", cut=0)

    async def _talk(self, client, everybody):
        """Sends numbers and gets them back, in order, until the connection ends. Returns code and reason of the end."""
        try:
            await self.assert_echo(client, "0")
            await soon(everybody.wait())
            for number in itertools.count(1):
                await self.assert_echo(client, str(number))
        except ConnectionClosed:
            return client.close_code, client.close_reason


class DrainingOnEpoll(Draining, Case):
    engine = "epoll"


class DrainingOnIoUring(Draining, Case):
    engine = "io_uring"
