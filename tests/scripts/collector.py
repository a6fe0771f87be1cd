"""Spans at a collector nobody here wrote: rotel, with both protocols of [telemetry.traces]."""

import signal

from spans import Rotel
from support import EXIT, Case


class Collector:
    """One ringside that exports to rotel, which dies in the end."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.rotel = Rotel()
        self.addAsyncCleanup(self.rotel.kill)
        await self.rotel.run()
        traces = f'endpoint = "{self.rotel.endpoints[self.protocol]}"\nprotocol = "{self.protocol}"\ncheckpoint = "1s"'
        at_once = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds instead of 5 seconds
        more = {"[telemetry]": 'routes = ["/rooms/{room}"]', "[telemetry.traces]": traces}
        await self.run_ringside(more=more, environment=at_once)

    async def test_spans_arrive_and_a_dead_collector_harms_nobody(self):
        await self._assert_spans()
        async with self.connect(token=self.issuer.token()) as client:
            await self.rotel.exit(signal.SIGKILL)
            for _ in range(100):
                await self.assert_echo(client)
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
            await self.ringside.event("the collector does not take spans")
            self.assertEqual(await self.ringside.exit(signal.SIGTERM, within=EXIT), 0)
            await client.wait_closed()
            self.assertEqual(client.close_code, 1001)

    async def _assert_spans(self):
        caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        _, trace, parent, _ = caller.split("-")
        token = self.issuer.token()
        context = {"traceparent": caller, "tracestate": "vendor=1", "baggage": "user=ann"}
        async with self.connect("/rooms/secret?private=yes", token, additional_headers=context) as client:
            await self.assert_echo(client)
            # It is seen while it lives, below a span that comes with its end.
            lives = await self.rotel.span({
                "Name": "websocket checkpoint", "Kind": "SPAN_KIND_INTERNAL", "Trace ID": trace,
                "websocket.from_client.messages": "1", "websocket.from_app.messages": "1",
            })
        await self.refused(token=self.issuer.token(aud="billing"))

        opened = await self.rotel.span({
            "ringside.outcome": "opened", "Name": "GET /rooms/{room}", "Kind": "SPAN_KIND_SERVER", "Trace ID": trace,
            "Parent ID": parent, "Status code": "STATUS_CODE_UNSET", "http.response.status_code": "101",
            "http.route": "/rooms/{room}", "url.scheme": "https", "client.address": "127.0.0.1",
            "tls.protocol.version": "1.3", "ringside.subject.present": "true",
        })
        below = {"Trace ID": trace, "Parent ID": opened["ID"], "Status code": "STATUS_CODE_UNSET"}
        await self.rotel.span(below | {"Name": "tls", "Kind": "SPAN_KIND_INTERNAL", "tls.protocol.version": "1.3"})
        await self.rotel.span(below | {"Name": "token", "Kind": "SPAN_KIND_INTERNAL", "ringside.token.found": "true"})
        dial = await self.rotel.span(below | {
            "Name": "dial", "Kind": "SPAN_KIND_CLIENT", "http.response.status_code": "101",
        })
        told = self.app.requests[0].headers
        self.assertEqual(told["traceparent"], f"00-{trace}-{dial['ID']}-01")
        self.assertEqual((told["tracestate"], told["baggage"]), ("vendor=1", "user=ann"))
        ended = await self.rotel.span({
            "Name": "websocket", "Kind": "SPAN_KIND_INTERNAL", "Trace ID": trace, "Parent ID": opened["ID"],
            "ringside.connection.id": opened["ringside.connection.id"], "ringside.end.by": "client",
            "ringside.end.why": "closed", "websocket.close.code_received": "1000",
            # "hello" each way and a Close with a code each way; the client's frames carry a mask of 4 bytes.
            "websocket.from_client.frames": "2", "websocket.from_client.messages": "1",
            "websocket.from_client.bytes": "19", "websocket.from_app.bytes": "11",
            "websocket.from_client.messages_compressed": "0", "websocket.from_app.messages_compressed": "0",
        })
        self.assertEqual(lives["Parent ID"], ended["ID"])
        refused = await self.rotel.span({
            "ringside.outcome": "refused", "http.response.status_code": "401", "ringside.reason": "token_audience",
            "Status code": "STATUS_CODE_UNSET", "ringside.subject.present": "false",
        })
        self.assertNotEqual(refused["Trace ID"], trace)
        await self.rotel.span({
            "Name": "token", "Trace ID": refused["Trace ID"], "Parent ID": refused["ID"],
            "ringside.token.found": "true", "ringside.reason": "token_audience",
        })
        self.assertTrue(any("service.name: Str(ringside)" in line for line in self.rotel.lines), self.rotel.output)
        self.assertFalse(self.issuer.leaked_into(self.rotel.output), "a token reached the collector")
        for private in ("Str(ann)", "private=yes", "rooms/secret", "user=ann"):
            self.assertNotIn(private, self.rotel.output)


class HttpOnEpoll(Collector, Case):
    engine, protocol = "epoll", "http/protobuf"


class HttpOnIoUring(Collector, Case):
    engine, protocol = "io_uring", "http/protobuf"


class GrpcOnEpoll(Collector, Case):
    engine, protocol = "epoll", "grpc"


class GrpcOnIoUring(Collector, Case):
    engine, protocol = "io_uring", "grpc"
