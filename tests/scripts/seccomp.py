"""The seccomp profile of sidecar/deploy: it has all that ringside asks the kernel for and nothing without a reason, ringside
runs under it, and what it does not have is refused.

With UPDATE=1, seccomp.Recorded writes the profile anew instead of complaining.
"""

import ctypes
import itertools
import json
import os
import re
import shutil
import sys
from pathlib import Path

from confine import short
from support import Case, Process, confined, contained, libseccomp, needs_containers, skip
from workload import READY, Workload

HERE = Path(__file__).parent
DEPLOY = HERE.parent.parent / "sidecar/deploy/seccomp"
PROFILE, OPERATORS = DEPLOY / "ringside.json", DEPLOY / "profile.yaml"

ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]

# What stands in the profile although it may not be recorded.
REASONS = {
    "clone": "threads where clone3 is refused, as here: a filter cannot see what clone3 is asked for",
    "clock_gettime": "the time, where it cannot be read without asking the kernel",
    "close_range": "crun, between the filter and ringside",
    "epoll_pwait": "epoll_wait of aarch64",
    "faccessat": "access of aarch64",
    "fstat": "fstat() of newer C libraries, which here is newfstatat; runc, between the filter and ringside",
    "fstatfs": "runc, between the filter and ringside",
    "mremap": "a large block of memory that grows",
    "openat2": "runc, between the filter and ringside; without it, runc takes a longer way",
    "ppoll": "poll of aarch64",
    "restart_syscall": "a wait that goes on after the process was stopped, which the kernel does in its name",
    "sched_yield": "a lock for which two threads have just met",
    "sendmmsg": "questions for the addresses of a name, where DNS can be had in a test",
    "recvmsg": "the addresses of this machine, to put those of a name in order, where DNS can be had in a test",
}

# What aarch64 has instead of what it lacks; None: nothing, it needs none.
INSTEAD = {"access": "faccessat", "arch_prctl": None, "epoll_wait": "epoll_pwait", "poll": "ppoll"}

# The flags of clone that a thread has, among those that matter: CLONE_THREAD, and no new namespace.
CLONE_THREAD, NEW_NAMESPACES = 0x0001_0000, 0x7E02_0000
ENOSYS = 38


def profile_of(used):
    """The profile that allows what is used, and what there is a reason for."""
    names = sorted((used | set(REASONS)) - {"clone", "clone3"})
    thread = {"index": 0, "value": CLONE_THREAD | NEW_NAMESPACES, "valueTwo": CLONE_THREAD, "op": "SCMP_CMP_MASKED_EQ"}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ARCHITECTURES,
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [thread]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    }


def operators(profile):
    """The same for the security-profiles-operator."""
    spec = "".join(f"  {line}\n" for line in yaml(profile))
    return f"""\
# For the security-profiles-operator. Made of ringside.json beside it, by tests/scripts/seccomp.py.
apiVersion: security-profiles-operator.x-k8s.io/v1beta1
kind: SeccompProfile
metadata:
  name: ringside
spec:
{spec}"""


def yaml(value):
    """The lines of a value in YAML, of the little that a profile needs: no text in it needs quotes."""
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, list):
                yield f"{key}:"
                for element in part:
                    first, *rest = yaml(element)
                    yield from [f"  - {first}", *(f"    {line}" for line in rest)]
            else:
                yield f"{key}: {part}"
    else:
        yield str(value)


class Recorded(Workload):
    """What strace sees ringside ask for is what the profile has."""

    async def test_it_has_all_that_is_used_and_nothing_without_a_reason(self):
        if not shutil.which("strace"):
            skip("strace is not here, and could not be installed")
        seen = self.directory / "seen"
        seen.mkdir()
        trace = ("strace", "-D", "-ff", "-qq", "-s", "0", "-e", "signal=none", "-o", seen / "calls")
        for engine, by_name in itertools.product(READY, [False, True]):
            await self.work(engine, trace, by_name)
        if await self.can_find_by_dns():
            await self.find_by_dns(trace)
        used = set()
        for file in seen.iterdir():
            used |= set(re.findall(r"^(\w+)\(", file.read_text(errors="replace"), re.MULTILINE))
        self.assertLess({"execve", "socket", "io_uring_enter", "epoll_ctl"}, used)
        self._compare(used)

    def _compare(self, used):
        if os.environ.get("UPDATE") == "1":
            profile = profile_of(used)
            PROFILE.write_text(json.dumps(profile, indent=2) + "\n")
            OPERATORS.write_text(operators(profile))
        profile = json.loads(PROFILE.read_text())
        allowed = set(profile["syscalls"][0]["names"])
        self.assertEqual(used - allowed - {"clone", "clone3"}, set(), "used and not in the profile")
        elsewhere = set(INSTEAD) if os.uname().machine == "aarch64" else set()
        unused = allowed - used - set(REASONS) - elsewhere
        self.assertEqual(unused, set(), "in the profile, not used, and without a reason")
        self.assertEqual(profile, profile_of(allowed), "it is made of something else")


class Confined(Workload):
    """ringside runs under the profile as it does without."""

    async def test_all_works_with_io_uring(self):
        await self._all_works("io_uring")

    async def test_all_works_with_epoll(self):
        await self._all_works("epoll")

    async def _all_works(self, engine):
        for by_name in [False, True]:
            await self.work(engine, confined(PROFILE), by_name, meanwhile=self._assert_confined)

    async def test_names_are_found(self):
        if not await self.can_find_by_dns():
            skip("no namespaces can be made here, for a name server of our own")
        await self.find_by_dns(confined(PROFILE))

    def _assert_confined(self):
        process = Path(f"/proc/{self.ringside.pid}")
        self.assertRegex((process / "status").read_text(), r"\nNoNewPrivs:\t1\n(.*\n)*Seccomp:\t2\n")
        opened = {os.readlink(file) for file in (process / "fd").iterdir()}
        self.assertEqual("anon_inode:[io_uring]" in opened, self.engine == "io_uring", opened)

    async def test_what_it_lacks_is_refused(self):
        libseccomp()
        freely, under_it = await self._errors(), await self._errors(PROFILE)
        self.assertEqual(set(freely.values()), {None}, f"refused here in any case, which shows nothing: {freely}")
        self.assertEqual(set(under_it.values()), {"Operation not permitted"}, under_it)

    async def _errors(self, *profile):
        process = await Process().start(sys.executable, HERE / "forbidden.py", *profile)
        self.assertEqual(await process.exit(), 0, process.output)
        return json.loads(process.output)


class Contained(Workload):
    """The runtime of a container needs no more, and neither does ringside in one."""

    async def test_all_works_in_a_container(self):
        await needs_containers(self.directory)
        for engine in READY:
            await self.work(engine, contained(PROFILE, self.directory), by_name=False)


class Written(Case):
    """The files, by themselves."""

    async def test_the_operator_gets_the_same(self):
        self.assertEqual(OPERATORS.read_text(), operators(json.loads(PROFILE.read_text())))

    async def test_each_call_is_one_on_both_architectures(self):
        known = libseccomp()
        profile = json.loads(PROFILE.read_text())
        names = {name for rule in profile["syscalls"] for name in rule["names"]}
        lacks = {
            architecture: {name for name in names if self._number(known, architecture, name) < 0}
            for architecture in profile["architectures"]
        }
        self.assertEqual(lacks, {"SCMP_ARCH_X86_64": set(), "SCMP_ARCH_AARCH64": set(INSTEAD)})
        self.assertLessEqual({name for name in INSTEAD.values() if name}, names)

    @staticmethod
    def _number(known, architecture, name):
        token = ctypes.c_uint32(known.seccomp_arch_resolve_name(short(architecture)))
        return known.seccomp_syscall_resolve_name_arch(token, name.encode())
