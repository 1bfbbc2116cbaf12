/* What the claims of several types have in common. */
#include "auth/claims.h"

#include "core/subject.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

enum { ISSUE_MAX = 512 };

/* --- issues -------------------------------------------------------------------------------- */

void pp_claim_issues_init(pp_claim_issues *issues)
{
    *issues = (pp_claim_issues){0};
    pp_buf_init(&issues->text, PP_CLAIM_ISSUES_MAX);
}

void pp_claim_issues_fini(pp_claim_issues *issues)
{
    pp_buf_fini(&issues->text);
}

static void add(pp_claim_issues *issues, const char *format, va_list args)
{
    char line[ISSUE_MAX];

    (void)vsnprintf(line, sizeof(line), format, args);
    (void)pp_buf_addf(&issues->text, "%s%s", issues->text.len ? "\n" : "", line);
}

void pp_claim_error(pp_claim_issues *issues, const char *format, ...)
{
    va_list args;

    issues->errors++;
    va_start(args, format);
    add(issues, format, args);
    va_end(args);
}

void pp_claim_warning(pp_claim_issues *issues, const char *format, ...)
{
    va_list args;

    issues->warnings++;
    va_start(args, format);
    add(issues, format, args);
    va_end(args);
}

static void time_check(pp_claim_issues *issues, const char *text)
{
    issues->time_checks++;
    (void)pp_buf_addf(&issues->text, "%s%s", issues->text.len ? "\n" : "", text);
}

void pp_jwt_check_time(const pp_jwt *jwt, int64_t now_s, pp_claim_issues *issues)
{
    if (jwt->expires_s > 0 && now_s > jwt->expires_s)
        time_check(issues, "claim is expired");
    if (jwt->not_before_s > 0 && jwt->not_before_s > now_s)
        time_check(issues, "claim is not yet valid");
}

/* --- subjects ------------------------------------------------------------------------------ */

/* Stricter than nats-io/jwt, as strict as the server: what cannot be subscribed to or published
 * could not be matched. */
void pp_claim_subject_check(pp_str subject, pp_claim_issues *issues)
{
    if (!subject.len)
        pp_claim_error(issues, "subject cannot be empty");
    else if (memchr(subject.ptr, ' ', subject.len))
        pp_claim_error(issues, "subject \"%.*s\" cannot have spaces", PP_STR_ARGS(subject));
    else if (!pp_subject_valid(subject))
        pp_claim_error(issues, "subject \"%.*s\" is not valid", PP_STR_ARGS(subject));
}

/* --- permissions --------------------------------------------------------------------------- */

static void read_rules(pp_claim_reader *reader, const json_t *object, const char *name,
                       pp_claim_rules *out)
{
    const json_t *rules = pp_claim_object(reader, object, name);
    bool given = false;

    out->allow = pp_claim_texts(reader, rules, "allow", &given);
    out->deny = pp_claim_texts(reader, rules, "deny", NULL);
    out->allow_given = given;
}

void pp_claim_permissions_read(pp_claim_reader *reader, const json_t *object,
                               pp_claim_permissions *out)
{
    const json_t *responses;

    read_rules(reader, object, "pub", &out->publish);
    read_rules(reader, object, "sub", &out->subscribe);
    responses = pp_claim_object(reader, object, "resp");
    out->has_responses = responses != NULL;
    out->responses_max = pp_claim_int(reader, responses, "max", 0);
    out->responses_ttl_ns = pp_claim_int(reader, responses, "ttl", 0);
}

static void check_rule(pp_str rule, bool may_queue, pp_claim_issues *issues)
{
    const char *space = memchr(rule.ptr, ' ', rule.len);
    pp_str queue;

    if (!space) {
        pp_claim_subject_check(rule, issues);
        return;
    }
    queue = (pp_str){space + 1, rule.len - (size_t)(space - rule.ptr) - 1};
    if (memchr(queue.ptr, ' ', queue.len)) {
        pp_claim_error(issues, "Permission Subject \"%.*s\" contains too many spaces",
                       PP_STR_ARGS(rule));
        return;
    }
    pp_claim_subject_check((pp_str){rule.ptr, (size_t)(space - rule.ptr)}, issues);
    pp_claim_subject_check(queue, issues);
    if (!may_queue)
        pp_claim_error(issues, "Permission Subject \"%.*s\" is not allowed to contain queue",
                       PP_STR_ARGS(rule));
}

static void check_rules(const pp_claim_rules *rules, bool may_queue, pp_claim_issues *issues)
{
    for (size_t i = 0; i < rules->allow.count; i++)
        check_rule(rules->allow.items[i], may_queue, issues);
    for (size_t i = 0; i < rules->deny.count; i++)
        check_rule(rules->deny.items[i], may_queue, issues);
}

void pp_claim_permissions_check(const pp_claim_permissions *permissions, pp_claim_issues *issues)
{
    check_rules(&permissions->subscribe, true, issues);
    check_rules(&permissions->publish, false, issues);
}

static bool says_nothing(const pp_claim_rules *rules)
{
    return !rules->allow.count && !rules->deny.count;
}

bool pp_claim_permissions_empty(const pp_claim_permissions *permissions)
{
    return says_nothing(&permissions->publish) && says_nothing(&permissions->subscribe) &&
           !permissions->has_responses;
}

/* --- revocations --------------------------------------------------------------------------- */

void pp_claim_revocations_read(pp_claim_reader *reader, const json_t *object, const char *name,
                               pp_claim_revocations *out)
{
    const json_t *all = pp_claim_object(reader, object, name);
    size_t count = json_object_size(all);
    pp_claim_revocation *items = count ? pp_claim_alloc(reader, count, sizeof(*items)) : NULL;
    json_t *value;
    const char *key;

    *out = (pp_claim_revocations){0};
    if (!items)
        return;
    json_object_foreach((json_t *)all, key, value)
    {
        if (!json_is_integer(value)) {
            pp_claim_fail(reader, name);
            return;
        }
        items[out->count++] = (pp_claim_revocation){pp_str_of(key), json_integer_value(value)};
    }
    out->items = items;
}

bool pp_claim_revoked(const pp_claim_revocations *revocations, pp_str key, int64_t issued_s)
{
    if (!issued_s || !key.len)
        return true;
    for (size_t i = 0; i < revocations->count; i++) {
        const pp_claim_revocation *one = &revocations->items[i];

        if ((pp_str_eq(one->key, key) || pp_str_eq(one->key, PP_STR("*"))) &&
            one->before_s >= issued_s)
            return true;
    }
    return false;
}
