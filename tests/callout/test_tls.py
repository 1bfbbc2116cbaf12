#!/usr/bin/env python3
"""What a service is told of clients that come by TLS, beside nats-server."""

import pathlib
import ssl
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tls"))
from callout_servers import Pipit, Reference, configuration, main
from service import Guest, Service
from support import Folder, client_context
import client

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Tls(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = Folder()
        cls.folder.sign("client", "/CN=client")
        # One that an authority between has signed, and that shows its certificate, too.
        cls.folder.sign("between", "/CN=between")
        cls.folder.write("between.ext", "basicConstraints=critical,CA:TRUE\n")
        cls.folder.run("x509", "-req", "-in", "between.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                       "-CAcreateserial", "-days", "30", "-out", "between.pem", "-extfile",
                       "between.ext")
        cls.folder.sign("deep", "/CN=deep", ca="between")
        with open(cls.folder.file("deep.pem"), "a", encoding="ascii") as file:
            file.write(cls.pem("between"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.close()

    @classmethod
    def pem(cls, name):
        """As a certificate is written without anything around it."""
        with open(cls.folder.file(f"{name}.pem"), encoding="ascii") as file:
            text = file.read()
        return text[:text.index("-----END CERTIFICATE-----\n") + len("-----END CERTIFICATE-----\n")]

    def told(self, kind, version, verify, name=None, sessions=1):
        """What kind tells its service of the last of so many who resume one session."""
        text = (f'handshake_first: true, cert_file: "{self.folder.file("server.pem")}", '
                f'key_file: "{self.folder.file("server.key")}"')
        if verify:
            text += f', verify: true, ca_file: "{self.folder.file("ca.pem")}"'
        context = client_context(self.folder, name, maximum_version=VERSIONS[version])
        plain = client.Client._dial  # pylint: disable=protected-access
        last = []

        def dial(port):
            session = last[-1].session if last and sessions > 1 else None
            last.append(context.wrap_socket(plain(port), server_hostname="localhost",
                                            session=session))
            return last[-1]

        server = kind()
        server.first_user = None
        server.write(configuration(more=f"tls {{ {text} }}"))
        with mock.patch.object(client.Client, "_dial", staticmethod(dial)), server:
            with Service(server.port) as service:
                for _ in range(sessions):
                    guest = Guest(server.port, "joe")
                    self.assertFalse(guest.refused)
                self.assertEqual(last[-1].session_reused, sessions > 1)
                return service.wait(sessions).nats

    def test_the_same_as_nats_server(self):
        for version in VERSIONS:
            for verify, name in ((False, None), (True, "client"), (True, "deep")):
                with self.subTest(version=version, name=name):
                    ours, theirs = (self.told(kind, version, verify, name)
                                    for kind in (Pipit, Reference))
                    self.assertEqual(list(ours), list(theirs))
                    # Which cipher is taken is for each to say.
                    self.assertRegex(ours["client_tls"].pop("cipher"), r"^TLS_\w+$")
                    self.assertRegex(theirs["client_tls"].pop("cipher"), r"^TLS_\w+$")
                    self.assertEqual(ours["client_tls"], theirs["client_tls"])

    def test_the_whole_chain(self):
        tls = self.told(Pipit, "1.3", True, "deep")["client_tls"]
        self.assertEqual(tls["version"], "1.3")
        self.assertEqual(tls["verified_chains"],
                         [[self.pem("deep"), self.pem("between"), self.pem("ca")]])
        for text in tls["verified_chains"][0]:
            subprocess.run(["openssl", "x509", "-noout"], input=text.encode(), check=True,
                           timeout=20)

    def test_resumed(self):
        tls = self.told(Pipit, "1.2", True, "deep", sessions=2)["client_tls"]
        self.assertEqual(tls["verified_chains"], [[self.pem("deep")]])

    def test_without_tls(self):
        with Pipit() as server, Service(server.port) as service:
            Guest(server.port, "joe").close()
            self.assertNotIn("client_tls", service.wait(1).nats)


if __name__ == "__main__":
    main()
