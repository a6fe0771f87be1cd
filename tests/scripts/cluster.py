"""The webhook in a cluster: a real API server, and what the injector's own manifests register there.

Not among all scripts, since the API server is built first: `tests/scripts/run cluster`. It is Debian's, see `apiserver`, and
has no native sidecars, so that pods get the classic form.
"""

import asyncio
import base64
import json
import os
import subprocess
import unittest
from pathlib import Path

import yaml

from injector import INJECTOR, needs, objects, run
from support import Process, free_port, soon

HERE = Path(__file__).parent
SERVER = Path(os.environ.get("APISERVER", HERE.parent.parent / "target/scripts/apiserver"))
ADDRESS = "127.32.0.10"  # of the webhook's Service
NAMESPACE, NAME = "ringside-system", "ringside-injector"

# A service account's files are where a pod has them, in a mount namespace of the webhook's own.
AS_A_POD = """
mkdir -p /var/run/secrets && mount -t tmpfs none /var/run/secrets && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
cd /var/run/secrets/kubernetes.io/serviceaccount
printf injector-token >token && cp "$CA" ca.crt && printf ringside-system >namespace
exec "$@"
"""


def pod(name, labels=None, annotations=None):
    container = {"name": "chat", "image": "chat", "ports": [{"name": "ws", "containerPort": 3000}]}
    metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    return yaml.dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})


class Webhook(Process):
    """The webhook as its Deployment runs it."""

    async def run(self, server):
        self.health = free_port()
        host, port = server["host"], server["port"]
        environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "CA": server["ca"]}
        await self.start(
            "unshare", "--mount", "sh", "-c", AS_A_POD, "sh", INJECTOR, "webhook", f"--listen={ADDRESS}:443",
            f"--health=127.0.0.1:{self.health}", "--kubernetes=1.28", environment=environment,
        )
        await self.says(lambda lines: any("the certificate is served" in line for line in lines))


class Cluster(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    async def asyncSetUp(self):
        needs("kubectl")
        asyncio.get_running_loop().set_debug(False)  # unittest switches it on, and it complains of what takes long
        if not (SERVER / "bin/kube-apiserver").exists():
            self.skipTest(f"there is no API server: tests/scripts/apiserver build {SERVER}")
        subprocess.run([HERE / "apiserver", "start", SERVER], check=True, timeout=120)
        self.addCleanup(subprocess.run, [HERE / "apiserver", "stop", SERVER], check=True, timeout=60)
        self.config = SERVER / "run/kubeconfig"
        url = yaml.safe_load(self.config.read_text())["clusters"][0]["cluster"]["server"]
        host, port = url.removeprefix("https://").split(":")
        self.server = {"host": host, "port": port, "ca": str(SERVER / "run/certs/apiserver.crt")}
        self.webhook = Webhook()
        self.addAsyncCleanup(self.webhook.kill)

    def kubectl(self, *arguments, given=None, code=0, context="admin"):
        command = ["kubectl", f"--kubeconfig={self.config}", f"--context={context}", *arguments]
        return run(*command, given=given, code=code)

    def get(self, *what):
        return json.loads(self.kubectl("get", *what, "--output=json")[0])

    def install(self):
        """What `manifest` prints, but the budget, which this version has under another name."""
        for value in objects(run(INJECTOR, "manifest", "--kubernetes=1.28")[0]):
            if value["kind"] == "Service":
                value["spec"]["clusterIP"] = ADDRESS
            if value["kind"] != "PodDisruptionBudget":
                self.kubectl("create", "--validate=false", "--filename=-", given=yaml.dump(value))

    def create(self, text, *options, code=0):
        return self.kubectl("create", "--validate=false", "--filename=-", *options, given=text, code=code)

    async def test_pods_get_their_sidecar_from_a_webhook_that_looks_after_itself(self):
        self.install()
        await soon(self.webhook.run(self.server))

        # It made a certificate, and the API server trusts it.
        secret = self.get("secret", f"--namespace={NAMESPACE}", f"{NAME}-tls")["data"]
        hook = self.get("mutatingwebhookconfiguration", NAME)["webhooks"][0]
        self.assertEqual(hook["clientConfig"]["caBundle"], secret["ca.crt"])
        self.assertIn(b"BEGIN CERTIFICATE", base64.b64decode(secret["tls.crt"]))

        asked = {"ringside.dev/inject": "enabled"}
        self.create(pod("chat", asked))
        made = self.get("pod", "chat")
        self.assertEqual([c["name"] for c in made["spec"]["containers"]], ["chat", "ringside"])
        self.assertEqual(made["spec"]["containers"][0]["ports"][0]["containerPort"], 8443)
        self.assertEqual(json.loads(made["metadata"]["annotations"]["ringside.dev/status"])["form"], "classic")

        # What is wrong is told to whoever made the pod, who gets none.
        said = self.create(pod("bad", asked, {"ringside.dev/limits.message": "big"}), code=1)[1]
        self.assertIn("limits.message", said)
        self.assertIn("16KiB", said)
        self.kubectl("get", "pod", "bad", code=1)

        # Who did not ask is not sent; who only tries leaves nothing.
        self.create(pod("plain"))
        self.assertEqual(len(self.get("pod", "plain")["spec"]["containers"]), 1)
        tried = json.loads(self.create(pod("tried", asked), "--dry-run=server", "--output=json")[0])
        self.assertEqual(len(tried["spec"]["containers"]), 2)
        self.kubectl("get", "pod", "tried", code=1)

        # A pod that asked does not start without one; others do.
        await self.webhook.kill()
        self.assertIn("inject.ringside.dev", self.create(pod("late", asked), code=1)[1])
        self.create(pod("other"))

    async def test_its_rights_are_two_objects(self):
        self.install()
        for arguments in [
            ["get", "secrets", f"--namespace={NAMESPACE}"],
            ["get", "secret", f"--namespace={NAMESPACE}", "another"],
            ["get", "mutatingwebhookconfigurations"],
            ["get", "pods"],
        ]:
            said = self.kubectl(*arguments, context="injector", code=1)[1]
            self.assertIn("Forbidden", said, arguments)
        self.kubectl("get", "secret", f"--namespace={NAMESPACE}", f"{NAME}-tls", context="injector")
        self.kubectl("get", "mutatingwebhookconfiguration", NAME, context="injector")
