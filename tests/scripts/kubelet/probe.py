"""Probes as kubelet makes them: from the node, to the pod's address, at the pace that the manifest says."""

import asyncio

from support import soon

TIMEOUT, PERIOD = 1, 10  # seconds, where a probe says nothing
AGENT = "kube-probe/1.31"


async def get(host, port, path, headers=()):
    """What a GET brings: status and body."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", f"User-Agent: {AGENT}", "Accept: */*", "Connection: close"]
        lines += [f"{header['name']}: {header['value']}" for header in headers]
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        head, _, body = (await soon(reader.read())).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode(errors="replace")
    finally:
        writer.close()


async def verdicts(probe, ask):
    """What `ask` finds, each time that it has found it often enough in a row."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    last, row = None, 0
    while True:
        found = await ask(probe)
        last, row = found, row + 1 if found == last else 1
        if row >= (probe.get("successThreshold", 1) if found else probe.get("failureThreshold", 3)):
            yield found
        await asyncio.sleep(probe.get("periodSeconds", PERIOD))


async def passes(probe, host, ports):
    """Whether whoever is probed is well. `ports`: numbers by name."""
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds", TIMEOUT)):
            return await asked(probe, host, ports)
    except (OSError, IndexError, ValueError, TimeoutError):
        return False


async def asked(probe, host, ports):
    handler = probe.get("httpGet") or probe["tcpSocket"]
    port = ports.get(handler["port"], handler["port"])
    if "tcpSocket" in probe:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    status, _ = await get(host, port, handler["path"], handler.get("httpHeaders", ()))
    return 200 <= status < 400
