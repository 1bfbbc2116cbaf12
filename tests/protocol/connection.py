"""The client's end of one connection: what has arrived, what can still be said."""

import errno
import os
import select
import socket
import time

import kernel


class Connection:
    def __init__(self, name, host, port, rcvbuf_bytes, within_s):
        self.name = name
        self.arrived = bytearray()
        self.ended = ""  # "end of stream" or "reset", once it has
        self.talks = True  # false once the client cannot ask with a PING any more
        self.reads = rcvbuf_bytes is None  # false: never read unless a step says so
        self.protocol = 0
        self.pong_seen = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf_bytes is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf_bytes)
        self.sock.settimeout(within_s)
        self.last_word_s = time.monotonic()  # taken before it is said: the server hears it later
        try:
            self.sock.connect((host, port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.addresses = (self.sock.getsockname(), self.sock.getpeername())

    def wait(self, deadline_s, for_writing=False):
        """Wait until there is something to read (or room to write); False at the deadline."""
        writers = [self.sock] if for_writing else []
        readers = [self.sock] if self.reads or not for_writing else []
        left_s = max(0.0, deadline_s - time.monotonic())
        ready = select.select(readers, writers, [], left_s)
        return bool(ready[0] or ready[1])

    def receive(self):
        """Move what has come into `arrived`; notes the end of the stream."""
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            self.ended = "reset"
            return
        if not data:
            self.ended = "end of stream"
        self.arrived += data

    def send(self, data, deadline_s):
        """Send all of data. A refusal by a closed peer is no failure: its last words count."""
        self.last_word_s = time.monotonic()
        view = memoryview(data)
        while view and self.talks:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                if not self.wait(deadline_s, for_writing=True):
                    raise TimeoutError("the server does not read") from None
                if self.reads and not self.ended:
                    self.receive()
            except OSError as err:
                if err.errno not in (errno.EPIPE, errno.ECONNRESET):
                    raise
                self.talks = False

    def await_read(self, deadline_s):
        """Wait until the server has read everything sent, or is gone."""
        while time.monotonic() < deadline_s:
            end = kernel.server_end(*self.addresses)
            if end is None or end.state != kernel.ESTABLISHED or end.unread_bytes == 0:
                return
            os.sched_yield()  # to the server, where there is only one processor

    def hang_up(self):
        self.sock.close()
