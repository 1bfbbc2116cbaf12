/* config/diagnostics.h -- what there is to say about a configuration: warnings and errors, each
 * with the place it is about. Texts are made when they are added, so they outlive the document.
 * Whoever adds one keeps values out of it where they may be secrets. */
#ifndef PP_CONFIG_DIAGNOSTICS_H
#define PP_CONFIG_DIAGNOSTICS_H

#include "base/buf.h"
#include "base/err.h"
#include "config/value.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PP_DIAGNOSTICS_KEPT = 200,          /* of each; those beyond are counted */
    PP_DIAGNOSTIC_TEXT_MAX = 16 * 1024, /* bytes; longer ones are cut */
};

typedef struct pp_diagnostic_list {
    char **lines;
    size_t kept, cap;
    size_t count; /* those that were not kept included */
} pp_diagnostic_list;

typedef struct pp_diagnostics {
    pp_diagnostic_list warnings, errors;
} pp_diagnostics;

void pp_diagnostics_init(pp_diagnostics *d);
void pp_diagnostics_fini(pp_diagnostics *d);

/* Add one line: "<file>:<line>:<column>: <text>", with less in front where less is known. Never
 * fails: without memory for the text it is still counted. at is borrowed for the call. */
void pp_diagnostics_error(pp_diagnostics *d, pp_config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void pp_diagnostics_warn(pp_diagnostics *d, pp_config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether one more error would only be counted: then its text is not worth much work. */
bool pp_diagnostics_is_full(const pp_diagnostics *d);

size_t pp_diagnostics_error_count(const pp_diagnostics *d);
size_t pp_diagnostics_warning_count(const pp_diagnostics *d);

/* Write all, one per line, warnings first, each list in the order of adding. */
pipit_err pp_diagnostics_format(const pp_diagnostics *d, pp_buf *out);

#endif
