/* Permissions of users: for each direction what is allowed and what is denied.
 *
 * Source: NATS configuration, section 3.2. As in nats-server 2.15 a list that is empty is no
 * restriction, whether of publish itself or of allow: observed, and relied on by its users. */
#include "config/reader.h"

#include "core/subject.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A subject as clients can name it: with no blank in it. */
static bool is_subject(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (is_blank(text.ptr[i]) || text.ptr[i] == '\0')
            return false;
    }
    return pp_subject_valid(text);
}

static pp_str take_word(pp_str *rest)
{
    pp_str word;

    while (rest->len && is_blank(rest->ptr[0])) {
        rest->ptr++;
        rest->len--;
    }
    word = (pp_str){rest->ptr, 0};
    while (rest->len && !is_blank(rest->ptr[0])) {
        rest->ptr++;
        rest->len--;
        word.len++;
    }
    return word;
}

static pp_str keep(pp_reader *reader, pp_str text)
{
    char *copy = pp_reader_take(reader, text.len + 1, 1);

    if (!copy)
        return (pp_str){0};
    memcpy(copy, text.ptr, text.len);
    return (pp_str){copy, text.len};
}

/* "subject", or where that may be "subject queue". */
static void read_rule(pp_reader *reader, const pp_value *value, pp_rule_option *rule)
{
    pp_str rest = value->string, subject = take_word(&rest), queue = take_word(&rest);

    if (!queue.len || !reader->queues || take_word(&rest).len) {
        subject = value->string; /* blanks in it and around it are wrong, then */
        queue = (pp_str){0};
    }
    if (!is_subject(subject))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "subject \"%.200s\" is not a valid subject",
                             pp_reader_show_text(value));
    else if (queue.len && !is_subject(queue))
        pp_diagnostics_error(reader->diagnostics, value->at, "queue \"%.*s\" is not a valid queue",
                             (int)queue.len % 200, queue.ptr);
    rule->subject = keep(reader, subject);
    if (queue.len)
        rule->queue = keep(reader, queue);
}

/* False: it is refused. */
static bool read_list(pp_reader *reader, const pp_key *key, const pp_value *value,
                      const pp_rule_option **out_rules, size_t *out_count)
{
    const pp_value *const *items;
    pp_rule_option *list;
    size_t count;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return false;
    list = pp_reader_take(reader, count, sizeof(*list));
    for (size_t i = 0; list && i < count; i++)
        read_rule(reader, items ? items[i] : value, &list[i]);
    *out_rules = list;
    *out_count = list ? count : 0;
    return list != NULL;
}

void pp_read_allow(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_rules_option *direction = base;

    if (read_list(reader, key, value, &direction->allow, &direction->allow_count))
        direction->has_allow = direction->allow_count > 0;
}

void pp_read_deny(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_rules_option *direction = base;

    (void)read_list(reader, key, value, &direction->deny, &direction->deny_count);
}

/* publish and subscribe; base is pp_permission_options. */
void pp_read_rules(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_rules_option *direction = (void *)((char *)base + key->offset);

    *direction = (pp_rules_option){0};
    reader->queues = key->offset == offsetof(pp_permission_options, subscribe);
    if (value->kind == PP_VALUE_MAP)
        pp_read_block(reader, key, value, direction);
    else if (value->kind == PP_VALUE_STRING || value->kind == PP_VALUE_ARRAY)
        pp_read_allow(reader, key, value, direction);
    else
        pp_reader_wrong_kind(reader, key, value, "a subject, an array of subjects or a map");
}

/* true, or how often and for how long; base is pp_permission_options. */
void pp_read_responses(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_responses_option *responses = &((pp_permission_options *)base)->responses;

    *responses = (pp_responses_option){0};
    if (value->kind == PP_VALUE_BOOL) {
        responses->allowed = value->boolean;
    } else if (value->kind == PP_VALUE_MAP) {
        responses->allowed = true;
        pp_read_block(reader, key, value, responses);
    } else {
        pp_reader_wrong_kind(reader, key, value, "a switch or a map");
    }
}

/* Of a user; base is pp_user_options. An empty map is permissions, too: those to do anything. */
void pp_read_permissions(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_permission_options *permissions;
    const pp_permission_options **field = (void *)((char *)base + key->offset);

    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map");
        return;
    }
    permissions = pp_reader_take(reader, 1, sizeof(*permissions));
    if (!permissions)
        return;
    *field = permissions;
    pp_read_block(reader, key, value, permissions);
}
