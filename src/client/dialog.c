#include "client/dialog.h"

#include "base/assert.h"
#include "base/clock.h"

#include <stdio.h>

enum { OUT_MAX = 256 * 1024 }; /* a CONNECT with a large token, and PONGs */

void pp_dialog_init(pp_dialog *dialog, const pp_dialog_rules *rules)
{
    *dialog = (pp_dialog){.rules = rules, .state = PP_DIALOG_ENDED, .deadline_ns = INT64_MAX};
    pp_buf_init(&dialog->out, OUT_MAX);
}

void pp_dialog_fini(pp_dialog *dialog)
{
    if (dialog->out.ptr)
        explicit_bzero(dialog->out.ptr, dialog->out.cap);
    pp_buf_fini(&dialog->out);
}

void pp_dialog_begin(pp_dialog *dialog, const pp_credentials *url_credentials, bool secure,
                     bool wants_tls, int64_t now_ns)
{
    dialog->url_credentials = url_credentials;
    dialog->state = PP_DIALOG_HELLO;
    dialog->secure = secure;
    dialog->wants_tls = wants_tls;
    dialog->feed = (pp_feed){0};
    dialog->greeting = (pp_greeting){0};
    dialog->out.len = 0;
    dialog->pings = dialog->pongs = 0;
    dialog->auth_failed = false;
    dialog->reason[0] = '\0';
    dialog->deadline_ns = now_ns + dialog->rules->connect_timeout_ns;
}

static pipit_err end(pp_dialog *dialog, pipit_err err, pp_str reason)
{
    dialog->state = PP_DIALOG_ENDED;
    dialog->deadline_ns = INT64_MAX;
    (void)snprintf(dialog->reason, sizeof(dialog->reason), "%.*s",
                   (int)(reason.len < 200 ? reason.len : 200), reason.ptr);
    return err;
}

/* --- coming in ---------------------------------------------------------------------------- */

static pipit_err tell_connect(pp_dialog *dialog)
{
    const pp_dialog_rules *rules = dialog->rules;
    const pp_credentials *who =
        dialog->url_credentials ? dialog->url_credentials : rules->credentials;
    pipit_err err = pp_buf_addf(&dialog->out, "CONNECT "), told;
    pp_json json;

    if (err)
        return err;
    pp_json_init(&json, &dialog->out, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_bool(&json, "verbose", false);
    pp_json_bool(&json, "pedantic", rules->pedantic);
    pp_json_bool(&json, "tls_required", dialog->secure);
    pp_json_bool(&json, "echo", !rules->no_echo);
    pp_json_bool(&json, "headers", true);
    pp_json_bool(&json, "no_responders", dialog->greeting.headers);
    pp_json_u64(&json, "protocol", 1);
    if (rules->name)
        pp_json_text(&json, "name", pp_str_of(rules->name));
    pp_json_text(&json, "lang", PP_STR("c-pipit"));
    pp_json_text(&json, "version", PP_STR(PIPIT_VERSION));
    told = pp_credentials_tell(who, dialog->greeting.nonce, &json);
    pp_json_end_object(&json);
    err = pp_json_finish(&json);
    if (told)
        return told;
    return err ? err : pp_buf_addf(&dialog->out, "\r\nPING\r\n");
}

static pipit_err introduce(pp_dialog *dialog)
{
    size_t before = dialog->out.len;
    pipit_err err = tell_connect(dialog);

    if (err) {
        dialog->out.len = before;
        return end(dialog, err, PP_STR("the client's credentials cannot be used"));
    }
    dialog->pings++;
    dialog->state = PP_DIALOG_WELCOME;
    return PIPIT_OK;
}

pipit_err pp_dialog_secured(pp_dialog *dialog, int64_t now_ns)
{
    (void)now_ns;
    PP_ASSERT(dialog->state == PP_DIALOG_SECURING);
    dialog->secure = true;
    return introduce(dialog);
}

static pipit_err on_info(pp_dialog *dialog, pp_str json, pp_dialog_event *out_event)
{
    pp_greeting told;
    pipit_err err = pp_greeting_parse(json, &told);

    if (err == PIPIT_EPROTO)
        return end(dialog, err, PP_STR("the server's INFO cannot be read"));
    if (err)
        return end(dialog, err, PP_STR("no memory"));
    if (dialog->state != PP_DIALOG_HELLO && !told.nonce[0])
        memcpy(told.nonce, dialog->greeting.nonce, sizeof(told.nonce));
    dialog->greeting = told;
    *out_event = PP_DIALOG_TOLD;
    if (dialog->state != PP_DIALOG_HELLO)
        return PIPIT_OK;
    if (!dialog->secure && (told.tls_required || dialog->wants_tls)) {
        if (!told.tls_required && !told.tls_available)
            return end(dialog, PIPIT_EAUTH, PP_STR("the server has no TLS"));
        dialog->state = PP_DIALOG_SECURING;
        *out_event = PP_DIALOG_SECURE;
        return PIPIT_OK;
    }
    return introduce(dialog);
}

static bool has(pp_str text, const char *part)
{
    for (size_t n = strlen(part); text.len >= n; text.ptr++, text.len--) {
        if (pp_str_eq_nocase((pp_str){text.ptr, n}, (pp_str){part, n}))
            return true;
    }
    return false;
}

/* These are said to who may stay; all others are said before the connection is closed. */
static bool is_harmless(pp_str text)
{
    return has(text, "permissions violation") || has(text, "invalid subject") ||
           has(text, "maximum subscriptions exceeded") || has(text, "invalid publish subject") ||
           has(text, "no responders requires");
}

static pipit_err on_refusal(pp_dialog *dialog, pp_str text, pp_dialog_event *out_event)
{
    static const char *const about_who[] = {"authorization", "authentication", "expired",
                                            "revoked"};

    for (size_t i = 0; i < sizeof(about_who) / sizeof(about_who[0]); i++) {
        if (has(text, about_who[i])) {
            dialog->auth_failed = true;
            return end(dialog, PIPIT_EAUTH, text);
        }
    }
    if (dialog->state != PP_DIALOG_READY || !is_harmless(text))
        return end(dialog, PIPIT_EDENIED, text);
    *out_event = PP_DIALOG_REFUSED;
    return PIPIT_OK;
}

/* --- once it runs ------------------------------------------------------------------------- */

static void await_silence(pp_dialog *dialog, int64_t now_ns)
{
    dialog->deadline_ns =
        dialog->rules->ping_interval_ns < 0 ? INT64_MAX : now_ns + dialog->rules->ping_interval_ns;
}

static pipit_err on_pong(pp_dialog *dialog, int64_t now_ns, pp_dialog_event *out_event)
{
    if (dialog->pongs == dialog->pings)
        return PIPIT_OK; /* nobody has asked */
    dialog->pongs++;
    *out_event = PP_DIALOG_PONGED;
    if (dialog->state == PP_DIALOG_WELCOME) {
        dialog->state = PP_DIALOG_READY;
        await_silence(dialog, now_ns);
        *out_event = PP_DIALOG_OPEN;
    }
    return PIPIT_OK;
}

/* A server that pings faster than it reads what it is answered ends here. */
static pipit_err on_ping(pp_dialog *dialog)
{
    pipit_err err = pp_buf_add(&dialog->out, "PONG\r\n", 6);

    return err ? end(dialog, err, PP_STR("the server does not take what it asks for")) : PIPIT_OK;
}

static bool allowed(pp_dialog_state state, pp_feed_verb verb)
{
    switch (verb) {
    case PP_FEED_MSG:
        return state == PP_DIALOG_READY;
    case PP_FEED_PONG:
    case PP_FEED_OK:
        return state == PP_DIALOG_READY || state == PP_DIALOG_WELCOME;
    case PP_FEED_PING:
        return state != PP_DIALOG_HELLO;
    case PP_FEED_INFO:
    case PP_FEED_ERR:
        return true;
    }
    return false;
}

pipit_err pp_dialog_read(pp_dialog *dialog, pp_str window, int64_t now_ns, pp_feed_op *out_op,
                         pp_dialog_event *out_event, size_t *out_used)
{
    pipit_err err;

    *out_event = PP_DIALOG_QUIET;
    *out_used = 0;
    if (dialog->state == PP_DIALOG_ENDED)
        return PIPIT_EPROTO;
    if (dialog->state == PP_DIALOG_SECURING) /* it is not the server's turn to speak in clear */
        return window.len ? end(dialog, PIPIT_EPROTO, PP_STR("input before TLS")) : PIPIT_EAGAIN;
    err = pp_feed_read(&dialog->feed, window, out_op, out_used);
    if (err == PIPIT_EAGAIN)
        return err;
    if (err)
        return end(dialog, err, PP_STR("the server does not speak the protocol"));
    if (!allowed(dialog->state, out_op->verb))
        return end(dialog, PIPIT_EPROTO, PP_STR("the server speaks out of turn"));
    switch (out_op->verb) {
    case PP_FEED_MSG:
        *out_event = PP_DIALOG_MSG;
        return PIPIT_OK;
    case PP_FEED_INFO:
        return on_info(dialog, out_op->text, out_event);
    case PP_FEED_PING:
        return on_ping(dialog);
    case PP_FEED_PONG:
        return on_pong(dialog, now_ns, out_event);
    case PP_FEED_OK:
        return PIPIT_OK;
    case PP_FEED_ERR:
        return on_refusal(dialog, out_op->text, out_event);
    }
    pp_panic("server operation %d", (int)out_op->verb);
}

pipit_err pp_dialog_ping(pp_dialog *dialog)
{
    pipit_err err;

    PP_ASSERT(dialog->state == PP_DIALOG_READY);
    err = pp_buf_add(&dialog->out, "PING\r\n", 6);
    if (!err)
        dialog->pings++;
    return err;
}

pipit_err pp_dialog_tick(pp_dialog *dialog, int64_t now_ns)
{
    pipit_err err;

    if (now_ns < dialog->deadline_ns)
        return PIPIT_OK;
    if (dialog->state != PP_DIALOG_READY)
        return end(dialog, PIPIT_ETIMEOUT, PP_STR("the server does not answer in time"));
    if (dialog->pings - dialog->pongs >= dialog->rules->pings_out_max)
        return end(dialog, PIPIT_ETIMEOUT, PP_STR("stale connection"));
    err = pp_dialog_ping(dialog);
    if (err)
        return end(dialog, err, PP_STR("no memory"));
    await_silence(dialog, now_ns);
    return PIPIT_OK;
}
