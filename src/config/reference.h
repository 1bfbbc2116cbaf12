/* config/reference.h -- the table of keys as people read it. */
#ifndef PP_CONFIG_REFERENCE_H
#define PP_CONFIG_REFERENCE_H

#include "base/buf.h"
#include "base/err.h"

typedef enum pp_reference_style {
    PP_REFERENCE_TEXT,     /* for a terminal: pipit-server --help-config */
    PP_REFERENCE_MARKDOWN, /* docs/configuration.md */
} pp_reference_style;

/* Let out grow to PP_REFERENCE_BYTES_MAX. Errors: those of pp_buf_add. */
pipit_err pp_reference_format(pp_buf *out, pp_reference_style style);
enum { PP_REFERENCE_BYTES_MAX = 256 * 1024 };

#endif
