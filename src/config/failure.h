/* config/failure.h -- why reading a configuration stopped, and where. The first reason stands. */
#ifndef PP_CONFIG_FAILURE_H
#define PP_CONFIG_FAILURE_H

#include "base/err.h"
#include "config/value.h"

enum { PP_CONFIG_FAILURE_TEXT_MAX = 8 * 1024 };

typedef struct pp_config_failure {
    pp_config_position at;
    char text[PP_CONFIG_FAILURE_TEXT_MAX]; /* empty: none */
} pp_config_failure;

/* State the reason; answers PIPIT_EINVAL. at.file is borrowed. */
pipit_err pp_config_fail(pp_config_failure *failure, pp_config_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put what was going on in front of the reason ("<context><file>:<line>:<column>: <reason>") and
 * move it to at. A reason that has no room for that stays as it is. */
void pp_config_failure_wrap(pp_config_failure *failure, pp_config_position at, const char *format,
                            ...) __attribute__((format(printf, 3, 4)));

#endif
