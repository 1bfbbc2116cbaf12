#include "server/log_file.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* More files than these are not looked at in one purge. */
enum { BACKUPS_MAX = 65536 };

typedef char suffix_text[PP_LOG_BACKUP_SUFFIX_BYTES + 1];

/* --- opening ------------------------------------------------------------------------------ */

static int open_path(const char *path)
{
    static const int flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd;

    if (pp_fault("log_open")) {
        errno = EMFILE;
        return -1;
    }
    fd = open(path, flags | O_WRONLY, 0640);
    if (fd < 0 && errno == ENXIO) /* a pipe that nobody reads yet: hold both ends */
        fd = open(path, flags | O_RDWR, 0640);
    return fd;
}

/* Make fd the one that is written to. */
static void adopt(pp_log_file *file, int fd)
{
    struct stat st;

    if (file->fd >= 0)
        (void)close(file->fd);
    file->fd = fd;
    file->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    file->size = file->regular ? (uint64_t)st.st_size : 0;
    file->rotate_at = file->size_limit;
    file->torn = false;
}

pipit_err pp_log_file_open(pp_log_file *file, const char *path, uint64_t size_limit,
                           uint32_t max_num)
{
    int fd = open_path(path), error = errno;

    *file = (pp_log_file){.fd = -1, .size_limit = size_limit, .max_num = max_num};
    if (fd < 0)
        return pp_err_from_errno(errno);
    file->path = pp_memdupz(path, strlen(path));
    if (!file->path) {
        error = ENOMEM;
        (void)close(fd);
        errno = error;
        return PIPIT_ENOMEM;
    }
    adopt(file, fd);
    return PIPIT_OK;
}

void pp_log_file_close(pp_log_file *file)
{
    if (file->fd >= 0)
        (void)close(file->fd); /* there is nobody left to tell */
    file->fd = -1;
    pp_free(file->path);
    file->path = NULL;
}

pipit_err pp_log_file_reopen(pp_log_file *file)
{
    int fd = open_path(file->path);

    if (fd < 0)
        return pp_err_from_errno(errno);
    adopt(file, fd);
    return PIPIT_OK;
}

/* --- writing ------------------------------------------------------------------------------ */

static ssize_t write_some(pp_log_file *file, const char *bytes, size_t len)
{
    if (pp_fault("log_write")) {
        errno = ENOSPC;
        return -1;
    }
    if (pp_fault("log_write_short"))
        len = (len + 1) / 2;
    return write(file->fd, bytes, len);
}

/* A disk that was full in the middle of a line leaves the line as it is: the next begins anew. */
static void mend(pp_log_file *file)
{
    if (file->torn && write(file->fd, "\n", 1) == 1) {
        file->size++;
        file->torn = false;
    }
}

pipit_err pp_log_file_append(pp_log_file *file, const char *bytes, size_t len, size_t *inout_done)
{
    while (*inout_done < len) {
        ssize_t n;

        if (*inout_done == 0)
            mend(file);
        n = write_some(file, bytes + *inout_done, len - *inout_done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return PIPIT_EAGAIN;
        if (n < 0) {
            file->torn = *inout_done && bytes[*inout_done - 1] != '\n';
            return PIPIT_EIO;
        }
        *inout_done += (size_t)n;
        file->size += (uint64_t)n;
    }
    return PIPIT_OK;
}

/* --- setting aside ------------------------------------------------------------------------ */

static void format_suffix(int64_t now_ns, suffix_text out)
{
    time_t seconds = (time_t)(now_ns / PP_NS_PER_S);
    struct tm tm = {0};

    (void)localtime_r(&seconds, &tm);
    (void)snprintf(out, sizeof(suffix_text), ".%04u.%02u.%02u.%02u.%02u.%02u.%09u",
                   (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                   (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
                   (unsigned)(now_ns % PP_NS_PER_S) % 1000000000);
}

pipit_err pp_log_file_rotate(pp_log_file *file, int64_t now_ns, suffix_text suffix)
{
    char backup[PATH_MAX];
    int fd, error;

    format_suffix(now_ns, suffix);
    file->rotate_at = file->size + file->size_limit; /* if it fails */
    if ((size_t)snprintf(backup, sizeof(backup), "%s%s", file->path, suffix) >= sizeof(backup)) {
        errno = ENAMETOOLONG;
        return PIPIT_ETOOBIG;
    }
    if (pp_fault("log_rename") ? (errno = EACCES, true) : rename(file->path, backup) < 0)
        return pp_err_from_errno(errno);
    fd = open_path(file->path);
    if (fd < 0) {
        error = errno;
        (void)rename(backup, file->path); /* what is open should have the name that is known */
        errno = error;
        return pp_err_from_errno(error);
    }
    adopt(file, fd);
    return PIPIT_OK;
}

/* ".2026.11.21.02.53.42.675994452" and nothing else. */
static bool is_suffix(const char *text)
{
    static const char form[] = ".dddd.dd.dd.dd.dd.dd.ddddddddd";
    size_t i = 0;

    for (; form[i]; i++) {
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != '.')
            return false;
    }
    return text[i] == '\0';
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The suffixes of all that were set aside, oldest first; free with pp_free. */
static suffix_text *list_backups(const char *folder, const char *name, size_t *out_count)
{
    size_t name_len = strlen(name), count = 0, cap = 0;
    suffix_text *list = NULL;
    const struct dirent *entry;
    DIR *dir = opendir(folder);

    while (dir && count < BACKUPS_MAX && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, name, name_len) != 0 || !is_suffix(entry->d_name + name_len))
            continue;
        if (count == cap) {
            suffix_text *grown = pp_realloc(list, (cap = cap * 2 + 64) * sizeof(*list));

            if (!grown)
                break; /* fewer are removed this time */
            list = grown;
        }
        memcpy(list[count++], entry->d_name + name_len, sizeof(suffix_text));
    }
    if (dir)
        (void)closedir(dir);
    if (count)
        qsort(list, count, sizeof(*list), compare);
    *out_count = count;
    return list;
}

void pp_log_file_purge(const pp_log_file *file, void (*purged)(void *context, const char *path),
                       void *context)
{
    const char *slash = strrchr(file->path, '/');
    char folder[PATH_MAX] = ".", path[PATH_MAX];
    suffix_text *list;
    size_t count;

    if (!file->max_num)
        return;
    if (slash && (size_t)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - file->path + 1),
                                  file->path) >= sizeof(folder))
        return;
    list = list_backups(folder, slash ? slash + 1 : file->path, &count);
    for (size_t i = 0; count - i > file->max_num - 1; i++) {
        if ((size_t)snprintf(path, sizeof(path), "%s%s", file->path, list[i]) < sizeof(path) &&
            unlink(path) == 0)
            purged(context, path);
    }
    pp_free(list);
}
