#include "cli/whole_file.h"

#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *complain(const char *path, const char *why)
{
    char *shown = cli_escape(path, strlen(path), 0);

    (void)cli_fail(1, "%s: %s", shown, why);
    free(shown);
    return NULL;
}

char *cli_whole_file_read(const char *path, size_t bytes_max, size_t *out_bytes)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0, cap = 4096;
    char *text = cli_alloc(cap + 1);
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0 && len <= bytes_max) {
        if (len == cap) {
            text = cli_realloc(text, cap * 2 + 1);
            cap *= 2;
        }
        do
            n = read(fd, text + len, cap - len);
        while (n < 0 && errno == EINTR);
        len += n > 0 ? (size_t)n : 0;
    }
    if (n >= 0 && len <= bytes_max) {
        text[len] = '\0';
        *out_bytes = len;
    } else {
        text = (free(text), complain(path, n < 0 ? strerror(errno) : "this is far too long"));
    }
    if (fd >= 0 && !standard)
        (void)close(fd); /* read-only, nothing to lose */
    return text;
}

bool cli_whole_file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t len = strlen(text), done = 0;
    ssize_t n = 0;

    while (fd >= 0 && done < len && n >= 0) {
        n = write(fd, text + done, len - done);
        done += n > 0 ? (size_t)n : 0;
        if (n < 0 && errno == EINTR)
            n = 0;
    }
    if (fd < 0 || n < 0 || close(fd) != 0) {
        (void)complain(path, strerror(errno));
        return false;
    }
    return true;
}
