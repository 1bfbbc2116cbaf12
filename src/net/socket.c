#include "net/socket.h"

#include "base/fault.h"
#include "net/conn.h"

#include <errno.h>
#include <sys/socket.h>

ssize_t pp_socket_receive(pp_conn *conn, char *to, size_t len)
{
    ssize_t n;

    if (pp_fault("recv")) {
        errno = ECONNRESET;
        return -1;
    }
    pp_count(&conn->loop->counters->receives, 1);
    do {
        n = recv(conn->source.fd, to, len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n;
}

ssize_t pp_socket_send(pp_loop *loop, pp_conn *conn, const struct iovec *iov, size_t count)
{
    struct msghdr header = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    int fd = conn->source.fd;
    ssize_t sent;

    if (pp_fault("send")) {
        errno = ECONNRESET;
        return -1;
    }
    pp_count(&loop->counters->sends, 1);
    if (pp_fault("send_short"))
        return send(fd, iov->iov_base, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    do {
        sent = count == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                          : sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}
