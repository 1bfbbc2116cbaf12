"""A terminal that can be typed at and read: tmux, on a socket of its own."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import time
import unittest

from tool import TOOL, WAIT_S


NUMBERS = itertools.count()


class Terminal:
    """The tool in a terminal of so many columns and lines."""

    def __init__(self, folder, env, *arguments, size=(170, 24)):
        if not shutil.which("tmux"):
            raise unittest.SkipTest("tmux is not there (Debian: tmux)")
        # one that ended may not be quite gone when the next begins
        self.socket = os.path.join(folder, f"tmux{next(NUMBERS)}")
        self.env = {**env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = " ".join(map(shlex.quote, (TOOL, *arguments)))
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
                   f"{command}; echo ended with $?; exec cat")

    def _tmux(self, *arguments):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *arguments], env=self.env,
                              check=True, capture_output=True, text=True, timeout=WAIT_S).stdout

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def type(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, columns, lines):
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def wait(self, pattern):
        """The screen, once it shows pattern."""
        deadline = time.monotonic() + WAIT_S
        while not re.search(pattern, shown := self.screen()):
            if time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in:\n{shown}")
            time.sleep(0.02)
        return shown

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.env, check=False,
                       capture_output=True, timeout=WAIT_S)
