"""Keys, signatures and hashes made by the libraries of the system, not by the code under test."""

import base64
import ctypes
import ctypes.util

KINDS = {"U": 20 << 3, "A": 0, "O": 14 << 3, "N": 13 << 3, "X": 23 << 3}


def _load(name):
    path = ctypes.util.find_library(name)
    return ctypes.CDLL(path) if path else None


_sodium = _load("sodium")
_crypt = _load("crypt")
_crypt.crypt.restype = ctypes.c_char_p
assert _sodium.sodium_init() >= 0


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc


def _text(data):
    data += crc16(data).to_bytes(2, "little")
    return base64.b32encode(data).decode().rstrip("=")


class Key:
    """An NKey made of a seed of 32 bytes."""

    def __init__(self, seed, kind="U"):
        self.seed = seed
        public, self.secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
        _sodium.crypto_sign_seed_keypair(public, self.secret, seed)
        self.raw = public.raw
        self.kind = kind
        self.public = _text(bytes([KINDS[kind]]) + public.raw)

    @property
    def seed_text(self):
        kind = KINDS[self.kind]
        return _text(bytes([0x90 | kind >> 5, kind << 3 & 0xFF]) + self.seed)

    def sign(self, text):
        signature = ctypes.create_string_buffer(64)
        data = text.encode()
        _sodium.crypto_sign_detached(signature, None, data, ctypes.c_ulonglong(len(data)),
                                     self.secret)
        return signature.raw

    def sig(self, nonce):
        """As clients send it."""
        return base64.urlsafe_b64encode(self.sign(nonce)).decode().rstrip("=")

    def sig_standard(self, nonce):
        return base64.b64encode(self.sign(nonce)).decode()


def bcrypt(password, cost=4, version="2a"):
    """A hash of at most 72 bytes."""
    made = _crypt.crypt(password.encode()[:72], f"$2b${cost:02d}$abcdefghijklmnopqrstuu".encode())
    assert made and made.startswith(b"$2b$"), made
    return f"${version}$" + made.decode()[4:]
