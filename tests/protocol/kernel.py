"""What the kernel knows of the server's end of a connection.

Two things cannot be seen from the client's end and would otherwise need a sleep: whether the server
has read what was sent (so that the next byte makes a read of its own), and whether it has closed a
connection whose client reads nothing. Both ends are on this machine, so the kernel can be asked:
sock_diag(7) first, /proc/net/tcp where that module is missing.
"""

import socket
import struct
from typing import NamedTuple

ESTABLISHED = 1

_SOCK_DIAG = 4  # netlink family
_BY_FAMILY = 20  # message type
_NLMSG_ERROR = 2
_HEADER_BYTES = 16
_ADDRESSES_AT = _HEADER_BYTES + 4
_RQUEUE_AT = _ADDRESSES_AT + 48 + 4


class End(NamedTuple):
    state: int
    unread_bytes: int


def server_end(client_address, server_address):
    """The server's end of an IPv4 connection, or None when it exists no more."""
    try:
        return _by_netlink(server_address, client_address)
    except OSError:
        return _by_proc(server_address, client_address)


def _by_netlink(local, remote):
    any_cookie = 0xFFFFFFFF
    all_states = 0xFFFFFFFF
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, all_states)
    request += struct.pack("!HH", local[1], remote[1])
    request += socket.inet_aton(local[0]).ljust(16, b"\0")
    request += socket.inet_aton(remote[0]).ljust(16, b"\0")
    request += struct.pack("=III", 0, any_cookie, any_cookie)
    header = struct.pack("=IHHII", _HEADER_BYTES + len(request), _BY_FAMILY, 1, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
        netlink.send(header + request)
        answer = netlink.recv(8192)
    if struct.unpack_from("=IHHII", answer)[1] == _NLMSG_ERROR:
        # ENOENT is ambiguous: no such connection, or no module that could know.
        raise OSError(-struct.unpack_from("=i", answer, _HEADER_BYTES)[0], "sock_diag")
    if struct.unpack_from("!H", answer, _ADDRESSES_AT + 2)[0] != remote[1]:
        return None  # the listening socket stands in for a connection that is gone
    unread_bytes = struct.unpack_from("=I", answer, _RQUEUE_AT)[0]
    return End(answer[_HEADER_BYTES + 1], unread_bytes)


def _by_proc(local, remote):
    wanted = [_proc_address(local), _proc_address(remote)]
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1:3] == wanted:
                return End(int(fields[3], 16), int(fields[4].partition(":")[2], 16))
    return None


def _proc_address(address):
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"
