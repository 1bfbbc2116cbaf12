#include "server/callout/complaint.h"

#include "auth/user.h"
#include "base/clock.h"
#include "base/json.h"
#include "server/monitor/vitals.h"
#include "server/server.h"
#include "server/system/identity.h"
#include "server/system/publish.h"

#define SUBJECT "$SYS.ACCOUNT.CLIENT.AUTH.ERR"

enum { TEXT_MAX = 1024 * 1024 };

static void put_text(pp_json *json, const char *key, pp_str text)
{
    if (text.len)
        pp_json_text(json, key, text);
}

/* As it has called itself, as far as that is no secret: what is no key may be the seed of one. */
static pp_str shown_user(const pp_complaint *complaint)
{
    const pp_login_shown *shown = complaint->shown;

    if (shown->nkey.len)
        return shown->nkey.ptr[0] == 'U' ? shown->nkey : PP_STR("[REDACTED]");
    if (shown->user.len)
        return shown->user;
    if (complaint->user_key.len)
        return complaint->user_key;
    return shown->token.len ? PP_STR("[REDACTED]") : PP_STR("");
}

static void put_client(pp_json *json, const pp_system *system, const pp_complaint *complaint)
{
    const pp_login_shown *shown = complaint->shown;
    bool by_websocket = shown->connection_type == PP_USER_WEBSOCKET;

    pp_json_begin_object(json, "client");
    pp_json_time(json, "start", pp_vitals_wall_ns(system->server, shown->start_ns));
    pp_json_text(json, "host", shown->host);
    pp_json_u64(json, "id", shown->connection_id);
    pp_json_text(json, "acc", pp_str_of(complaint->account->name));
    put_text(json, "user", shown_user(complaint));
    put_text(json, "name", shown->name);
    put_text(json, "lang", shown->lang);
    put_text(json, "ver", shown->version);
    pp_json_time(json, "stop", pp_clock_wall_ns());
    /* Whoever shows no token is at home nowhere yet, which is called so. */
    pp_json_text(json, "name_tag",
                 complaint->user_key.len ? pp_account_title(complaint->account) : PP_STR("$G"));
    pp_json_text(json, "kind", PP_STR("Client"));
    pp_json_text(json, "client_type", by_websocket ? PP_STR("websocket") : PP_STR("nats"));
    pp_json_end_object(json);
}

static void put_nothing(pp_json *json, const char *key)
{
    pp_json_begin_object(json, key);
    pp_json_u64(json, "msgs", 0);
    pp_json_u64(json, "bytes", 0);
    pp_json_end_object(json);
}

void pp_complaint_tell(pp_system *system, const pp_complaint *complaint)
{
    pp_audience audience;
    pp_json json;
    pp_buf text;

    if (!atomic_load(&system->account) ||
        !pp_audience_find(system, complaint->account, PP_STR(SUBJECT), &audience))
        return;
    pp_buf_init(&text, TEXT_MAX);
    pp_json_init(&json, &text, 0);
    pp_advisory_begin(system, &json, "io.nats.server.advisory.v1.client_disconnect");
    put_client(&json, system, complaint);
    put_nothing(&json, "sent");
    put_nothing(&json, "received");
    pp_json_text(&json, "reason", complaint->reason);
    pp_json_end_object(&json);
    if (!pp_json_finish(&json))
        (void)pp_audience_tell(system, &audience, PP_STR(SUBJECT), pp_buf_str(&text), 0);
    pp_buf_fini(&text);
}
