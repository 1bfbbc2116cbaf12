#include "t2/writer.h"

#include "t2/cbor.h"
#include "t2/data.h"

static char *put(char *at, pp_str text)
{
    if (text.len)
        memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static char *put_text(char *at, pp_str text)
{
    return put(at + pp_cbor_put_text_head(at, text.len), text);
}

#define PUT_TEXT(at, literal) put_text(at, PP_STR(literal))

static char *put_uint(char *at, uint64_t value)
{
    return at + pp_cbor_put_uint(at, value);
}

static char *put_bool(char *at, bool value)
{
    *at = value ? '\xf5' : '\xf4';
    return at + 1;
}

static char *put_null(char *at)
{
    *at = '\xf6';
    return at + 1;
}

static char *put_map(char *at, size_t count)
{
    return at + pp_cbor_put_map_head(at, count);
}

static char *put_payload(char *at, const pp_t2_payload *payload)
{
    if (payload->wire.len)
        return put(at, payload->wire);
    at = PUT_TEXT(put_map(at, 2), "data");
    at += pp_cbor_put_array_head(at, payload->is_array ? payload->count : payload->data.len);
    if (payload->is_array)
        at = put(at, payload->data);
    else
        at += pp_t2_data_encode(payload->data, at);
    return put_bool(PUT_TEXT(at, "is_compressed"), payload->is_compressed);
}

static char *put_error(char *at, const pp_t2_error *error)
{
    const pp_t2_error_form *form = &pp_t2_error_forms[error->code];

    if (error->code == PP_T2_NO_ERROR)
        return put_null(at);
    if (form->cargo == PP_T2_CARRIES_NOTHING)
        return put_text(at, form->name);
    at = put_text(put_map(at, 1), form->name);
    switch (form->cargo) {
    case PP_T2_CARRIES_NUMBER:
        return put_uint(at, error->number);
    case PP_T2_CARRIES_NUMBER_AND_TEXT:
        at += pp_cbor_put_array_head(at, 2);
        return put_text(put_uint(at, error->number), error->text);
    case PP_T2_CARRIES_TWO_TEXTS:
        at += pp_cbor_put_array_head(at, 2);
        return put_text(put_text(at, error->text), error->other);
    default:
        return put_text(at, error->text);
    }
}

static char *put_ack(char *at, const pp_t2_message *m)
{
    at = put_uint(PUT_TEXT(put_map(at, 3), "msg_id"), m->msg_id);
    at = put_error(PUT_TEXT(at, "err"), &m->error);
    at = PUT_TEXT(at, "num_recipients");
    return m->has_recipients ? put_uint(at, m->recipients) : put_null(at);
}

static char *put_response_head(char *at, uint32_t req_id, bool timed_out)
{
    at = put_uint(PUT_TEXT(put_map(at, 3), "req_id"), req_id);
    at = PUT_TEXT(at, "status");
    at = timed_out ? PUT_TEXT(at, "Timeout") : PUT_TEXT(at, "Ok");
    return PUT_TEXT(at, "payload");
}

static char *put_variant(char *at, const pp_t2_message *m)
{
    static const struct {
        pp_str name;
    } names[] = {
        [PP_T2_SUB] = {{"Sub", 3}},
        [PP_T2_UNSUB] = {{"Unsub", 5}},
        [PP_T2_PUB] = {{"Pub", 3}},
        [PP_T2_SRV] = {{"Srv", 3}},
        [PP_T2_UNSRV] = {{"Unsrv", 5}},
        [PP_T2_REQ] = {{"Req", 3}},
        [PP_T2_RSP] = {{"Rsp", 3}},
        [PP_T2_STOP] = {{"Stop", 4}},
        [PP_T2_KEEP_ALIVE] = {{"KeepAlive", 9}},
        [PP_T2_ACK] = {{"Ack", 3}},
    };
    bool payload = m->kind == PP_T2_PUB || m->kind == PP_T2_REQ;

    if (m->kind == PP_T2_STOP || m->kind == PP_T2_KEEP_ALIVE)
        return put_text(at, names[m->kind].name);
    at = put_text(put_map(at, 1), names[m->kind].name);
    if (m->kind == PP_T2_ACK)
        return put_ack(at, m);
    if (m->kind == PP_T2_RSP)
        return put_payload(put_response_head(at, m->req_id, m->timed_out), &m->payload);
    at = put_text(PUT_TEXT(put_map(at, payload ? 2 : 1), "topic"), m->topic);
    return payload ? put_payload(PUT_TEXT(at, "payload"), &m->payload) : at;
}

static void put_length(char *out, size_t len)
{
    for (int i = 0; i < PP_T2_LENGTH_BYTES; i++)
        out[i] = (char)(len >> (24 - 8 * i) & 0xff);
}

static char *put_head(char *out, uint32_t id)
{
    char *at = out + PP_T2_LENGTH_BYTES;

    at = put_uint(put(at, (pp_str){"\xa2\x62id", 4}), id);
    return put(at, (pp_str){"\x67"
                            "content",
                            8});
}

size_t pp_t2_write_head(char out[PP_T2_HEAD_MAX], uint32_t id, size_t content_bytes)
{
    size_t len = (size_t)(put_head(out, id) - out);

    put_length(out, len - PP_T2_LENGTH_BYTES + content_bytes);
    return len;
}

size_t pp_t2_write_ack(char out[PP_T2_BRIEF_MAX], uint32_t id, uint32_t msg_id)
{
    return pp_t2_write_counted_ack(out, id, msg_id, UINT64_MAX);
}

size_t pp_t2_write_counted_ack(char out[PP_T2_BRIEF_MAX], uint32_t id, uint32_t msg_id,
                               uint64_t recipients)
{
    char *at = put(put_head(out, id), (pp_str){"\xa1\x63"
                                               "Ack\xa3\x66msg_id",
                                               13});

    at = put(put_uint(at, msg_id), (pp_str){"\x63"
                                            "err\xf6\x6enum_recipients",
                                            20});
    at = recipients == UINT64_MAX ? put_null(at) : put_uint(at, recipients);
    put_length(out, (size_t)(at - out) - PP_T2_LENGTH_BYTES);
    return (size_t)(at - out);
}

size_t pp_t2_write_response_head(char out[PP_T2_BRIEF_MAX], uint32_t id, uint32_t req_id,
                                 bool timed_out, size_t payload_bytes)
{
    char *at = put_response_head(PUT_TEXT(put_map(put_head(out, id), 1), "Rsp"), req_id, timed_out);

    put_length(out, (size_t)(at - out) - PP_T2_LENGTH_BYTES + payload_bytes);
    return (size_t)(at - out);
}

size_t pp_t2_payload_max(const pp_t2_payload *payload)
{
    if (payload->wire.len)
        return payload->wire.len;
    return PP_T2_BRIEF_MAX + (payload->is_array ? 1 : 2) * payload->data.len;
}

size_t pp_t2_write_payload(const pp_t2_payload *payload, char *out)
{
    return (size_t)(put_payload(out, payload) - out);
}

size_t pp_t2_content_max(const pp_t2_message *m)
{
    if (m->wire.len)
        return m->wire.len;
    return PP_T2_BRIEF_MAX + m->topic.len + m->error.text.len + m->error.other.len +
           pp_t2_payload_max(&m->payload);
}

size_t pp_t2_write_content(const pp_t2_message *m, char *out)
{
    return (size_t)((m->wire.len ? put(out, m->wire) : put_variant(out, m)) - out);
}

size_t pp_t2_write_frame(const pp_t2_message *m, char *out)
{
    size_t head_len = (size_t)(put_head(out, m->id) - out);
    size_t len = head_len + pp_t2_write_content(m, out + head_len);

    put_length(out, len - PP_T2_LENGTH_BYTES);
    return len;
}
