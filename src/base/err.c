#include "base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *pipit_strerror(pipit_err err)
{
    switch (err) {
    case PIPIT_OK:
        return "success";
    case PIPIT_EAGAIN:
        return "try again later";
    case PIPIT_EINVAL:
        return "invalid argument";
    case PIPIT_ENOMEM:
        return "out of memory";
    case PIPIT_ETOOBIG:
        return "too big";
    case PIPIT_ELIMIT:
        return "limit reached";
    case PIPIT_EPROTO:
        return "protocol violation";
    case PIPIT_EAUTH:
        return "authentication failed";
    case PIPIT_EDENIED:
        return "not permitted";
    case PIPIT_ENOTFOUND:
        return "not found";
    case PIPIT_EEXIST:
        return "exists already";
    case PIPIT_EINUSE:
        return "in use";
    case PIPIT_ECLOSED:
        return "closed";
    case PIPIT_ETIMEOUT:
        return "timed out";
    case PIPIT_EIO:
        return "input/output error";
    case PIPIT_ENOSPC:
        return "no space left on disk";
    case PIPIT_EDAMAGED:
        return "stored data is damaged";
    }
    return "unknown error";
}

pipit_err pp_err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return PIPIT_OK;
    case EAGAIN:
    case EINTR:
        return PIPIT_EAGAIN;
    case EINVAL:
    case ENAMETOOLONG:
        return PIPIT_EINVAL;
    case ENOMEM:
    case ENOBUFS:
        return PIPIT_ENOMEM;
    case EMFILE:
    case ENFILE:
        return PIPIT_ELIMIT;
    case EACCES:
    case EPERM:
        return PIPIT_EDENIED;
    case ENOENT:
    case ECONNREFUSED:
        return PIPIT_ENOTFOUND;
    case EADDRINUSE:
        return PIPIT_EINUSE;
    case EEXIST:
        return PIPIT_EEXIST;
    case EPIPE:
    case ECONNRESET:
        return PIPIT_ECLOSED;
    case ETIMEDOUT:
        return PIPIT_ETIMEOUT;
    case ENOSPC:
    case EDQUOT:
        return PIPIT_ENOSPC;
    default:
        return PIPIT_EIO;
    }
}

void pp_errno_text(int errno_value, char *out, size_t out_bytes)
{
    const char *text = strerrordesc_np(errno_value); /* not translated, and safe in threads */

    (void)snprintf(out, out_bytes, "%s", text ? text : "unknown error");
    /* An abbreviation in capitals ("RFS specific error") stays as it is. */
    if (out_bytes && !isupper((unsigned char)out[0] ? (unsigned char)out[1] : 0))
        out[0] = (char)tolower((unsigned char)out[0]);
}
