"""Both servers under one configuration with a callout."""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import servers  # noqa: E402
from servers import main  # noqa: E402,F401
from service import ISSUER  # noqa: E402


TIMEOUT_S = 20  # long, for a service on a busy machine is to be asked and to answer within it


def configuration(callout="", more="", timeout=TIMEOUT_S, accounts=""):
    return f"""
server_name: watched
server_tags: ["kind:test"]
accounts {{
  AUTH {{ users: [ {{user: auth, password: auth}}, {{user: aide, password: aide}} ] }}
  SYS {{ users: [ {{user: sys, password: sys}} ] }}
  APP {{ users: [ {{user: listed, password: listed}} ] }}
  OTHER {{ users: [ {{user: other, password: other}} ] }}
  {accounts}
}}
system_account: SYS
authorization {{
  timeout: {timeout}
  auth_callout {{ issuer: {ISSUER.text}, account: AUTH, auth_users: [auth, sys] {callout} }}
}}
{more}
"""


class Pipit(servers.Pipit):
    def __init__(self, *flags, **text):
        super().__init__(*flags)
        self.write(configuration(**text))


class Reference(servers.Reference):
    def __init__(self, *flags, **text):
        super().__init__(*flags)
        self.write(configuration(**text))


def each(*flags, **text):
    return servers.each(Pipit(*flags, **text), Reference(*flags, **text))


@contextlib.contextmanager
def both(*flags, **text):
    with Pipit(*flags, **text) as ours, Reference(*flags, **text) as theirs:
        yield ours, theirs
