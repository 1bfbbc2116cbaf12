#include "cli/say.h"

#include "cli/terminal.h"

#include <stdarg.h>
#include <stdio.h>

static void say(cli_style style, const char *format, va_list arguments)
{
    flockfile(stderr); /* the client's thread may speak, too */
    (void)fprintf(stderr, "%spipit:%s ", cli_style_text(stderr, style),
                  cli_style_text(stderr, CLI_PLAIN));
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    funlockfile(stderr);
}

int cli_fail(int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(CLI_RED, format, arguments);
    va_end(arguments);
    return status;
}

void cli_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(CLI_YELLOW, format, arguments);
    va_end(arguments);
}
