"""What ringside-injector prints, and what is under sidecar/deploy, judged by Kubernetes' own tools and schemas."""

import json
import os
import re
import tempfile
import time
import unittest
from pathlib import Path

import yaml

from injector import INJECTOR, IS_RELEASE, NATIVE, SIDECAR, VERSIONS, by_kubectl, flat, inject, invalid, needs, objects, run

GOLDEN = [path for path in sorted((SIDECAR / "tests/golden").glob("*.yaml")) if not path.name.endswith(".injected.yaml")]
KUSTOMIZE, CHART = SIDECAR / "deploy/kustomize", SIDECAR / "deploy/helm/ringside-injector"

CERT_MANAGER = {"Issuer", "Certificate"}  # kinds whose schemas are not Kubernetes'

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: chat-{number}
spec:
  selector: {{matchLabels: {{app: chat}}}}
  template:
    metadata: {{labels: {{app: chat}}}}
    spec:
      containers:
      - name: chat
        image: example/chat:1
        ports: [{{name: ws, containerPort: 3000}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: ws}}}}
"""


def manifest(*options):
    return run(INJECTOR, "manifest", *options)[0]


def keyed(values):
    """Objects by what identifies them."""
    found = {(value["kind"], value["metadata"].get("namespace"), value["metadata"]["name"]): value for value in values}
    assert len(found) == len(values), "two objects have the same name"
    return found


class Injected(unittest.TestCase):
    """Manifests with sidecars, for every version that there is a schema of."""

    def setUp(self):
        needs()
        self.assertGreaterEqual(len(GOLDEN), 5)
        self.assertEqual((NATIVE[0], len(NATIVE)), ("1.29", 9), "versions that are looked at")

    def test_is_valid_for_every_version_with_native_sidecars(self):
        settings = [[], ["--kubernetes=1.29"], ["--seccomp-profile=localhost/ringside.json"]]
        for path in GOLDEN:
            for options in settings:
                with self.subTest(path.name, options=options):
                    injected = objects(inject(path.read_text(), *options))
                    self.assertEqual(invalid(injected), ([], set()))

    def test_is_valid_for_the_version_it_is_made_for(self):
        for version in VERSIONS:
            is_old = version not in NATIVE
            for path in GOLDEN:
                if is_old and "kind: CronJob" in path.read_text():
                    continue  # refused: a job with a classic container would never finish
                with self.subTest(path.name, version=version):
                    injected = objects(inject(path.read_text(), f"--kubernetes={version}"))
                    self.assertEqual(invalid(injected, [version]), ([], set()))

    def test_means_the_same_to_kubectl(self):
        needs("kubectl")
        for path in GOLDEN:
            with self.subTest(path.name):
                injected = inject(path.read_text())
                self.assertEqual(by_kubectl(injected), list(flat(objects(injected))))


    def test_does_not_depend_on_the_order_of_keys(self):
        """Which has no meaning, and is another when a manifest comes back from a cluster."""
        needs("kubectl")
        for path in GOLDEN:
            with self.subTest(path.name):
                read = {"apiVersion": "v1", "kind": "List", "items": by_kubectl(path.read_text())}
                back = {"apiVersion": "v1", "kind": "List", "items": by_kubectl(inject(path.read_text()))}
                self.assertEqual(by_kubectl(inject(json.dumps(read, sort_keys=True))), back["items"])
                run(INJECTOR, "inject", "--check", given=json.dumps(back, sort_keys=True))


class Installed(unittest.TestCase):
    """The install manifests in their three forms, which must say the same."""

    maxDiff = None

    def setUp(self):
        needs("kubectl", "helm")

    def kustomize(self, directory):
        """Objects of a kustomization, with variables in arguments put in, as kubelet would."""
        built = objects(run("kubectl", "kustomize", directory)[0])
        for value in built:
            if value["kind"] == "Deployment":
                (container,) = value["spec"]["template"]["spec"]["containers"]
                values = {variable["name"]: variable["value"] for variable in container.pop("env", [])}
                container["args"] = [re.sub(r"\$\((\w+)\)", lambda m: values[m[1]], arg) for arg in container["args"]]
        return built

    def helm(self, *options, namespace="ringside-system"):
        return run("helm", "template", "ringside-injector", CHART, f"--namespace={namespace}", *options)[0]

    def assert_same(self, built, printed):
        self.assertEqual(keyed(built), keyed(printed))

    def assert_chart_is(self, printed, *options, **where):
        """A chart makes no namespace, and says in labels that it was Helm."""
        built = objects(self.helm(*options, **where))
        for value in built:
            labels = value["metadata"]["labels"]
            self.assertEqual(labels.pop("app.kubernetes.io/managed-by"), "Helm")
            self.assertEqual(labels.pop("app.kubernetes.io/instance"), "ringside-injector")
            self.assertTrue(labels.pop("helm.sh/chart").startswith("ringside-injector-"))
        self.assert_same(built, [value for value in objects(printed) if value["kind"] != "Namespace"])

    def test_what_is_printed_is_valid(self):
        for certificates, strange in (("self-managed", set()), ("cert-manager", CERT_MANAGER)):
            with self.subTest(certificates):
                printed = objects(manifest(f"--certificates={certificates}"))
                self.assertEqual(invalid(printed, VERSIONS), ([], strange))

    def test_policies_are_valid_for_the_version_they_are_made_for(self):
        for version in ("1.34", "1.35", "1.36", "1.37"):
            with self.subTest(version):
                printed = objects(manifest("--policy", f"--kubernetes={version}"))
                self.assertEqual(invalid(printed, [version]), ([], set()))
                self.assertEqual(by_kubectl(manifest("--policy", f"--kubernetes={version}")), printed)

    def test_kustomize_base(self):
        printed = manifest()
        self.assertEqual((KUSTOMIZE / "base/install.yaml").read_text(), printed, "print it anew")
        built = self.kustomize(KUSTOMIZE / "base")
        self.assert_same(built, objects(printed))
        self.assertEqual(invalid(built, VERSIONS), ([], set()))

    def test_kustomize_with_cert_manager(self):
        built = self.kustomize(KUSTOMIZE / "cert-manager")
        self.assert_same(built, objects(manifest("--certificates=cert-manager")))
        self.assertEqual(invalid(built, VERSIONS), ([], CERT_MANAGER))

    def test_kustomize_as_a_user_changes_it(self):
        options = ["--image=registry.example/ringside:1.2.3", "--replicas=3", "--kubernetes=1.31", "--namespace=platform"]
        self.assert_same(self.kustomize(KUSTOMIZE / "example"), objects(manifest("--certificates=cert-manager", *options)))
        example = (KUSTOMIZE / "example/kustomization.yaml").read_text().replace("../cert-manager", "../base")
        with tempfile.TemporaryDirectory() as directory:
            above = os.path.relpath(KUSTOMIZE, os.path.realpath(directory))
            (Path(directory) / "kustomization.yaml").write_text(example.replace("../", f"{above}/"))
            self.assert_same(self.kustomize(directory), objects(manifest(*options)))

    def test_chart_is_sound(self):
        linted, _ = run("helm", "lint", "--strict", CHART)
        self.assertIn("0 chart(s) failed", linted)
        self.assertEqual(self.helm(), self.helm())
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual(f"ringside-injector {chart['appVersion']}", run(INJECTOR, "--version")[0].strip())

    def test_chart_with_its_defaults(self):
        for version in NATIVE:
            self.assert_chart_is(manifest(f"--kubernetes={version}"), f"--kube-version={version}.4-gke.1")
        built = objects(self.helm())
        self.assertEqual(invalid(built, VERSIONS), ([], set()))

    def test_chart_with_values(self):
        printed = manifest(
            "--certificates=cert-manager", "--namespace=platform", "--replicas=1", "--kubernetes=1.28",
            "--image=registry.example/ringside:1.2.3", "--seccomp-profile=localhost/ringside.json",
        )
        values = {
            "certificates": "cert-manager", "replicas": 1, "kubernetes": "1.28",
            "image": {"repository": "registry.example/ringside", "tag": "1.2.3"},
            "seccompProfile": "localhost/ringside.json",
        }
        self.assert_chart_is(printed, *(f"--set-json={key}={json.dumps(value)}" for key, value in values.items()),
                             namespace="platform")

    def test_chart_with_values_that_the_command_has_not(self):
        values = {
            "image": {"pullPolicy": "Always"}, "imagePullSecrets": [{"name": "registry"}], "priorityClassName": "high",
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "a", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}}, "podAnnotations": {"prometheus.io/scrape": "true"},
            "resources": {"requests": {"cpu": "1"}}, "excludedNamespaces": ["kube-system", "no"],
            "failurePolicy": "Ignore", "timeoutSeconds": 10, "podMonitor": {"enabled": True, "labels": {"a": "on"}},
        }
        built = objects(self.helm(*(f"--set-json={key}={json.dumps(value)}" for key, value in values.items())))
        self.assertEqual(invalid(built, NATIVE), ([], {"PodMonitor"}))
        kinds = {value["kind"]: value for value in built}
        template = kinds["Deployment"]["spec"]["template"]
        (container,) = template["spec"]["containers"]
        self.assertEqual(template["metadata"]["annotations"], values["podAnnotations"])
        for name in ("imagePullSecrets", "priorityClassName", "nodeSelector", "tolerations", "affinity"):
            self.assertEqual(template["spec"][name], values[name])
        self.assertEqual(container["imagePullPolicy"], "Always")
        self.assertEqual(container["resources"]["requests"]["cpu"], "1")
        (hook,) = kinds["MutatingWebhookConfiguration"]["webhooks"]
        self.assertEqual((hook["failurePolicy"], hook["timeoutSeconds"]), ("Ignore", 10))
        (spared,) = hook["namespaceSelector"]["matchExpressions"]
        self.assertEqual(spared["values"], ["kube-system", "no", "ringside-system"])
        self.assertEqual(kinds["PodMonitor"]["metadata"]["labels"]["a"], "on")

    def test_chart_refuses_values_that_are_none(self):
        for value in (
            'kubernetes=1.3', 'image={"tag": 1.0}', 'replicas=0', 'timeoutSeconds=3', 'certificates="mine"', 'replica=2',
            'seccompProfile="ringside.json"', 'podMonitor={"interval": 30}', 'failurePolicy="fail"',
        ):
            with self.subTest(value):
                command = ["helm", "template", "ringside-injector", CHART, f"--set-json={value}"]
                said = run(*command, code=1)[1]
                self.assertIn(re.split(r'[={]', value)[0], said)


class Malformed(unittest.TestCase):
    """Whatever is wrong is told with document number, path and remedy; nothing is written."""

    GOOD = DEPLOYMENT.format(number=0)

    # What is wrong, and what must be told of it.
    CASES = {
        "a: [1": ["document 2, line ", "mend the line"],
        "a: {b: c}}": ["document 2, line ", "mend the line"],
        "- a": ["document 2 (object)", "kind: is missing", "write objects of Kubernetes"],
        "kind: Deployment\nmetadata: {name: chat}": ["document 2 (Deployment chat)", "apiVersion: is missing", "write"],
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: chat}": [
            "document 2 (Deployment chat)", "spec.template: is missing", "needs a pod template"],
        "apiVersion: v1\nkind: Pod\nspec: {containers: chat}": [
            "document 2 (Pod)", "spec.containers: is a text", "write a list"],
        "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}]}": [
            "document 2 (Pod)", 'metadata.annotations["ringside.dev/app-port"]: is missing', "write the port"],
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, spec: {}}]": [
            "document 2 (Pod)", "items[0].spec.containers: is empty", "at least one container"],
        "apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: 1}}\nspec: {containers: [{name: a}]}": [
            'metadata.labels["a"]: is a number', "write a text, in quotes"],
        "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {ringside.dev/port: x}}\nspec: {containers: [{name: a, "
        "ports: [{containerPort: 1}]}]}": ['metadata.annotations["ringside.dev/port"]: is "x"', "write a number", "README"],
        "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {ringside.dev/prot: x}}\nspec: {containers: [{name: a, "
        "ports: [{containerPort: 1}]}]}": ['metadata.annotations["ringside.dev/prot"]: is unknown', "there are", "README"],
    }

    def setUp(self):
        needs()

    def test_is_told_and_nothing_is_written(self):
        for wrong, told in self.CASES.items():
            with self.subTest(wrong):
                out, said = run(INJECTOR, "inject", given=f"{self.GOOD}---\n{wrong}\n", code=1)
                self.assertEqual(out, "")
                self.assertRegex(said, r"^error: standard input: document 2")
                for words in told:
                    self.assertIn(words, said)

    def test_what_is_no_text_and_what_is_not_there(self):
        with tempfile.TemporaryDirectory() as directory:
            for name, contents in (("bytes.yaml", b"a: \xff"), ("nobody.yaml", None)):
                path = Path(directory) / name
                if contents:
                    path.write_bytes(contents)
                out, said = run(INJECTOR, "inject", path, code=1)
                self.assertEqual((out, str(path) in said), ("", True), said)

    def test_an_alias_bomb_is_refused(self):
        bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        bomb += "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefghi", "bcdefghij"))
        out, said = run(INJECTOR, "inject", given=bomb, code=1)
        self.assertEqual((out, "more than" in said), ("", True), said)


class Speed(unittest.TestCase):
    def test_a_stream_of_1000_documents(self):
        needs()
        stream = "---\n".join(DEPLOYMENT.format(number=number) for number in range(1000))
        began = time.monotonic()
        injected = inject(stream)
        took = time.monotonic() - began
        print(f"{len(stream) / 1e6:.2f} MB in, {len(injected) / 1e6:.2f} MB out, {took:.2f} s ...", end=" ", flush=True)
        self.assertEqual(injected.count("ringside.dev/status:"), 1000)
        if IS_RELEASE:
            self.assertLess(took, 1)
