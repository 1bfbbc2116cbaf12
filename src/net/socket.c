#include "net/socket.h"

#include "base/fault.h"
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

static ssize_t send_one(pp_loop *loop, pp_conn *conn, const struct msghdr *message, int flags)
{
    const struct iovec *first = message->msg_iov;
    int fd = conn->source.fd;
    ssize_t sent;

    if (pp_fault("send")) {
        errno = ECONNRESET;
        return -1;
    }
    pp_count(&loop->counters->sends, 1);
    if (pp_fault("send_short"))
        return send(fd, first->iov_base, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    do {
        sent = message->msg_iovlen == 1 ? send(fd, first->iov_base, first->iov_len, flags)
                                        : sendmsg(fd, message, flags);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t pp_socket_send(pp_loop *loop, pp_conn *conn, const struct iovec *iov, size_t count)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};

    return send_one(loop, conn, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t pp_socket_send_each(pp_loop *loop, pp_conn *conn, struct mmsghdr *messages, unsigned count)
{
    static const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_EOR;
    ssize_t sent;
    int n;

    if (count == 1 || pp_fault("send_each"))
        return send_one(loop, conn, &messages[0].msg_hdr, flags);
    pp_count(&loop->counters->sends, 1);
    do {
        n = sendmmsg(conn->source.fd, messages, count, flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -1;
    sent = 0;
    for (int i = 0; i < n; i++)
        sent += messages[i].msg_len;
    return sent;
}

void pp_socket_acknowledge(const pp_conn *conn)
{
    const int one = 1;

    /* What is no TCP has nothing to acknowledge. */
    (void)setsockopt(conn->source.fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}
