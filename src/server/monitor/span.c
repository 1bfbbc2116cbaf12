#include "server/monitor/span.h"

#include "base/clock.h"

#include <stdio.h>

size_t pp_uptime_format(char out[PP_SPAN_TEXT_BYTES], int64_t ns)
{
    static const struct {
        int64_t seconds;
        char letter;
    } units[] = {{365 * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    int64_t left = ns > 0 ? ns / PP_NS_PER_S : 0;
    size_t len = 0;

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t count = left / units[i].seconds;

        left -= count * units[i].seconds;
        if (count || len || units[i].seconds == 1)
            len += (size_t)snprintf(out + len, PP_SPAN_TEXT_BYTES - len, "%lld%c", (long long)count,
                                    units[i].letter);
    }
    return len;
}

/* A number of units with as many decimals as it needs. */
static size_t put_decimal(char *out, size_t room, int64_t ns, int64_t unit_ns, const char *unit)
{
    int digits = 0;
    size_t len;

    for (int64_t u = unit_ns; u > 1; u /= 10)
        digits++;
    len = (size_t)snprintf(out, room, "%lld", (long long)(ns / unit_ns));
    if (ns % unit_ns) {
        len +=
            (size_t)snprintf(out + len, room - len, ".%0*lld", digits, (long long)(ns % unit_ns));
        while (out[len - 1] == '0')
            len--;
    }
    return len + (size_t)snprintf(out + len, room - len, "%s", unit);
}

size_t pp_span_format(char out[PP_SPAN_TEXT_BYTES], int64_t ns)
{
    size_t len = 0;

    if (ns <= 0)
        return (size_t)snprintf(out, PP_SPAN_TEXT_BYTES, "0s");
    if (ns < 1000)
        return put_decimal(out, PP_SPAN_TEXT_BYTES, ns, 1, "ns");
    if (ns < PP_NS_PER_MS)
        return put_decimal(out, PP_SPAN_TEXT_BYTES, ns, 1000, "\xC2\xB5s");
    if (ns < PP_NS_PER_S)
        return put_decimal(out, PP_SPAN_TEXT_BYTES, ns, PP_NS_PER_MS, "ms");
    if (ns >= 3600 * PP_NS_PER_S)
        len += (size_t)snprintf(out, PP_SPAN_TEXT_BYTES, "%lldh",
                                (long long)(ns / (3600 * PP_NS_PER_S)));
    if (ns >= 60 * PP_NS_PER_S)
        len += (size_t)snprintf(out + len, PP_SPAN_TEXT_BYTES - len, "%lldm",
                                (long long)(ns / (60 * PP_NS_PER_S) % 60));
    return len + put_decimal(out + len, PP_SPAN_TEXT_BYTES - len, ns % (60 * PP_NS_PER_S),
                             PP_NS_PER_S, "s");
}
