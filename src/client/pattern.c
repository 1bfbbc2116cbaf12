/* Publishing to a pattern, which only pipit offers: over memory by a call of the server, otherwise
 * by a request. */
#include "client/own_request.h"

#include "base/alloc.h"
#include "core/subject.h"

#include <string.h>

#define SUBJECT_HEADER "Pipit-Subject"

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
        err = pp_own_request(client, &request, timeout_ms, NULL, NULL, out_recipients);
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
