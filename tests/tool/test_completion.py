#!/usr/bin/env python3
"""Completions, as bash, zsh and fish find them: the scripts are sourced in real shells."""

import os
import shutil
import subprocess
import unittest

from tool import TOOL, WAIT_S, ToolTest

# (the words typed so far, the last one to be completed), what must be offered, what must not
CASES = [
    (["pu"], {"pub"}, {"sub"}),
    ([""], {"pub", "sub", "bench", "context", "fanout", "t2", "help"}, {"save", "publish"}),
    (["context", "s"], {"save", "select"}, {"ls", "sub"}),
    (["ctx", "s"], {"save", "select"}, {"sub"}),
    (["-s", "nats://x", "con"], {"context"}, {"connect"}),
    (["--server=nats://x", "con"], {"context"}, set()),
    (["pub", "--co"], {"--count", "--context", "--connection-name"}, {"--force-stdin"}),
    (["context", "save", "--des"], {"--description"}, {"--count"}),
    (["bench", "pub", "--r"], {"--rate"}, {"--queue"}),
    (["pub", "--send-on", ""], {"eof", "newline"}, {"pub"}),
    (["pub", "-s", "pub", "--send-on", "n"], {"newline"}, {"eof"}),
    (["sub", "--context", "sh"], {"shop"}, {"shed.json"}),
    (["context", "select", ""], {"shop", "till"}, {"save"}),
    (["context", "rm", "--force", "t"], {"till"}, {"shop"}),
    (["pub", "x", "--file", "mess"], {"message.txt"}, {"shop"}),
    (["sub", "x", "--dump", "fold"], {"folder"}, {"message.txt"}),
    (["completion", ""], {"bash", "zsh", "fish"}, {"pub"}),
    (["help", "be"], {"bench"}, {"pub"}),
]

BASH = """
source <("$PIPIT_TOOL" completion bash)
COMP_WORDS=(pipit "$@")
COMP_CWORD=$#
_pipit
printf '%s\\n' "${COMPREPLY[@]}"
"""

# zsh completes at its prompt only; so it has one, on a pseudo-terminal, and lists what it offers
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
say() { zpty -w z "$1" }
until_seen() { local text; zpty -r z text "$1" }
say "PS1='REA''DY>' ; autoload -Uz compinit; compinit -u -d $TMP/dump; source $TMP/_pipit"
say "compadd() { if [[ \$@ == *-O* || \$@ == *-A* || \$@ == *-D* ]]; then builtin compadd \"\$@\"; return; fi; builtin compadd -A offered \"\$@\"; print -l -r -- \"\${offered[@]}\" >> $TMP/offered; builtin compadd \"\$@\" }"
say "zstyle ':completion:*' list-prompt ''; bindkey '^I' complete-word; print go"
# the prompt after the last of these lines: the line editor reads keys from here on
until_seen $'*go\r\n*READY>*'
zpty -w -n z "$LINE"$'\t'
zpty -w -n z $'\C-u'
say " print do''ne"
until_seen $'*done\r\n*'
zpty -d z
"""


class Completion(ToolTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.environ["PIPIT_TOOL"] = TOOL
        tools = cls.home / "bin"
        tools.mkdir()
        (tools / "pipit").symlink_to(TOOL)
        cls.environ["PATH"] = f"{tools}:{cls.environ['PATH']}"
        (cls.home / "message.txt").write_text("x")
        (cls.home / "folder").mkdir()
        for name in ("shop", "till"):
            subprocess.run([TOOL, "context", "save", name], env=cls.environ, check=True,
                           capture_output=True, timeout=WAIT_S)

    def run_shell(self, *command, **env):
        done = subprocess.run(command, env={**self.environ, **env}, cwd=self.home,
                              capture_output=True, text=True, timeout=WAIT_S,
                              stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.stderr, "", command)
        return done.stdout

    def check(self, offered, words, wanted, unwanted):
        offered = {word.strip().rstrip("/") for word in offered}
        self.assertLessEqual(wanted, offered, words)
        self.assertFalse(unwanted & offered, (words, offered))

    def test_bash(self):
        for words, wanted, unwanted in CASES:
            out = self.run_shell("bash", "-c", BASH, "bash", *words)
            self.check(out.split("\n"), words, wanted, unwanted)
        # --flag=value comes in three words
        out = self.run_shell("bash", "-c", BASH, "bash", "pub", "--send-on", "=", "n")
        self.assertEqual(out.split(), ["newline"])
        out = self.run_shell("bash", "-c", BASH, "bash", "pub", "--send-on", "=")
        self.assertEqual(out.split(), ["eof", "newline"])

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not there")
    def test_zsh(self):
        place = self.home / "zsh"
        place.mkdir()
        (place / "_pipit").write_text(self.tool("completion", "zsh"))
        # folders are zsh's own business, by ways that the listing above does not see
        cases = [case for case in CASES if case[1] != {"folder"}]
        for words, wanted, unwanted in [*cases, (["pub", "--send-on=n"], {"newline"}, {"eof"})]:
            offered = place / "offered"
            offered.unlink(missing_ok=True)
            self.run_shell("zsh", "-f", "-c", ZSH, TMP=str(place),
                           LINE=" ".join(["pipit", *words]))
            text = offered.read_text() if offered.exists() else ""
            self.check(text.split("\n"), words, wanted, unwanted)

    @unittest.skipUnless(shutil.which("fish"), "fish is not there")
    def test_fish(self):
        script = self.home / "pipit.fish"
        script.write_text(self.tool("completion", "fish"))
        for words, wanted, unwanted in [*CASES, (["pub", "--send-on=n"], {"--send-on=newline"},
                                                 {"--send-on=eof"})]:
            line = " ".join(["pipit", *words])
            out = self.run_shell("fish", "--no-config", "-c",
                                 f"source {script}; complete -C '{line}'")
            self.check([one.split("\t")[0] for one in out.split("\n")], words, wanted, unwanted)

    def test_unknown_shell(self):
        self.tool("completion", "csh", status=2)
        self.assertIn('"csh" is none of bash|zsh|fish', self.said)


if __name__ == "__main__":
    os.umask(0o022)
    unittest.main()
