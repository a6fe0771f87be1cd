"""The networks of a node and of one pod on it. This process becomes the node for a while; nothing of it outlives it."""

import ctypes
import os
import subprocess

from support import skip

NODE, POD = "10.244.0.1", "10.244.0.2"
CLONE_NEWNET = 0x40000000

LINKS = """\
link set lo up
link add veth0 type veth peer name eth0 netns {pod}
address add {NODE}/24 dev veth0
link set veth0 up
"""
POD_LINKS = """\
link set lo up
address add {POD}/24 dev eth0
link set eth0 up
route add default via {NODE}
"""

libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """Two network namespaces with a pair of interfaces between them. Only descriptors hold them: when those are closed and
    the last process in them has ended, the namespaces are gone, interfaces and all.

    From its making to `close`, this thread and what it starts are on the node.
    """

    def __init__(self):
        self._outside = here()
        try:
            self._node, self._pod = new(), new()
        except OSError as error:
            os.close(self._outside)
            skip(f"no network can be made here, which needs root: {error}", also_in_ci=True)
        enter(self._node)
        ip(LINKS.format(NODE=NODE, pod=path(self._pod)))
        ip(POD_LINKS.format(NODE=NODE, POD=POD), within=path(self._pod))

    @property
    def pod(self):
        """The pod's namespace as a path."""
        return path(self._pod)

    def close(self):
        enter(self._outside)
        for namespace in (self._outside, self._node, self._pod):
            os.close(namespace)


def here():
    """The namespace of this thread."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


def new():
    """A new namespace. This thread is in it."""
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return here()


def enter(namespace):
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def path(namespace):
    """How others, who do not inherit descriptors, name it."""
    return f"/proc/{os.getpid()}/fd/{namespace}"


def ip(lines, within=None):
    """Runs commands of iproute2."""
    enters = ["nsenter", f"--net={within}"] if within else []
    subprocess.run([*enters, "ip", "-batch", "-"], input=lines, text=True, check=True)
