/* Sockets that somebody else has opened for the server: it listens there instead of binding its
 * own. */
#include "server/server.h"

#include <sys/socket.h>
#include <unistd.h>

pipit_err pp_server_adopt(pipit_server *server, int fd, bool monitoring)
{
    int family = 0, *place;
    pipit_err err = server->started ? PIPIT_EINVAL : pp_listen_adopt(fd, &family);

    if (!err && monitoring && family == AF_UNIX)
        err = PIPIT_EINVAL;
    if (!err) {
        place = family == AF_UNIX ? &server->adopted_local : &server->adopted_tcp;
        if (monitoring)
            place = &server->adopted_http;
        if (*place < 0) {
            *place = fd;
            return PIPIT_OK;
        }
        err = PIPIT_EEXIST;
    }
    (void)close(fd);
    return err;
}

pipit_err pp_server_adopt_for(pipit_server *server, int fd, const pp_side_door *door)
{
    int family = 0;
    pipit_err err = server->started || !door->adopt ? PIPIT_EINVAL : pp_listen_adopt(fd, &family);

    if (!err)
        err = door->adopt(server, fd);
    if (err)
        (void)close(fd);
    return err;
}

int pp_server_client_fd(const pipit_server *server)
{
    return server->tcp.source.fd;
}

int pp_server_websocket_fd(const pipit_server *server, bool *out_tls)
{
    *out_tls = server->websocket.settings && server->websocket.settings->rules.tls;
    return server->websocket.listener.source.fd;
}

int pp_server_monitor_fd(const pipit_server *server)
{
    return server->http.source.fd;
}
