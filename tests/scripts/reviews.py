"""Reviews as API servers send them: some in files, others made of those."""

import copy
import json

from injector import SIDECAR

CREATIONS = ["create-of-replicaset", "create-by-kubectl", "create-of-job"]


def review(name):
    return json.loads((SIDECAR / "tests/reviews" / f"{name}.json").read_text())


def persisted(pod):
    """`pod` once the API server has it."""
    pod = copy.deepcopy(pod)
    pod["metadata"] |= {
        "name": "chat-6c4f9d7b8c-x2x7q", "uid": "4a4d2c58-2f0f-4d0c-8f0b-1f2e3d4c5b6a", "resourceVersion": "815",
        "creationTimestamp": "2026-03-02T09:14:08Z",
    }
    pod["spec"]["nodeName"] = "node-1"
    pod["status"] = {"phase": "Running", "qosClass": "Burstable", "podIP": "10.0.0.7"}
    return pod


def about(operation, part="", **changes):
    """A review of something that happens to a pod that is there."""
    asked = review("create-of-replicaset")
    request, pod = asked["request"], persisted(asked["request"]["object"])
    options = {"kind": f"{operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"}
    request |= {"name": pod["metadata"]["name"], "operation": operation, "object": pod, "oldObject": pod, "options": options}
    if part:
        request |= {"subResource": part, "requestSubResource": part}
    request |= changes
    return asked


def with_ephemeral_container():
    asked = about("UPDATE", "ephemeralcontainers")
    pod = copy.deepcopy(asked["request"]["object"])
    debugger = {"name": "debugger-x7k2p", "image": "busybox", "targetContainerName": "chat", "stdin": True, "tty": True}
    pod["spec"]["ephemeralContainers"] = [debugger]
    asked["request"]["object"] = pod
    return asked


def dry_run():
    asked = review("create-by-kubectl")
    asked["request"]["dryRun"] = True
    asked["request"]["options"]["dryRun"] = ["All"]
    return asked


def huge():
    """As much as a pod may have: 256 KiB of annotations, and more than 1 MiB of everything else."""
    asked = review("create-of-replicaset")
    pod = asked["request"]["object"]
    pod["metadata"]["annotations"] |= {f"example.org/{n}": "a/b~c" * 5000 for n in range(10)}
    variables = [{"name": f"V{n}", "value": f"{n}: \"\\é\n" * 1000} for n in range(100)]
    pod["spec"]["containers"][0]["env"] += variables
    return asked


def defaulted(pod):
    """`pod` as the API server hands it on: new containers get defaults, and the service account's token."""
    pod = copy.deepcopy(pod)
    for container in pod["spec"]["initContainers"]:
        if container["name"] == "ringside":
            container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                          "imagePullPolicy": "IfNotPresent"}
            for probe in ("startupProbe", "readinessProbe"):
                container[probe] = {"timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3} | container[probe]
                container[probe]["httpGet"] |= {"scheme": "HTTP"}
            container["volumeMounts"] = container["volumeMounts"] + pod["spec"]["containers"][0]["volumeMounts"][-1:]
    for volume in pod["spec"]["volumes"]:
        for source in ("secret", "configMap"):
            if source in volume:
                volume[source] |= {"defaultMode": 420}
    return pod
