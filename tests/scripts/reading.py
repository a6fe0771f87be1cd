"""YAML means to others what it meant to Kubernetes before the injection, and stays as it was where nothing is injected.

What a text means is what kubectl makes of it. What is written must mean that to kubectl again, and to PyYAML, which reads
YAML 1.1 in its own way.
"""

import json
import unittest

from injector import INJECTOR, by_kubectl, inject, needs, objects, run

# An object that is injected, so that it is written anew, with room for anything.
INJECTED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: chat}
spec: {template: {spec: {containers: [{name: chat, image: example/chat:1, ports: [{name: ws, containerPort: 3000}]}]}}}
"""

UNTOUCHED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
"""

# Each is read without quotes, and with.
SCALARS = """
0644 0o644 0x1f 0X1F 0b101 0777_7 08 00 0 -0 +7 -7 1_000 1__0 1_ _1 64Mi 100m 5Gi 1k 1e3 1E3 1e+3 1e-3 1.5e3 1e 1.0
1.50 .5 5. -.5 +.5 -0.0 0.1e-5 1e-7 1e20 1e21 1e-300 123456789012345678901234567890 9007199254740993
-9223372036854775808 0xG 0b2 0o8 0x on On ON oN off Off yes Yes yEs no No NO n N y Y true True tRue false FALSE ~ null
Null NULL nULL 12:30 1:20:30 190:20:30.5 2001-12-14 2001-12-14T21:59:43Z 2001-12-14t21:59:43.10-05:00 2001-1-1 = 1.2.3
10.0.0.1 a:b a#b http://a:80/b 1,000 +1:20.5 infinity Inf nan NaN é 😀 日本語
""".split()

# Members of an object.
MEMBERS = {
    "keys that are no texts": "data: {8080: a, 1.5: b, true: c, off: d, 0x10: e, 0644: f, 2001-01-01: g, 1e3: h}",
    "keys that are texts": 'data: {"8080": a, "on": b, "~": c, "1e3": d, "": e, "a: b": f, "a #b": g, "-": h, "? a": i, '
    '"[a]": j, "two\\nlines": k, "=": l, "12:30": m}',
    "a quoted <<": 'data: {"<<": a}',
    "anchors": "data:\n  a: &a [1, 0644]\n  b: *a\n  c: &c text\n  d: *c",
    "merges": "base: &base {p: 1, q: 2}\ndata:\n  a: {<<: *base, q: 3}\n  b: {<<: [*base, {q: 9, r: 1}]}",
    "a merge behind": "base: &base {p: 1, q: 2}\ndata: {q: 3, <<: *base}",
    "folded": "data: >\n  a\n  b\n\n  c\n   d\n",
    "stripped": "data: >-\n  a\n  b\n\n\n",
    "kept": "data: |+\n  a\n\n\n",
    "indented": "data: |2\n    a\n   b\n",
    "plain over lines": "data: a b\n  c d\n\n  e",
    "quoted over lines": 'data: "a\n  b\\\n  c"',
    "it's": "data: 'it''s\n  so'",
    "escapes": 'data: "\\u00e9\\x41\\U0001F600\\N\\_\\L\\P\\e\\0\\"\\\\ \\t\\r\\n"',
    "ends of lines": 'data: ["a  ", " a", "a\\n", "\\na", "\\n", "a\\n\\n", " a\\nb", "a\\n b", "a \\n b", "\\ta\\nb", '
    '"a\\n  \\nb"]',
    "marks inside": 'data: ["#a\\nb", "--- a\\nb", "a\\n--- b\\n...\\nc", "a\\rb", "a\\r\\nb", "%a", "@a", "`a`", '
    '"&a", "*a", "!a"]',
    "tags": 'data:\n  a: !!str 0644\n  b: !!int "7"\n  c: !!float "3.5"\n  d: !!bool "true"\n  e: !!null ""\n  f: !!str\n'
    '  g: !!seq [a]',
    "comments": "data: # one\n  a: b # two\n  c: d#e\n#three",
    "nothing": "data:\n  a:\n  b: []\n  c: {}\n  d: ''\n  e: ~",
    "lists in lists": "data:\n- a\n- - b\n  - c\n-\n  d: 1\n  e:\n  - f",
    "JSON": 'data: {"a":1,"b":[true,null,"\\u0041"],"c":{"d":1.5e2,"e":"0644"}}',
    "deep": f"data: {'[' * 60}{']' * 60}",
    "long": f'data: "{"long " * 2000}"',
    "bytes": "binaryData: {a: iVBORw0KGgo=, b: !!str MDY0NA==}",
}

DATA = "data: {a: 'x', b: \"y\"} # as it was"

# Streams of documents. INJECTED stands for itself, UNTOUCHED for an object whose members follow.
STREAMS = {
    "comments": "# head\n---\n# one\n{untouched}{data}\n# tail\n--- # mark\n{injected}# end\n---\n---\n# nothing\n---\n"
    "{untouched}{data}\n",
    "ends": "{untouched}{data}\n...\n---\n{injected}...\n",
    "empty lines": "\n\n{untouched}{data}\n\n\n---\n\n\n{injected}\n\n",
    "no end of line": "{injected}---\n{untouched}{data}",
    "no end of a block": "{injected}---\n{untouched}data:\n  a: |\n    text",
    "kept ends": "{untouched}data:\n  a: |+\n    text\n\n\n---\n{injected}",
    "kept ends, last": "{injected}---\n{untouched}data:\n  a: |+\n    text\n\n\n",
    "marks in a block": "{injected}---\n{untouched}data:\n  a: |\n    --- x\n     ---\n    text\n---\n{injected}",
    "many bytes a character": "# é😀\n{untouched}data: {{a: é😀}}\n---\n{injected}---\n{untouched}{data}\n",
    "JSON": '{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a"}},"data":{{"a":"0644"}}}}\n---\n{injected}',
    "bytes": "{untouched}binaryData: {{a: iVBORw0KGgo=}}\nimmutable: on\n---\n{injected}",
}


def canonical(value):
    """As JSON, where true is not 1, but 1e20 is what is written with all its zeros."""
    def whole(value):
        match value:
            case dict():
                return {key: whole(member) for key, member in value.items()}
            case list():
                return [whole(member) for member in value]
            case float() if value.is_integer():
                return int(value)
        return value
    return json.dumps(whole(value), sort_keys=True, ensure_ascii=False, indent=1)


def left_alone(values):
    """What an injection leaves alone of `INJECTED` and more."""
    return [{key: member for key, member in value.items() if key not in ("metadata", "spec")} for value in values]


class Reading(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        needs("kubectl")

    def assert_means(self, text):
        """What `text` means stays, in all that an injection leaves alone; taken out again, in everything."""
        meant, injected = by_kubectl(text), inject(text)
        self.assertIn("ringside.dev/status", injected)
        for reader in (by_kubectl, objects):
            self.assertEqual(canonical(left_alone(reader(injected))), canonical(left_alone(meant)), reader.__name__)
        self.assertEqual(by_kubectl(run(INJECTOR, "uninject", given=injected)[0]), meant)

    def test_scalars(self):
        plain = "".join(f"  is {scalar}: {scalar}\n" for scalar in SCALARS)
        self.assert_means(f"{INJECTED}plain:\n{plain}quoted: {json.dumps(SCALARS, ensure_ascii=False)}\n")

    def test_members(self):
        for name, members in MEMBERS.items():
            with self.subTest(name):
                self.assert_means(f"{INJECTED}{members}\n")

    def test_json_is_yaml(self):
        (value,) = by_kubectl(INJECTED + DATA)
        for text in (json.dumps(value), json.dumps(value, indent="\t"), json.dumps(value, indent=2)):
            self.assert_means(text)
            self.assertEqual(by_kubectl(inject(text)), by_kubectl(inject(INJECTED + DATA)))

    def test_documents_that_are_not_injected(self):
        for name, stream in STREAMS.items():
            with self.subTest(name):
                stream = stream.format(injected=INJECTED, untouched=UNTOUCHED, data=DATA)
                injected = inject(stream)
                settings = lambda values: [value for value in values if value["kind"] == "ConfigMap"]
                meant = by_kubectl(stream)
                for reader in (by_kubectl, objects):
                    self.assertEqual(settings(reader(injected)), settings(meant), reader.__name__)
                self.assertEqual(len(objects(injected)), len(meant))
                if DATA in stream:
                    self.assertIn(DATA, injected)

    def test_what_kubectl_refuses_is_refused(self):
        for members in ("data: {a: .inf}", "data: {a: .nan}", "data: {~: a}", "data: {[a]: b}", "data:\n\ta: b", "data: [a"):
            with self.subTest(members):
                text = f"{INJECTED}{members}\n"
                run("kubectl", "patch", "--local", "--patch={}", "--type=merge", "--filename=-", given=text, code=1)
                self.assertEqual(run(INJECTOR, "inject", given=text, code=1)[0], "")
