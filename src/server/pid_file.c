#include "server/pid_file.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

pipit_err pp_private_file_write(const char *path, pp_str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    int error = 0;

    if (fd < 0)
        return pp_err_from_errno(errno);
    errno = ENOSPC; /* what a short write means */
    if (pp_fault("pid_write") || write(fd, text.ptr, text.len) != (ssize_t)text.len)
        error = errno;
    if (close(fd) < 0 && !error)
        error = errno;
    errno = error;
    return pp_err_from_errno(error);
}

pipit_err pp_pid_file_write(const char *path)
{
    char text[16];
    int len = snprintf(text, sizeof(text), "%d", (int)getpid());

    return pp_private_file_write(path, (pp_str){text, (size_t)len});
}
