#!/usr/bin/env python3
"""Which user a certificate stands for, and what /connz says of it: compared with nats-server where
that is installed. usage: test_mapping.py PIPIT-SERVER"""

import ssl

import support
from support import TlsTest, client_context, connect, ping

USERS = ["ann", "ann@example.com", "bob.example.com", "spiffe://example.com/carl", "second@example.com",
         "CN=foo,OU=dev,O=acme", "CN=multi+OU=x,O=acme", "O=other,CN=swapped", "CN=dom,DC=example,DC=com",
         "CN=a\\\\,b,O=acme"]

# name of the files, subject, alternative names, who it is expected to be (None: refused)
CERTIFICATES = [
    ("mail", "/CN=ann", "email:ann@example.com", "ann@example.com"),
    ("mails", "/CN=x", "email:first@example.com,email:second@example.com", "second@example.com"),
    ("mail-first", "/CN=x", "DNS:bob.example.com,email:ann@example.com", "ann@example.com"),
    ("dns", "/CN=x", "DNS:nobody.example.com,DNS:bob.example.com", "bob.example.com"),
    ("dns-case", "/CN=x", "DNS:Bob.example.com", None),
    ("uri", "/CN=x", "URI:spiffe://example.com/carl", "spiffe://example.com/carl"),
    ("common-name", "/CN=ann", None, None),
    ("dn", "/O=acme/OU=dev/CN=foo", None, "CN=foo,OU=dev,O=acme"),
    ("dn-order", "/CN=foo/OU=dev/O=acme", None, "CN=foo,OU=dev,O=acme"),
    ("dn-joined", "/O=acme/OU=dev+CN=foo", None, "CN=foo,OU=dev,O=acme"),
    ("dn-two-cn", "/CN=bar/O=acme/OU=dev/CN=foo", None, "CN=foo,OU=dev,O=acme"),
    ("dn-title", "/O=acme/OU=dev/CN=foo/title=x", None, "CN=foo,OU=dev,O=acme"),
    ("dn-two-o", "/O=acme/O=evil/OU=dev/CN=foo", None, None),
    ("dn-fewer", "/O=acme/CN=foo", None, None),
    ("dn-more", "/O=acme/OU=dev/CN=foo/L=here", None, None),
    ("multi", "/O=acme/CN=multi+OU=x", None, "CN=multi+OU=x,O=acme"),
    ("swapped", "/O=other/CN=swapped", None, "O=other,CN=swapped"),
    ("domain", "/DC=com/DC=example/CN=dom", None, "CN=dom,DC=example,DC=com"),
    ("domain-joined", "/DC=com/DC=example/CN=dom+UID=7", None, None),
    ("odd-names", "/CN=x/emailAddress=a&b@example.com/title=chief, \u00e9/serialNumber=5", "email:ann@example.com",
     "ann@example.com"),
    ("comma", "/O=acme/CN=a,b", None, "CN=a\\,b,O=acme"),
    ("stranger", "/CN=nobody", "DNS:nobody.example.com", None),
    ("dns-beats-dn", "/O=acme/OU=dev/CN=foo", "DNS:bob.example.com", "bob.example.com"),
    ("ip", "/CN=x", "IP:10.0.0.1", None),
]


def outcome(server, context):
    """The error, if it is refused, or who it is and what it has shown."""
    try:
        sock, _ = connect(server, context)
        with sock:
            said = ping(sock, '{"verbose":false,"protocol":1}')
            if said != "PONG":
                return said or "closed"
            shown = server.connz(query="?auth=1")
    except (ssl.SSLError, ConnectionError):
        return "no handshake"
    assert len(shown) == 1, shown
    support.wait_until(lambda: not server.connz())  # one that has left is not shown any more
    return shown[0].get("authorized_user"), shown[0].get("tls_peer_certs")


class Mapping(TlsTest):
    def setUp(self):
        super().setUp()
        users = "\n".join(f'{{user: "{user}"}}' for user in USERS)
        self.config = self.text("ca_file: ca.pem, verify_and_map: true",
                                f"authorization {{ users: [ {users} ] }}")

    def test_who_it_is(self):
        server = self.server_with(self.config)
        peer = self.peer(self.config)
        for name, subject, names, user in CERTIFICATES:
            self.folder.sign(name, subject, names)
            with self.subTest(name):
                mine = outcome(server, client_context(self.folder, name))
                if user:
                    self.assertEqual(mine[0], user)
                    self.assertEqual(mine[1][0]["spki_sha256"], self.folder.pin(name))
                else:
                    self.assertEqual(mine, "-ERR 'Authorization Violation'")
                if peer:
                    self.assertEqual(outcome(peer, client_context(self.folder, name)), mine)

    def test_none_and_of_others(self):
        mine = self.server_with(self.config)
        self.folder.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", "evil.key", "-out", "evil.pem", "-days", "30", "-subj",
                        "/CN=authority")
        self.folder.sign("forged", "/CN=x", "email:ann@example.com", ca="evil")
        for server in filter(None, (mine, self.peer(self.config))):
            for name in (None, "forged"):
                with self.subTest(name):
                    self.assertIn(outcome(server, client_context(self.folder, name)),
                                  ("no handshake", "closed"))

    def test_a_chain(self):
        """All that are shown are told, the peer's own first."""
        self.folder.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", "middle.key", "-out", "middle.csr", "-subj", "/O=acme/CN=middle")
        self.folder.write("middle.ext", "basicConstraints=critical,CA:TRUE\n")
        self.folder.run("x509", "-req", "-in", "middle.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                        "-CAcreateserial", "-days", "30", "-out", "middle.pem", "-extfile",
                        "middle.ext")
        self.folder.sign("leaf", "/C=XX/ST=s/L=here/O=acme/OU=a/OU=b/CN=leaf",
                         "email:ann@example.com", ca="middle")
        with open(self.folder.file("leaf.pem"), "a", encoding="ascii") as leaf, \
                open(self.folder.file("middle.pem"), encoding="ascii") as middle:
            leaf.write(middle.read())
        mine = outcome(self.server_with(self.config), client_context(self.folder, "leaf"))
        self.assertEqual([cert["subject"] for cert in mine[1]],
                         ["CN=leaf,OU=a+OU=b,O=acme,L=here,ST=s,C=XX", "CN=middle,O=acme"])
        peer = self.peer(self.config)
        if peer:
            self.assertEqual(outcome(peer, client_context(self.folder, "leaf")), mine)

    def test_only_who_may_know(self):
        self.folder.sign("mail", "/CN=ann", "email:ann@example.com")
        server = self.server_with(self.config)
        sock, _ = connect(server, client_context(self.folder, "mail"))
        self.assertEqual(ping(sock), "PONG")
        self.assertNotIn("tls_peer_certs", server.connz()[0])
        self.assertIn("tls_peer_certs", server.connz(query="?auth=1")[0])


if __name__ == "__main__":
    support.main()
