/* What only pipit offers (server/own_requests.h): over memory by calls of the server, otherwise by
 * requests. */
#include "client/client.h"

#include "base/alloc.h"
#include "core/subject.h"

#include <string.h>

#define SUBJECT_HEADER "Pipit-Subject"

/* --- answers ------------------------------------------------------------------------------ */

static pipit_err meaning(pp_str text)
{
    static const pipit_err known[] = {PIPIT_EINUSE, PIPIT_EDENIED, PIPIT_EINVAL,
                                      PIPIT_ELIMIT, PIPIT_ENOMEM,  PIPIT_ETOOBIG};

    if (pp_str_eq(text, PP_STR("+OK")))
        return PIPIT_OK;
    if (!pp_str_starts(text, PP_STR("-ERR '")) || text.ptr[text.len - 1] != '\'')
        return PIPIT_EPROTO;
    text = (pp_str){text.ptr + 6, text.len - 7};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (pp_str_eq(text, pp_str_of(pipit_strerror(known[i]))))
            return known[i];
    }
    return PIPIT_EPROTO;
}

/* out_number NULL: none is expected. A server that does not know the request answers nothing. */
static pipit_err ask(pipit_client *client, const pipit_msg *request, int64_t timeout_ms,
                     uint64_t *out_number)
{
    pipit_msg *reply;
    pp_str text;
    uint64_t number;
    pipit_err err = pp_client_ask(client, request, timeout_ms, &reply);

    if (err)
        return err == PIPIT_ENOTFOUND ? PIPIT_EDENIED : err;
    text = (pp_str){reply->payload, reply->payload_bytes};
    if (out_number && text.len && pp_str_parse_u64(text, UINT64_MAX, &number))
        *out_number = number;
    else
        err = text.len ? meaning(text) : PIPIT_EPROTO;
    if (!err && out_number && pp_str_eq(text, PP_STR("+OK")))
        err = PIPIT_EPROTO;
    pipit_msg_free(reply);
    return err;
}

/* --- publishing to a pattern -------------------------------------------------------------- */

/* The block with the pattern in it. Errors: PIPIT_EINVAL the block is none. */
static pipit_err name_pattern(const pipit_msg *msg, pp_buf *block)
{
    pp_str first = PP_STR("NATS/1.0\r\n"), given = {msg->header, msg->header_bytes};
    pipit_err err;

    if (given.len && !pp_str_starts(given, first))
        return PIPIT_EINVAL;
    if (given.len)
        given = (pp_str){given.ptr + first.len, given.len - first.len};
    else
        given = PP_STR("\r\n");
    err = pp_buf_addf(block, "NATS/1.0\r\n" SUBJECT_HEADER ": %.*s\r\n", (int)msg->subject_bytes,
                      (const char *)msg->subject);
    return err ? err : pp_buf_add(block, given.ptr, given.len);
}

static pipit_err ask_to_match(pipit_client *client, const pipit_msg *msg, int64_t timeout_ms,
                              uint64_t *out_recipients)
{
    static const char subject[] = "$PIPIT.MATCH";
    pipit_msg request = *msg;
    pp_buf block;
    pipit_err err;

    pp_buf_init(&block, PP_CLIENT_SUBJECT_MAX + PP_FEED_DATA_MAX);
    err = name_pattern(msg, &block);
    request.subject = subject;
    request.subject_bytes = sizeof(subject) - 1;
    request.header = block.ptr;
    request.header_bytes = block.len;
    if (!err)
        err = ask(client, &request, timeout_ms, out_recipients);
    pp_buf_fini(&block);
    return err;
}

pipit_err pipit_client_publish_matching(pipit_client *client, const pipit_msg *msg,
                                        int64_t timeout_ms, uint64_t *out_recipients)
{
    pp_str pattern = {msg->subject, msg->subject_bytes};
    uint64_t recipients = 0;
    pipit_err err;

    if (!pp_client_pattern_valid(pattern) || msg->reply_bytes)
        return PIPIT_EINVAL;
    if (pattern.len > PP_CLIENT_SUBJECT_MAX)
        return PIPIT_ETOOBIG;
    if (client->server && atomic_load(&client->closing))
        return PIPIT_ECLOSED;
    err = client->server ? pp_lodger_publish_matching(client->lodger, msg, &recipients)
                         : ask_to_match(client, msg, timeout_ms, &recipients);
    if (!err && out_recipients)
        *out_recipients = recipients;
    return err;
}

/* --- claims ------------------------------------------------------------------------------- */

static pipit_err ask_about(pipit_client *client, pp_str verb, pp_str subject, int64_t timeout_ms)
{
    pipit_msg request = {0};
    char *text;
    pipit_err err;

    if (subject.len > PP_CLIENT_SUBJECT_MAX)
        return PIPIT_ETOOBIG;
    text = pp_alloc(verb.len + subject.len);
    if (!text)
        return PIPIT_ENOMEM;
    memcpy(text, verb.ptr, verb.len);
    memcpy(text + verb.len, subject.ptr, subject.len);
    request.subject = text;
    request.subject_bytes = verb.len + subject.len;
    err = ask(client, &request, timeout_ms, NULL);
    pp_free(text);
    return err;
}

static pipit_err check_claim(const pipit_client *client, pp_str subject)
{
    if (!pp_client_text_valid(subject))
        return PIPIT_EINVAL;
    return client->server && atomic_load((atomic_bool *)&client->closing) ? PIPIT_ECLOSED
                                                                          : PIPIT_OK;
}

pipit_err pipit_client_claim(pipit_client *client, const char *subject, int64_t timeout_ms)
{
    pp_str text = pp_str_of(subject);
    pipit_err err = check_claim(client, text);

    if (err)
        return err;
    return client->server ? pp_lodger_claim(client->lodger, text)
                          : ask_about(client, PP_STR("$PIPIT.CLAIM."), text, timeout_ms);
}

pipit_err pipit_client_release(pipit_client *client, const char *subject, int64_t timeout_ms)
{
    pp_str text = pp_str_of(subject);
    pipit_err err = check_claim(client, text);

    if (err)
        return err;
    if (!client->server)
        return ask_about(client, PP_STR("$PIPIT.RELEASE."), text, timeout_ms);
    pp_lodger_release(client->lodger, text);
    return PIPIT_OK;
}
