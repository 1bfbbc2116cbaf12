/* base/err.h -- pipit_err for the rooms inside. */
#ifndef PP_BASE_ERR_H
#define PP_BASE_ERR_H

#include "pipit/error.h"

/* Translate an errno value. Unknown values become PIPIT_EIO. */
pipit_err pp_err_from_errno(int errno_value);

#endif
