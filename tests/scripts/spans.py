"""The collector rotel, and what it received: spans, and the trees they make."""

import importlib.metadata
import re

from support import Process, free_port

# What a drawing shows of a span, in this order, beside its name and times. Everything else is in the span too.
SHOWN = [
    "http.request.method", "http.route", "http.response.status_code", "ringside.reason", "ringside.detail",
    "tls.protocol.version", "ringside.end.by", "ringside.end.why", "ringside.end.source", "websocket.close.code_sent",
    "websocket.close.code_received", "websocket.checkpoint", "websocket.from_client.messages",
    "websocket.from_client.bytes", "websocket.from_app.messages", "websocket.from_app.bytes", "websocket.message.direction",
    "websocket.message.opcode", "websocket.message.size", "error.type",
]


class Rotel(Process):
    """A collector that prints every span it takes."""

    async def run(self):
        ports = {"http/protobuf": free_port(), "grpc": free_port()}
        self.endpoints = {protocol: f"http://127.0.0.1:{port}" for protocol, port in ports.items()}
        program = next(file for file in importlib.metadata.files("rotel") if file.name == "rotel-agent").locate()
        await self.start(
            program, "start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed",
            "--otlp-http-endpoint", f"127.0.0.1:{ports['http/protobuf']}",
            "--otlp-grpc-endpoint", f"127.0.0.1:{ports['grpc']}",
        )
        await self.says(lambda lines: any("Starting Rotel" in line for line in lines))
        return self

    async def span(self, expected):
        """Waits for a span that says what is expected, and returns it."""
        return await self.says(lambda lines: next((span for span in spans(lines) if span.says(expected)), None))


class Span(dict):
    """Fields and attributes of a span by name, as rotel writes them; its events and links are such dictionaries too."""

    def __init__(self):
        super().__init__()
        self.events, self.links, self.children = [], [], []

    def says(self, expected):
        return expected.items() <= self.items()

    @property
    def name(self):
        return self["Name"]

    @property
    def began(self):
        return int(self["Start time"])

    @property
    def took(self):
        return int(self["End time"]) - self.began


def spans(lines):
    """The spans among rotel's lines. The last one may not be complete yet."""
    found, part = [], {}
    for line in lines:
        if line.startswith(("ResourceSpans #", "ScopeSpans #")):
            part = {}
        elif re.fullmatch(r"Span #\d+", line):
            part = Span()
            found.append(part)
        elif found and (kind := re.fullmatch(r"Span(Event|Link) #\d+", line)):
            part = {}
            (found[-1].events if kind[1] == "Event" else found[-1].links).append(part)
        elif attribute := re.fullmatch(r" +-> ([^:]+): (?:\w+\((.*)\)|(.*))", line):
            part[attribute[1]] = attribute[3] if attribute[2] is None else attribute[2]
        elif field := re.fullmatch(r"(?:    )?(\w[\w ]*\w) *: (.*)", line):
            part[field[1]] = field[2]
    return found


def trees(lines):
    """The spans whose parent is not among them, each with its children in the order they began, at all depths."""
    found = spans(lines)
    by_id = {span["ID"]: span for span in found}
    for span in sorted(found, key=lambda span: span.began):
        if parent := by_id.get(span["Parent ID"]):
            parent.children.append(span)
    return [span for span in found if span["Parent ID"] not in by_id]


def outline(tree, depth=0):
    """The names of a tree's spans and events, indented."""
    lines = ["  " * depth + tree.name] + ["  " * depth + "  * " + event["Name"] for event in tree.events]
    return lines + [line for child in tree.children for line in outline(child, depth + 1)]


def drawing(tree):
    """A tree for people."""
    by_id = {span["ID"]: span for span in _all(tree)}
    return "\n".join(_draw(tree, tree.began, by_id, "", ""))


def _all(tree):
    return [tree] + [span for child in tree.children for span in _all(child)]


def _draw(span, origin, by_id, first, rest):
    """Its line begins with `first`, all below it with `rest`."""
    kind = span["Kind"].removeprefix("SPAN_KIND_").lower()
    status = " ERROR" if span.get("Status code") == "STATUS_CODE_ERROR" else ""
    yield f"{first}{span.name} ({kind}){status}  at {_time(span.began - origin)}, took {_time(span.took)}"
    leaves = [f"  {name} = {span[name]}" for name in SHOWN if span.get(name)]
    leaves += [f"  * {_time(int(event['Timestamp']) - origin)} {event['Name']}{_more(event)}" for event in span.events]
    leaves += [f"  -> {by_id[link['ID']].name if link['ID'] in by_id else 'a span elsewhere'}{_more(link)}" for link in span.links]
    below = "│" if span.children else " "
    yield from (f"{rest}{below}{leaf}" for leaf in leaves)
    for number, child in enumerate(span.children, 1):
        is_last = number == len(span.children)
        yield from _draw(child, origin, by_id, rest + ("└─ " if is_last else "├─ "), rest + ("   " if is_last else "│  "))


def _more(part):
    own = ("Name", "Timestamp", "DroppedAttributesCount", "Trace ID", "ID", "TraceState", "Attributes:")
    return "".join(f"  {name} = {value}" for name, value in part.items() if name not in own)


def _time(nanoseconds):
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.2f} ms" if abs(milliseconds) < 1000 else f"{milliseconds / 1000:.2f} s"
