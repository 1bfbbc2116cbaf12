#include "client/own_request.h"

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

pipit_err pp_own_answer(const pipit_msg *answer)
{
    return answer->payload_bytes ? meaning((pp_str){answer->payload, answer->payload_bytes})
                                 : PIPIT_EPROTO;
}

pipit_err pp_own_request(pipit_client *client, const pipit_msg *request, int64_t timeout_ms,
                         void (*heard)(void *context, const pipit_msg *answer), void *context,
                         uint64_t *out_number)
{
    pipit_msg *reply;
    pp_str text;
    uint64_t number;
    pipit_err err = pp_client_ask(client, request, timeout_ms, heard, context, &reply);

    if (err)
        return err == PIPIT_ENOTFOUND ? PIPIT_EDENIED : err;
    text = (pp_str){reply->payload, reply->payload_bytes};
    if (out_number && text.len && pp_str_parse_u64(text, UINT64_MAX, &number))
        *out_number = number;
    else
        err = pp_own_answer(reply);
    if (!err && out_number && pp_str_eq(text, PP_STR("+OK")))
        err = PIPIT_EPROTO;
    pipit_msg_free(reply);
    return err;
}
