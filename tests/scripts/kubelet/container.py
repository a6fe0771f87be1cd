"""A container of a pod: what its manifest says, its starts, probes and restarts, and its end."""

import asyncio
import json
import time

from kubelet import probe
from kubelet.network import POD
from kubelet.runc import CAPABILITIES, RUNTIME_DEFAULT, Wanted

MOST_RUNS = 2  # kubelet would go on, but not at once
LEAST_GRACE = 2  # seconds that a container has after its SIGTERM, however long its preStop hook took


class Container:
    """Runs until its pod ends, and is started again when it fails."""

    def __init__(self, pod, spec, is_sidecar):
        self.pod, self.spec, self.name, self.is_sidecar = pod, spec, spec["name"], is_sidecar
        self.has_started = self.is_ready = False
        self.id, self.runs, self.exit_code = None, [], None  # each run has another id
        self.ended, self.gone = asyncio.Event(), asyncio.Event()  # the present run; for good

    @property
    def process(self):
        """The one that runs, or was the last to run."""
        return self.runs[-1]

    @property
    def output(self):
        return "\n".join(run.output for run in self.runs)

    async def keep(self, restarts):
        """Runs it to its end, and once more if it `restarts` and its pod goes on."""
        try:
            while len(self.runs) < MOST_RUNS:
                self.id = f"{self.pod.uid}-{self.name}-{len(self.runs)}"
                self.runs.append(await self.pod.runtime.run(self.id, self._wanted()))
                self.ended = asyncio.Event()
                await self._tell("started")
                async with asyncio.TaskGroup() as group:
                    probing = group.create_task(self._probe())
                    self.exit_code = await self.process.exit(within=None)
                    probing.cancel()
                self.has_started = False
                self.ended.set()
                await self._tell(f"exited {self.exit_code}")
                await self._take_readiness(False)
                if self.pod.is_ending or not restarts:
                    return
            raise AssertionError(f"{self.name} fails again and again")
        finally:
            self.gone.set()

    async def signal(self, name):
        await self._tell(name)
        await self.pod.runtime.signal(self.id, name)

    async def stop(self, grace, after=()):
        """Its preStop hook, then the wait for those in `after`, then SIGTERM; SIGKILL when all of it takes too long."""
        deadline = time.monotonic() + grace
        left = lambda least=0: max(deadline - time.monotonic(), least)
        ended = self.ended
        await self._pre_stop(left())
        await within(left(), asyncio.gather(*(other.gone.wait() for other in after)))
        if not ended.is_set():
            await self.signal("SIGTERM")
        if not await within(left(LEAST_GRACE), ended.wait()):
            await self.signal("SIGKILL")

    async def remove(self):
        """Ends it at once, also one that is just being started."""
        while not self.gone.is_set():
            await self.pod.runtime.remove(self.id)
            await within(1, self.gone.wait())

    async def _tell(self, what):
        await self.pod.tell(self.name, what)

    async def _pre_stop(self, left):
        hook = self.spec.get("lifecycle", {}).get("preStop")
        if hook and not await within(left, self._run(hook)):
            await self._tell("preStop takes too long")

    async def _run(self, hook):
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
            await self._tell("preStop slept")
        else:
            code, said = await self.pod.runtime.execute(self.id, *hook["exec"]["command"])
            await self._tell(f"preStop exited {code}" + (f": {said}" if code else ""))

    async def _probe(self):
        if startup := self.spec.get("startupProbe"):
            async for passed in probe.verdicts(startup, self._ask):
                if not passed:
                    raise AssertionError(f"{self.name} does not start:\n{self.output}")
                break
        self.has_started = True
        await self._tell("has started")
        if "readinessProbe" not in self.spec:
            await self._take_readiness(True)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch("readinessProbe", self._take_readiness))
            group.create_task(self._watch("livenessProbe", self._take_liveness))

    async def _watch(self, kind, take):
        if kind in self.spec:
            async for passed in probe.verdicts(self.spec[kind], self._ask):
                await take(passed)

    async def _take_readiness(self, passed):
        if self.is_ready != passed:
            self.is_ready = passed
            await self._tell("is ready" if passed else "is not ready")

    async def _take_liveness(self, passed):
        if not passed and not self.pod.is_ending:  # a pod that ends is not asked any more
            await self._tell("is not alive")
            liveness = self.spec["livenessProbe"]
            await self.stop(liveness.get("terminationGracePeriodSeconds", self.pod.grace))

    async def _ask(self, asked):
        ports = {port["name"]: port["containerPort"] for port in self.spec.get("ports", []) if "name" in port}
        return await probe.passes(asked, POD, ports)

    def _wanted(self):
        spec, pod = self.spec, self.pod
        security = pod.spec.get("securityContext", {}) | spec.get("securityContext", {})
        user, groups = security.get("runAsUser", 0), [security[key] for key in ["fsGroup"] if key in security]
        if security.get("runAsNonRoot") and user == 0:
            raise AssertionError(f"{self.name} has runAsNonRoot, and would run as root")
        dropped = CAPABILITIES if "ALL" in (drop := security.get("capabilities", {}).get("drop", [])) else drop
        image = pod.images[spec["image"].partition(":")[0]]
        return Wanted(
            command=[*spec.get("command", image.entrypoint), *spec.get("args", [])],
            files=image.files,
            environment=pod.services() | {"HOSTNAME": pod.name} | dict(map(self._variable, spec.get("env", []))),
            mounts=[
                (pod.volume(mount["name"]), mount["mountPath"], not mount.get("readOnly"))
                for mount in spec.get("volumeMounts", [])
            ],
            hostname=pod.name, network=pod.network.pod, user=user, group=security.get("runAsGroup", 0), groups=groups,
            capabilities=[f"CAP_{name}" for name in CAPABILITIES if name not in dropped],
            no_new_privileges=security.get("allowPrivilegeEscalation") is False,
            read_only=security.get("readOnlyRootFilesystem", False),
            seccomp=self._seccomp(security.get("seccompProfile", {"type": "Unconfined"})),
        )

    def _variable(self, entry):
        source = entry.get("valueFrom")
        return entry["name"], self.pod.field(source["fieldRef"]["fieldPath"]) if source else entry.get("value", "")

    def _seccomp(self, profile):
        match profile["type"]:
            case "RuntimeDefault":
                return RUNTIME_DEFAULT
            case "Localhost":
                return json.loads((self.pod.profiles / profile["localhostProfile"]).read_text())
            case "Unconfined":
                return None


async def within(seconds, awaitable):
    """Waits for it for so long. Returns whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await awaitable
        return True
    except TimeoutError:
        return False
