#include "config/parser.h"

#include "config/include.h"
#include "config/literal.h"
#include "config/scalar.h"
#include "config/variable.h"

enum place {
    IN_FILE,   /* outermost */
    IN_BRACES, /* outermost, in braces around it all */
    IN_MAP,
};

static pipit_err parse_value(pp_parser *p, bool in_array, pp_config_position at,
                             pp_config_node **out);

static pipit_err too_large(pp_parser *p)
{
    (void)pp_lexer_fail(&p->lexer, p->lexer.at, "the configuration is larger than %zu bytes",
                        p->build->limits.bytes_max);
    return PIPIT_ETOOBIG;
}

/* Name what stopped the parser where nobody has yet. */
static pipit_err explain(pp_parser *p, pipit_err err)
{
    if (err && !p->build->failure.text[0]) {
        if (err == PIPIT_ETOOBIG)
            return too_large(p);
        (void)pp_lexer_fail(&p->lexer, p->lexer.at, "%s", pipit_strerror(err));
    }
    return err;
}

pipit_err pp_parser_check_height(pp_parser *p, const pp_config_node *node, const char *at)
{
    if (p->depth + node->height <= p->build->limits.depth_max)
        return PIPIT_OK;
    (void)pp_lexer_fail(&p->lexer, at, "more than %u maps and arrays inside each other",
                        p->build->limits.depth_max);
    return PIPIT_ETOOBIG;
}

/* Step into a map or an array at the cursor. */
static pipit_err enter(pp_parser *p)
{
    static const pp_config_node flat = {.height = 0};
    pipit_err err;

    p->depth++;
    err = pp_parser_check_height(p, &flat, p->lexer.at);
    p->lexer.at++;
    return err;
}

pipit_err pp_parser_set(pp_parser *p, pp_entry entry)
{
    pp_config_node *node = pp_config_node_of(entry.value);

    p->scope->spread_bytes += pp_config_node_cost(node, entry.key.len);
    if (p->scope->spread_bytes > p->build->limits.bytes_max)
        return too_large(p);
    if (p->scope->height <= node->height)
        p->scope->height = node->height + 1;
    return pp_config_scope_set(p->scope, entry);
}

/* Make a map of the innermost scope. */
static pipit_err close_map(pp_parser *p, pp_config_position at, pp_config_node **out)
{
    pipit_err err = pp_config_node_new(&p->build->arena, PP_VALUE_MAP, at, out);

    if (err)
        return err;
    (*out)->spread_bytes += (uint32_t)p->scope->spread_bytes;
    (*out)->height = p->scope->height;
    return pp_config_scope_close(p->scope, &p->build->arena, *out);
}

static pipit_err parse_scalar(pp_parser *p, bool in_array, pp_config_position at,
                              pp_config_node **out)
{
    pp_scalar scalar;
    pipit_err err = pp_scalar_read(&p->lexer, in_array, &scalar);

    if (err)
        return err;
    if (scalar.kind == PP_SCALAR_VARIABLE)
        return pp_variable_resolve(p, scalar.text, at, out);
    return pp_literal_make(p, &scalar, at, out);
}

/* Read a key and its value. A '}' that nothing follows is no key: it closes what was never opened,
 * and many a file ends so. */
static pipit_err parse_entry(pp_parser *p, enum place place)
{
    pp_lexer *l = &p->lexer;
    pp_config_position at;
    pp_entry entry = {.used_as_variable = false};
    pp_config_node *node;
    pp_str outer_key = p->key;
    bool separated = false;
    pp_lexer_key key;
    pipit_err err = pp_lexer_read_key(l, &key);

    if (err)
        return err;
    at = pp_lexer_position(l, key.text.ptr);
    if (!key.quoted && pp_lexer_at_space(l) && pp_str_eq_nocase(key.text, PP_STR("include")))
        return pp_include_read(p, at);
    pp_lexer_skip_space(l);
    if (pp_lexer_peek(l) == '=' || pp_lexer_peek(l) == ':') {
        l->at++;
        separated = true;
    }
    if (place == IN_MAP) {
        pp_lexer_skip_space(l);
        if (pp_lexer_peek(l) == PP_LEXER_END)
            return pp_lexer_fail(l, l->at, "Unexpected EOF processing map key.");
        if (pp_lexer_peek(l) == ',')
            return pp_lexer_fail(l, l->at, "Unexpected map value terminator ','.");
        if (pp_lexer_peek(l) == '}')
            return pp_lexer_fail(l, key.text.ptr, "a key without a value");
    } else if (pp_lexer_peek(l) == PP_LEXER_END && !separated) {
        if (pp_str_eq(key.text, PP_STR("}")))
            return PIPIT_OK;
        return pp_lexer_fail(l, key.text.ptr, "config is invalid: a key without a value");
    }
    pp_lexer_skip_blanks(l);
    p->key = key.text;
    err = parse_value(p, false, at, &node);
    p->key = outer_key;
    if (!err)
        err = pp_arena_copy(&p->build->arena, key.text, &entry.key);
    if (err)
        return err;
    entry.value = &node->value;
    return pp_parser_set(p, entry);
}

static pipit_err expected_end_of_value(pp_parser *p, const char *what)
{
    return pp_lexer_fail(&p->lexer, p->lexer.at, "Expected %s, but got %s instead.", what,
                         pp_lexer_show(&p->lexer, p->lexer.at).text);
}

/* Pass what ends an entry; leaves a '}' that ends more than that, but for the outermost map, where
 * a '}' that closes nothing is one more separator. */
static pipit_err end_entry(pp_parser *p, enum place place)
{
    pp_lexer *l = &p->lexer;
    char c;

    pp_lexer_skip_blanks(l);
    if (pp_lexer_skip_comment(l) && place != IN_BRACES)
        return PIPIT_OK;
    c = pp_lexer_peek(l);
    if (pp_lexer_is_newline(c) || c == ';' || c == ',' || (c == '}' && place == IN_FILE)) {
        l->at++;
        return PIPIT_OK;
    }
    if (c == '}' || (c == PP_LEXER_END && place == IN_FILE))
        return PIPIT_OK;
    switch (place) {
    case IN_FILE:
        return expected_end_of_value(p, "a top-level value to end with a new line, comment or EOF");
    case IN_BRACES:
        return expected_end_of_value(p,
                                     "a block-level value to end with a new line, comment or '}'");
    case IN_MAP:
        break;
    }
    return expected_end_of_value(p, "a map value terminator ',' or a map terminator '}'");
}

/* Refuse what cannot begin a key. */
static pipit_err check_key_start(pp_parser *p)
{
    pp_lexer *l = &p->lexer;
    char c = pp_lexer_peek(l);

    if (c == '=' || c == ':')
        return pp_lexer_fail(l, l->at, "Unexpected key separator '%c'", c);
    if (c == '/')
        return pp_lexer_fail(l, l->at,
                             "Unexpected '/': a comment begins with two, and a key that "
                             "begins with one needs quotes");
    return PIPIT_OK;
}

static pipit_err parse_map(pp_parser *p, pp_config_position at, pp_config_node **out)
{
    pp_lexer *l = &p->lexer;
    uint32_t line = pp_lexer_position(l, l->at).line;
    pp_config_scope scope;
    pipit_err err = enter(p);

    pp_config_scope_init(&scope, p->scope, &p->build->pile);
    p->scope = &scope;
    while (!err) {
        pp_lexer_skip_space(l);
        if (pp_lexer_skip_comment(l))
            continue;
        if (pp_lexer_peek(l) == '}') {
            l->at++;
            break;
        }
        if (pp_lexer_peek(l) == PP_LEXER_END)
            err = pp_lexer_fail(l, l->at, "Unexpected EOF processing map. It began in line %u.",
                                line);
        else if (pp_lexer_peek(l) == ']')
            err = pp_lexer_fail(l, l->at, "Unexpected array end ']' processing map.");
        else
            err = check_key_start(p);
        if (!err)
            err = parse_entry(p, IN_MAP);
        if (!err)
            err = end_entry(p, IN_MAP);
    }
    if (!err)
        err = close_map(p, at, out);
    p->scope = scope.outer;
    p->depth--;
    pp_config_scope_fini(&scope);
    return err;
}

static pipit_err parse_element(pp_parser *p, pp_config_node *array)
{
    pp_lexer *l = &p->lexer;
    pp_config_node *node;
    uint64_t spread;
    pipit_err err = parse_value(p, true, pp_lexer_position(l, l->at), &node);

    if (err)
        return err;
    spread = array->spread_bytes + pp_config_node_cost(node, 0);
    if (spread > p->build->limits.bytes_max)
        return too_large(p);
    array->spread_bytes = (uint32_t)spread;
    if (array->height <= node->height)
        array->height = node->height + 1;
    return pp_config_build_push_item(p->build, &node->value);
}

/* Pass what ends an element; leaves the ']' that ends the array. */
static pipit_err end_element(pp_parser *p)
{
    pp_lexer *l = &p->lexer;
    char c;

    pp_lexer_skip_blanks(l);
    if (pp_lexer_skip_comment(l))
        return PIPIT_OK;
    c = pp_lexer_peek(l);
    if (c == ',' || pp_lexer_is_newline(c))
        l->at++;
    else if (c != ']')
        return expected_end_of_value(p, "an array value terminator ',' or an array terminator ']'");
    return PIPIT_OK;
}

static pipit_err parse_array(pp_parser *p, pp_config_position at, pp_config_node **out)
{
    pp_lexer *l = &p->lexer;
    uint32_t line = pp_lexer_position(l, l->at).line;
    size_t first = p->build->item_count;
    pipit_err err = pp_config_node_new(&p->build->arena, PP_VALUE_ARRAY, at, out);

    if (err)
        return err;
    (*out)->height = 1;
    err = enter(p);
    while (!err) {
        pp_lexer_skip_space(l);
        if (pp_lexer_skip_comment(l))
            continue;
        if (pp_lexer_peek(l) == ']') {
            l->at++;
            break;
        }
        if (pp_lexer_peek(l) == PP_LEXER_END)
            err = pp_lexer_fail(l, l->at, "Unexpected EOF processing array. It began in line %u.",
                                line);
        else if (pp_lexer_peek(l) == ',' || pp_lexer_peek(l) == '/')
            err = pp_lexer_fail(l, l->at, "Unexpected array value terminator '%c'.",
                                pp_lexer_peek(l));
        if (!err)
            err = parse_element(p, *out);
        if (!err)
            err = end_element(p);
    }
    if (err)
        return err;
    p->depth--;
    return pp_config_build_close_array(p->build, first, *out);
}

static pipit_err parse_value(pp_parser *p, bool in_array, pp_config_position at,
                             pp_config_node **out)
{
    switch (pp_lexer_peek(&p->lexer)) {
    case '{':
        return parse_map(p, at, out);
    case '[':
        return parse_array(p, at, out);
    default:
        return parse_scalar(p, in_array, at, out);
    }
}

/* Read on behind braces in braces: they need a separator, too. */
static pipit_err end_braces(pp_parser *p)
{
    pp_lexer *l = &p->lexer;
    char c;

    while (pp_lexer_is_blank(c = pp_lexer_peek(l)) || pp_lexer_is_newline(c))
        l->at++;
    if (pp_lexer_skip_comment(l) || c == '}')
        return PIPIT_OK;
    if (c != ';' && c != ',')
        return expected_end_of_value(p, "a block-level to end with a '}'");
    l->at++;
    return PIPIT_OK;
}

/* Read braces around the outermost map: its keys all land in the same map. The end of the file may
 * take the place of the closing one, which *out_open tells. */
static pipit_err parse_braces(pp_parser *p, bool *out_open)
{
    pp_lexer *l = &p->lexer;
    pipit_err err = enter(p);

    *out_open = false;
    while (!err && !*out_open) {
        pp_lexer_skip_space(l);
        if (pp_lexer_skip_comment(l))
            continue;
        switch (pp_lexer_peek(l)) {
        case PP_LEXER_END:
            *out_open = true;
            break;
        case '}':
            l->at++;
            p->depth--;
            return PIPIT_OK;
        case '{':
            err = parse_braces(p, out_open);
            if (!err && !*out_open)
                err = end_braces(p);
            break;
        default:
            err = check_key_start(p);
            if (!err)
                err = parse_entry(p, IN_BRACES);
            if (!err)
                err = end_entry(p, IN_BRACES);
        }
    }
    return err;
}

static pipit_err parse_file(pp_parser *p)
{
    pp_lexer *l = &p->lexer;
    bool open = false;
    pipit_err err = PIPIT_OK;

    while (!err && !open) {
        pp_lexer_skip_space(l);
        if (pp_lexer_skip_comment(l))
            continue;
        if (pp_lexer_peek(l) == PP_LEXER_END)
            break;
        if (pp_lexer_peek(l) == '{') {
            err = parse_braces(p, &open);
            continue;
        }
        err = check_key_start(p);
        if (!err)
            err = parse_entry(p, IN_FILE);
        if (!err)
            err = end_entry(p, IN_FILE);
    }
    return err;
}

pipit_err pp_parser_read(pp_config_build *build, const char *file, pp_str text,
                         const char *include_dir, uint32_t depth, pp_config_node **out)
{
    pp_config_position start = {.file = file, .line = 1, .column = 1};
    pp_parser p = {.build = build, .include_dir = include_dir, .depth = depth};
    pp_config_scope scope;
    pipit_err err = pp_lexer_init(&p.lexer, file, text, &build->failure);

    pp_config_scope_init(&scope, NULL, &build->pile);
    p.scope = &scope;
    if (!err)
        err = parse_file(&p);
    if (!err)
        err = close_map(&p, start, out);
    pp_config_scope_fini(&scope);
    return explain(&p, err);
}

pipit_err pp_parser_read_value(pp_config_build *build, const char *name, pp_str text, pp_str key,
                               uint32_t depth, pp_config_node **out)
{
    pp_config_position start = {.file = name, .line = 1, .column = 1};
    pp_parser p = {.build = build, .depth = depth, .key = key};
    pp_config_scope scope;
    pipit_err err = pp_lexer_init(&p.lexer, name, text, &build->failure);

    pp_config_scope_init(&scope, NULL, &build->pile);
    p.scope = &scope;
    pp_lexer_skip_blanks(&p.lexer);
    if (!err)
        err = parse_value(&p, false, start, out);
    if (!err)
        err = end_entry(&p, IN_FILE);
    if (!err)
        err = parse_file(&p);
    pp_config_scope_fini(&scope);
    return explain(&p, err);
}
