"""Ports for servers that must be told theirs before they listen, or that come back on the same one."""

import errno
import random
import socket

_given = set()  # to this process


def quiet_port(host="127.0.0.1"):
    """Another free port of host, that nobody else is given meanwhile; host "": of every address.

    It lies below the range from which the kernel serves port 0 and outgoing connections: out of that
    range another process, or the very client that tries to connect, could be given it.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest = int(file.read().split()[0])
    both = not host and socket.has_ipv6  # the IPv6 wildcard is that of IPv4, too
    for _ in range(1000):
        port = random.randrange(lowest // 2, lowest)
        if port in _given:
            continue
        with socket.socket(socket.AF_INET6 if both else socket.AF_INET) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        _given.add(port)
        return port
    raise OSError(errno.EADDRINUSE, "no free port below those that the kernel gives")
