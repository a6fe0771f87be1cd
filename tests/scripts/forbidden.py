"""Tries calls that anybody may make and ringside never does, under a seccomp profile if one is named. Prints their errors.

    forbidden.py [PROFILE]
"""

import ctypes
import json
import os
import sys

from confine import Filter

CLONE_FS, PTRACE_TRACEME, ASK = 0x200, 0, 0xFFFFFFFF
CALLS = [
    ("fork",), ("unshare", CLONE_FS), ("kill", os.getpid(), 0), ("personality", ASK), ("memfd_create", b"", 0),
    ("chdir", b"/"), ("ptrace", PTRACE_TRACEME, 0, 0, 0),
]


def error(libc, name, *arguments):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*arguments)
    if name == "fork" and result == 0:
        os._exit(0)
    if name == "fork" and result > 0:
        os.waitpid(result, 0)  # its end would be a signal, for which a traced process stops
    return os.strerror(ctypes.get_errno()) if result == -1 else None


if __name__ == "__main__":
    libc = ctypes.CDLL(None, use_errno=True)
    if len(sys.argv) > 1:
        with open(sys.argv[1]) as file:
            Filter(json.load(file)).load()
    print(json.dumps({call[0]: error(libc, *call) for call in CALLS}))
