"""The transcript file format: text in, cases and steps out. Pure; README.md describes the format.

A case is one conversation. Its steps are what play happens in order: bytes to send, things to
expect, and a few acts upon the server. Texts are kept as lists of parts, because some parts are
known only while playing (saved values) and some are patterns.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

KINDS = ("nats", "pipit")


class FormatError(Exception):
    """A transcript that cannot be read; names the file and line."""


@dataclass
class Text:
    """Bytes with holes: parts are bytes, ("var", name) or ("re", pattern)."""

    parts: list
    line_end: bytes = b""

    def is_pattern(self):
        return any(isinstance(part, tuple) and part[0] == "re" for part in self.parts)

    def render(self, values):
        """The bytes to send or to compare with; patterns must have been ruled out."""
        return b"".join(self._literal(part, values) for part in self.parts) + self.line_end

    def regex(self, values):
        out = b""
        for part in self.parts:
            if isinstance(part, tuple) and part[0] == "re":
                out += b"(?:" + part[1].encode() + b")"
            else:
                out += re.escape(self._literal(part, values))
        return re.compile(out + re.escape(self.line_end))

    @staticmethod
    def _literal(part, values):
        if isinstance(part, bytes):
            return part
        return str(values[part[1]]).encode()


@dataclass
class Step:
    """One thing that happens. `kind` names the method of exchange.Exchange that does it."""

    kind: str
    line: int
    source: str  # the transcript line as written, for reports
    conn: str = ""
    text: Text = None
    only: str = None  # the kind of server this step is meant for, or None for every one
    count: int = 1
    after: tuple = None  # (least, most) seconds since the client's last word
    each: tuple = None  # least and most of the messages for each connection
    some: tuple = None  # least and most messages
    conns: list = field(default_factory=list)
    checks: list = field(default_factory=list)  # of an INFO: (server kind or None, check)
    argument: object = None


@dataclass
class Case:
    path: Path
    line: int
    name: str
    spec: str = ""
    options: tuple = ()
    split: str = ""
    repeat: int = 1
    within_s: float = 5.0
    end_open: bool = False
    own_server: bool = False
    only: str = None
    differs: str = ""
    steps: list = field(default_factory=list)

    @property
    def title(self):
        return f"{self.path.stem}:{self.line} {self.name}"

    @property
    def ends_server(self):
        return any(step.kind in ("signal", "exit") for step in self.steps)

    @property
    def alone(self):
        """Whether the case gets a server of its own: it signals it, or takes long."""
        return self.own_server or self.ends_server

    def steps_for(self, kind):
        return [step for step in self.steps if step.only in (None, kind)]

    def option_names(self):
        return {name for name, _ in self.options}


# -- texts ------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\\x(?P<hex>[0-9a-fA-F]{2})|\\(?P<escape>[rnts\\])|<fill (?P<fill>\d+)(?: (?P<char>\\s|.))?>"
    r"|<re/(?P<regex>.*?)/>|<\$(?P<var>\w+)>"
)
_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "s": b" ", "\\": b"\\"}


def parse_text(source, line_end=b""):
    parts, at = [], 0
    for match in _TOKEN.finditer(source):
        parts.append(source[at : match.start()].encode())
        at = match.end()
        if match["hex"]:
            parts.append(bytes([int(match["hex"], 16)]))
        elif match["escape"]:
            parts.append(_ESCAPES[match["escape"]])
        elif match["fill"]:
            char = (match["char"] or "x").replace("\\s", " ")
            parts.append(char.encode() * int(match["fill"]))
        elif match["regex"] is not None:
            parts.append(("re", match["regex"]))
        else:
            parts.append(("var", match["var"]))
    parts.append(source[at:].encode())
    return Text(_joined(parts), line_end)


def _joined(parts):
    out = []
    for part in parts:
        if isinstance(part, bytes) and out and isinstance(out[-1], bytes):
            out[-1] += part
        elif part:
            out.append(part)
    return out


# -- checks of an INFO ------------------------------------------------------------------------

_CHECK = re.compile(
    r"(?P<what>absent|present):(?P<key>\w+)"
    r"|(?P<name>\w+)(?P<op>~|->|=|>)(?P<value>/(?:[^/\\]|\\.)*/|\"(?:[^\"\\]|\\.)*\"|\[.*?\]|\S+)"
)


class Saved(NamedTuple):
    """A value that an earlier check has saved."""

    name: str


def parse_checks(source):
    """Checks as (operator, key, value); the value is decoded as far as it can be before play."""
    checks, at = [], 0
    for match in _CHECK.finditer(source):
        if source[at : match.start()].strip():
            break
        at = match.end()
        if match["what"]:
            checks.append((match["what"], match["key"], None))
            continue
        value = match["value"]
        if match["op"] == "~":
            value = re.compile(value[1:-1])
        elif value.startswith("$"):
            value = Saved(value[1:])
        elif match["op"] != "->":
            value = json.loads(value)
        checks.append((match["op"], match["name"], value))
    if source[at:].strip():
        raise ValueError(f"not a check: {source[at:].strip()}")
    return checks


def check_info(info, checks, values):
    """The first check that does not hold, as text, or None. Saves what `->` asks to save."""
    for op, key, wanted in checks:
        if op == "absent":
            if key in info:
                return f"{key} is {json.dumps(info[key])}, should be absent"
            continue
        if key not in info:
            return f"{key} is absent"
        have = info[key]
        if op == "->":
            values[wanted] = have
            continue
        if isinstance(wanted, Saved):
            wanted = values[wanted.name]
        if op == "=" and (have != wanted or type(have) is not type(wanted)):
            return f"{key} is {json.dumps(have)}, should be {json.dumps(wanted)}"
        if op == ">" and not have > wanted:
            return f"{key} is {json.dumps(have)}, should be greater than {json.dumps(wanted)}"
        if op == "~" and not (isinstance(have, str) and wanted.search(have)):
            return f"{key} is {json.dumps(have)}, should match /{wanted.pattern}/"
    return None


# -- files ------------------------------------------------------------------------------------

_TALK = re.compile(
    r"(?P<who>C|S\*?)(?:\[(?P<only>nats|pipit)\])?(?P<words>(?: [\w.]+)*)"
    r"(?P<mark>[:>])(?: (?P<text>.*))?"
)
_SETTING = re.compile(
    r"(?P<key>spec|option|server|split|repeat|within|end|only|differs): (?P<value>.+)"
)
_JSON = re.compile(r"\s+json(?:\[(?P<only>nats|pipit)\])?: (?P<checks>.+)")
_LOOP = re.compile(r"loop x(?P<count>\d+)|end loop")
_ACT = re.compile(
    r"(?P<what>signal|exit): (?P<value>\w+)"
    r"|open (?P<conn>\w+): (?P<how>rcvbuf=\d+|patiently)"
)
_CLIENT_TOKENS = {"<cut>": "cut", "<eof>": "eof", "<reset>": "reset", "<refused>": "refused"}
_SERVER_TOKENS = {
    "<nothing>": "nothing",
    "<close>": "close",
    "<silent close>": "silent_close",
    "<cut off>": "cut_off",
    "<gone>": "gone",
    "INFO {json}": "info",
}


def read_file(path):
    """All cases of a file. Raises FormatError."""
    path = Path(path)
    reader = _Reader(path)
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            try:
                reader.take(number, line.rstrip("\n"))
            except (ValueError, KeyError) as err:
                raise FormatError(f"{path}:{number}: {err}") from None
    for case in reader.cases:
        if not case.steps:
            raise FormatError(f"{path}:{case.line}: no talk in '{case.name}'")
        if not case.spec:
            raise FormatError(f"{path}:{case.line}: '{case.name}' names no section")
    return reader.cases


class _Reader:
    def __init__(self, path):
        self.path = path
        self.cases = []
        self.defaults = Case(path, 0, "")
        self.case = self.defaults
        self.joinable = False  # whether a C line may join the one before it
        self.loop = None  # (first step, count) of the loop being read

    def take(self, number, line):
        if line != line.rstrip():
            raise ValueError("trailing blank; write \\s")
        if not line or line.startswith("#"):
            return
        if line.startswith("== "):
            self._begin(number, line[3:])
        elif match := _SETTING.fullmatch(line):
            self._set(match["key"], match["value"])
        elif match := _JSON.fullmatch(line):
            self._check(match)
        elif match := _ACT.fullmatch(line):
            self._act(number, line, match)
        elif match := _LOOP.fullmatch(line):
            self._turn(match)
        elif match := _TALK.fullmatch(line):
            self._talk(number, line, match)
        else:
            raise ValueError(f"cannot read: {line}")

    def _begin(self, number, name):
        if any(case.name == name for case in self.cases):
            raise ValueError(f"a second '{name}'")
        base = self.defaults
        self.case = Case(
            self.path, number, name, base.spec, base.options, base.split, base.repeat,
            base.within_s, base.end_open, base.own_server, base.only, base.differs,
        )  # fmt: skip
        self.cases.append(self.case)
        self.joinable = False

    def _set(self, key, value):
        case = self.case
        if case.steps:
            raise ValueError(f"{key} after the first line of talk")
        if key == "option":
            name, _, argument = value.partition(" ")
            kept = tuple(pair for pair in case.options if pair[0] != name)
            case.options = kept + ((name, argument),)
        elif key == "repeat":
            case.repeat = int(value)
        elif key == "within":
            case.within_s = float(value)
        elif key in ("end", "server"):
            if value != {"end": "open", "server": "own"}[key]:
                raise ValueError(f"{key}: cannot be {value}")
            setattr(case, {"end": "end_open", "server": "own_server"}[key], True)
        elif key == "split":
            if value not in ("every", "in two", "no"):
                raise ValueError(f"no such split: {value}")
            case.split = value
        else:
            setattr(case, key, value)

    def _add(self, step):
        if self.case is self.defaults:
            raise ValueError("talk before the first ==")
        self.case.steps.append(step)
        return step

    def _check(self, match):
        step = self.case.steps[-1] if self.case.steps else None
        if not step or step.kind != "info":
            raise ValueError("json: without an INFO {json} above it")
        step.checks.append((match["only"], parse_checks(match["checks"])))

    def _act(self, number, line, match):
        self.joinable = False
        if match["conn"]:
            self._add(Step("open", number, line, match["conn"], argument=match["how"]))
        else:
            self._add(Step(match["what"], number, line, argument=match["value"]))

    def _turn(self, match):
        self.joinable = False
        if match["count"]:
            if self.loop:
                raise ValueError("a loop in a loop")
            self.loop = (len(self.case.steps), int(match["count"]))
            return
        start, count = self.loop
        self.case.steps += self.case.steps[start:] * (count - 1)
        self.loop = None

    def _talk(self, number, line, match):
        who, text = match["who"], match["text"] or ""
        line_end = b"\r\n" if match["mark"] == ":" else b""
        step = Step("", number, line, only=match["only"])
        words = match["words"].split()
        self._modify(step, words)
        if who == "C":
            self._client(step, text, line_end)
            return
        self.joinable = False
        if who == "S*":
            step.kind = "any_order"
            step.text = parse_text(text, line_end)
        elif step.conns or step.some:
            step.kind = "one_of" if step.conns else "some"
            step.text = parse_text(text, line_end)
        else:
            self._server(step, text, line_end)
        self._add(step)

    @staticmethod
    def _modify(step, words):
        """Read the words between who and the mark: name, xN, after A..B, one of ..., each A..B."""
        names = []
        while words:
            word = words.pop(0)
            if word == "one" and words and words[0] == "of":
                words.pop(0)
                while words and not re.fullmatch(r"x\d+", words[0]):
                    step.conns.append(words.pop(0))
            elif word in ("after", "each", "some"):
                low, _, high = words.pop(0).partition("..")
                setattr(step, word, (float(low), float(high)))
            elif re.fullmatch(r"x\d+", word):
                step.count = int(word[1:])
            else:
                names.append(word)
        if len(names) > 1:
            raise ValueError(f"more than one connection: {names}")
        step.conn = names[0] if names else ""

    def _client(self, step, text, line_end):
        if text.startswith("<connect"):
            fields = text.removeprefix("<connect").removesuffix(">").strip()
            step.kind, step.argument = "connect", json.loads("{" + fields + "}")
            step.text = parse_text(_connect_line(fields), b"\r\nPING\r\n")
            self.joinable = False
        elif text in _CLIENT_TOKENS:
            step.kind = _CLIENT_TOKENS[text]
            self.joinable = False
        else:
            step.kind, step.text = "send", parse_text(text, line_end)
            if step.text.is_pattern():
                raise ValueError("a pattern cannot be sent")
            last = self.case.steps[-1] if self.joinable else None
            step.argument = bool(last and last.conn == step.conn and last.only == step.only)
            self.joinable = True
        self._add(step)

    @staticmethod
    def _server(step, text, line_end):
        if text in _SERVER_TOKENS:
            step.kind = _SERVER_TOKENS[text]
        elif match := re.fullmatch(r"<busy ([\d.]+)>", text):
            step.kind, step.argument = "busy", float(match[1])
        else:
            step.kind, step.text = "expect", parse_text(text, line_end)


def _connect_line(fields):
    first = '{"verbose":false,"pedantic":false'
    given = json.loads("{" + fields + "}")
    for name in ("verbose", "pedantic"):
        if name in given:
            first = first.replace(f'"{name}":false,', "").replace(f',"{name}":false', "")
            first = first.replace(f'"{name}":false', "")
    body = ",".join(part for part in (first[1:], fields) if part)
    return "CONNECT {" + body + "}"
