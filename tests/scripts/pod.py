"""Ringside in a pod: the example of the README, injected, on a node that kubelet/ plays.

Clients are on the node, and reach the pod by its address and the port to which its Service leads.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from pathlib import Path

import yaml
from websockets.exceptions import ConnectionClosed

from credentials import AUDIENCE, ISSUER
from injector import SIDECAR, inject, needs, objects
from kubelet.network import POD, Network
from kubelet.pod import Pod
from kubelet.probe import get
from kubelet.runc import Image, Runtime
from support import RINGSIDE, Case, needs_containers, skip, soon

HERE = Path(__file__).parent
EXAMPLE = SIDECAR / "tests/golden/deployment.yaml"
PROFILES = SIDECAR / "deploy/seccomp"

CLIENTS = 50
ANNOTATIONS = {
    "auth.jwt.issuer": ISSUER, "auth.jwt.audience": AUDIENCE, "log.filter": "trace",
    "drain.spread": "1s", "drain.timeout": "3s",
}
READINESS = {"httpGet": {"path": "/healthz", "port": "ws"}, "periodSeconds": 1}
FILE = """\
[log]
format = "json"
[runtime]
engine = "epoll"
workers = 1
[drain]
reason = "deploy"
timeout = "1h"
"""


class Talker:
    """A client that sends numbers and waits for each to come back, in order, until its connection ends."""

    def __init__(self, subject, client):
        self.subject, self._client = subject, client
        self.sent = self.received = 0
        self.end = self.ended = None

    async def talk(self, everybody):
        try:
            for number in itertools.count():
                self.sent += 1
                await soon(self._client.send(str(number)))
                if await soon(self._client.recv()) != str(number):
                    raise AssertionError(f"{self.subject}: {number} came back as something else")
                self.received += 1
                if number == 0:
                    await soon(everybody.wait())
        except ConnectionClosed:
            self.ended = time.monotonic()
            self.end = self._client.close_code, self._client.close_reason


class PodCase(Case):
    """A test with a pod of its own, on a node of its own."""

    annotations = {}

    def setUp(self):
        needs("ip")
        self.network = Network()
        self.addCleanup(self.network.close)

    def edit(self, spec, service):
        """What a test changes in the template's spec and in the Service before they are injected."""

    def manifest(self):
        """The example's Deployment and Service, injected."""
        deployment, service = objects(EXAMPLE.read_text())
        template = deployment["spec"]["template"]
        annotations = {f"ringside.dev/{name}": value for name, value in (ANNOTATIONS | self.annotations).items()}
        template["metadata"]["annotations"] = annotations
        template["spec"]["containers"][0]["readinessProbe"] = READINESS
        self.edit(template["spec"], service)
        return objects(inject(yaml.safe_dump_all([deployment, service])))

    async def start_pod(self):
        await needs_containers(self.directory)
        deployment, self.service = self.manifest()
        read = lambda name: (self.directory / name).read_text()
        objects = {
            ("Secret", "ringside-tls"): {"tls.crt": read("tls.crt"), "tls.key": read("tls.key")},
            ("ConfigMap", "ringside-jwks"): {"jwks.json": read("jwks.json")},
            ("ConfigMap", "chat-ringside"): {"ringside.toml": FILE},
        }
        app = [sys.executable, str(HERE / "pod_app.py")]
        images = {
            "ringside": Image({"/usr/local/bin/ringside": RINGSIDE}, ["/usr/local/bin/ringside"]),
            "example/chat": Image({path: path for path in (sys.prefix, sys.base_prefix, str(HERE))}, app),
        }
        # A Service of our name, too: its variables in each container look like keys of our configuration.
        services = [self.service, self.service | {"metadata": {"name": "ringside"}}]
        self.pod = Pod(
            deployment["spec"]["template"], self.directory / "pod", Runtime(self.directory), self.network, images, objects,
            services, PROFILES,
        )
        self.addAsyncCleanup(self._stop)
        await self.pod.start()
        await self.pod.until(lambda: self.pod.is_ready)
        self.sidecar, self.app = self.pod.containers["ringside"], self.pod.containers["chat"]

    async def _stop(self):
        await self.pod.close()
        for container in self.pod.containers.values():
            self.assertFalse(self.issuer.leaked_into(container.output), f"a token stands in the log of {container.name}")

    @property
    def destination(self):
        return self.pod.address(self.service)

    async def talkers(self, count=CLIENTS):
        """Clients that talk, each of which has heard an echo; and what to wait for when they are to end."""
        subjects = [f"client-{number}" for number in range(count)]
        clients = [await self.connect(token=self.issuer.token(sub=subject)) for subject in subjects]
        talkers, everybody = list(map(Talker, subjects, clients)), asyncio.Barrier(count + 1)
        talking = asyncio.gather(*(talker.talk(everybody) for talker in talkers))
        await soon(everybody.wait())
        return talkers, talking

    async def end(self):
        """Ends the pod, which must come to its end by itself, in time, in order."""
        before, began = len(self.pod.events), time.monotonic()
        await self.pod.delete()
        story = self.pod.story
        self.assertLess(time.monotonic() - began, self.pod.grace, story)
        self.assertNotIn("SIGKILL", [event.what for event in self.pod.events[before:]], story)
        self.assertEqual([self.app.exit_code, self.sidecar.exit_code], [0, 0], story)
        self.assertIsNotNone(self.pod.time_of("ringside", "preStop exited 0"), story)


class Life:
    """From the start of a pod to its end, as it should be."""

    engine = "epoll"
    workers = 2
    reason = ""  # of the Close

    async def test_from_start_to_end(self):
        await self.start_pod()
        await self.sidecar.process.event("listening", engine=self.engine, workers=self.workers)
        await self.app.process.event("listening")
        await self.refused()
        talkers, talking = await self.talkers()
        await self._assert_shown_outside()
        await self.end()
        await soon(talking)
        await self._assert_all_were_told(talkers)

    async def _assert_shown_outside(self):
        """Probes and metrics are to be had at the pod's address, and nothing else beside the clients' port."""
        status, metrics = await get(POD, 9902, "/metrics")
        self.assertEqual(status, 200)
        self.assertIn(f"\nringside_connections_open {CLIENTS}\n", metrics)
        self.assertEqual((await get(POD, 9902, "/drain"))[0], 404)
        for port in (9901, 3000):
            with self.assertRaises(ConnectionRefusedError):
                await get(POD, port, "/")

    async def _assert_all_were_told(self, talkers):
        self.assertEqual({talker.end for talker in talkers}, {(1001, self.reason)})
        last, sigterm = max(talker.ended for talker in talkers), await self.app.process.event("SIGTERM")
        self.assertEqual(sigterm["open"], 0)
        self.assertLess(last, self.pod.time_of("chat", "SIGTERM"), self.pod.story)
        await self.sidecar.process.event("draining", connections=CLIENTS, timeout="3s")
        await self.sidecar.process.event("drained", cut=0)
        for talker in talkers:
            end = await self.sidecar.process.event("ended", subject=talker.subject)
            self.assertEqual((end["by"], end["why"], end["code_sent"]), ("ringside", "drain", 1001))
            self.assertEqual(end["from_app.messages"], talker.received)
            self.assertIn(talker.sent, {talker.received, talker.received + 1})
            closed = await self.app.process.event("closed", subject=talker.subject)
            self.assertEqual((closed["code"], closed["messages"]), (1001, end["from_client.messages"]))


class OnEpoll(Life, PodCase):
    """The container runtime's seccomp profile lets nobody have a ring."""


class OnIoUring(Life, PodCase):
    """With a seccomp profile of its own."""

    engine = "io_uring"
    annotations = {"seccomp-profile": "localhost/ringside.json"}

    def setUp(self):
        checked = subprocess.run([RINGSIDE, "check"], env={"RINGSIDE_APP_ADDRESS": "127.0.0.1:3000"}, capture_output=True)
        if checked.returncode == 3:  # would run, but on epoll
            skip(f"this kernel refuses io_uring: {checked.stdout.decode()}")
        super().setUp()


class UnixSocket(Life, PodCase):
    """In a directory of both containers, and both run as one user."""

    annotations = {"app-socket": "/run/chat/app.sock"}

    def edit(self, spec, service):
        (app,) = spec["containers"]
        spec["securityContext"] = {"runAsUser": 10001, "runAsNonRoot": True}
        app["args"] = ["/run/chat/app.sock"]
        del app["ports"], app["readinessProbe"], app["livenessProbe"]
        service["spec"]["ports"][0]["targetPort"] = 8443


class ConfigurationFile(Life, PodCase):
    """From a ConfigMap. The environment goes before it: clients do not have an hour to leave."""

    annotations = {"config-map": "chat-ringside"}
    workers = 1
    reason = "deploy"


class Classic(Life, PodCase):
    """The sidecar is a container among the others, with a SIGTERM of its own."""

    annotations = {"form": "classic"}


class Mishaps(PodCase):
    """The app fails. Its clients are told to come back, and find it again when the pod is ready again."""

    def edit(self, spec, service):
        (app,) = spec["containers"]
        app["startupProbe"] = READINESS | {"failureThreshold": 30}
        # A process that is stopped ends only by SIGKILL, which would come after the grace period of the pod.
        app["livenessProbe"] = READINESS | {"failureThreshold": 2, "terminationGracePeriodSeconds": 1}

    async def test_an_app_that_dies(self):
        await self._fails("SIGKILL", told={1012})

    async def test_an_app_that_hangs(self):
        await self._fails("SIGSTOP", told={1011, 1012})
        self.assertIsNotNone(self.pod.time_of("chat", "is not alive"), self.pod.story)

    async def _fails(self, signal_name, told):
        await self.start_pod()
        talkers, talking = await self.talkers(10)
        await self.app.signal(signal_name)
        await soon(talking)
        for talker in talkers:
            code, reason = talker.end
            self.assertIn(code, told)
            self.assertIn("retry-after-ms=", reason)
        await self.pod.until(lambda: len(self.app.runs) == 2 and self.pod.is_ready)
        readiness = [event.what for event in self.pod.events if event.container == "chat" and "ready" in event.what]
        self.assertEqual(readiness, ["is ready", "is not ready", "is ready"], self.pod.story)
        self.assertEqual(len(self.sidecar.runs), 1, self.pod.story)
        async with self.connect(token=self.issuer.token()) as client:
            await self.assert_echo(client)
