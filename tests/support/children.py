"""Processes that a test starts: what fails or is killed leaves none behind."""

import ctypes
import signal

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent():
    """For a child to call before it becomes another program: the kernel ends it with the thread
    that started it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
