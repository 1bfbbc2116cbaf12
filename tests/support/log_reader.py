"""The log of a process under test, line by line as it comes."""

import re
import threading
import time

END = "<end of log>"
REPORT = re.compile(r"Sanitizer|runtime error:")


class LogReader:
    """Reads a stream to its end. lines is all there has been, last of all END."""

    def __init__(self, stream, deadline_s):
        self.lines = []
        self._stream = stream
        self._deadline_s = deadline_s
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._stream:
            self._add(line)
        self._add(END)

    def _add(self, line):
        with self._news:
            self.lines.append(line)
            self._news.notify_all()

    def told_last(self):
        """What to show of it when something went wrong: a sanitizer's report, or the last lines."""
        lines = list(self.lines)
        for at, line in enumerate(lines):
            if REPORT.search(line):
                return "".join(lines[at:at + 60])
        return "".join(lines[-25:])

    def wait(self, pattern, since=0):
        """The first line from since on that matches."""
        end = time.monotonic() + self._deadline_s
        at = since
        with self._news:
            while True:
                while at < len(self.lines):
                    if re.search(pattern, self.lines[at]):
                        return self.lines[at]
                    at += 1
                left = end - time.monotonic()
                if left <= 0 or self.lines[-1:] == [END] or not self._news.wait(left):
                    raise AssertionError(f"no line like {pattern!r}:\n{self.told_last()}")

    def close(self):
        """After the process has ended."""
        self._thread.join(self._deadline_s)
        self._stream.close()
