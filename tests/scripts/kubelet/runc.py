"""Containers by runc, the program that runs them on most nodes: namespaces, mounts, users, capabilities, seccomp."""

import asyncio
import dataclasses
import json
import os

from support import Process

# What a process may do that nobody has taken it from, in the usual runtimes.
CAPABILITIES = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]
# Of their own seccomp profile, what Ringside feels. It is much longer.
RUNTIME_DEFAULT = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{
        "names": ["io_uring_setup", "io_uring_enter", "io_uring_register"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
    }],
}
LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass
class Image:
    """What a container finds beside the C library, as files of this machine by their paths in it, and what it runs."""

    files: dict
    entrypoint: list


@dataclasses.dataclass
class Wanted:
    """What a container is to be."""

    command: list
    files: dict  # as an Image has them
    environment: dict
    mounts: list  # directory here, path there, whether it may be written
    hostname: str
    network: str  # the namespace, as a path
    user: int
    group: int
    groups: list
    capabilities: list
    no_new_privileges: bool
    read_only: bool
    seccomp: dict | None

    def configuration(self):
        """The same as the runtime specification of the Open Container Initiative has it."""
        files = {path: path for path in LIBRARIES if os.path.exists(path)} | self.files
        mounts = [mount("/proc", "proc", "proc"), mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755")]
        mounts += [mount(path, "bind", files[path], "rbind", "ro") for path in sorted(files)]
        mounts += [mount(path, "bind", source, "rbind", "rw" if writes else "ro") for source, path, writes in self.mounts]
        sets = ("bounding", "effective", "permitted")
        return {
            "ociVersion": "1.0.2",
            "hostname": self.hostname,
            "root": {"path": "rootfs", "readonly": self.read_only},
            "process": {
                "args": self.command,
                "env": [f"{name}={value}" for name, value in ({"PATH": PATH} | self.environment).items()],
                "cwd": "/",
                "user": {"uid": self.user, "gid": self.group, "additionalGids": self.groups},
                "capabilities": {name: self.capabilities for name in sets},
                "noNewPrivileges": self.no_new_privileges,
            },
            "mounts": mounts,
            "linux": {
                "namespaces": [
                    *({"type": kind} for kind in ("pid", "mount", "ipc", "uts")), {"type": "network", "path": self.network},
                ],
                "seccomp": self.seccomp,
            },
        }


class Runtime:
    """runc, with a directory for what it keeps. A container's name is also that of its control groups, which are the
    machine's: no two may share one."""

    def __init__(self, directory):
        self._directory, self._state = directory, directory / "runc"

    async def run(self, name, wanted):
        """Starts a container. What is returned ends when it does, with its exit code."""
        bundle = self._directory / "bundles" / name
        (bundle / "rootfs").mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(wanted.configuration()))
        # If this process is killed, runc gets a SIGTERM, which it passes on.
        guard = ("setpriv", "--pdeathsig", "TERM")
        return await Process().start(*guard, "runc", "--root", self._state, "run", "--bundle", bundle, name)

    async def execute(self, name, *command):
        """Runs a command in a container, as its first process would run it. Returns its exit code and what it said."""
        return await self._call("exec", name, *command)

    async def signal(self, name, signal_name):
        """Sends a signal to its first process, unless that has ended meanwhile."""
        await self._call("kill", name, signal_name)

    async def remove(self, name):
        """Ends it, whatever it does."""
        await self._call("delete", "--force", name)

    async def _call(self, *arguments):
        process = await asyncio.create_subprocess_exec(
            "runc", "--root", self._state, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:  # who waited for it has given up
                process.kill()
        return process.returncode, said.decode(errors="replace").strip()


def mount(destination, kind, source, *options):
    return {"destination": destination, "type": kind, "source": str(source), "options": list(options)}
