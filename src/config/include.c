#include "config/include.h"

#include <ctype.h>

/* What cannot begin a name without quotes, and what it would be. */
static const char *misplaced(char c)
{
    switch (c) {
    case '[':
        return "start of an array";
    case '{':
        return "start of a map";
    case '(':
        return "start of a block";
    case '\\':
        return "escape sequence";
    case '\n':
    case '\r':
        return "new line";
    default:
        return c == '-' || (c >= '0' && c <= '9') ? "start of a number" : NULL;
    }
}

static bool ends_name(char c)
{
    return pp_lexer_is_newline(c) || pp_lexer_is_blank(c) || c == PP_LEXER_END || c == ';' ||
           c == '}' || c == '\'';
}

static pipit_err read_name(pp_parser *p, pp_str *out)
{
    pp_lexer *l = &p->lexer;
    char quote = pp_lexer_peek(l);
    const char *from, *close;

    if (misplaced(quote))
        return pp_lexer_fail(l, l->at, "Expected include value but found %s", misplaced(quote));
    if (quote == '"' || quote == '\'') {
        from = l->at + 1;
        close = memchr(from, quote, (size_t)(l->end - from));
        if (!close)
            return pp_lexer_fail(l, l->at, "Unexpected EOF in quoted include");
        l->at = close + 1;
    } else {
        from = l->at;
        while (!ends_name(pp_lexer_peek(l)))
            l->at++;
        close = l->at;
        if (pp_lexer_peek(l) == '\'')
            l->at++;
    }
    *out = (pp_str){from, (size_t)(close - from)};
    return PIPIT_OK;
}

/* Is this file being read already, further out? */
static bool is_cycle(const pp_config_build *build, const pp_config_source *source)
{
    for (const pp_config_source *outer = build->reading; outer; outer = outer->outer) {
        if (outer->device == source->device && outer->inode == source->inode)
            return true;
    }
    return false;
}

static uint32_t depth_of(const pp_config_build *build)
{
    uint32_t depth = 0;

    for (const pp_config_source *outer = build->reading; outer; outer = outer->outer)
        depth++;
    return depth;
}

static pipit_err open_source(pp_config_build *build, const char *path, pp_config_source *out)
{
    pp_config_position file = {.file = NULL};
    pipit_err err = pp_config_source_open(out, path, build->limits.bytes_max - build->source_bytes);

    if (err == PIPIT_ETOOBIG)
        (void)pp_config_fail(&build->failure, file,
                             "read %s: all files together are larger than %zu bytes", path,
                             build->limits.bytes_max);
    else if (err && out->failed_call)
        (void)pp_config_fail(&build->failure, file, "%s %s: %c%s", out->failed_call, path,
                             tolower((unsigned char)out->failed_why[0]), out->failed_why + 1);
    else if (err)
        (void)pp_config_fail(&build->failure, file, "read %s: %s", path, pipit_strerror(err));
    if (!err)
        build->source_bytes += out->len;
    return err;
}

static pipit_err read_source(pp_config_build *build, const char *path, uint32_t depth,
                             pp_config_source *source, pp_config_node **out)
{
    pp_config_position file = {.file = path, .line = 1, .column = 1};
    pp_str folder;
    pipit_err err;

    if (is_cycle(build, source))
        return pp_config_fail(&build->failure, file, "this file includes itself");
    if (depth_of(build) > build->limits.include_depth_max)
        return pp_config_fail(&build->failure, file, "more than %u files including each other",
                              build->limits.include_depth_max);
    err = pp_config_source_folder(&build->arena, path, &folder);
    if (err)
        return err;
    source->outer = build->reading;
    build->reading = source;
    err = pp_parser_read(build, path, (pp_str){source->text, source->len}, folder.ptr, depth, out);
    build->reading = source->outer;
    return err;
}

pipit_err pp_include_read_file(pp_config_build *build, const char *path, uint32_t depth,
                               pp_config_node **out)
{
    pp_config_source source;
    pipit_err err = open_source(build, path, &source);

    if (err)
        return err;
    err = read_source(build, path, depth, &source, out);
    pp_config_source_close(&source);
    return err;
}

pipit_err pp_include_read(pp_parser *p, pp_config_position at)
{
    pp_config_build *build = p->build;
    pp_str name, path;
    pp_config_node *map;
    pipit_err err;

    pp_lexer_skip_blanks(&p->lexer);
    err = read_name(p, &name);
    if (err)
        return err;
    if (!p->include_dir)
        return pp_config_fail(&build->failure, at, "nothing can be included here");
    err = pp_config_source_join(&build->arena, pp_str_of(p->include_dir), name, &path);
    if (err)
        return err;
    err = pp_include_read_file(build, path.ptr, p->depth, &map);
    if (err) {
        pp_config_failure_wrap(&build->failure, at, "error parsing include file '%.*s', ",
                               PP_STR_ARGS(name));
        return err;
    }
    for (size_t i = 0; i < map->value.map.count && !err; i++)
        err = pp_parser_set(p, map->value.map.entries[i]);
    return err;
}
