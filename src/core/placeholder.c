/* A function token is taken apart by its two outermost brackets, so that a delimiter may be a
 * bracket itself: {{split(1,))}}. */
#include "core/placeholder.h"

/* Indexes, and a number before them. */
enum { ARGUMENTS_MAX = PP_PLACEHOLDER_INDEXES_MAX + 1 };

struct call {
    pp_str name;
    size_t count;
    pp_str arguments[ARGUMENTS_MAX];
};

struct function {
    const char *name; /* an upper-case letter may also be written in lower case */
    pp_placeholder_kind kind;
    size_t arguments_min;
    size_t arguments_max;
};

static const struct function functions[] = {
    {"Wildcard", PP_PLACEHOLDER_WILDCARD, 1, 1},
    {"Partition", PP_PLACEHOLDER_PARTITION, 1, ARGUMENTS_MAX},
    {"Random", PP_PLACEHOLDER_RANDOM, 1, 1},
    {"SplitFromLeft", PP_PLACEHOLDER_SPLIT_FROM_LEFT, 2, 2},
    {"SplitFromRight", PP_PLACEHOLDER_SPLIT_FROM_RIGHT, 2, 2},
    {"SliceFromLeft", PP_PLACEHOLDER_SLICE_FROM_LEFT, 2, 2},
    {"SliceFromRight", PP_PLACEHOLDER_SLICE_FROM_RIGHT, 2, 2},
    {"Split", PP_PLACEHOLDER_SPLIT, 2, 2},
    {"Left", PP_PLACEHOLDER_LEFT, 2, 2},
    {"Right", PP_PLACEHOLDER_RIGHT, 2, 2},
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static void drop_blanks_before(pp_str *text)
{
    while (text->len && is_blank(text->ptr[0])) {
        text->ptr++;
        text->len--;
    }
}

static void drop_blanks_behind(pp_str *text)
{
    while (text->len && is_blank(text->ptr[text->len - 1]))
        text->len--;
}

/* Digits, with or without a sign. */
static bool parse_integer(pp_str text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = text.len && text.ptr[0] == '-';
    uint64_t magnitude;
    int64_t value;

    if (text.len && (negative || text.ptr[0] == '+'))
        text = (pp_str){text.ptr + 1, text.len - 1};
    if (!pp_str_parse_u64(text, INT64_MAX, &magnitude))
        return false;
    value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

/* The same with spaces around it, but no other blanks. */
static bool parse_argument(pp_str text, int64_t min, int64_t max, int64_t *out)
{
    while (text.len && text.ptr[0] == ' ')
        text = (pp_str){text.ptr + 1, text.len - 1};
    while (text.len && text.ptr[text.len - 1] == ' ')
        text.len--;
    return parse_integer(text, min, max, out);
}

/* Split "a, b,c" at its commas; blanks behind a comma belong to it. False: too many. */
static bool split_arguments(pp_str text, struct call *call)
{
    call->count = 0;
    if (text.len == 0)
        return true;
    for (;;) {
        const char *comma = memchr(text.ptr, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.ptr) : text.len;

        if (call->count == ARGUMENTS_MAX)
            return false;
        call->arguments[call->count++] = (pp_str){text.ptr, len};
        if (!comma)
            return true;
        text = (pp_str){comma + 1, text.len - len - 1};
        drop_blanks_before(&text);
        if (text.len == 0) { /* "a," has a second, empty argument */
            if (call->count == ARGUMENTS_MAX)
                return false;
            call->arguments[call->count++] = (pp_str){text.ptr, 0};
            return true;
        }
    }
}

/* Take "{{ name (arguments) }}" apart. False: it does not look so. */
static bool split_call(pp_str token, pp_str *out_name, pp_str *out_arguments)
{
    pp_str rest = {token.ptr + 2, token.len - 4};
    const char *bracket;

    drop_blanks_before(&rest);
    drop_blanks_behind(&rest);
    bracket = memchr(rest.ptr, '(', rest.len);
    if (!bracket || rest.ptr[rest.len - 1] != ')')
        return false;
    *out_name = (pp_str){rest.ptr, (size_t)(bracket - rest.ptr)};
    drop_blanks_behind(out_name);
    *out_arguments = (pp_str){bracket + 1, rest.len - (size_t)(bracket - rest.ptr) - 2};
    return true;
}

static bool is_named(const struct function *function, pp_str name)
{
    const char *want = function->name;

    if (strlen(want) != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        bool start = want[i] >= 'A' && want[i] <= 'Z';

        if (name.ptr[i] != want[i] && !(start && name.ptr[i] == want[i] + ('a' - 'A')))
            return false;
    }
    return true;
}

static const struct function *find_function(pp_str name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (is_named(&functions[i], name))
            return &functions[i];
    }
    return NULL;
}

static bool read_index(pp_placeholder *out, pp_str argument)
{
    int64_t *index = &out->indexes[out->index_count];

    if (!parse_argument(argument, INT64_MIN, INT64_MAX, index))
        return false;
    out->index_count++;
    return true;
}

static bool read_number(pp_placeholder *out, pp_str argument)
{
    int64_t number;

    if (!parse_argument(argument, INT32_MIN, INT32_MAX, &number))
        return false;
    out->number = (int32_t)number;
    return true;
}

static bool read_delimiter(pp_placeholder *out, pp_str argument)
{
    if (argument.len && memchr(argument.ptr, ' ', argument.len))
        return false;
    out->delimiter = argument;
    return true;
}

/* As many arguments as the function takes are there. */
static bool read_arguments(const struct call *call, pp_placeholder *out)
{
    switch (out->kind) {
    case PP_PLACEHOLDER_WILDCARD:
        return read_index(out, call->arguments[0]);
    case PP_PLACEHOLDER_SPLIT:
        return read_index(out, call->arguments[0]) && read_delimiter(out, call->arguments[1]);
    case PP_PLACEHOLDER_RANDOM:
    case PP_PLACEHOLDER_PARTITION:
        if (!read_number(out, call->arguments[0]))
            return false;
        for (size_t i = 1; i < call->count; i++) {
            if (!read_index(out, call->arguments[i]))
                return false;
        }
        return true;
    default:
        return read_index(out, call->arguments[0]) && read_number(out, call->arguments[1]);
    }
}

static pipit_err parse_function(pp_str token, pp_placeholder *out, const char **out_reason)
{
    const struct function *function;
    struct call call;
    pp_str arguments;
    bool few_enough;

    *out_reason = "unknown function";
    if (!split_call(token, &call.name, &arguments))
        return PIPIT_EINVAL;
    function = find_function(call.name);
    if (!function)
        return PIPIT_EINVAL;
    few_enough = split_arguments(arguments, &call);
    *out_reason = "too many arguments passed to the function";
    if (!few_enough || call.count > function->arguments_max)
        return function->kind == PP_PLACEHOLDER_PARTITION ? PIPIT_ELIMIT : PIPIT_EINVAL;
    *out_reason = "not enough arguments passed to the function";
    if (call.count < function->arguments_min)
        return PIPIT_EINVAL;
    *out_reason = "function argument is invalid or in the wrong format";
    out->kind = function->kind;
    return read_arguments(&call, out) ? PIPIT_OK : PIPIT_EINVAL;
}

pipit_err pp_placeholder_parse(pp_str token, pp_placeholder *out, const char **out_reason)
{
    out->kind = PP_PLACEHOLDER_NONE;
    out->number = 0;
    out->delimiter = (pp_str){NULL, 0};
    out->index_count = 0;
    if (pp_placeholder_is_function(token))
        return parse_function(token, out, out_reason);
    if (token.len > 1 && token.ptr[0] == '$' &&
        parse_integer((pp_str){token.ptr + 1, token.len - 1}, INT64_MIN, INT64_MAX,
                      &out->indexes[0])) {
        out->kind = PP_PLACEHOLDER_WILDCARD;
        out->index_count = 1;
    } /* other tokens with a dollar are names, such as $SYS */
    return PIPIT_OK;
}
