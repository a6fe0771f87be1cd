"""What the scripts about Kubernetes share: ringside-injector, kubectl, helm, and the schemas of Kubernetes' versions."""

import functools
import json
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml
from kubernetes_validate import utils

import support
from support import PATIENCE, RINGSIDE, skip

SIDECAR = Path(__file__).parent.parent.parent / "sidecar"
INJECTOR = Path(support.INJECTOR or Path(RINGSIDE).with_name("ringside-injector"))
IS_RELEASE = "release" in INJECTOR.parts  # what is said of speed holds for such a build

VERSIONS = sorted({utils.major_minor(version) for version in utils.all_versions()}, key=lambda v: int(v.split(".")[1]))
NATIVE = [version for version in VERSIONS if int(version.split(".")[1]) >= 29]  # with native sidecars

utils.schema_contents = functools.cache(utils.schema_contents)  # it would read 5 MB anew for every object


def needs(*programs):
    """Skips the test when a program is not here. Give "kubectl", "helm", or nothing for the injector alone."""
    if not INJECTOR.exists():
        skip(f"there is no {INJECTOR}")
    for program in programs:
        if not shutil.which(program):
            skip(f"{program} is not here, and could not be had")


def run(*command, given=None, code=0):
    """What a command prints on standard output, and on standard error. It must end with `code`."""
    done = subprocess.run(list(map(str, command)), input=given, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != code:
        raise AssertionError(f"{command} ends with {done.returncode}: {done.stderr[-4000:]}")
    return done.stdout, done.stderr


def inject(text, *options):
    """`text` with sidecars."""
    return run(INJECTOR, "inject", *options, given=text)[0]


def objects(text):
    """The objects of `text`, as a reader of YAML 1.1 understands them."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def by_kubectl(text):
    """The objects of `text`, as Kubernetes' own tools understand them. It asks no cluster."""
    rest = run("kubectl", "patch", "--local", "--type=merge", "--patch={}", "--output=json", "--filename=-", given=text)[0]
    decoder, found = json.JSONDecoder(), []
    while rest := rest.lstrip():
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:]
    return found


def flat(values):
    """Objects, and those that are in lists of objects."""
    for value in values:
        yield from flat(value["items"]) if value["kind"].endswith("List") else [value]


def invalid(values, versions=NATIVE):
    """What the schemas of these versions do not like, fields that they do not know included, and the kinds that are not
    Kubernetes' own."""
    faults, strange = [], set()
    for version in versions:
        for value in flat(values):
            try:
                kubernetes_validate.validate(value, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                where = ".".join(map(str, error.path))
                faults.append(f"{version}: {value['kind']} {value['metadata'].get('name')}: {where}: {error.message[:500]}")
            except kubernetes_validate.SchemaNotFoundError:
                strange.add(value["kind"])
    return faults, strange
