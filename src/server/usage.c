/* What --help says, from the table of flags. */
#include "server/flag.h"

#include <string.h>

/* Where the help of a flag begins, in columns. */
enum { HELP_COLUMN = 38 };

/* Write "  -a, --addr HOST" and answer how wide it is. */
static pipit_err add_names(pp_buf *out, const pp_flag *flag, size_t *out_width)
{
    const char *names = flag->names;
    size_t start = out->len;
    const char *before = strcspn(names, " ") == 1 ? "  " : "      "; /* long names line up */
    pipit_err err = PIPIT_OK;

    while (*names && !err) {
        int len = (int)strcspn(names, " ");
        const char *dashes = len > 1 && names[0] >= 'a' ? "--" : "-"; /* -DV, -VV */

        err = pp_buf_addf(out, "%s%s%.*s", before, dashes, len, names);
        before = ", ";
        names += len + (names[len] == ' ');
    }
    if (!err && flag->value)
        err = pp_buf_addf(out, " %s", flag->value);
    *out_width = out->len - start;
    return err;
}

static pipit_err add_flag(pp_buf *out, const pp_flag *flag)
{
    const char *text = flag->help;
    size_t width;
    pipit_err err = add_names(out, flag, &width);

    if (!err && width + 2 > HELP_COLUMN) {
        err = pp_buf_add(out, "\n", 1);
        width = 0;
    }
    while (!err && *text) {
        size_t len = strcspn(text, "\n");

        err = pp_buf_addf(out, "%*s%.*s\n", (int)(HELP_COLUMN - width), "", (int)len, text);
        text += len + (text[len] == '\n');
        width = 0;
    }
    return err;
}

pipit_err pp_flags_format(pp_buf *out)
{
    pipit_err err = pp_buf_addf(
        out, "Usage: pipit-server [options]\n\n"
             "A message broker for NATS clients. Times are written as 500ms, 2s or 1m30s,\n"
             "sizes as 65536, 64KB or 2MB, flags as --flag VALUE or --flag=VALUE.\n");

    for (size_t i = 0; i < pp_flag_count && !err; i++) {
        if (pp_flags[i].kind == PP_FLAG_HEADING)
            err = pp_buf_addf(out, "\n%s:\n", pp_flags[i].help);
        else
            err = add_flag(out, &pp_flags[i]);
    }
    return err;
}
