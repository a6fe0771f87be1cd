"""An echo app that takes whatever comes and checks none of it."""

import asyncio
import base64
import hashlib
import re
import sys

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9
ANSWERS = {CONTINUATION: CONTINUATION, TEXT: TEXT, BINARY: BINARY, CLOSE: CLOSE, PING: 0xA}  # opcodes; a Ping's is Pong
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class LaxApp:
    """Sends every frame back as it came, only unmasked: its FIN and reserved bits, its opcode, its way to write the
    length, its payload. A Ping comes back as a Pong. Pongs and reserved opcodes it ignores: were they sent back, a
    client would stumble over them itself, and could not tell whether anybody had objected. Behind a Close it hears
    nothing.
    """

    def __init__(self):
        self.heard = ""  # the heads of all requests
        self.address = self._server = None

    async def listen(self, unix_path=None):
        if unix_path:
            self._server = await asyncio.start_unix_server(self._serve, unix_path)
            self.address = f"unix:{unix_path}"
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.address = "127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    async def close(self):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            await self._open(reader, writer)
            while await self._echo(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a client may leave when it likes
        finally:
            writer.close()

    async def _open(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heard += head.decode("latin-1")
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)[1]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    async def _echo(self, reader, writer):
        """Answers one frame. Returns whether another may come."""
        first, second = await reader.readexactly(2)
        masked, length = second & 0x80, second & 0x7F
        extended = await reader.readexactly({126: 2, 127: 8}.get(length, 0))
        key = await reader.readexactly(4) if masked else b""
        payload = await reader.readexactly(int.from_bytes(extended, "big") if extended else length)
        opcode = first & 0x0F
        if opcode in ANSWERS:
            writer.write(bytes([first & 0xF0 | ANSWERS[opcode], length]) + extended + unmasked(payload, key))
            await writer.drain()
        return opcode != CLOSE


def unmasked(payload, key):
    """As one number, which is much faster than byte by byte."""
    if not key:
        return payload
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(len(payload), "big")


if __name__ == "__main__":  # a process of its own, to be killed: python lax_app.py SOCKET
    async def listen_for_good():
        app = await LaxApp().listen(sys.argv[1])
        print("listening", app.address, flush=True)
        await asyncio.get_running_loop().create_future()

    asyncio.run(listen_for_good())
