/* server/log_file.h -- the log file: appended to, set aside when it has grown, opened anew when
 * somebody has moved it away.
 *
 * A file is set aside as PATH.YYYY.MM.DD.hh.mm.ss.nnnnnnnnn. Nothing here waits: a pipe that is
 * full answers EAGAIN. One thread at a time. */
#ifndef PP_SERVER_LOG_FILE_H
#define PP_SERVER_LOG_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is appended to the path of a file that is set aside. */
enum { PP_LOG_BACKUP_SUFFIX_BYTES = 30 };

typedef struct pp_log_file {
    char *path;
    int fd;
    bool regular;        /* no pipe, no device: it has a size */
    bool torn;           /* its last line was not written to its end */
    uint64_t size;       /* bytes */
    uint64_t size_limit; /* 0: it may grow */
    uint64_t rotate_at;  /* beyond this size; above size_limit after a rotation that failed */
    uint32_t max_num;    /* files to keep, the one written included; 0: all */
} pp_log_file;

/* Open or make it, 0640, for appending. A pipe need not have a reader. On failure errno tells why,
 * and pp_log_file_close does nothing. */
pipit_err pp_log_file_open(pp_log_file *file, const char *path, uint64_t size_limit,
                           uint32_t max_num);
void pp_log_file_close(pp_log_file *file);

/* Open the path anew; on failure what was open stays so. Sets errno. */
pipit_err pp_log_file_reopen(pp_log_file *file);

/* Append; *inout_done counts what has been written of len bytes. Sets errno.
 * Errors: PIPIT_EAGAIN a pipe is full; PIPIT_EIO the rest cannot be written. */
pipit_err pp_log_file_append(pp_log_file *file, const char *bytes, size_t len, size_t *inout_done);

static inline bool pp_log_file_is_full(const pp_log_file *file)
{
    return file->size_limit && file->regular && file->size > file->rotate_at;
}

/* Set the file aside and begin a new one. suffix: what its name ends with now. On failure writing
 * goes on in the old one, and the next rotation is due when it has grown by the limit again. Sets
 * errno. */
pipit_err pp_log_file_rotate(pp_log_file *file, int64_t now_ns,
                             char suffix[PP_LOG_BACKUP_SUFFIX_BYTES + 1]);

/* Remove the oldest files that were set aside until no more than max_num are left with this one;
 * purged is told the path of each. */
void pp_log_file_purge(const pp_log_file *file, void (*purged)(void *context, const char *path),
                       void *context);

#endif
