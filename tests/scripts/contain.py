"""Runs a command in a container of runc, as hard as a pod can make it: no privileges, nothing to write to, and a profile.

    contain.py PROFILE DIRECTORY COMMAND...

It sees the programs and libraries of this machine, its network, and that directory.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

SEEN = ["/bin", "/etc", "/lib", "/lib64", "/usr"]


def bound(path):
    return {"destination": str(path), "type": "bind", "source": str(path), "options": ["rbind", "ro"]}


def specification(profile, directory, command):
    """`config.json` of the OCI runtime specification."""
    program = Path(command[0])
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": command, "noNewPrivileges": True, "capabilities": {},
            "env": [f"{name}={value}" for name, value in os.environ.items()],
        },
        "root": {"path": "root", "readonly": True},
        "mounts": [
            *(bound(path) for path in SEEN if os.path.isdir(path)), bound(program), bound(directory),
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755", "size=64k"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "mount")], "seccomp": profile},
    }


def main(profile, directory, command):
    bundle = Path(tempfile.mkdtemp(dir=directory, prefix="bundle-"))
    root = bundle / "root"
    for path in [*SEEN, "/proc", "/dev", directory]:
        (root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    program = root / command[0].lstrip("/")
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch()
    config = specification(json.loads(Path(profile).read_text()), directory, command)
    (bundle / "config.json").write_text(json.dumps(config))
    os.execvp("runc", ["runc", "run", "--bundle", str(bundle), bundle.name])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
