"""Certificates, a server that speaks TLS, and clients of it."""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

SERVER = ""
DEADLINE_S = 60
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEER = os.path.join(os.environ.get("PIPIT_PEERS_DIR") or os.path.join(ROOT, "build/peers/bin"),
                    "nats-server")


class Folder:
    """A directory with an authority and what it signs."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="pipit-tls-")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=authority")
        self.sign("server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")

    def run(self, *words):
        subprocess.run(["openssl", *words], cwd=self.path, check=True, timeout=DEADLINE_S,
                       capture_output=True)

    def file(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text):
        with open(self.file(name), "w", encoding="utf-8") as file:
            file.write(text)

    def sign(self, name, subject, names=None, days="30", ca="ca"):
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 f"{name}.key", "-out", f"{name}.csr", "-subj", subject, "-multivalue-rdn", "-utf8")
        self.write(f"{name}.ext", f"subjectAltName={names}\n" if names else "")
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                 "-CAcreateserial", "-days", days, "-out", f"{name}.pem", "-extfile",
                 f"{name}.ext")

    def pin(self, name):
        """The hash by which pinned_certs names a certificate's key."""
        der = subprocess.run(f"openssl x509 -in {name}.pem -noout -pubkey | openssl pkey -pubin "
                             "-outform DER | openssl dgst -sha256 -r", shell=True, check=True,
                             cwd=self.path, capture_output=True, timeout=DEADLINE_S).stdout
        return der.split()[0].decode()

    def close(self):
        shutil.rmtree(self.path)


class Server:
    def __init__(self, folder, text, *flags, program=None):
        name = "server.conf" if program is None else "peer.conf"
        folder.write(name, text)
        self.config = folder.file(name)
        self.process = subprocess.Popen([program or SERVER, "-a", "127.0.0.1", "-p", "-1", "-c", self.config,
                                         *flags], cwd=folder.path, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.port = self.http = None
        self.said = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        if not self.wait_line("Server is ready"):
            self.stop()
            raise RuntimeError("no server: " + "\n".join(self.lines))
        self.port = self.find(r"client connections on 127\.0\.0\.1:(\d+)")
        self.http = self.find(r"https? monitor on 127\.0\.0\.1:(\d+)")

    def read(self):
        for line in self.process.stderr:
            with self.said:
                self.lines.append(line.rstrip())
                self.said.notify_all()
        with self.said:
            self.lines.append("(ended)")
            self.said.notify_all()

    def wait_line(self, part, after=0):
        with self.said:
            return self.said.wait_for(
                lambda: any(part in line or line == "(ended)" for line in self.lines[after:]),
                DEADLINE_S) and any(part in line for line in self.lines[after:])

    def find(self, pattern):
        for line in self.lines:
            found = re.search(pattern, line)
            if found:
                return int(found[1])
        return None

    def dial(self):
        sock = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        sock.settimeout(DEADLINE_S)
        return sock

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def connz(self, context=None, query=""):
        scheme = "https" if context else "http"
        with urllib.request.urlopen(f"{scheme}://127.0.0.1:{self.http}/connz{query}",
                                    timeout=DEADLINE_S, context=context) as answer:
            return json.load(answer)["connections"]

    def varz(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/varz",
                                    timeout=DEADLINE_S) as answer:
            return json.load(answer)

    def reload(self, text=None):
        if text is not None:
            with open(self.config, "w", encoding="utf-8") as file:
                file.write(text)
        before = len(self.lines)
        self.process.send_signal(1)
        return self.wait_line("eloaded server configuration (", before) or None

    def stop(self):
        self.process.terminate()
        status = self.process.wait(DEADLINE_S)
        self.reader.join()
        self.process.stderr.close()
        return status


def client_context(folder, name=None, **settings):
    context = ssl.create_default_context(cafile=folder.file("ca.pem"))
    if name:
        context.load_cert_chain(folder.file(f"{name}.pem"), folder.file(f"{name}.key"))
    for key, value in settings.items():
        setattr(context, key, value)
    return context


def wait_until(holds):
    """For what no event tells: asked again until it is so."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


def read_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        byte = sock.recv(1)
        if not byte:
            break
        line += byte
    return line


def read_info(sock):
    line = read_line(sock)
    assert line.startswith(b"INFO "), line
    return json.loads(line[5:])


def connect(server, context, first=False, name="localhost"):
    """A TLS connection after INFO, or with INFO inside; and what INFO says."""
    sock = server.dial()
    info = None if first else read_info(sock)
    sock = context.wrap_socket(sock, server_hostname=name)
    return sock, read_info(sock) if first else info


def ping(sock, options="{}"):
    """What is said to CONNECT and PING: PONG, or the error."""
    sock.sendall(b"CONNECT " + options.encode() + b"\r\nPING\r\n")
    line = read_line(sock)
    while line.startswith((b"INFO", b"+OK", b"PING")):
        line = read_line(sock)
    return line.strip().decode()


def rest(sock):
    """All that comes until the end."""
    got = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                return got
            got += more
    except (ConnectionError, ssl.SSLError):
        return got


class TlsTest(unittest.TestCase):
    def setUp(self):
        self.folder = Folder()
        self.addCleanup(self.folder.close)

    def server(self, tls="", rest="", *flags):
        server = Server(self.folder, self.text(tls, rest), *flags)
        self.addCleanup(self.check_stop, server)
        return server

    def server_with(self, text, *flags):
        server = Server(self.folder, text, *flags)
        self.addCleanup(self.check_stop, server)
        return server

    def peer(self, text):
        """nats-server with the same file, if it is there."""
        if not os.access(PEER, os.X_OK):
            return None
        peer = Server(self.folder, text, program=PEER)
        self.addCleanup(peer.stop)
        return peer

    @staticmethod
    def text(tls="", rest=""):
        return (f"http: 127.0.0.1:-1\n{rest}\n"
                f"tls {{ cert_file: server.pem, key_file: server.key\n{tls}\n}}\n")

    def check_stop(self, server):
        self.assertEqual(server.stop(), 0)


def main():
    global SERVER
    SERVER = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
