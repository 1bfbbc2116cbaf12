#!/usr/bin/env python3
"""What the tool makes of its command line: help of every command, and a sentence and status 2 for
everything that is wrong with one."""

import re
import unittest

from tool import HOSTILE, ToolTest, bad_characters


OF_OTHERS = ("fanout", "t2")  # commands that read their own command lines


def commands_of(text):
    """The names below Commands: in a help text."""
    part = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.M)
    return re.findall(r"^  (\S+)", part[1], re.M) if part else []


class CommandLine(ToolTest):
    def walk(self, path=()):
        text = self.tool("help", *path)
        yield path, text
        for name in commands_of(text):
            if path or name not in OF_OTHERS:
                yield from self.walk((*path, name))

    def test_every_command_explains_itself(self):
        paths = []
        for path, text in self.walk():
            paths.append(path)
            self.assertTrue(text.startswith("usage: pipit " + " ".join(path)), text)
            self.assertEqual(text, self.tool(*path, "--help"))
            self.assertEqual(self.said, "")
            for line in text.splitlines():
                if not line.startswith(("usage:", "  pipit", "  #", "  echo")):
                    self.assertLessEqual(len(line), 80, f"{path}: {line}")
        self.assertGreater(len(paths), 10)

    def test_without_a_command(self):
        self.assertEqual(self.tool(status=2), "")
        self.assertIn("usage: pipit COMMAND", self.said)

    def test_version(self):
        for arguments in (["version"], ["--version"], ["context", "ls", "--version"]):
            self.assertRegex(self.tool(*arguments), r"^pipit: v\d+\.\d+\.\d+\n$")

    def test_bad_lines_get_a_sentence(self):
        cases = [
            (["contxt"], "did you mean pipit context?"),
            (["context", "lss"], "did you mean pipit context ls?"),
            (["zzzzzz"], "there is no command zzzzzz: see pipit help"),
            (["context"], "pipit context needs a command"),
            (["context", "save"], "needs NAME"),
            (["context", "save", "a", "b"], "one argument too many"),
            (["context", "save", "../x"], "cannot be the name of a context"),
            (["context", "info", "nobody"], "there is no context nobody"),
            (["context", "ls", "--nonsense"], "there is no flag --nonsense"),
            (["context", "ls", "--nonsense=4"], "there is no flag --nonsense "),
            (["context", "ls", "-Z"], "there is no flag -Z"),
            (["context", "ls", "--names=yes"], "--names takes no value"),
            (["context", "ls", "--timeout"], "--timeout needs a time"),
            (["context", "ls", "--timeout=soon"], '"soon" is not a time'),
            (["context", "ls", "--timeout=5"], '"5" is not a time'),
            (["context", "ls", "--timeout=0"], "1.00 ms at least"),
            (["help", "nothing"], "there is no such command"),
        ]
        for arguments, sentence in cases:
            with self.subTest(arguments):
                self.assertEqual(self.tool(*arguments, status=2), "")
                self.assertIn(sentence, self.said)
                self.assertTrue(self.said.startswith("pipit: "))
                self.assertEqual(self.said.count("\n"), 1)

    def test_variables_are_checked_too(self):
        self.tool("context", "ls", status=2, NATS_TIMEOUT="soon")
        self.assertIn("variable NATS_TIMEOUT", self.said)
        self.tool("context", "ls", "--timeout=1s", NATS_TIMEOUT="soon")

    def test_hostile_words_are_escaped(self):
        for word in HOSTILE:
            if "\0" in word:
                continue
            for arguments in ([word], ["context", "info", word], ["context", "ls", "--" + word],
                              ["context", "ls", "--timeout=" + word], ["context", "ls", word]):
                self.tool(*arguments, status=2)
                self.assertEqual(bad_characters(self.said), set(), arguments)
                self.assertLess(len(self.said), 500)


if __name__ == "__main__":
    unittest.main()
