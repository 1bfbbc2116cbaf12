#include "net/conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool pp_conn_peer_ids(const pp_conn *conn, uid_t *out_uid, gid_t *out_gid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (!conn->local || getsockopt(conn->source.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        len != sizeof(peer) || peer.pid == 0)
        return false;
    *out_uid = peer.uid;
    *out_gid = peer.gid;
    return true;
}

void pp_conn_set_peer(pp_conn *conn, const struct sockaddr *addr)
{
    conn->addr_family = (uint8_t)addr->sa_family;
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;

        memcpy(conn->peer_addr, &in->sin_addr, 4);
        conn->peer_port = ntohs(in->sin_port);
    } else if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;

        conn->peer_port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            conn->addr_family = AF_INET;
            memcpy(conn->peer_addr, in6->sin6_addr.s6_addr + 12, 4);
        } else {
            memcpy(conn->peer_addr, &in6->sin6_addr, 16);
        }
    }
}

void pp_conn_address_text(uint8_t family, const uint8_t address[16], char out[48])
{
    if (family == AF_UNIX || !inet_ntop(family, address, out, 48))
        (void)snprintf(out, 48, "unix");
}

void pp_conn_peer_text(const pp_conn *conn, char out[48])
{
    pp_conn_address_text(conn->addr_family, conn->peer_addr, out);
}
