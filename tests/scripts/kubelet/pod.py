"""A pod: its volumes, the order in which its containers start and end, and what becomes known of them."""

import asyncio
import os
import time
import typing
import uuid

from kubelet.container import Container
from kubelet.network import POD
from support import soon

NAME = "chat-5d9c7b-x7k2p"
SERVICE = "10.96.0.10"


class Event(typing.NamedTuple):
    time: float
    container: str
    what: str


class Pod:
    """A pod made of a template, and what happened to it.

    `images`: what there is, by name. `objects`: files of Secrets and ConfigMaps, by kind and name. `services`: Services of
    its namespace. `profiles`: the directory of seccomp profiles.
    """

    def __init__(self, template, directory, runtime, network, images, objects, services, profiles):
        self.template, self.spec, self.name, self.uid = template, template["spec"], NAME, str(uuid.uuid4())
        self.runtime, self.network, self.images, self.profiles = runtime, network, images, profiles
        self._directory, self._objects, self._services = directory, objects, services
        self.containers, self.events, self.is_ending = {}, [], False
        self._news, self._tasks, self._failures = asyncio.Condition(), [], []

    @property
    def grace(self):
        return self.spec.get("terminationGracePeriodSeconds", 30)

    @property
    def is_ready(self):
        return all(container.is_ready for container in self.containers.values())

    async def start(self):
        """Init containers in their order: a sidecar has to start, another one to end. Then the others, side by side."""
        for spec in self.spec.get("initContainers", []):
            is_sidecar = spec.get("restartPolicy") == "Always"
            container = self._add(spec, is_sidecar, restarts=is_sidecar)
            await self.until(lambda: container.has_started if is_sidecar else container.exit_code == 0)
        for spec in self.spec["containers"]:
            self._add(spec, is_sidecar=False, restarts=True)

    def _add(self, spec, is_sidecar, restarts):
        container = self.containers[spec["name"]] = Container(self, spec, is_sidecar)
        self._tasks.append(asyncio.create_task(self._keep(container, restarts)))
        return container

    async def _keep(self, container, restarts):
        try:
            await container.keep(restarts)
        except Exception as error:
            self._failures.append(error)
            await self.tell(container.name, f"failed: {error!r}")

    async def delete(self):
        """Ends the pod in order. All preStop hooks start together, each container gets its SIGTERM after its own, but a
        sidecar only when all that started after it are gone."""
        self.is_ending = True
        order = list(self.containers.values())
        running = [container for container in order if not container.gone.is_set()]
        async with asyncio.TaskGroup() as group:
            for container in running:
                later = order[order.index(container) + 1:] if container.is_sidecar else []
                group.create_task(container.stop(self.grace, later))
        await soon(asyncio.gather(*self._tasks))

    async def close(self):
        """Ends at once what is left. What went wrong in the background is raised."""
        self.is_ending = True
        await soon(asyncio.gather(*(container.remove() for container in self.containers.values())))
        if self._failures:
            raise ExceptionGroup("containers failed", self._failures)

    async def tell(self, container, what):
        async with self._news:
            self.events.append(Event(time.monotonic(), container, what))
            self._news.notify_all()

    async def until(self, holds):
        """Waits until this holds of the pod."""
        async def comes():
            async with self._news:
                await self._news.wait_for(lambda: holds() or self._failures)
                return holds()
        try:
            held = await soon(comes())
        except TimeoutError:
            held = False
        if not held:
            raise AssertionError(f"the pod does not come to what was waited for:\n{self.story}")

    def time_of(self, container, what):
        """When this happened first; `None`: it did not."""
        return next((event.time for event in self.events if event[1:] == (container, what)), None)

    @property
    def story(self):
        """All that happened, for who has to find out why it did."""
        lines = [f"{event.time - self.events[0].time:8.3f} {event.container}: {event.what}" for event in self.events]
        for container in self.containers.values():
            lines += [f"{container.name} said:", *container.output.splitlines()[-30:]]
        return "\n".join(lines)

    def address(self, service):
        """Where a Service leads in this pod, as for its EndpointSlice: a port by name is one that a container declares."""
        if not service["spec"]["selector"].items() <= self.template["metadata"]["labels"].items():
            raise AssertionError(f"the Service does not select the pod: {service}")
        target = service["spec"]["ports"][0]["targetPort"]
        declared = [port for spec in self.spec["containers"] for port in spec.get("ports", [])]
        ports = [port["containerPort"] for port in declared if port.get("name") == target]
        return POD, ports[0] if isinstance(target, str) else target

    def field(self, path):
        """What the downward API has at `path`."""
        metadata = {"name": NAME, "namespace": "default", "uid": self.uid}
        value = {"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": {"podIP": POD}}
        for key in path.split("."):
            value = value[key]
        return value

    def services(self):
        """The variables that every pod gets for the Services of its namespace, as far as anybody reads them today."""
        found = {}
        for service in self._services:
            name, port = service["metadata"]["name"].upper().replace("-", "_"), service["spec"]["ports"][0]["port"]
            found |= {f"{name}_SERVICE_HOST": SERVICE, f"{name}_SERVICE_PORT": port, f"{name}_PORT": f"tcp://{SERVICE}:{port}"}
        return found

    def volume(self, name):
        """The directory of a volume, which is made when somebody asks for it first."""
        directory = self._directory / name
        if not directory.exists():
            directory.mkdir(parents=True)
            volume = next(volume for volume in self.spec["volumes"] if volume["name"] == name)
            if "emptyDir" in volume:
                directory.chmod(0o777)
                os.chown(directory, -1, self.spec.get("securityContext", {}).get("fsGroup", -1))
            elif "secret" in volume:
                project(directory, self._objects["Secret", volume["secret"]["secretName"]])
            else:
                project(directory, self._objects["ConfigMap", volume["configMap"]["name"]])
        return directory


def project(directory, files):
    """Writes files as kubelet does, which changes all of them at once by another link: NAME -> ..data/NAME."""
    data = directory / "..2026_11_01"
    data.mkdir()
    (directory / "..data").symlink_to(data.name)
    for name, text in files.items():
        (data / name).write_text(text)
        (data / name).chmod(0o644)
        (directory / name).symlink_to(f"..data/{name}")
