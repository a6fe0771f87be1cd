"""The metrics, the alert rules and a real Prometheus, from Debian's package `prometheus`."""

import asyncio
import json
import shutil
import signal
import time
import urllib.parse
from pathlib import Path

from support import PATIENCE, Case, Process, ask, free_port, skip, soon

HERE = Path(__file__).parent
ALERTS = HERE.parent.parent / "config/prometheus-alerts.yml"

CONFIGURATION = """\
global:
  scrape_interval: 1s
  evaluation_interval: 200ms
rule_files: [{alerts}]
scrape_configs:
  - job_name: ringside
    static_configs: [{{ targets: ["{target}"] }}]
"""


def needs_prometheus():
    if not shutil.which("promtool") or not shutil.which("prometheus"):
        # Also in CI: only Debian and its kin have the package, and it is large. tests/monitoring.rs holds the names anyway.
        skip("Prometheus is not here, and could not be had", also_in_ci=True)


async def promtool(*arguments, given=None):
    """Runs promtool. What it does not like is a failure."""
    process = await asyncio.create_subprocess_exec(
        "promtool", *map(str, arguments), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await soon(process.communicate(given.encode() if given else None))
    if process.returncode != 0:
        raise AssertionError(f"promtool {arguments}: {said.decode()}")
    return said.decode()


class Prometheus(Process):
    """A server with our alert rules that scrapes one target every second, which is also how long a scrape may take."""

    async def run(self, directory, target):
        configuration = directory / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(alerts=json.dumps(str(ALERTS)), target=target))
        self.address = f"127.0.0.1:{free_port()}"
        await self.start(
            "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'prometheus'}",
            f"--web.listen-address={self.address}",
        )
        await self.says(lambda lines: any("Server is ready to receive web requests" in line for line in lines))
        return self

    async def api(self, path, **parameters):
        path = f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        return json.loads(await asyncio.to_thread(ask, self.address, path))["data"]

    async def figures(self, query):
        """What a query gives now, by the values of its labels."""
        result = (await self.api("query", query=query))["result"]
        return {tuple(series["metric"].values()): float(series["value"][1]) for series in result}

    async def comes_to(self, query, expected):
        """Waits until a query gives this. A scrape tells nobody that it is over, so this asks again and again."""
        deadline = time.monotonic() + PATIENCE
        while (figures := await self.figures(query)) != expected:
            if time.monotonic() > deadline:
                raise AssertionError(f"{query}: {figures} instead of {expected}")

    def complaints(self):
        return [line for line in self.lines if "level=warn" in line or "level=error" in line]


class Rules(Case):
    """The rules alone."""

    async def test_rules_are_sound_and_fire_when_they_should(self):
        needs_prometheus()
        self.assertIn("SUCCESS", await promtool("check", "rules", ALERTS))
        self.assertIn("SUCCESS", await promtool("test", "rules", HERE / "monitoring.yml"))


class Scraped:
    """A running ringside, scraped while clients talk."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        needs_prometheus()
        self.prometheus = Prometheus()
        self.addAsyncCleanup(self.prometheus.kill)
        await self.run_ringside(more={"[admin]": 'address = "127.0.0.1:0"'})
        self.admin = (await self.ringside.event("admin endpoint"))["address"]
        await self.prometheus.run(self.directory, self.admin)

    async def test_figures_are_what_was_sent_so_far(self):
        messages = lambda opcode: f'sum by (direction) (ringside_messages_total{{opcode="{opcode}"}})'
        async with self.connect(token=self.issuer.token()) as one, self.connect(token=self.issuer.token()) as other:
            sent = 0
            for more in (10, 40):
                sent += more
                for number in range(more):
                    await self.assert_echo(one, f"text {number}")
                    await self.assert_echo(other, bytes(number))
                for opcode in ("text", "binary"):
                    both_ways = {("from_client",): sent, ("from_app",): sent}
                    await self.prometheus.comes_to(messages(opcode), both_ways)
                await self.prometheus.comes_to("sum(ringside_connections_open)", {(): 2})
            await promtool("check", "metrics", given=await asyncio.to_thread(ask, self.admin, "/metrics"))
        await self.refused()
        ends = 'sum by (by, why) (ringside_connections_ended_total) > 0'
        await self.prometheus.comes_to(ends, {("client", "closed"): 2})
        refusals = 'sum by (reason) (ringside_handshakes_total{outcome="refused"}) > 0'
        await self.prometheus.comes_to(refusals, {("token_missing",): 1})
        await self._assert_no_scrape_failed()
        await self._assert_rules_work()

    async def _assert_no_scrape_failed(self):
        self.assertEqual(await self.prometheus.figures("sum(sum_over_time(up[1h])) / sum(count_over_time(up[1h]))"), {(): 1})
        (scrapes,) = (await self.prometheus.figures("sum(count_over_time(up[1h]))")).values()
        self.assertGreaterEqual(scrapes, 3, "one for each state that was seen above")
        (target,) = (await self.prometheus.api("targets"))["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        # Series that stand twice, or samples out of order, are warnings in its log.
        self.assertEqual(self.prometheus.complaints(), [])

    async def _assert_rules_work(self):
        groups = (await self.prometheus.api("rules"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        self.assertGreater(len(rules), 20)
        self.assertEqual([rule for rule in rules if rule["health"] != "ok"], [])
        self.assertEqual((await self.prometheus.api("alerts"))["alerts"], [])
        await self.ringside.exit(signal.SIGTERM)
        await self.prometheus.comes_to('count by (alertname, alertstate) (ALERTS)', {("RingsideDown", "pending"): 1})


class ScrapedOnEpoll(Scraped, Case):
    engine = "epoll"


class ScrapedOnIoUring(Scraped, Case):
    engine = "io_uring"
