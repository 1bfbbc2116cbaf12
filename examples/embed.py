#!/usr/bin/env python3
"""pipit from Python through ctypes: a broker in this process, and a client over memory.

usage: embed.py [LIBRARY]    by default libpipit.so.0 where the system finds it
"""
import ctypes
import sys
import threading


class Message(ctypes.Structure):
    _fields_ = [("subject", ctypes.c_void_p), ("subject_bytes", ctypes.c_size_t),
                ("reply", ctypes.c_void_p), ("reply_bytes", ctypes.c_size_t),
                ("header", ctypes.c_void_p), ("header_bytes", ctypes.c_size_t),
                ("payload", ctypes.c_void_p), ("payload_bytes", ctypes.c_size_t)]


class Options(ctypes.Structure):
    """The beginning of pipit_client_options: struct_bytes says how much of it there is."""
    _fields_ = [("struct_bytes", ctypes.c_size_t), ("name", ctypes.c_char_p),
                ("user", ctypes.c_char_p), ("password", ctypes.c_char_p),
                ("token", ctypes.c_char_p), ("nkey_seed", ctypes.c_char_p),
                ("creds_file", ctypes.c_char_p), ("server", ctypes.c_void_p)]


Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(Message))


def check(lib, err):
    if err:
        raise RuntimeError(lib.pipit_strerror(err).decode())


def start(lib):
    options = (ctypes.c_char_p * 1)(b"--no_listen")
    server = ctypes.c_void_p()
    check(lib, lib.pipit_server_new(ctypes.byref(server), options, ctypes.c_size_t(1), None, None,
                                    None, ctypes.c_size_t(0)))
    check(lib, lib.pipit_server_start(server))
    return server


def main():
    lib = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else "libpipit.so.0")
    lib.pipit_strerror.restype = ctypes.c_char_p
    server = start(lib)
    client, sub = ctypes.c_void_p(), ctypes.c_void_p()
    options = Options(struct_bytes=ctypes.sizeof(Options), name=b"python", server=server)
    check(lib, lib.pipit_client_connect(ctypes.byref(client), b"memory:", ctypes.byref(options)))
    heard = threading.Event()

    @Callback
    def on_message(_context, _sub, msg):
        m = msg.contents
        print(ctypes.string_at(m.subject, m.subject_bytes).decode() + ": " +
              ctypes.string_at(m.payload, m.payload_bytes).decode(), flush=True)
        heard.set()

    check(lib, lib.pipit_client_subscribe(client, b"greetings.*", None, on_message, None,
                                          ctypes.byref(sub)))
    text = b"hello from Python"
    check(lib, lib.pipit_client_publish(client, b"greetings.all", None, text,
                                        ctypes.c_size_t(len(text))))
    done = heard.wait(10)
    lib.pipit_client_free(client)
    lib.pipit_server_free(server)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
