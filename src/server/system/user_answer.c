/* $SYS.REQ.USER.INFO: what the server knows of whoever asks.
 * Source: accounts and subjects, section 10. */
#include "base/clock.h"
#include "base/json.h"
#include "server/system/answer.h"

#include <stdio.h>

enum { TEXT_MAX = 4 * 1024 * 1024 };

static void put_rule(pp_json *json, const pp_permission_rule *rule)
{
    char text[1024];
    int len;

    if (!rule->queue.len) {
        pp_json_text(json, NULL, rule->subject);
        return;
    }
    len = snprintf(text, sizeof(text), "%.*s %.*s", PP_STR_ARGS(rule->subject),
                   PP_STR_ARGS(rule->queue));
    pp_json_text(json, NULL,
                 (pp_str){text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1});
}

static void put_list(pp_json *json, const char *key, const pp_permission_rule *rules, size_t count)
{
    if (!count)
        return;
    pp_json_begin_array(json, key);
    for (size_t i = 0; i < count; i++)
        put_rule(json, &rules[i]);
    pp_json_end_array(json);
}

static void put_rules(pp_json *json, const char *key, const pp_permission_rules *rules)
{
    if (!rules->allow_count && !rules->deny_count)
        return;
    pp_json_begin_object(json, key);
    put_list(json, "allow", rules->allow, rules->allow_count);
    put_list(json, "deny", rules->deny, rules->deny_count);
    pp_json_end_object(json);
}

static void put_responses(pp_json *json, const pp_permission_responses *responses)
{
    if (!responses)
        return;
    pp_json_begin_object(json, "responses");
    pp_json_i64(json, "max", responses->max);
    pp_json_i64(json, "ttl", responses->ttl_ns);
    pp_json_end_object(json);
}

/* Who came in by a token must not be shown it. */
static pp_str shown_user(const pp_user *user)
{
    if (!user)
        return PP_STR("");
    if (user->nkey)
        return pp_str_of(user->nkey);
    if (!*user->name && user->table && pp_users_token(user->table, PP_ENTRANCE_CLIENTS))
        return PP_STR("[REDACTED]");
    return pp_str_of(user->name);
}

/* How long it may stay, in ns. */
static void put_expiry(pp_json *json, int64_t expires_s)
{
    int64_t left_s = expires_s - pp_clock_wall_ns() / PP_NS_PER_S;

    left_s = left_s < 0 ? 0 : left_s;
    left_s = left_s < INT64_MAX / PP_NS_PER_S ? left_s : INT64_MAX / PP_NS_PER_S;
    pp_json_i64(json, "expires", left_s * PP_NS_PER_S);
}

static void put_user(pp_json *json, const pp_request *request)
{
    const char *account = pp_request_account(request)->name;
    const pp_permissions *permissions = NULL;

    if (request->user)
        permissions = request->user->scope.permissions;
    pp_json_begin_object(json, NULL);
    pp_json_text(json, "user", shown_user(request->user));
    pp_json_text(json, "account", pp_str_of(account));
    pp_json_text(json, "account_name", pp_str_of(account));
    if (request->user && request->user->nkey && *request->user->name)
        pp_json_text(json, "user_name", pp_str_of(request->user->name));
    if (permissions) {
        pp_json_begin_object(json, "permissions");
        put_rules(json, "publish", pp_permissions_publish(permissions));
        put_rules(json, "subscribe", pp_permissions_subscribe(permissions));
        put_responses(json, pp_permissions_responses(permissions));
        pp_json_end_object(json);
    }
    if (request->user && request->user->expires_s)
        put_expiry(json, request->user->expires_s);
    pp_json_end_object(json);
}

void pp_answer_user(pp_request *request)
{
    pp_json json;
    pp_buf text;

    pp_buf_init(&text, TEXT_MAX);
    pp_json_init(&json, &text, 0);
    put_user(&json, request);
    if (pp_json_finish(&json))
        pp_request_drop(request);
    else
        pp_request_answer(request, pp_buf_str(&text));
    pp_buf_fini(&text);
}

void pp_answer_nobody(pp_request *request)
{
    pp_request_answer(request, PP_STR("{\"user\":\"\",\"account\":\"\"}"));
}
