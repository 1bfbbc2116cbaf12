#include "server/log_line.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum { HEAD_MAX = 384, TAG_MAX = 64, HOSTNAME_MAX = 255 };

static const struct level {
    const char *name;
    const char *colour; /* of a terminal */
    const char *word;   /* in JSON */
    unsigned severity;  /* in syslog */
} levels[] = {
    [PP_LOG_FATAL] = {"FTL", "31", "fatal", 2}, [PP_LOG_ERROR] = {"ERR", "31", "error", 3},
    [PP_LOG_WARN] = {"WRN", "0;93", "warn", 4}, [PP_LOG_INFO] = {"INF", "32", "info", 5},
    [PP_LOG_DEBUG] = {"DBG", "36", "debug", 7}, [PP_LOG_TRACE] = {"TRC", "33", "trace", 5},
};

static struct tm broken_down(int64_t time_ns, bool utc)
{
    time_t seconds = (time_t)(time_ns / PP_NS_PER_S);
    struct tm tm = {0};

    if (utc)
        (void)gmtime_r(&seconds, &tm);
    else
        (void)localtime_r(&seconds, &tm);
    return tm;
}

/* "Z" or "+01:00". */
static void format_zone(const struct tm *tm, char out[16])
{
    long minutes = tm->tm_gmtoff / 60;
    long size = minutes < 0 ? -minutes : minutes;

    if (minutes == 0)
        (void)snprintf(out, 16, "Z");
    else
        (void)snprintf(out, 16, "%c%02ld:%02ld", minutes < 0 ? '-' : '+', size / 60 % 100,
                       size % 60);
}

static size_t put(char *out, size_t at, const char *bytes, size_t len)
{
    memcpy(out + at, bytes, len);
    return at + len;
}

static pp_str cut(pp_str text)
{
    return text.len > PP_LOG_TEXT_MAX ? (pp_str){text.ptr, PP_LOG_TEXT_MAX} : text;
}

/* --- text --------------------------------------------------------------------------------- */

static size_t format_text(const pp_log_form *form, const pp_log_entry *entry, char *out)
{
    const struct level *level = &levels[entry->level];
    pp_str text = cut(entry->text);
    char stamp[64] = "";
    int n;

    if (form->time) {
        struct tm tm = broken_down(entry->time_ns, form->utc);

        (void)snprintf(stamp, sizeof(stamp), "%04d/%02d/%02d %02d:%02d:%02d.%06d ",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)(entry->time_ns % PP_NS_PER_S / 1000));
    }
    if (form->colours)
        n = snprintf(out, HEAD_MAX, "[%d] %s[\x1b[%sm%s\x1b[0m] ", form->pid, stamp, level->colour,
                     level->name);
    else
        n = snprintf(out, HEAD_MAX, "[%d] %s[%s] ", form->pid, stamp, level->name);
    n = (int)put(out, (size_t)n, text.ptr, text.len);
    out[n] = '\n';
    return (size_t)n + 1;
}

/* --- JSON --------------------------------------------------------------------------------- */

static size_t escape_json(pp_str text, char *out, size_t at)
{
    while (text.len) {
        unsigned char c = (unsigned char)text.ptr[0];
        size_t len = pp_str_utf8_len(text);

        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            at += (size_t)snprintf(out + at, 7, "\\u%04x", c);
        } else if (len == 0) {
            at = put(out, at, "\\ufffd", 6); /* what is no character */
        } else {
            at = put(out, at, text.ptr, len);
        }
        text.ptr += len ? len : 1;
        text.len -= len ? len : 1;
    }
    return at;
}

static size_t format_json(const pp_log_form *form, const pp_log_entry *entry, char *out)
{
    struct tm tm = broken_down(entry->time_ns, form->utc);
    char zone[16];
    size_t n;

    format_zone(&tm, zone);
    n = (size_t)snprintf(out, HEAD_MAX,
                         "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06d%s\",\"level\":\"%s\","
                         "\"pid\":%d,\"msg\":\"",
                         tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                         tm.tm_sec, (int)(entry->time_ns % PP_NS_PER_S / 1000), zone,
                         levels[entry->level].word, form->pid);
    n = escape_json(cut(entry->text), out, n);
    return put(out, n, "\"}\n", 3);
}

size_t pp_log_line_format(const pp_log_form *form, const pp_log_entry *entry, char *out)
{
    return form->json ? format_json(form, entry, out) : format_text(form, entry, out);
}

/* --- syslog ------------------------------------------------------------------------------- */

size_t pp_log_line_format_syslog(const pp_syslog_form *form, const pp_log_entry *entry, char *out)
{
    /* strftime would take the names from the locale */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = broken_down(entry->time_ns, false);
    unsigned priority = form->facility << 3 | levels[entry->level].severity;
    pp_str text = cut(entry->text);
    char zone[16];
    int n;

    format_zone(&tm, zone);
    if (form->hostname)
        n = snprintf(out, PP_LOG_LINE_MAX,
                     "<%u>%04d-%02d-%02dT%02d:%02d:%02d%s %.*s %.*s[%d]: ", priority,
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     zone, HOSTNAME_MAX, form->hostname, TAG_MAX, form->tag, form->pid);
    else
        n = snprintf(out, PP_LOG_LINE_MAX, "<%u>%.3s %2d %02d:%02d:%02d %.*s[%d]: ", priority,
                     months + 3 * (tm.tm_mon % 12), tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     TAG_MAX, form->tag, form->pid);
    n = (int)put(out, (size_t)n, text.ptr, text.len);
    out[n] = '\n';
    return (size_t)n + 1;
}
