"""Secrets to plant, and the search for them: plain, in base64 at any offset, in hexadecimal, whole or
in part."""

import base64
import random
import string

CORE = 24  # random characters in each
PART = 10  # of it are enough to be found


class Plants:
    def __init__(self):
        self.random = random.SystemRandom()
        self.names = {}  # of each secret that was planted: where it was

    def new(self, where, begin="", digits=False):
        """A secret never seen before. The text it begins with is not searched for."""
        letters = string.digits if digits else string.ascii_letters + string.digits
        core = begin[:0] + self.random.choice("123456789" if digits else string.ascii_letters)
        core += "".join(self.random.choice(letters) for _ in range(CORE - 1))
        self.names[core] = where
        return begin + core

    def find(self, data):
        """Names of the secrets that are in these bytes."""
        lower = data.lower()
        return [where for core, where in self.names.items()
                if any(mark in lower for mark in plain_marks(core)) or
                any(mark in data for mark in base64_marks(core))]


def plain_marks(core):
    """Its beginning, middle and end, in lower case, and in hexadecimal."""
    raw = core.lower().encode()
    middle = (CORE - PART) // 2
    parts = [raw[at:at + PART] for at in (0, middle, CORE - PART)]
    return parts + [core.encode()[:PART].hex().encode(), core.encode()[-PART:].hex().encode()]


def base64_marks(core):
    """What base64 makes of its ends, with any number of bytes in front."""
    marks = []
    for part in (core[:PART], core[-PART:]):
        for before in range(3):
            code = base64.b64encode(b"\0" * before + part.encode())
            marks.append(code[(before * 8 + 5) // 6:(before + PART) * 8 // 6])
    return marks
