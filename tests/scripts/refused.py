"""A kernel that refuses io_uring, as it does under the default seccomp profiles of containers."""

import errno
import sys
from pathlib import Path

from support import Case

REFUSE = Path(__file__).parent / "refuse_ring.py"


class RefusedRing(Case):
    """What ringside does about it, whatever the kernel answers."""

    async def test_auto_falls_back_on_eperm(self):
        await self._falls_back(errno.EPERM, "Operation not permitted")

    async def test_auto_falls_back_on_enosys(self):
        await self._falls_back(errno.ENOSYS, "Function not implemented")

    async def test_auto_falls_back_on_enomem(self):
        await self._falls_back(errno.ENOMEM, "Cannot allocate memory")

    async def test_io_uring_or_nothing_says_why_and_what_to_change(self):
        (self.directory / "ringside.toml").write_text('[app]\naddress = "unix:app.sock"\n[runtime]\nengine = "io_uring"\n')
        self.ringside.launcher = (sys.executable, REFUSE, errno.EPERM)
        await self.ringside.launch(self.directory)
        self.assertEqual(await self.ringside.exit(), 1)
        said = self.ringside.output
        self.assertIn('runtime.engine = "io_uring", but this kernel refuses it', said)
        self.assertLess(said.index("1. a seccomp filter is on this process"), said.index("2. kernel "))
        self.assertIn("help: run with a profile that allows io_uring_setup", said)

    async def _falls_back(self, number, name):
        self.engine = "auto"
        self.ringside.launcher = (sys.executable, REFUSE, number)
        await self.run_ringside()
        warning = await self.ringside.event("io_uring is refused, running on epoll", level="WARN")
        self.assertIn(name, warning["why"])
        self.assertNotEqual(warning["likely"], "")
        await self.ringside.event("listening", engine="epoll")
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
