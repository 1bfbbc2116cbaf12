"""A responder of OCSP that says what it is told to, true or not; it knows just enough of DER."""

import base64
import datetime
import hashlib
import http.server
import socket
import ssl
import subprocess
import threading
import urllib.parse

from support import DEADLINE_S


def der(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def split(data):
    """The tag, the content and what stands behind it."""
    length, at = data[1], 2
    if length & 0x80:
        at += length & 0x7f
        length = int.from_bytes(data[2:at], "big")
    return data[0], data[at:at + length], data[at + length:]


def time_of(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return der(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())


ECDSA_SHA256 = der(0x30, bytes.fromhex("06082a8648ce3d040302"))
BASIC = bytes.fromhex("06092b0601050507300101")
REVOKED_AT = der(0x18, b"20250101000000Z")


class Responder:
    """For the authorities of a folder, each at url + "/" + its name; numbers: names by serial."""

    def __init__(self, folder, numbers):
        self.folder, self.numbers = folder, numbers
        self.keys, self.certificates = {}, {}
        self.asked = []
        self.lock, self.reached = threading.Lock(), threading.Condition()
        responder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                authority, _, question = self.path.strip("/").partition("/")
                answer = responder.hear(authority,
                                        base64.b64decode(urllib.parse.unquote(question)),
                                        self.client_address[-1])
                self.send_response(responder.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                try:
                    self.wfile.write(answer)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # who has asked has gone

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

            def get_request(self):
                """A question belongs to the test in which who asks has come, when it is read."""
                sock, address = super().get_request()
                return sock, (*address, responder.asked)

            def handle_error(self, *_):
                pass  # who has asked has gone

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.forget()

    def forget(self):
        """All is good again, and nobody has asked."""
        self.let_all_in()
        self.states, self.asked, self.status = {}, [], 200
        self.since, self.until = -60, 600  # seconds from now; until None: it does not say
        self.signer, self.spoil, self.other = None, None, None

    def let_all_in(self):
        """Whoever has come before this."""
        with socket.create_connection(self.server.server_address, DEADLINE_S) as last:
            last.shutdown(socket.SHUT_WR)
            assert last.recv(1) == b""

    def hear(self, authority, request, asked):
        _, content, _ = split(request)
        for _ in range(4):  # the request, its list, its first entry, whom that is about
            _, content, _ = split(content)
        identity, rest = der(0x30, content), content
        while rest:
            tag, number, rest = split(rest)
        assert tag == 2
        with self.reached:
            asked.append(self.numbers[int.from_bytes(number, "big")])
            self.reached.notify_all()
        with self.lock:
            pass  # whoever holds it has nobody answered
        answer = self.answer(authority, self.numbers[int.from_bytes(number, "big")], identity)
        return self.spoil(answer) if self.spoil else answer

    def answer(self, authority, name, identity):
        state = {"V": der(0x80), "R": der(0xa1, REVOKED_AT), "U": der(0x82)}
        if self.other:
            identity = identity[:-1] + bytes([identity[-1] ^ 1])
        parts = [identity, state[self.states.get(name, "V")], time_of(self.since)]
        if self.until is not None:
            parts.append(der(0xa0, time_of(self.until)))
        signer = self.signer or authority
        said = der(0x30, der(0xa2, der(4, self.key_hash(signer))), time_of(0),
                   der(0x30, der(0x30, *parts)))
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.folder.file(f"{signer}.key")], input=said,
            check=True, capture_output=True, timeout=DEADLINE_S).stdout
        shown = b"" if signer == authority else der(0xa0, der(0x30, self.certificate(signer)))
        basic = der(0x30, said, ECDSA_SHA256, der(3, b"\0", signature), shown)
        return der(0x30, der(10, b"\0"), der(0xa0, der(0x30, BASIC, der(4, basic))))

    def certificate(self, name):
        with open(self.folder.file(f"{name}.pem"), encoding="ascii") as file:
            text = file.read()
        end = "-----END CERTIFICATE-----"
        return ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)])

    def key_hash(self, name):
        if name not in self.keys:
            key = subprocess.run(["openssl", "pkey", "-in", self.folder.file(f"{name}.key"),
                                  "-pubout", "-outform", "DER"], check=True, capture_output=True,
                                 timeout=DEADLINE_S).stdout
            self.keys[name] = hashlib.sha1(key[-65:]).digest()  # a point of P-256
        return self.keys[name]

    def wait_asked(self, count):
        with self.reached:
            return self.reached.wait_for(lambda: len(self.asked) >= count, DEADLINE_S)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
