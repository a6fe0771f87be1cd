"""Ringside between the Python library `websockets` as a client and the same as an app, with tokens made by PyJWT."""

import asyncio
import http.client
import os
import signal
import ssl
import time

from websockets.exceptions import ConnectionClosed, InvalidMessage

from credentials import base64url
from support import EXIT, MESSAGE_LIMIT, Case, soon


class Relaying:
    """What passes between a client and an app that have each other."""

    async def test_text_binary_and_pings(self):
        await self.run_ringside()
        async with self.connect(token=self.issuer.token()) as client:
            for message in ["", "hello", "\N{SNOWMAN}" * 1000, b"", bytes(range(256))]:
                await self.assert_echo(client, message)
            await soon(await client.ping(b"are you there?"))

    async def test_messages_up_to_the_limit(self):
        await self.run_ringside()
        async with self.connect(token=self.issuer.token()) as client:
            for size in (1024 * 1024, MESSAGE_LIMIT):
                await self.assert_echo(client, os.urandom(size))

    async def test_a_message_beyond_the_limit(self):
        await self.run_ringside()
        async with self.connect(token=self.issuer.token()) as client:
            with self.assertRaises(ConnectionClosed) as closed:
                await soon(client.send(bytes(MESSAGE_LIMIT + 1)))
                await soon(client.recv())
        self.assertEqual(closed.exception.rcvd.code, 1009)
        self.assertEqual((await soon(self.app.closes.get()))[0], 1001)

    async def test_fragments(self):
        await self.run_ringside()
        async with self.connect(token=self.issuer.token()) as client:
            await soon(client.send(["in ", "three ", "parts"]))
            self.assertEqual(await soon(client.recv()), "in three parts")

    async def test_close_codes_from_the_client(self):
        await self.run_ringside()
        for code, reason in [(1000, ""), (1000, "bye"), (4321, "r" * 123)]:
            async with self.connect(token=self.issuer.token()) as client:
                await soon(client.close(code, reason))
            self.assertEqual(await soon(self.app.closes.get()), (code, reason))
            await self.ringside.event("ended", by="client", why="closed", code_received=code)

    async def test_close_codes_from_the_app(self):
        await self.run_ringside()
        for code in (1000, 1011, 4004):
            async with self.connect(f"/close?code={code}", token=self.issuer.token()) as client:
                await soon(client.wait_closed())
            self.assertEqual((client.close_code, client.close_reason), (code, "as asked"))
            await self.ringside.event("ended", by="app", why="closed", code_sent=code)

    async def test_permessage_deflate(self):
        await self.run_ringside()
        async with self.connect(token=self.issuer.token(), compression="deflate") as client:
            self.assertIn("permessage-deflate", client.response.headers["Sec-WebSocket-Extensions"])
            for message in ["a" * 100_000, os.urandom(100_000), ""]:
                await self.assert_echo(client, message)
        async with self.connect(token=self.issuer.token()) as client:
            self.assertNotIn("Sec-WebSocket-Extensions", client.response.headers)
            await self.assert_echo(client)

    async def test_subprotocols(self):
        await self.run_ringside()
        for offered, agreed in [(["chat.v2", "chat.v1"], "chat.v1"), (["chat.v2"], None), (None, None)]:
            async with self.connect(token=self.issuer.token(), subprotocols=offered) as client:
                self.assertEqual(client.subprotocol, agreed)
                await self.assert_echo(client)

    async def test_an_app_on_tcp(self):
        await self.app.listen()
        self.addAsyncCleanup(self.app.close)
        await self.run_ringside(app=self.app.address)
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)

    async def test_sigterm_says_going_away_to_everybody(self):
        await self.run_ringside()
        clients = [await self.connect(token=self.issuer.token()) for _ in range(5)]
        for client in clients:
            await self.assert_echo(client)
        began = time.monotonic()
        self.assertEqual(await self.ringside.exit(signal.SIGTERM, within=EXIT), 0)
        self.assertLess(time.monotonic() - began, EXIT)
        for client in clients:
            await soon(client.wait_closed())
            self.assertEqual(client.close_code, 1001)
            self.assertEqual((await soon(self.app.closes.get()))[0], 1001)


class Opening:
    """Who gets in, and what the app learns about them."""

    async def test_a_token_from_every_source(self):
        await self.run_ringside()
        token = self.issuer.token
        kubernetes = lambda: "base64url.bearer.authorization.k8s.io." + base64url(token().encode())
        sources = {
            "header": lambda: self.connect(token=token()),
            "subprotocol, as in Kubernetes": lambda: self.connect(subprotocols=[kubernetes(), "chat.v1"]),
            "subprotocol, bearer and token": lambda: self.connect(subprotocols=["bearer", token(), "chat.v1"]),
            "query": lambda: self.connect(f"/room?a=1&access_token={token()}&b=2"),
            "cookie": lambda: self.connect(additional_headers={"Cookie": f"a=1; session={token()}; b=2"}),
        }
        for source, connected in sources.items():
            with self.subTest(source):
                async with connected() as client:
                    await self.assert_echo(client)
                self.assertEqual(self.app.requests[-1].headers["x-ringside-subject"], "ann")
                if "subprotocol" in source:
                    self.assertEqual((client.subprotocol, self.app.offers[-1]), ("chat.v1", ["chat.v1"]))
        by_path = {request.path: request for request in self.app.requests}
        self.assertIn("/room?a=1&b=2", by_path)
        self.assertIn("a=1; b=2", self.app.requests[-1].headers["Cookie"])

    async def test_tokens_that_are_refused(self):
        await self.run_ringside()
        token = self.issuer.token
        tokens = {
            "token_missing": None,
            "token_expired": token(exp=int(time.time()) - 60),
            "token_not_yet_valid": token(nbf=int(time.time()) + 600),
            "token_audience": token(aud="billing"),
            "token_issuer": token(iss="https://elsewhere.example"),
            "token_signature": token(by_stranger=True),
            "token_claims": token(exp="soon"),
            "token_malformed": "not-a-token",
            "token_too_large": token(padding="p" * 8192),
        }
        for reason, bad in tokens.items():
            with self.subTest(reason):
                await self._assert_unauthorized(bad, {reason})
        with self.subTest("alg: none"):
            await self._assert_unauthorized(token(algorithm="none"), {"token_algorithm", "token_malformed"})
        with self.subTest("HS256 with the public key"):
            await self._assert_unauthorized(self.issuer.confused_token(), {"token_algorithm"})
        self.assertEqual(self.app.requests, [], "a refused client reached the app")

    async def _assert_unauthorized(self, token, reasons):
        response = await self.refused(token=token)
        self.assertEqual(response.status_code, 401)
        self.assertIn(response.headers["ringside-reason"], reasons)
        challenge = response.headers["WWW-Authenticate"]
        self.assertTrue(challenge.startswith("Bearer "), challenge)
        self.assertEqual('error="invalid_token"' in challenge, token is not None, challenge)

    # Also the proof that a token which reaches the app would be found at the end of every other test.
    async def test_a_token_that_is_to_be_forwarded(self):
        await self.run_ringside(more={"[auth.jwt]": "forward = true"})
        token = self.issuer.token()
        async with self.connect(token=token) as client:
            await self.assert_echo(client)
        self.assertEqual(self.app.requests[0].headers["Authorization"], f"Bearer {token}")
        self.assertTrue(self.issuer.leaked_into(self.app.heard))
        self.app.requests.clear()

    async def test_two_tokens_are_refused(self):
        await self.run_ringside()
        response = await self.refused(f"/?access_token={self.issuer.token()}", token=self.issuer.token())
        self.assertEqual((response.status_code, response.headers["ringside-reason"]), (400, "token_twice"))

    async def test_what_the_app_learns(self):
        await self.run_ringside()
        forged = {
            "x-ringside-subject": "root", "X_Ringside_Subject": "root", "x-tenant": "other", "Forwarded": "for=1.2.3.4",
            "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "evil.example",
        }
        honest = {"X-Custom": "kept", "Cookie": "theme=dark", "Accept-Language": "de"}
        origin = "https://chat.example"
        options = {"additional_headers": forged | honest, "origin": origin}
        async with self.connect("/a?b=c", self.issuer.token(), **options) as client:
            await self.assert_echo(client)
        headers, host = self.app.requests[-1].headers, f"localhost:{self.ringside.port}"
        expected = honest | {
            "Host": host, "Origin": origin, "x-ringside-subject": "ann", "x-tenant": "acme",
            "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": host,
        }
        for name, value in expected.items():
            self.assertEqual(headers.get_all(name), [value], name)
        for name in ("Authorization", "Forwarded", "X_Ringside_Subject"):
            self.assertNotIn(name, headers)
        self.assertRegex(headers["traceparent"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$")
        self.assertEqual(self.app.requests[-1].path, "/a?b=c")

    async def test_a_claim_that_is_absent_leaves_its_header_absent(self):
        await self.run_ringside()
        async with self.connect(token=self.issuer.token(tenant=None), additional_headers={"x-tenant": "forged"}):
            pass
        self.assertNotIn("x-tenant", self.app.requests[-1].headers)

    async def test_a_request_that_is_no_upgrade(self):
        await self.run_ringside()
        status, headers = await asyncio.to_thread(self._get, {})
        self.assertEqual((status, headers["Upgrade"], headers["ringside-reason"]), (426, "websocket", "not_upgrade"))
        self.assertEqual(self.app.requests, [])

    async def test_a_head_that_is_too_large(self):
        await self.run_ringside()
        status, headers = await asyncio.to_thread(self._get, {"X-Large": "x" * 20_000})
        self.assertEqual((status, headers["ringside-reason"]), (431, "head_too_large"))

    def _get(self, headers):
        connection = http.client.HTTPSConnection("127.0.0.1", self.ringside.port, context=self.certificates.context())
        try:
            connection.request("GET", "/", headers={"Authorization": f"Bearer {self.issuer.token()}"} | headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.headers
        finally:
            connection.close()

    async def test_an_app_that_refuses(self):
        await self.run_ringside()
        response = await self.refused("/forbidden", token=self.issuer.token())
        self.assertEqual((response.status_code, response.body), (403, b"not for you\n"))
        self.assertEqual(response.headers["ringside-reason"], "app_refused")

    async def test_an_app_that_is_down_and_comes_back(self):
        await self.run_ringside(app=f"unix:{self.directory}/app.sock")
        response = await self.refused(token=self.issuer.token())
        self.assertEqual((response.status_code, response.headers["ringside-reason"]), (502, "app_unreachable"))
        await self.app.listen(self.directory / "app.sock")
        self.addAsyncCleanup(self.app.close)
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)

    async def test_tls_versions(self):
        await self.run_ringside()
        for version, name in [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
            context = self.certificates.context()
            context.minimum_version = context.maximum_version = version
            async with self.connect(token=self.issuer.token(), ssl=context) as client:
                self.assertEqual(client.transport.get_extra_info("ssl_object").version(), name)
                await self.assert_echo(client)

    async def test_client_certificates(self):
        await self.run_ringside(more={"[tls]": 'client_ca = "ca.crt"'})
        with self.assertRaises((ssl.SSLError, OSError, InvalidMessage)):
            async with self.connect(token=self.issuer.token()):
                pass
        self.assertEqual(self.app.requests, [])
        context = self.certificates.context(client_certificate=True)
        async with self.connect(token=self.issuer.token(), ssl=context) as client:
            await self.assert_echo(client)
        response = await self.refused(ssl=context)
        self.assertEqual(response.headers["ringside-reason"], "token_missing")


class RelayingOnEpoll(Relaying, Case):
    engine = "epoll"


class RelayingOnIoUring(Relaying, Case):
    engine = "io_uring"


class OpeningOnEpoll(Opening, Case):
    engine = "epoll"


class OpeningOnIoUring(Opening, Case):
    engine = "io_uring"
