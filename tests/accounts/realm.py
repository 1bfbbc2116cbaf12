"""A server with accounts that deal with each other, and a client in each."""

import contextlib
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from servers import Client, Pipit, Reference  # noqa: E402

__all__ = ["Client", "Pipit", "Reference", "configuration", "each_server", "running", "sight"]


def configuration(accounts, more="", users=None):
    """The file for {"NAME": "what stands in it besides its user"}; a user is called as its account,
    in small letters."""
    lines = ["server_name: realm", "accounts {"]
    for name, text in {"SYS": "", **accounts}.items():
        user = (users or {}).get(name, "")
        lines.append(f"  {name} {{ users: [ {{user: {name.lower()}, password: {name.lower()}"
                     f"{', ' + user if user else ''}}} ]\n{text} }}")
    return "\n".join([*lines, "}", "system_account: SYS", more, ""])


@contextlib.contextmanager
def running(kind, text, *flags):
    """A server of a class of servers.py under that configuration."""
    server = kind(*flags)
    server.first_user = None
    server.write(text)
    with server:
        yield server


def each_server(text):
    """Both, one after the other."""
    for kind in (Pipit, Reference):
        with running(kind, text) as server:
            yield server


def settle(publisher, clients):
    """Everything that was published before has arrived."""
    publisher.flush()
    for client in clients:
        client.flush()


def sight(message):
    """A message as both servers show it: what is made by chance or by the clock is left out."""
    text = message.header.decode()
    for pattern, instead in ((r'"rtt":\d+', '"rtt":N'), (r'"start":"[^"]*"', '"start":T'),
                             (r'"id":\d+', '"id":N')):
        text = re.sub(pattern, instead, text)
    # Fields in any order: what is added stands where each server likes.
    lines = tuple(sorted(text.split("\r\n")))
    hide = lambda subject: re.sub(r"^_R_\..*", "_R_", subject) if subject else subject  # noqa: E731
    return hide(message.subject), hide(message.reply), lines, message.payload


def heard(client):
    """All that has come to it, in no order."""
    return sorted((sight(m) for m in client.taken()), key=repr)
