#include "config/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

pipit_err pp_config_fail(pp_config_failure *failure, pp_config_position at, const char *format, ...)
{
    va_list args;

    if (failure->text[0])
        return PIPIT_EINVAL;
    failure->at = at;
    va_start(args, format);
    (void)vsnprintf(failure->text, sizeof(failure->text), format, args);
    va_end(args);
    return PIPIT_EINVAL;
}

void pp_config_failure_wrap(pp_config_failure *failure, pp_config_position at, const char *format,
                            ...)
{
    char wrapped[PP_CONFIG_FAILURE_TEXT_MAX];
    size_t len;
    va_list args;
    int more;

    va_start(args, format);
    more = vsnprintf(wrapped, sizeof(wrapped), format, args);
    va_end(args);
    if (more < 0 || (size_t)more >= sizeof(wrapped))
        return;
    len = (size_t)more;
    if (failure->at.file)
        more = snprintf(wrapped + len, sizeof(wrapped) - len, "%s:%u:%u: %s", failure->at.file,
                        failure->at.line, failure->at.column, failure->text);
    else
        more = snprintf(wrapped + len, sizeof(wrapped) - len, "%s", failure->text);
    if (more < 0 || (size_t)more >= sizeof(wrapped) - len)
        return;
    memcpy(failure->text, wrapped, sizeof(wrapped));
    failure->at = at;
}
