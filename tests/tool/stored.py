"""What a server has stored, and stopped."""

import pathlib
import socket
import tempfile

from tool import PIPIT, Server

CONFIG = """
message_broker { listen: "127.0.0.1:-1", store_dir: "%s" }
"""


def make_store(folder, topic, *payloads):
    """Have a server store messages in a topic. Returns the store's directory."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(CONFIG % folder)
        config.flush()
        server = Server(PIPIT, "-c", config.name)
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                client.sendall(b"CONNECT {\"verbose\":false}\r\n" + b"".join(
                    b"PUB mb.%s %d\r\n%s\r\n" % (topic.encode(), len(payload), payload)
                    for payload in payloads) + b"PING\r\n")
                read = b""
                while b"PONG\r\n" not in read:
                    read += client.recv(65536)
        finally:
            server.stop()
    return pathlib.Path(folder) / "message_broker" / f"topic-{topic}"
