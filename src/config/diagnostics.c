#include "config/diagnostics.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>

void pp_diagnostics_init(pp_diagnostics *d)
{
    *d = (pp_diagnostics){0};
}

static void fini_list(pp_diagnostic_list *list)
{
    for (size_t i = 0; i < list->kept; i++)
        pp_free(list->lines[i]);
    pp_free(list->lines);
    *list = (pp_diagnostic_list){0};
}

void pp_diagnostics_fini(pp_diagnostics *d)
{
    fini_list(&d->warnings);
    fini_list(&d->errors);
}

static pipit_err add_position(pp_buf *out, pp_config_position at)
{
    if (!at.file)
        return PIPIT_OK;
    if (at.line == 0)
        return pp_buf_addf(out, "%s: ", at.file);
    return pp_buf_addf(out, "%s:%u:%u: ", at.file, at.line, at.column);
}

static pipit_err add_text(pp_buf *out, const char *format, va_list args)
{
    va_list again;
    pipit_err err;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        return PIPIT_EINVAL;
    if ((size_t)len > out->max - out->len - 1)
        len = (int)(out->max - out->len - 1);
    err = pp_buf_reserve(out, (size_t)len + 1);
    if (err)
        return err;
    (void)vsnprintf(out->ptr + out->len, (size_t)len + 1, format, args);
    out->len += (size_t)len;
    return PIPIT_OK;
}

/* A line is one line whatever file names and keys hold: control characters become '?'. */
static void make_printable(pp_buf *line)
{
    for (size_t i = 0; i < line->len; i++) {
        unsigned char c = (unsigned char)line->ptr[i];

        if (c < ' ' || c == 0x7F)
            line->ptr[i] = '?';
    }
}

static pipit_err grow_list(pp_diagnostic_list *list)
{
    size_t cap = list->cap ? 2 * list->cap : 8;
    char **lines = pp_realloc(list->lines, cap * sizeof(*lines));

    if (!lines)
        return PIPIT_ENOMEM;
    list->lines = lines;
    list->cap = cap;
    return PIPIT_OK;
}

static void add(pp_diagnostic_list *list, pp_config_position at, const char *format, va_list args)
{
    pp_buf line;

    list->count++;
    if (list->kept == PP_DIAGNOSTICS_KEPT)
        return;
    if (list->kept == list->cap && grow_list(list))
        return;
    pp_buf_init(&line, PP_DIAGNOSTIC_TEXT_MAX);
    if (add_position(&line, at) || add_text(&line, format, args)) {
        pp_buf_fini(&line);
        return;
    }
    make_printable(&line);
    list->lines[list->kept] = pp_memdupz(line.ptr, line.len);
    if (list->lines[list->kept])
        list->kept++;
    pp_buf_fini(&line);
}

void pp_diagnostics_error(pp_diagnostics *d, pp_config_position at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(&d->errors, at, format, args);
    va_end(args);
}

void pp_diagnostics_warn(pp_diagnostics *d, pp_config_position at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(&d->warnings, at, format, args);
    va_end(args);
}

bool pp_diagnostics_is_full(const pp_diagnostics *d)
{
    return d->errors.kept == PP_DIAGNOSTICS_KEPT;
}

size_t pp_diagnostics_error_count(const pp_diagnostics *d)
{
    return d->errors.count;
}

size_t pp_diagnostics_warning_count(const pp_diagnostics *d)
{
    return d->warnings.count;
}

static pipit_err format_list(const pp_diagnostic_list *list, const char *noun, pp_buf *out)
{
    for (size_t i = 0; i < list->kept; i++) {
        pipit_err err = pp_buf_addf(out, "%s\n", list->lines[i]);

        if (err)
            return err;
    }
    if (list->count > list->kept)
        return pp_buf_addf(out, "%zu %s%s%s not shown\n", list->count - list->kept,
                           list->kept ? "more " : "", noun,
                           list->count - list->kept > 1 ? "s" : "");
    return PIPIT_OK;
}

pipit_err pp_diagnostics_format(const pp_diagnostics *d, pp_buf *out)
{
    pipit_err err = format_list(&d->warnings, "warning", out);

    return err ? err : format_list(&d->errors, "error", out);
}
