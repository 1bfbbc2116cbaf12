/* base/err.h -- pipit_err for the rooms inside. */
#ifndef PP_BASE_ERR_H
#define PP_BASE_ERR_H

#include "pipit/error.h"

#include <stddef.h>

/* Translate an errno value. Unknown values become PIPIT_EIO. */
pipit_err pp_err_from_errno(int errno_value);

/* Write the system's text for an errno value as it stands within a sentence: "no such file or
 * directory". Thread: any. */
void pp_errno_text(int errno_value, char *out, size_t out_bytes);

#endif
