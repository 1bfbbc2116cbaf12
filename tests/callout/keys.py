"""Keys, tokens and boxes as a callout service needs them, by libsodium and without the server's code."""

import base64
import ctypes
import ctypes.util
import json
import os
import struct
import time

_SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
assert _SODIUM.sodium_init() >= 0

PREFIXES = {"O": 14 << 3, "A": 0, "U": 20 << 3, "N": 13 << 3, "X": 23 << 3}


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def encode(kind, raw):
    data = bytes([PREFIXES[kind]]) + raw
    data += struct.pack("<H", crc16(data))
    return base64.b32encode(data).decode().rstrip("=")


def decode(text):
    return base64.b32decode(text + "=" * (-len(text) % 8))[1:-2]


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """One that signs: of an account, a user, ..."""

    def __init__(self, kind, seed=None):
        public = ctypes.create_string_buffer(32)
        self._secret = ctypes.create_string_buffer(64)
        _SODIUM.crypto_sign_seed_keypair(public, self._secret, seed or os.urandom(32))
        self.text = encode(kind, public.raw)

    def sign(self, message):
        signature = ctypes.create_string_buffer(64)
        _SODIUM.crypto_sign_detached(signature, None, message, ctypes.c_ulonglong(len(message)),
                                     self._secret)
        return signature.raw


class Box:
    """A curve key."""

    def __init__(self, seed=None):
        self.seed = seed or os.urandom(32)
        public = ctypes.create_string_buffer(32)
        _SODIUM.crypto_scalarmult_base(public, self.seed)
        self.text = encode("X", public.raw)

    def seal(self, message, to):
        nonce = os.urandom(24)
        out = ctypes.create_string_buffer(len(message) + 16)
        assert _SODIUM.crypto_box_easy(out, message, ctypes.c_ulonglong(len(message)), nonce,
                                       decode(to), self.seed) == 0
        return b"xkv1" + nonce + out.raw

    def open(self, box, of):
        assert box[:4] == b"xkv1"
        sealed = box[28:]
        out = ctypes.create_string_buffer(max(1, len(sealed) - 16))
        if _SODIUM.crypto_box_open_easy(out, sealed, ctypes.c_ulonglong(len(sealed)), box[4:28],
                                        decode(of), self.seed) != 0:
            raise ValueError("it is not for this key, or has been changed")
        return out.raw[:len(sealed) - 16]


def token(claims, key):
    """claims but for "iss", signed."""
    head = b64(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    body = b64(json.dumps({"iat": int(time.time()), "jti": b64(os.urandom(15)), "iss": key.text,
                           **claims}).encode())
    return f"{head}.{body}.{b64(key.sign(f'{head}.{body}'.encode()))}"


def verify(text):
    """The claims of a token whose issuer has signed it."""
    head, body, signature = text.split(".")
    claims = json.loads(unb64(body))
    message = f"{head}.{body}".encode()
    if _SODIUM.crypto_sign_verify_detached(unb64(signature), message,
                                           ctypes.c_ulonglong(len(message)),
                                           decode(claims["iss"])) != 0:
        raise ValueError("not signed by its issuer")
    return json.loads(unb64(head)), claims
