#!/usr/bin/env python3
"""Check who includes whom: every #include line and every room of src/ against one table, and cli/.

usage: test_layers.py [ROOT]    ROOT has src/ and include/; by default this file's repository.
Before that it looks at a few wrong files of its own, to see that it can fail.
"""
import os
import re
import sys
import tempfile

# Each room, and the rooms below it that its files may include. docs/architecture.md, "Rooms", says
# why. A single header may be named where the rest of a room is out of bounds. A door (proto/X)
# includes no other door.
ROOMS = {
    "base": [],
    "config": ["base", "core/subject.h", "auth/nkey.h", "auth/address_range.h"],
    "net": ["base"],
    "t2": ["base"],
    "bus": ["base", "t2", "client/wire.h", "client/remote.h"],
    "tls": ["base", "net"],
    "core": ["base"],
    "store": ["base", "core/subject.h"],
    "consumer": ["base"],
    "topic": ["base", "store", "core/token.h"],
    "auth": ["base", "core"],
    "jetstream": ["base", "core", "store"],
    "cluster": ["base", "net", "core", "store", "jetstream", "auth"],
    "proto/*": ["base", "net", "tls", "core", "auth", "t2"],
    "proto/message_broker": ["base", "net", "core", "consumer", "topic"],
    "client": ["base", "net", "core", "auth", "http", "websocket", "t2"],
    "http": ["base", "net"],
    "websocket": ["base", "net", "http"],
    "server": ["*"],
}
# Which rooms may include which public headers.
PUBLIC = {
    "base": ["pipit/error.h"],
    "bus": ["pipit/error.h", "pipit/bus.h"],
    "client": ["pipit/error.h", "pipit/message.h", "pipit/client.h", "pipit/keys.h"],
    "store": ["pipit/error.h", "pipit/store.h"],
    "server": ["pipit/error.h", "pipit/message.h", "pipit/bus.h", "pipit/config.h",
               "pipit/server.h"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def sources(folder):
    for path, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(path, name)


def room_of(path):
    """The room of a path as written behind src/: its folder, for doors with their own name."""
    parts = path.split("/")
    depth = 2 if parts[0] == "proto" else 1
    return "/".join(parts[:depth]) if len(parts) > depth else None


def row_of(room):
    return ROOMS.get(room) or ROOMS.get("proto/*" if room.startswith("proto/") else room)


def may_include(room, header):
    """None, or what is wrong with a file of room including header."""
    target = room_of(header)
    row = row_of(room)
    if header.startswith("pipit/"):
        return None if header in PUBLIC.get(room, []) else "that public header is not for this room"
    if target is None:
        return 'write it from src/: "room/name.h"'
    if target == room or "*" in row or target in row or header in row:
        return None
    return f"{room} may include {', '.join(row) or 'no other room'}"


def check_line(root, path, number, line, room):
    match = INCLUDE.match(line)
    if not match:
        return None
    kind, header = match.groups()
    where = f"{os.path.relpath(path, root)}:{number}: {line.strip()}"
    own = os.path.exists(os.path.join(root, "src", header)) or header.startswith("pipit/")
    if kind == "<":
        return f"{where}: our own headers stand in quotes" if own else None
    if not own:
        return f"{where}: there is no such file in src/"
    wrong = may_include(room, header)
    return f"{where}: {wrong}" if wrong else None


def check_includes(root):
    """A list of (file, [what is wrong])."""
    results = []
    for path in sources(os.path.join(root, "src")):
        room = room_of(os.path.relpath(path, os.path.join(root, "src")).replace(os.sep, "/"))
        wrong = []
        if room is None or row_of(room) is None:
            wrong.append(f"{os.path.relpath(path, root)}: no such room in the table")
        else:
            with open(path, encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    wrong.append(check_line(root, path, number, line, room))
        results.append((path, [text for text in wrong if text]))
    return results


def check_public(root):
    """The public headers know nothing of what is inside."""
    results = []
    for path in sources(os.path.join(root, "include")):
        wrong = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                if match and match.group(1) == '"' and not match.group(2).startswith("pipit/"):
                    wrong.append(f"{os.path.relpath(path, root)}:{number}: {line.strip()}: "
                                 "a public header includes only public ones")
        results.append((path, wrong))
    return results


def check_tool(root):
    """The tool is built on the public headers, like any program."""
    results = []
    for path in sources(os.path.join(root, "cli")):
        wrong = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                if match and match.group(1) == '"' and not match.group(2).startswith(("pipit/",
                                                                                      "cli/")):
                    wrong.append(f"{os.path.relpath(path, root)}:{number}: {line.strip()}: "
                                 "the tool includes only public headers and its own")
        results.append((path, wrong))
    return results


def check_targets(root):
    """Each room is a CMake target that is linked to the rooms of its row and no others."""
    path = os.path.join(root, "src", "CMakeLists.txt")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"#.*", "", file.read())
    results = []
    for words in re.findall(r"pipit_room\(([^)]*)\)", text):
        words = words.split()
        room, section, wrong = words[0].replace("proto_", "proto/"), None, []
        row = row_of(room)
        if row is None:
            wrong.append(f"src/CMakeLists.txt: pipit_room({words[0]}): no such room in the table")
        for word in words[1:]:
            if word in ("ROOMS", "LIBS", "SOURCES", "FAST", "COLD"):
                section = word
            elif section == "ROOMS" and row is not None:
                linked = word.replace("proto_", "proto/")
                headers = any(name.startswith(linked + "/") for name in row)
                if "*" not in row and linked not in row and not headers:
                    wrong.append(f"src/CMakeLists.txt: pipit_room({words[0]}) is linked to {word}")
            elif section == "SOURCES" and room_of(word) != room:
                wrong.append(f"src/CMakeLists.txt: pipit_room({words[0]}) holds {word}")
        results.append((path, wrong))
    return results


def check_all(root):
    return check_includes(root) + check_public(root) + check_tool(root) + check_targets(root)


# Files that are each wrong in one way, or right.
SAMPLES = [
    ("src/base/a.c", '#include "base/a.h"\n#include <stdio.h>\n#include "pipit/error.h"\n', 0),
    ("src/base/a.h", "", 0),
    ("src/base/b.c", '#include "core/a.h"\n', 1),
    ("src/base/c.c", '#include "pipit/server.h"\n', 1),
    ("src/core/a.h", '#include "base/a.h"\n', 0),
    ("src/core/b.c", '  #  include "net/a.h"\n', 1),
    ("src/net/a.h", '#include "base/a.h"\n', 0),
    ("src/net/b.c", '#include "core/a.h"\n', 1),
    ("src/net/c.c", '#include "a.h"\n', 1),
    ("src/net/d.c", '#include <base/a.h>\n', 1),
    ("src/net/e.c", '#include "net/none.h"\n', 1),
    ("src/proto/x/a.h", '#include "net/a.h"\n#include "core/a.h"\n#include "base/a.h"\n', 0),
    ("src/proto/y/a.c", '#include "proto/x/a.h"\n', 1),
    ("src/server/a.h", '#include "proto/x/a.h"\n#include "pipit/server.h"\n', 0),
    ("src/proto/x/b.c", '#include "server/a.h"\n', 1),
    ("src/util/a.c", "", 1),
    ("src/a.c", "", 1),
    ("include/pipit/error.h", "#include <stddef.h>\n", 0),
    ("include/pipit/server.h", '#include "pipit/error.h"\n', 0),
    ("cli/a.h", "#include <stdio.h>\n", 0),
    ("cli/a.c", '#include "cli/a.h"\n#include "pipit/error.h"\n', 0),
    ("cli/b.c", '#include "base/a.h"\n', 1),
    ("include/pipit/bad.h", '#include "base/a.h"\n', 1),
    ("src/CMakeLists.txt", "pipit_room(net ROOMS base core SOURCES net/a.c core/b.c)\n", 2),
]


def self_test():
    """Check that each sample is found to be as wrong as it is."""
    with tempfile.TemporaryDirectory() as root:
        for name, text, _ in SAMPLES:
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        found = {}
        for path, wrong in check_all(root):
            found.setdefault(os.path.relpath(path, root), []).extend(wrong)
        return [f"self-test: {name}: {len(found.get(name, []))} faults found, not {count}"
                for name, _, count in SAMPLES if len(found.get(name, [])) != count]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(here))
    results = [(None, self_test())] + check_all(os.path.abspath(root))
    failed = 0
    for _, wrong in results:
        failed += bool(wrong)
        for text in wrong:
            print(text)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or len(results) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
