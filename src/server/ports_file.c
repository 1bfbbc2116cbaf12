#include "server/ports_file.h"

#include "base/buf.h"
#include "base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 20 };

/* A list of URLs on its way into the text. */
struct list {
    pp_buf *out;
    const char *scheme;
    uint16_t port;
    size_t count;
};

static pipit_err add_url(struct list *list, const struct sockaddr *addr)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)addr;
    const struct sockaddr_in *four = (const struct sockaddr_in *)addr;
    bool is_six = addr->sa_family == AF_INET6;
    char text[INET6_ADDRSTRLEN];

    if (!inet_ntop(addr->sa_family, is_six ? (const void *)&six->sin6_addr : &four->sin_addr, text,
                   sizeof(text)))
        return PIPIT_OK;
    return pp_buf_addf(list->out, "%s\"%s://%s%s%s:%u\"", list->count++ ? "," : "", list->scheme,
                       is_six ? "[" : "", text, is_six ? "]" : "", list->port);
}

/* Does this address of an interface lead to a listener on all addresses of family? */
static bool leads_there(const struct ifaddrs *at, int family, bool six_only)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)at->ifa_addr;

    if (!at->ifa_addr || !(at->ifa_flags & IFF_UP))
        return false;
    if (at->ifa_addr->sa_family == AF_INET6)
        return family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
    return at->ifa_addr->sa_family == AF_INET && (family == AF_INET || !six_only);
}

static pipit_err add_all_addresses(struct list *list, int fd, int family)
{
    struct ifaddrs *addrs;
    int six_only = 0;
    socklen_t len = sizeof(six_only);
    pipit_err err = PIPIT_OK;

    if (family == AF_INET6)
        (void)getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &six_only, &len);
    if (getifaddrs(&addrs) < 0)
        return pp_err_from_errno(errno);
    for (const struct ifaddrs *at = addrs; at && !err; at = at->ifa_next) {
        if (leads_there(at, family, six_only))
            err = add_url(list, at->ifa_addr);
    }
    freeifaddrs(addrs);
    return err;
}

static pipit_err add_entry(pp_buf *out, const pp_ports_entry *entry)
{
    struct sockaddr_storage addr = {0};
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&addr;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&addr;
    struct list list = {.out = out, .scheme = entry->scheme};
    socklen_t len = sizeof(addr);
    bool any;
    pipit_err err;

    if (getsockname(entry->fd, (struct sockaddr *)&addr, &len) < 0)
        return pp_err_from_errno(errno);
    if (addr.ss_family != AF_INET && addr.ss_family != AF_INET6)
        return PIPIT_OK;
    list.port = ntohs(addr.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
    any = addr.ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr)
                                     : four->sin_addr.s_addr == htonl(INADDR_ANY);
    err = pp_buf_addf(out, "%s\"%s\":[", out->len > 1 ? "," : "", entry->key);
    if (!err)
        err = any ? add_all_addresses(&list, entry->fd, addr.ss_family)
                  : add_url(&list, (const struct sockaddr *)&addr);
    return err ? err : pp_buf_add(out, "]", 1);
}

static pipit_err write_whole(const char *path, pp_str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool written;
    int error;

    if (fd < 0)
        return pp_err_from_errno(errno);
    written = !pp_fault("ports_write") && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    error = errno ? errno : ENOSPC;
    if (close(fd) == 0 && written)
        return PIPIT_OK;
    (void)unlink(path);
    errno = error;
    return pp_err_from_errno(error);
}

/* Whoever waits for the file must not see half of it. */
static pipit_err write_and_rename(const pp_ports_file *file, pp_str text)
{
    char temporary[PATH_MAX + 8];
    pipit_err err;
    int error;

    (void)snprintf(temporary, sizeof(temporary), "%s.new", file->path);
    err = write_whole(temporary, text);
    if (err || rename(temporary, file->path) == 0)
        return err;
    error = errno;
    (void)unlink(temporary);
    errno = error;
    return pp_err_from_errno(error);
}

pipit_err pp_ports_file_write(pp_ports_file *file, const char *folder, const char *program,
                              const pp_ports_entry *entries, size_t count)
{
    pipit_err err;
    pp_buf text;

    errno = 0;
    if ((size_t)snprintf(file->path, sizeof(file->path), "%s/%s_%d.ports", folder, program,
                         (int)getpid()) >= sizeof(file->path)) {
        file->path[0] = '\0';
        errno = ENAMETOOLONG;
        return PIPIT_ETOOBIG;
    }
    pp_buf_init(&text, TEXT_MAX);
    err = pp_buf_add(&text, "{", 1);
    for (size_t i = 0; i < count && !err; i++) {
        if (entries[i].fd >= 0)
            err = add_entry(&text, &entries[i]);
    }
    if (!err)
        err = pp_buf_add(&text, "}", 1);
    if (!err)
        err = write_and_rename(file, pp_buf_str(&text));
    else if (err == PIPIT_ENOMEM)
        errno = ENOMEM;
    pp_buf_fini(&text);
    return err;
}

void pp_ports_file_remove(pp_ports_file *file)
{
    if (file->path[0])
        (void)unlink(file->path);
    file->path[0] = '\0';
}
