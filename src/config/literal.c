#include "config/literal.h"

#include "config/number.h"

static pipit_err make_string(pp_parser *p, const pp_scalar *scalar, pp_config_node *node)
{
    size_t len = scalar->escaped ? scalar->plain : scalar->text.len; /* to be copied as it is */
    pp_str rest = {scalar->text.ptr + len, scalar->text.len - len};
    void *memory;
    char *text;
    pipit_err err = pp_arena_take(&p->build->arena, scalar->text.len + 1, &memory);

    if (err)
        return err;
    text = memory;
    if (len)
        memcpy(text, scalar->text.ptr, len);
    len += pp_scalar_unescape(rest, text + len);
    text[len] = '\0';
    node->value.string = (pp_str){text, len};
    node->spread_bytes += (uint32_t)len;
    return PIPIT_OK;
}

/* The text is not shown: a password of digits may be meant. */
static pipit_err make_number(pp_parser *p, const pp_scalar *scalar, pp_config_node *node)
{
    pp_value *value = &node->value;
    const char *at = scalar->text.ptr;
    pipit_err err;

    if (scalar->kind == PP_SCALAR_INT) {
        err = pp_integer_parse(scalar->text, &value->integer);
        if (err == PIPIT_EINVAL)
            return pp_lexer_fail(&p->lexer, at, "expected integer, but its suffix is unknown");
        if (err)
            return pp_lexer_fail(&p->lexer, at, "integer is out of the range");
    } else if (scalar->kind == PP_SCALAR_FLOAT) {
        err = pp_real_parse(scalar->text, &value->real);
        if (err)
            return pp_lexer_fail(&p->lexer, at, "float is out of the range");
    } else {
        err = pp_date_parse(scalar->text, &value->date_s);
        if (err)
            return pp_lexer_fail(&p->lexer, at, "no such date: expected Zulu formatted DateTime");
    }
    node->spread_bytes += (uint32_t)scalar->text.len;
    return pp_arena_copy(&p->build->arena, scalar->text, &value->text);
}

pipit_err pp_literal_make(pp_parser *p, const pp_scalar *scalar, pp_config_position at,
                          pp_config_node **out)
{
    static const pp_value_kind kinds[] = {
        [PP_SCALAR_STRING] = PP_VALUE_STRING, [PP_SCALAR_INT] = PP_VALUE_INT,
        [PP_SCALAR_FLOAT] = PP_VALUE_FLOAT,   [PP_SCALAR_BOOL] = PP_VALUE_BOOL,
        [PP_SCALAR_DATE] = PP_VALUE_DATE,
    };
    pipit_err err = pp_config_node_new(&p->build->arena, kinds[scalar->kind], at, out);

    if (err)
        return err;
    if (scalar->kind == PP_SCALAR_STRING)
        return make_string(p, scalar, *out);
    if (scalar->kind != PP_SCALAR_BOOL)
        return make_number(p, scalar, *out);
    (*out)->value.boolean =
        strchr("tTyY", scalar->text.ptr[0]) != NULL || pp_str_eq_nocase(scalar->text, PP_STR("on"));
    return PIPIT_OK;
}
