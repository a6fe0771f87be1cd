"""Autobahn|Testsuite, which judges WebSocket servers, on an app that checks nothing, with Ringside before it.

`kosoku` runs its cases, translated to Python 3, with the judgement that each of them has. It speaks no TLS, so the
listener is plain here. Left out are sections 12 and 13, which are about an extension that the app does not have.
"""

from collections import Counter

from kosoku import FailureError, run_fuzzingclient

from lax_app import LaxApp
from support import Case, soon

SECTIONS = {
    "1": "framing", "2": "control frames", "3": "reserved bits", "4": "opcodes", "5": "fragmentation", "6": "UTF-8",
    "7": "closing", "9": "limits", "10": "automatic fragmentation",
}
CASES = 301  # in these sections
AT_ONCE = 4  # most of them only wait
ALL_CASES = 300  # seconds; they take 20, and each has a limit of its own

# Right, but less than the suite likes: it would first see what came before the violation come back. That comes from
# the app, and Ringside does not wait for it. With luck the app is faster.
NON_STRICT = {
    "3.2", "3.3", "3.4",  # a text message, then a reserved bit
    "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5",  # a text message, then a reserved opcode
    "5.15",  # a message of two fragments, then a continuation of nothing
}

# A Close frame with reserved bits, and one with a payload of one byte: any end of the connection satisfies the suite,
# the app's answer too. The code tells whose it was.
TOLD_BY_CODE = ["3.7", "7.3.2"]


class Conformance(Case):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.app = LaxApp()

    async def judge(self, address):
        """What the suite says about the server there, by case."""
        url = f"ws://{address}/?access_token={self.issuer.token()}"
        try:
            run = run_fuzzingclient(url, [f"{section}.*" for section in SECTIONS], concurrency=AT_ONCE)
            results = await soon(run, within=ALL_CASES)
        except FailureError as failure:
            results = failure.results
        self.assertEqual(len(results), CASES)
        return results


class WithoutRingside(Conformance):
    """Without this, the tests below could be blind."""

    async def test_the_app_alone_fails(self):
        await self.app.listen()
        self.addAsyncCleanup(self.app.close)
        results = await self.judge(self.app.address)
        failing = Counter(section(result) for result in results if not result.passed)
        # All that it is to refuse, except TOLD_BY_CODE, and nothing that it is to echo.
        self.assertEqual(failing, {"2": 1, "3": 6, "4": 10, "5": 12, "6": 75, "7": 11}, report(results))


class Guarding:
    async def test_no_case_fails(self):
        await self.run_ringside(tls=False, more={"[limits]": "fragments = 70000"})  # case 9.3.1: 4 MiB, 64 bytes each
        results = await self.judge(self.ringside.address)
        self.assertEqual([result.case_id for result in results if not result.passed], [], report(results))
        lenient = {result.case_id for result in results if result.behavior.value == "NON-STRICT"}
        self.assertLessEqual(lenient, NON_STRICT, report(results))
        codes = {result.case_id: result.remote_close_code for result in results}
        self.assertEqual({case: codes[case] for case in TOLD_BY_CODE}, dict.fromkeys(TOLD_BY_CODE, 1002))


class OnEpoll(Guarding, Conformance):
    engine = "epoll"


class OnIoUring(Guarding, Conformance):
    engine = "io_uring"


def section(result):
    return result.case_id.partition(".")[0]


def report(results):
    """All about the cases that are not simply OK."""
    return "\n" + "\n".join(
        f"{result.case_id}, {SECTIONS[section(result)]}: {result.behavior.value}, close {result.behavior_close.value}\n"
        f"    {result.description.partition('<br>')[0].strip()}\n    expected: {result.expectation}\n"
        f"    {result.result} Received: {str(result.received)[:200]}\n"
        f"    {result.result_close}. Close code received: {result.remote_close_code}"
        for result in results if (result.behavior.value, result.behavior_close.value) != ("OK", "OK")
    )
