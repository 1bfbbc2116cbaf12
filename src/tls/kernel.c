#include "tls/kernel.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { CONNECT_MS = 200 }; /* to ourselves */

/* What a suite's keys are to the kernel. */
typedef union crypto_info {
    struct tls12_crypto_info_aes_gcm_128 aes_128;
    struct tls12_crypto_info_aes_gcm_256 aes_256;
    struct tls12_crypto_info_chacha20_poly1305 chacha20;
} crypto_info;

static const unsigned suites[] = {0x1301, 0x1302, 0x1303};

unsigned pp_tls_kernel_bit(unsigned suite)
{
    for (unsigned i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
        if (suites[i] == suite)
            return 1U << i;
    }
    return 0;
}

/* --- keys --------------------------------------------------------------------------------- */

/* The first four bytes of the IV are the kernel's "salt" where it has one; it joins them again. */
#define FILL(field, cipher)                                                                        \
    do {                                                                                           \
        (field)->info = (struct tls_crypto_info){TLS_1_3_VERSION, cipher};                         \
        memcpy((field)->salt, keys->iv, cipher##_SALT_SIZE);                                       \
        memcpy((field)->iv, keys->iv + cipher##_SALT_SIZE, cipher##_IV_SIZE);                      \
        memcpy((field)->key, keys->key, cipher##_KEY_SIZE);                                        \
        memcpy((field)->rec_seq, number, sizeof(number));                                          \
    } while (0)

static bool give_keys(int fd, unsigned suite, const pp_tls_keys *keys)
{
    uint8_t number[8];
    crypto_info info;
    socklen_t len;
    int error;

    memset(&info, 0, sizeof(info));
    for (unsigned i = 0; i < sizeof(number); i++)
        number[i] = (uint8_t)(keys->count >> 8 * (sizeof(number) - 1 - i));
    switch (suite) {
    case 0x1301:
        FILL(&info.aes_128, TLS_CIPHER_AES_GCM_128);
        len = sizeof(info.aes_128);
        break;
    case 0x1302:
        FILL(&info.aes_256, TLS_CIPHER_AES_GCM_256);
        len = sizeof(info.aes_256);
        break;
    case 0x1303:
        FILL(&info.chacha20, TLS_CIPHER_CHACHA20_POLY1305);
        len = sizeof(info.chacha20);
        break;
    default:
        return false;
    }
    error = setsockopt(fd, SOL_TLS, TLS_TX, &info, len);
    explicit_bzero(&info, sizeof(info));
    return error == 0;
}

bool pp_tls_kernel_begin(int fd, unsigned suite, const pp_tls_keys *keys)
{
    static const char name[] = "tls";

    return setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) == 0 &&
           give_keys(fd, suite, keys);
}

bool pp_tls_kernel_change_keys(int fd, unsigned suite, const pp_tls_keys *keys)
{
    return give_keys(fd, suite, keys);
}

/* --- what it can do ----------------------------------------------------------------------- */

/* Older ones take no other keys later: they need not load a module to say so. */
static bool may_be_new_enough(void)
{
    struct utsname name;
    unsigned major, minor;

    return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 14));
}

/* Is there such a layer in the kernel at all? It refuses a socket that is not connected. */
static bool is_known(void)
{
    static const char name[] = "tls";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool known = fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof(name)) < 0 &&
                 errno == ENOTCONN;

    if (fd >= 0)
        (void)close(fd);
    return known;
}

/* A listener on the loopback interface, which nobody accepts from; -1: there is none. */
static int listen_here(struct sockaddr_in *out_here)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*out_here);

    *out_here =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd >= 0 && bind(fd, (struct sockaddr *)out_here, len) == 0 && listen(fd, 8) == 0 &&
        getsockname(fd, (struct sockaddr *)out_here, &len) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static bool is_connected(int fd, const struct sockaddr_in *to)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof(error);

    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
        return true;
    return errno == EINPROGRESS && poll(&poll_fd, 1, CONNECT_MS) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
}

/* False: there was no connection to try it on. */
static bool try_suite(const struct sockaddr_in *here, unsigned suite, bool *out_has)
{
    static const pp_tls_keys none; /* nothing is sent */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool connected = fd >= 0 && is_connected(fd, here);

    *out_has = connected && pp_tls_kernel_begin(fd, suite, &none) &&
               pp_tls_kernel_change_keys(fd, suite, &none);
    if (fd >= 0)
        (void)close(fd);
    return connected;
}

unsigned pp_tls_kernel_suites(void)
{
    struct sockaddr_in here;
    unsigned all = 0;
    int listener;
    bool has;

    if (!may_be_new_enough() || !is_known())
        return 0;
    listener = listen_here(&here);
    if (listener < 0)
        return 0;
    for (unsigned i = 0; i < sizeof(suites) / sizeof(*suites); i++) {
        if (!try_suite(&here, suites[i], &has))
            break;
        all |= has ? pp_tls_kernel_bit(suites[i]) : 0;
    }
    (void)close(listener);
    return all;
}

/* --- what is no data ---------------------------------------------------------------------- */

ssize_t pp_tls_kernel_say(int fd, pp_tls_kind kind, pp_str bytes)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(1)];
    } control = {.bytes = {0}};
    struct iovec iov = {(char *)bytes.ptr, bytes.len};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t sent;

    control.head.cmsg_level = SOL_TLS;
    control.head.cmsg_type = TLS_SET_RECORD_TYPE;
    control.head.cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(&control.head) = (unsigned char)kind;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent;
}

bool pp_tls_kernel_has_room(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    if (poll(&poll_fd, 1, 0) != 0)
        return true; /* or nobody is there any more: there is nothing to wait for */
    errno = EAGAIN;
    return false;
}
