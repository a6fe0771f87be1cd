"""A kernel that refuses io_uring, as it does under the default seccomp profiles of containers."""

import errno
import json

from support import RINGSIDE, Case, Process, confined


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
        self.ringside.launcher = self._refusing(errno.EPERM)
        await self.ringside.launch(self.directory)
        self.assertEqual(await self.ringside.exit(), 1)
        said = self.ringside.output
        self.assertIn('error: runtime.engine: "io_uring" is wanted, but this kernel refuses it', said)
        self.assertLess(said.index("1. a seccomp filter is on this process"), said.index("2. kernel "))
        self.assertIn("help: run with a profile that allows io_uring_setup", said)

    async def test_check_tells_it_beforehand(self):
        for engine, number, code, verdict in [
            ("auto", errno.EPERM, 3, "ready_on_epoll"), ("auto", errno.ENOSYS, 3, "ready_on_epoll"),
            ("epoll", errno.EPERM, 3, "ready_on_epoll"), ("io_uring", errno.EPERM, 1, "not_ready"),
        ]:
            with self.subTest(engine=engine, number=number):
                text = f'[app]\naddress = "unix:app.sock"\n[runtime]\nengine = "{engine}"\n'
                (self.directory / "ringside.toml").write_text(text)
                found = json.loads(await self._check(number, code, "--config", self.directory / "ringside.toml", "--json"))
                self.assertEqual((found["verdict"], found["exit_code"]), (verdict, code))
                ring = found["platform"]["io_uring"]
                self.assertEqual((ring["works"], ring["step"]), (False, "set up a ring"))
                self.assertIn("a seccomp filter is on this process", ring["causes"][0]["what"])
                self.assertEqual(found["platform"]["seccomp"]["mode"], "filter")
                told = found["problems"] if code == 1 else found["warnings"]
                self.assertEqual("runtime.engine" in [finding["key"] for finding in told], engine != "epoll")

    async def test_check_of_the_platform_says_what_to_change(self):
        said = await self._check(errno.EPERM, 3, "--platform")
        self.assertTrue(said.startswith("warning: runtime.engine: io_uring is refused here, epoll would run"), said)
        self.assertIn("help: run with a profile that allows io_uring_setup", said)
        self.assertEqual(said.splitlines()[-1], "platform: ready on epoll")

    async def _check(self, number, code, *arguments):
        """What `ringside check` says where rings are refused with this error, if it exits with this code."""
        check = await Process().start(*self._refusing(number), RINGSIDE, "check", *arguments)
        self.assertEqual(await check.exit(), code, check.output)
        return check.output

    def _refusing(self, number):
        """What runs a command for which `io_uring_setup` ends with this error."""
        profile = self.directory / "refusing.json"
        rule = {"names": ["io_uring_setup"], "action": "SCMP_ACT_ERRNO", "errnoRet": number}
        profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
        return confined(profile)

    async def _falls_back(self, number, name):
        self.engine = "auto"
        self.ringside.launcher = self._refusing(number)
        await self.run_ringside()
        warning = await self.ringside.event("io_uring is refused, running on epoll", level="WARN")
        self.assertIn(name, warning["why"])
        self.assertNotEqual(warning["likely"], "")
        await self.ringside.event("listening", engine="epoll")
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
