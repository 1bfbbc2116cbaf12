/* A value of the environment is read as if it stood in a file of its own: it may be of any kind,
 * and may itself be a variable, which then is looked for in the environment alone. */
#include "config/variable.h"

#include <stdio.h>
#include <stdlib.h>

/* A variable of the environment that is being read. */
struct pp_variable_use {
    pp_str name;
    const struct pp_variable_use *outer;
};

/* A '$' in front of a password that was not quoted makes it a variable, so the name of one is not
 * shown where a secret is expected. */
static bool may_be_secret(pp_str key)
{
    static const pp_str words[] = {PP_STR("pass"), PP_STR("token"), PP_STR("secret"),
                                   PP_STR("seed"), PP_STR("key"),   PP_STR("auth"),
                                   PP_STR("jwt"),  PP_STR("cred"),  PP_STR("cipher")};

    for (size_t i = 0; i < key.len; i++) {
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            if (key.len - i >= words[w].len &&
                pp_str_eq_nocase((pp_str){key.ptr + i, words[w].len}, words[w]))
                return true;
        }
    }
    return false;
}

static bool is_name(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
            !strchr("_-.", c))
            return false;
    }
    return text.len > 0 && text.len <= 64;
}

/* " for 'name'", or nothing where it should not be shown. */
typedef struct shown_name {
    char text[80];
} shown_name;

static shown_name show_name(const pp_parser *p, pp_str name)
{
    shown_name shown = {.text = ""};

    if (is_name(name) && !may_be_secret(p->key))
        (void)snprintf(shown.text, sizeof(shown.text), " for '%.*s'", PP_STR_ARGS(name));
    return shown;
}

/* Make a node that shares what another holds. */
static pipit_err share(pp_parser *p, const pp_config_node *node, pp_config_position at,
                       const char *where, pp_config_node **out)
{
    pp_config_node *copy;
    pipit_err err = pp_parser_check_height(p, node, where);

    if (!err)
        err = pp_config_node_new(&p->build->arena, node->value.kind, at, &copy);
    if (err)
        return err;
    *copy = *node;
    copy->value.at = at;
    copy->value.from_variable = true;
    *out = copy;
    return PIPIT_OK;
}

static pipit_err check_chain(pp_parser *p, pp_str name, const char *where)
{
    uint32_t length = 0;

    for (const struct pp_variable_use *use = p->build->resolving; use; use = use->outer) {
        if (pp_str_eq(use->name, name))
            return pp_lexer_fail(&p->lexer, where, "variable reference cycle%s",
                                 show_name(p, name).text);
        length++;
    }
    if (length >= p->build->limits.include_depth_max)
        return pp_lexer_fail(&p->lexer, where, "more than %u variables referring to each other",
                             p->build->limits.include_depth_max);
    return PIPIT_OK;
}

/* Read the environment's text. Its places are told as those of a file "$NAME". */
static pipit_err read_environment(pp_parser *p, pp_str dollar_name, const char *text,
                                  pp_config_node **out)
{
    struct pp_variable_use use = {
        .name = {dollar_name.ptr + 1, dollar_name.len - 1},
        .outer = p->build->resolving,
    };
    const char *file = may_be_secret(p->key) ? "environment" : dollar_name.ptr;
    pipit_err err;

    p->build->resolving = &use;
    err = pp_parser_read_value(p->build, file, pp_str_of(text), p->key, p->depth, out);
    p->build->resolving = use.outer;
    return err;
}

/* Hashes of bcrypt's other versions; nats-server takes them for variables, too. */
static bool is_bcrypt(pp_str name)
{
    return pp_str_starts(name, PP_STR("2b$")) || pp_str_starts(name, PP_STR("2x$")) ||
           pp_str_starts(name, PP_STR("2y$"));
}

static pipit_err resolve_environment(pp_parser *p, pp_str name, pp_config_position at,
                                     pp_config_node **out)
{
    uint32_t line = pp_lexer_position(&p->lexer, name.ptr).line;
    pp_str dollar_name;
    pp_config_node *node;
    const char *text;
    pipit_err err = check_chain(p, name, name.ptr - 1);

    if (!err) /* the dollar sign is right before it */
        err = pp_arena_copy(&p->build->arena, (pp_str){name.ptr - 1, name.len + 1}, &dollar_name);
    if (err)
        return err;
    text = getenv(dollar_name.ptr + 1);
    if (!text)
        return pp_lexer_fail(&p->lexer, name.ptr - 1,
                             "variable reference%s on line %u can not be found%s",
                             show_name(p, name).text, line,
                             is_bcrypt(name) ? ": a hash with this beginning needs quotes" : "");
    err = read_environment(p, dollar_name, text, &node);
    if (err) {
        pp_config_failure_wrap(
            &p->build->failure, pp_lexer_position(&p->lexer, name.ptr - 1),
            "variable reference%s on line %u could not be parsed: ", show_name(p, name).text, line);
        return err;
    }
    return share(p, node, at, name.ptr - 1, out);
}

static pipit_err make_bcrypt(pp_parser *p, pp_str name, pp_config_position at, pp_config_node **out)
{
    pipit_err err = pp_config_node_new(&p->build->arena, PP_VALUE_STRING, at, out);

    if (err)
        return err;
    (*out)->spread_bytes += (uint32_t)name.len + 1;
    return pp_arena_copy(&p->build->arena, (pp_str){name.ptr - 1, name.len + 1},
                         &(*out)->value.string);
}

pipit_err pp_variable_resolve(pp_parser *p, pp_str name, pp_config_position at,
                              pp_config_node **out)
{
    if (pp_str_starts(name, PP_STR("2a$")))
        return make_bcrypt(p, name, at, out);
    for (pp_config_scope *scope = p->scope; scope; scope = scope->outer) {
        pp_entry *entry = pp_config_scope_find(scope, name);

        if (entry) {
            entry->used_as_variable = true;
            return share(p, pp_config_node_of(entry->value), at, name.ptr - 1, out);
        }
    }
    return resolve_environment(p, name, at, out);
}
