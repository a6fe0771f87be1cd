"""What the collector rotel learns about connections, as trees: one for each way in which they come and go.

`tests/scripts/run evidence` prints the trees; so does -v among all scripts. Each tree's outline is asserted.
"""

import asyncio
import base64
import http.client
import re
import signal
import sys
import time
import unittest
from pathlib import Path

from spans import Rotel, drawing, outline, trees
from support import EXIT, PATIENCE, Case, Process, soon
from websockets.exceptions import ConnectionClosed

HERE = Path(__file__).parent
TELLS = "-v" in sys.argv or any(name.startswith("evidence") for name in sys.argv[1:])
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds instead of 5 seconds

REASONS = re.findall(r'^    \w+ = "(\w+)",$', (HERE.parent.parent / "src/telemetry/reason.rs").read_text(), re.MULTILINE)

# Reasons that nobody outside can bring about, and why.
NOT_PROVOKED = {"internal": "a fault of ours: if it could be provoked, it would be mended"}

OPENED = ["GET", "  tls", "  token", "  dial", "  websocket"]


class FickleApp:
    """An app whose path says how it goes wrong: /refuse, /nonsense, /silent. It speaks no WebSocket."""

    ANSWERS = {
        b"/refuse": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"/nonsense": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"/silent": b"",
    }

    async def listen(self, unix_path):
        self._server = await asyncio.start_unix_server(self._serve, unix_path)
        return self

    def close(self):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self.ANSWERS[head.split()[1]])
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # ringside leaves when it has had enough
        finally:
            writer.close()


class Evidence(Case):
    engine = "auto"  # the evidence is the same on both

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.rotel = Rotel()
        self.addAsyncCleanup(self.rotel.kill)
        await self.rotel.run()

    async def start(self, app=None, traces='checkpoint = "off"', **tables):
        """ringside with its collector. `tables` has lines for tables; a name's __ is a dot. The first checkpoint comes
        at a random time, so that there are none unless a test is about them."""
        more = {f"[{table.replace('__', '.')}]": lines for table, lines in tables.items()}
        more["[telemetry.traces]"] = f'endpoint = "{self.rotel.endpoints["http/protobuf"]}"\n{traces}'
        await self.run_ringside(app=app, more=more, environment=AT_ONCE)

    async def received(self):
        """Ends ringside and the collector in order. Returns all trees that it received, and prints them."""
        if self.ringside.is_running:
            self.assertEqual(await self.ringside.exit(signal.SIGTERM, within=EXIT), 0, self.ringside.last_words)
        await self.rotel.exit(signal.SIGTERM)
        self.assertFalse(self.issuer.leaked_into(self.rotel.output), "a token reached the collector")
        found = trees(self.rotel.lines)
        for tree in found:
            self.assertEqual(tree["Kind"], "SPAN_KIND_SERVER", "everything hangs below a handshake")
            if TELLS:
                print(f"\n{drawing(tree)}")
        return found

    async def received_one(self):
        (tree,) = await self.received()
        self.assert_linked(tree)
        return tree

    def assert_linked(self, tree):
        """A connection and its handshake are linked both ways."""
        connection = tree.children[-1]
        self.assertEqual(connection.name, "websocket")
        self.assertIn(tree["ID"], [link["ID"] for link in connection.links])
        self.assertIn(connection["ID"], [link["ID"] for link in tree.links])

    def assert_ended(self, tree, by, why):
        connection = tree.children[-1]
        self.assertEqual((connection["ringside.end.by"], connection["ringside.end.why"]), (by, why))

    async def raw(self):
        """A client that has its TLS and has said nothing yet: a reader and a writer."""
        context = self.certificates.context()
        return await soon(asyncio.open_connection("127.0.0.1", self.ringside.port, ssl=context, server_hostname="localhost"))

    def request(self, line="GET / HTTP/1.1", **fields):
        """A handshake as bytes, with these fields instead of its own (a name's _ is a -; None: without it)."""
        own = {
            "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), "Authorization": f"Bearer {self.issuer.token()}",
        }
        own |= {name.replace("_", "-"): value for name, value in fields.items()}
        lines = [line] + [f"{name}: {value}" for name, value in own.items() if value is not None]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    async def answer(self, sent):
        """Sends bytes, and returns the ringside-reason of the answer."""
        reader, writer = await self.raw()
        writer.write(sent)
        answer = (await soon(reader.read())).decode()
        writer.close()
        reason = re.search(r"(?i)\r\nringside-reason: *(\w+)", answer)
        return reason and reason[1]


class Opened(Evidence):
    """Connections that got their 101, and what became of them."""

    async def test_accepted(self):
        await self.start(telemetry='routes = ["/rooms/{room}"]')
        caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        async with self.connect("/rooms/7", self.issuer.token(), additional_headers={"traceparent": caller}) as client:
            await self.assert_echo(client)
        tree = await self.received_one()
        self.assertEqual(outline(tree), ["GET /rooms/{room}", *OPENED[1:], "    * closing"])
        _, trace, parent, _ = caller.split("-")
        self.assertEqual((tree["Trace ID"], tree["Parent ID"]), (trace, parent))
        self.assertEqual(tree["http.response.status_code"], "101")
        dial = tree.children[2]
        self.assertEqual(dial["Kind"], "SPAN_KIND_CLIENT")
        self.assertEqual(self.app.requests[0].headers["traceparent"], f"00-{trace}-{dial['ID']}-01")
        self.assert_ended(tree, "client", "closed")

    async def test_violated_by_the_client(self):
        await self.start()
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
            with self.assertRaises(ConnectionClosed) as closed:
                client.transport.write(b"\x81\x82\0\0\0\0\xff\xff")  # text that is no UTF-8
                await soon(client.recv())
        self.assertEqual(closed.exception.rcvd.code, 1007)
        tree = await self.received_one()
        self.assertEqual(outline(tree), [*OPENED, "    * violation"])
        self.assert_ended(tree, "client", "text_utf8")
        self.assertEqual(tree.children[-1]["ringside.end.source"], "RFC 6455 section 8.1")
        self.assertEqual(tree.children[-1]["Status code"], "STATUS_CODE_UNSET")

    async def test_expired(self):
        await self.start(auth__jwt='leeway = "0s"')
        token = self.issuer.token(exp=int(time.time()) + 4)
        async with self.connect(token=token) as client:
            await self.assert_echo(client)
            await soon(client.wait_closed())
        self.assertEqual(client.close_code, 4401)
        tree = await self.received_one()
        self.assertEqual(outline(tree), [*OPENED, "    * expiring"])
        self.assert_ended(tree, "ringside", "expired")

    async def test_drained(self):
        await self.start()
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
            self.assertEqual(await self.ringside.exit(signal.SIGTERM, within=EXIT), 0)
            await soon(client.wait_closed())
        self.assertEqual(client.close_code, 1001)
        tree = await self.received_one()
        self.assertEqual(outline(tree), [*OPENED, "    * drain"])
        self.assert_ended(tree, "ringside", "drain")

    async def test_app_killed(self):
        app, path = Process(), self.directory / "lax.sock"
        self.addAsyncCleanup(app.kill)
        await app.start(sys.executable, HERE / "lax_app.py", path)
        await app.says(lambda lines: any(line.startswith("listening") for line in lines))
        await self.start(app=f"unix:{path}")
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
            await app.kill()
            await soon(client.wait_closed())
        self.assertEqual(client.close_code, 1012)
        tree = await self.received_one()
        self.assertEqual(outline(tree), [*OPENED, "    * closing"])
        self.assert_ended(tree, "app", "eof")


class Live(Evidence):
    """What there is to see while a connection is open."""

    async def test_metrics_and_checkpoints(self):
        await self.start(
            traces='checkpoint = "1s"', admin='address = "127.0.0.1:0"',
            telemetry__traces__messages="sample_ratio = 1.0\nper_second = 1000",
        )
        admin = (await self.ringside.event("admin endpoint"))["address"]
        async with self.connect(token=self.issuer.token()) as client:
            for sent in (1, 2, 3):
                await self.assert_echo(client, "\N{SNOWMAN}" * sent)
                await self.assert_echo(client, b"." * sent)
                await self._assert_counted(admin, sent)
            checkpoint = await self.rotel.span({
                "Name": "websocket checkpoint", "websocket.from_client.messages": "6", "websocket.from_app.messages": "6",
            })
            self.assertNotIn("    Name           : websocket", self.rotel.lines, "the connection's own span is for its end")
            await self.assert_echo(client)
        tree = await self.received_one()
        connection = tree.children[-1]
        self.assertEqual((connection.name, connection["ID"]), ("websocket", checkpoint["Parent ID"]))
        below = [child.name for child in connection.children]
        self.assertEqual(set(below), {"websocket checkpoint", "websocket message"})
        self.assertEqual(below.count("websocket message"), 14)
        sizes = [child["websocket.message.size"] for child in connection.children if child.name == "websocket message"]
        self.assertEqual(sorted(map(int, sizes)), [1, 1, 2, 2, 3, 3, 3, 3, 5, 5, 6, 6, 9, 9])

    async def _assert_counted(self, admin, sent):
        """/metrics shows what was sent so far. A worker's figures are there when it has handed on what it read: at most
        one more look, then."""
        expected = {
            f'ringside_messages_total{{direction="{direction}",opcode="{opcode}"}} {sent}'
            for direction in ("from_client", "from_app") for opcode in ("text", "binary")
        } | {"ringside_connections_open 1"}
        deadline = time.monotonic() + PATIENCE
        while missing := expected - set(await asyncio.to_thread(metrics, admin)):
            self.assertLess(time.monotonic(), deadline, missing)


def metrics(address):
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()


class Refused(Evidence):
    """Clients that got no 101: a tree for each reason there is."""

    async def assert_refused(self, outlines):
        """Each reason has one tree, like this."""
        found = {tree["ringside.reason"]: outline(tree) for tree in await self.received() if "ringside.reason" in tree}
        self.assertEqual(found, outlines)

    async def test_requests(self):
        app = await FickleApp().listen(self.directory / "fickle.sock")
        self.addCleanup(app.close)
        await self.start(
            app=f"unix:{self.directory}/fickle.sock", access='origins = ["https://chat.example"]', limits='early = "1KiB"',
        )
        token = self.issuer.token
        bearer = lambda token: {"Authorization": f"Bearer {token}"}
        unread, read, judged = ["HTTP", "  tls"], ["GET", "  tls"], ["GET", "  tls", "  token"]
        asked = [*judged, "  dial"]
        requests = {
            "head_malformed": (unread, self.request(**{"Bad Name": "x"})),
            "head_too_large": (unread, self.request(X_Large="x" * 20_000)),
            "http_version": (unread, self.request("GET / HTTP/1.0")),
            "method_not_get": (["POST", "  tls"], self.request("POST / HTTP/1.1")),
            "host_invalid": (read, self.request(Host=None)),
            "body_present": (read, self.request(Content_Length="5")),
            "not_upgrade": (read, self.request(Upgrade=None)),
            "version_unsupported": (read, self.request(Sec_WebSocket_Version="12")),
            "key_invalid": (read, self.request(Sec_WebSocket_Key="short")),
            "negotiation_invalid": (read, self.request(Sec_WebSocket_Protocol="a b")),
            "early_data_too_large": (read, self.request() + bytes(2000)),
            "origin_not_allowed": (read, self.request(Origin="https://evil.example")),
            "token_missing": (judged, self.request(Authorization=None)),
            "token_twice": (judged, self.request(f"GET /?access_token={token()} HTTP/1.1")),
            "token_too_large": (judged, self.request(**bearer(token(padding="p" * 8192)))),
            "token_malformed": (judged, self.request(**bearer("not-a-token"))),
            "token_algorithm": (judged, self.request(**bearer(self.issuer.confused_token()))),
            "token_key_unknown": (judged, self.request(**bearer(token(kid="another")))),
            "token_signature": (judged, self.request(**bearer(token(by_stranger=True)))),
            "token_expired": (judged, self.request(**bearer(token(exp=int(time.time()) - 60)))),
            "token_not_yet_valid": (judged, self.request(**bearer(token(nbf=int(time.time()) + 600)))),
            "token_issuer": (judged, self.request(**bearer(token(iss="https://elsewhere.example")))),
            "token_audience": (judged, self.request(**bearer(token(aud="billing")))),
            "token_claims": (judged, self.request(**bearer(token(exp="soon")))),
            "app_refused": (asked, self.request("GET /refuse HTTP/1.1")),
            "app_handshake": (asked, self.request("GET /nonsense HTTP/1.1")),
        }
        for reason, (_, request) in requests.items():
            self.assertEqual(await self.answer(request), reason)
        await self.assert_refused({reason: outline for reason, (outline, _) in requests.items()})

    async def test_no_answer_is_possible(self):
        await self.start()
        _, writer = await self.raw()
        writer.close()
        await self.ringside.event("refused", reason="client_gone")
        reader, writer = await soon(asyncio.open_connection("127.0.0.1", self.ringside.port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await soon(reader.read())
        writer.close()
        await self.assert_refused({"client_gone": ["HTTP", "  tls"], "tls_handshake": ["HTTP", "  tls"]})

    async def test_time_runs_out(self):
        app = await FickleApp().listen(self.directory / "fickle.sock")
        self.addCleanup(app.close)
        await self.start(
            app=f"unix:{self.directory}/fickle.sock", timeouts='opening = "3s"\ntls = "2s"\napp = "500ms"',
        )
        self.assertEqual(await self.answer(self.request("GET /silent HTTP/1.1")), "app_timeout")
        self.assertEqual(await self.answer(b""), "timeout")
        await self.assert_refused({"app_timeout": ["GET", "  tls", "  token", "  dial"], "timeout": ["HTTP", "  tls"]})

    async def test_no_app(self):
        await self.start(app=f"unix:{self.directory}/nobody.sock")
        self.assertEqual(await self.answer(self.request()), "app_unreachable")
        await self.assert_refused({"app_unreachable": ["GET", "  tls", "  token", "  dial"]})

    async def test_no_room(self):
        await self.start(listen="connections = 1", runtime="workers = 1")
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
            self.assertEqual(await self.answer(self.request()), "overloaded")
        await self.assert_refused({"overloaded": ["GET", "  tls"]})

    async def test_no_more_to_come(self):
        await self.start()
        reader, writer = await self.raw()
        writer.write(self.request()[:20])
        ending = asyncio.create_task(self.ringside.exit(signal.SIGTERM, within=EXIT))
        await self.ringside.event("draining")
        writer.write(self.request()[20:])
        self.assertIn(b"ringside-reason: draining", await soon(reader.read()))
        writer.close()
        self.assertEqual(await soon(ending), 0)
        await self.assert_refused({"draining": ["GET", "  tls"]})


class Reasons(unittest.TestCase):
    def test_each_is_provoked_above_or_excused(self):
        provoked = {reason for reason in REASONS if Path(__file__).read_text().count(f'"{reason}"') > 0}
        self.assertGreater(len(provoked), 30)
        self.assertEqual(set(REASONS) - provoked, set())
        self.assertEqual(set(NOT_PROVOKED) - set(REASONS), set())
