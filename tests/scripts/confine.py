"""Runs a command under a seccomp profile, as the runtime of a container does.

    confine.py PROFILE COMMAND...

The profile is JSON as the OCI runtime specification has it. libseccomp makes a filter of it, as it does for runc and crun,
and sees to it that no privileges can be gained.
"""

import ctypes
import errno
import json
import os
import sys

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
COMPARISONS = {"SCMP_CMP_NE": 1, "SCMP_CMP_EQ": 4, "SCMP_CMP_MASKED_EQ": 7}
UNKNOWN = -1  # the number of a system call that libseccomp does not know


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`: an argument of a system call with its value, or with its mask and the value then."""

    _fields_ = [("index", ctypes.c_uint), ("by", ctypes.c_int), ("value", ctypes.c_uint64), ("value_two", ctypes.c_uint64)]


class Filter:
    """A filter in the making."""

    def __init__(self, profile):
        self._library = library()
        self._filter = ctypes.c_void_p(self._library.seccomp_init(action(profile["defaultAction"], profile)))
        for name in profile.get("architectures", []):
            architecture = ctypes.c_uint32(self._library.seccomp_arch_resolve_name(short(name)))
            self._must("arch_add", self._filter, architecture, but=errno.EEXIST)
        for rule in profile["syscalls"]:
            given = [
                Comparison(given["index"], COMPARISONS[given["op"]], given["value"], given.get("valueTwo", 0))
                for given in rule.get("args", [])
            ]
            for name in rule["names"]:
                call = self._library.seccomp_syscall_resolve_name(name.encode())
                if call == UNKNOWN:
                    raise ValueError(f"libseccomp knows no system call {name}")
                comparisons = (Comparison * len(given))(*given)
                self._must("rule_add_array", self._filter, action(rule["action"], rule), call, len(given), comparisons)

    def load(self):
        """Puts it on this process and what it becomes."""
        self._must("load", self._filter)

    def _must(self, name, *arguments, but=0):
        result = getattr(self._library, f"seccomp_{name}")(*arguments)
        if result < 0 and result != -but:
            raise OSError(-result, f"seccomp_{name}: {os.strerror(-result)}")


def library():
    """libseccomp, or an OSError."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def action(name, rule):
    if name == "SCMP_ACT_ALLOW":
        return ctypes.c_uint32(ALLOW)
    if name == "SCMP_ACT_ERRNO":
        return ctypes.c_uint32(ERRNO | rule.get("errnoRet", errno.EPERM))
    raise ValueError(f"{name} is not used here")


def short(architecture):
    """libseccomp's name of what OCI calls SCMP_ARCH_X86_64."""
    return architecture.removeprefix("SCMP_ARCH_").lower().encode()


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        Filter(json.load(file)).load()
    os.execvp(sys.argv[2], sys.argv[2:])
