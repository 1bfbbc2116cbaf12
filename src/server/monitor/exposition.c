#include "server/monitor/exposition.h"

#include <stdio.h>

void pp_exposition_init(pp_exposition *e, pp_buf *out, bool open_metrics)
{
    *e = (pp_exposition){.out = out, .open_metrics = open_metrics};
}

static void add(pp_exposition *e, pp_str text)
{
    if (!e->err)
        e->err = pp_buf_add(e->out, text.ptr, text.len);
}

static void add_text(pp_exposition *e, const char *text)
{
    add(e, pp_str_of(text));
}

static void add_u64(pp_exposition *e, uint64_t value)
{
    char digits[20];

    add(e, (pp_str){digits, pp_u64_format(digits, value)});
}

pipit_err pp_exposition_finish(pp_exposition *e)
{
    if (e->open_metrics)
        add_text(e, "# EOF\n");
    return e->err;
}

const char *pp_exposition_content_type(bool open_metrics)
{
    return open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                        : "text/plain; version=0.0.4; charset=utf-8";
}

/* --- families ----------------------------------------------------------------------------- */

/* Help texts are this program's and need no escaping. */
static void begin_family(pp_exposition *e, const char *name, const char *suffix, const char *type,
                         const char *help)
{
    const char *in_name = e->open_metrics ? "" : suffix;

    e->family = name;
    e->suffix = suffix;
    if (!e->err)
        e->err = pp_buf_addf(e->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, in_name, help, name,
                             in_name, type);
}

void pp_exposition_counter(pp_exposition *e, const char *name, const char *help)
{
    begin_family(e, name, "_total", "counter", help);
}

void pp_exposition_gauge(pp_exposition *e, const char *name, const char *help)
{
    begin_family(e, name, "", "gauge", help);
}

void pp_exposition_histogram(pp_exposition *e, const char *name, const char *help)
{
    begin_family(e, name, "", "histogram", help);
}

void pp_exposition_info(pp_exposition *e, const char *name, const char *help)
{
    begin_family(e, name, "_info", e->open_metrics ? "info" : "gauge", help);
}

/* --- samples ------------------------------------------------------------------------------ */

static void add_label(pp_exposition *e, pp_label label)
{
    pp_str rest = label.value;

    add_text(e, label.name);
    add_text(e, "=\"");
    while (rest.len) {
        size_t len = pp_str_utf8_len(rest);

        if (len == 0)
            add_text(e, "\xEF\xBF\xBD"); /* names may hold any bytes, labels UTF-8 only */
        else if (rest.ptr[0] == '\n')
            add_text(e, "\\n");
        else if (rest.ptr[0] == '"' || rest.ptr[0] == '\\')
            add(e, (pp_str){(const char[]){'\\', rest.ptr[0]}, 2});
        else
            add(e, (pp_str){rest.ptr, len});
        len = len ? len : 1;
        rest.ptr += len;
        rest.len -= len;
    }
    add_text(e, "\"");
}

static void begin_sample(pp_exposition *e, const char *suffix, pp_label label)
{
    add_text(e, e->family);
    add_text(e, suffix);
    if (label.name) {
        add_text(e, "{");
        add_label(e, label);
        add_text(e, "}");
    }
    add_text(e, " ");
}

void pp_exposition_u64(pp_exposition *e, pp_label label, uint64_t value)
{
    begin_sample(e, e->suffix, label);
    add_u64(e, value);
    add_text(e, "\n");
}

static void add_seconds(pp_exposition *e, uint64_t ns)
{
    char text[40];
    int len = snprintf(text, sizeof(text), "%llu.%09llu", (unsigned long long)(ns / 1000000000),
                       (unsigned long long)(ns % 1000000000));

    while (text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    add(e, (pp_str){text, (size_t)len});
}

void pp_exposition_seconds(pp_exposition *e, pp_label label, uint64_t ns)
{
    begin_sample(e, e->suffix, label);
    add_seconds(e, ns);
    add_text(e, "\n");
}

void pp_exposition_labels(pp_exposition *e, const pp_label *labels)
{
    add_text(e, e->family);
    add_text(e, e->suffix);
    for (size_t i = 0; labels[i].name; i++) {
        add_text(e, i ? "," : "{");
        add_label(e, labels[i]);
    }
    add_text(e, "} 1\n");
}

void pp_exposition_times(pp_exposition *e, pp_label label, const uint64_t *counts,
                         const uint64_t *bounds_ns, unsigned bucket_count, uint64_t sum_ns)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < bucket_count; i++) {
        total += counts[i];
        add_text(e, e->family);
        add_text(e, "_bucket{");
        add_label(e, label);
        add_text(e, ",le=\"");
        if (i + 1 < bucket_count)
            add_seconds(e, bounds_ns[i]);
        else
            add_text(e, "+Inf");
        add_text(e, "\"} ");
        add_u64(e, total);
        add_text(e, "\n");
    }
    begin_sample(e, "_sum", label);
    add_seconds(e, sum_ns);
    add_text(e, "\n");
    begin_sample(e, "_count", label);
    add_u64(e, total);
    add_text(e, "\n");
}
