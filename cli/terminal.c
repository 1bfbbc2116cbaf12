#include "cli/terminal.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void cli_terminal_init(void)
{
    /* Only to know which characters can be shown and how wide they are: what comes over the wire is
     * UTF-8, whatever the locale. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        (void)setlocale(LC_CTYPE, "");
}

unsigned cli_terminal_columns(FILE *out)
{
    const char *given = getenv("COLUMNS");
    struct winsize size;
    long columns = 0;

    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns <= 0 && given)
        columns = strtol(given, NULL, 10);
    if (columns <= 0)
        columns = 80;
    return columns < 40 ? 40 : columns > 1000 ? 1000 : (unsigned)columns;
}

const char *cli_style_text(FILE *out, cli_style style)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[2m", "\033[31m",
                                        "\033[32m", "\033[33m", "\033[34m"};
    const char *unwanted = getenv("NO_COLOR"), *term = getenv("TERM");

    if ((unwanted && *unwanted) || !isatty(fileno(out)) || (term && strcmp(term, "dumb") == 0))
        return "";
    return codes[style];
}
