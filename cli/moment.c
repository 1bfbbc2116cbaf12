#include "cli/moment.h"

#include "cli/memory.h"

#include <stdio.h>
#include <time.h>

void cli_span_show(int64_t seconds, char out[CLI_SPAN_BYTES])
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{365 * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;

    while (i < 4 && seconds < units[i].seconds)
        i++;
    if (i == 4 || seconds % units[i].seconds / units[i + 1].seconds == 0)
        (void)snprintf(out, CLI_SPAN_BYTES, "%lld%c", (long long)(seconds / units[i].seconds),
                       units[i].letter);
    else
        (void)snprintf(out, CLI_SPAN_BYTES, "%lld%c%lld%c", (long long)(seconds / units[i].seconds),
                       units[i].letter,
                       (long long)(seconds % units[i].seconds / units[i + 1].seconds),
                       units[i + 1].letter);
}

char *cli_moment_show(int64_t unix_s)
{
    time_t moment = (time_t)unix_s, now = time(NULL);
    char text[64], span[CLI_SPAN_BYTES];
    struct tm parts;

    /* A year that struct tm cannot hold, from a token that claims it. */
    if (!localtime_r(&moment, &parts) || !strftime(text, sizeof(text), "%F %T", &parts))
        return cli_format("%lld s since 1970", (long long)unix_s);
    cli_span_show(moment > now ? moment - now : now - moment, span);
    return moment > now ? cli_format("%s (in %s)", text, span)
                        : cli_format("%s (%s ago)", text, span);
}
