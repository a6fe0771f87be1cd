"""The app in pod.py's pods: an echo app on 127.0.0.1:3000, or on the Unix socket that it is given, which answers
GET /healthz there and tells in lines of JSON what happens to it.

    pod_app.py [SOCKET]
"""

import asyncio
import json
import logging
import signal
import sys
import time

from websockets.asyncio.server import serve, unix_serve
from websockets.exceptions import ConnectionClosed

NOBODY = logging.getLogger("nobody")  # hears of probes that connect and leave
NOBODY.disabled = True


def say(message, **fields):
    print(json.dumps({"message": message, "time": time.monotonic()} | fields), flush=True)


def answer(connection, request):
    """An answer to what is not for a WebSocket."""
    return connection.respond(200, "well\n") if request.path == "/healthz" else None


async def echo(connection):
    messages = 0
    try:
        async for message in connection:
            messages += 1
            await connection.send(message)
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    subject = connection.request.headers.get("x-ringside-subject")
    say("closed", code=connection.close_code, subject=subject, messages=messages)


async def main(socket=None):
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    options = {"process_request": answer, "logger": NOBODY}
    server = await (unix_serve(echo, socket, **options) if socket else serve(echo, "127.0.0.1", 3000, **options))
    say("listening")
    await told.wait()
    say("SIGTERM", open=len(server.connections))
    server.close()
    await server.wait_closed()


asyncio.run(main(*sys.argv[1:]))
