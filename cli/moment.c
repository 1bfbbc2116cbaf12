#include "cli/moment.h"

#include "cli/memory.h"

#include <stdio.h>
#include <string.h>
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

void cli_moment_stamp(int64_t unix_ns, char out[CLI_STAMP_BYTES])
{
    enum { NS_PER_S = 1000000000 };
    int64_t fraction = (unix_ns % NS_PER_S + NS_PER_S) % NS_PER_S;
    time_t second = (time_t)((unix_ns - fraction) / NS_PER_S);
    char text[32], digits[16];
    struct tm parts;
    size_t len;

    if (!gmtime_r(&second, &parts) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts))
        *text = '\0';
    (void)snprintf(digits, sizeof(digits), ".%09d", (int)fraction);
    for (len = strlen(digits); digits[len - 1] == '0'; len--)
        ;
    (void)snprintf(out, CLI_STAMP_BYTES, "%s%.*sZ", text, len > 1 ? (int)len : 0, digits);
}
