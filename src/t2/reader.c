#include "t2/reader.h"

#include "t2/cbor.h"
#include "t2/data.h"

enum {
    KEY_MAX = 4096, /* bytes of a key; the original refuses longer ones, known or not */
    NOT_KNOWN = -1,
};

void pp_t2_reader_fini(pp_t2_reader *reader)
{
    pp_buf_fini(&reader->topic);
    pp_buf_fini(&reader->texts);
    pp_buf_fini(&reader->data);
}

/* --- the shapes of the original's types --------------------------------------------------- */

/* The fields of a struct: each is read into target. */
typedef struct field {
    const char *name;
    pipit_err (*read)(pp_t2_reader *r, pp_str *rest, void *target);
    size_t at; /* in target */
    bool optional;
} field;

static int find_field(const field *fields, size_t count, pp_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (pp_str_eq(pp_str_of(fields[i].name), name))
            return (int)i;
    }
    return NOT_KNOWN;
}

/* The key that item is; it may be text or bytes, in one piece. */
static pipit_err key_of(const pp_cbor_item *item, pp_str *out_key)
{
    if ((item->kind != PP_CBOR_TEXT && item->kind != PP_CBOR_BYTES) || item->text.len > KEY_MAX)
        return PIPIT_EPROTO;
    if (item->kind == PP_CBOR_TEXT && !pp_cbor_is_utf8(item->text))
        return PIPIT_EPROTO;
    *out_key = item->text;
    return PIPIT_OK;
}

static pipit_err skip_value(pp_str *rest)
{
    pp_cbor_item item;
    pipit_err err = pp_cbor_next(rest, &item);

    return err ? err : pp_cbor_skip(rest, &item);
}

/* One field, whose key has been taken. */
static pipit_err read_field(pp_t2_reader *r, pp_str *rest, const field *fields, size_t count,
                            pp_str key, void *target, unsigned *seen)
{
    int at = find_field(fields, count, key);

    if (at == NOT_KNOWN)
        return skip_value(rest);
    if (*seen & 1u << at)
        return PIPIT_EPROTO;
    *seen |= 1u << at;
    return fields[at].read(r, rest, (char *)target + fields[at].at);
}

static pipit_err read_struct(pp_t2_reader *r, pp_str *rest, const field *fields, size_t count,
                             void *target)
{
    pp_cbor_item head, item;
    unsigned seen = 0;
    pipit_err err = pp_cbor_next(rest, &head);

    if (err || (head.kind != PP_CBOR_MAP && head.kind != PP_CBOR_OPEN_MAP))
        return PIPIT_EPROTO;
    for (uint64_t i = 0; head.kind == PP_CBOR_OPEN_MAP || i < head.value; i++) {
        pp_str key;

        err = pp_cbor_next(rest, &item);
        if (!err && head.kind == PP_CBOR_OPEN_MAP && item.kind == PP_CBOR_BREAK)
            break;
        if (!err)
            err = key_of(&item, &key);
        if (!err)
            err = read_field(r, rest, fields, count, key, target, &seen);
        if (err)
            return err;
    }
    for (size_t i = 0; i < count; i++) {
        if (!(seen & 1u << i) && !fields[i].optional)
            return PIPIT_EPROTO;
    }
    return PIPIT_OK;
}

#define READ_STRUCT(r, rest, fields, target)                                                       \
    read_struct(r, rest, fields, sizeof(fields) / sizeof((fields)[0]), target)

/* The name of an enum's variant, and whether a value follows it, in a map of one pair. */
static pipit_err read_variant(pp_str *rest, pp_str *out_name, bool *out_has_value)
{
    pp_cbor_item item;
    pipit_err err = pp_cbor_next(rest, &item);

    if (err)
        return err;
    *out_has_value = item.kind == PP_CBOR_MAP;
    if (item.kind == PP_CBOR_MAP) {
        if (item.value != 1)
            return PIPIT_EPROTO;
        err = pp_cbor_next(rest, &item);
    }
    return err ? err : key_of(&item, out_name);
}

/* The value of a variant that has none, where one stands nevertheless. */
static pipit_err read_nothing(pp_str *rest, bool has_value)
{
    pp_cbor_item item;

    if (!has_value)
        return PIPIT_OK;
    if (pp_cbor_next(rest, &item))
        return PIPIT_EPROTO;
    return item.kind == PP_CBOR_NULL || (item.kind == PP_CBOR_MAP && item.value == 0)
               ? PIPIT_OK
               : PIPIT_EPROTO;
}

/* --- values ------------------------------------------------------------------------------- */

static pipit_err read_u32(pp_t2_reader *r, pp_str *rest, void *target)
{
    uint64_t value;
    pipit_err err = pp_cbor_uint(rest, UINT32_MAX, &value);

    (void)r;
    if (!err)
        *(uint32_t *)target = (uint32_t)value;
    return err;
}

static pipit_err read_bool(pp_t2_reader *r, pp_str *rest, void *target)
{
    pp_cbor_item item;

    (void)r;
    if (pp_cbor_next(rest, &item) || item.kind != PP_CBOR_BOOL)
        return PIPIT_EPROTO;
    *(bool *)target = item.value != 0;
    return PIPIT_OK;
}

static pipit_err read_text_into(pp_str *rest, pp_buf *scratch, pp_str *target)
{
    pp_cbor_item item;
    pipit_err err = pp_cbor_next(rest, &item);

    return err ? err : pp_cbor_string(rest, &item, true, scratch, target);
}

static pipit_err read_topic(pp_t2_reader *r, pp_str *rest, void *target)
{
    return read_text_into(rest, &r->topic, target);
}

/* The elements of an array, up to its end. */
static pipit_err read_elements(pp_str *rest, const pp_cbor_item *head, pp_buf *scratch)
{
    for (uint64_t i = 0; head->kind == PP_CBOR_OPEN_ARRAY || i < head->value; i++) {
        pp_str before = *rest;
        uint64_t value;
        char byte;
        pipit_err err;

        if (rest->len == 0)
            return PIPIT_EPROTO;
        if (head->kind == PP_CBOR_OPEN_ARRAY && (unsigned char)before.ptr[0] == 0xff) {
            rest->ptr++;
            rest->len--;
            break;
        }
        err = pp_cbor_uint(rest, UINT8_MAX, &value);
        byte = (char)value;
        if (!err)
            err = pp_buf_add(scratch, &byte, 1);
        if (err)
            return err;
    }
    return PIPIT_OK;
}

static pipit_err read_data(pp_t2_reader *r, pp_str *rest, void *target)
{
    pp_t2_payload *payload = target;
    pp_cbor_item item;
    pipit_err err = pp_cbor_next(rest, &item);
    size_t len;

    payload->is_array = false;
    if (err)
        return err;
    if (item.kind == PP_CBOR_ARRAY && item.value <= UINT32_MAX &&
        pp_t2_data_check(*rest, item.value, &len)) {
        payload->data = (pp_str){rest->ptr, len};
        payload->is_array = true;
        payload->count = (uint32_t)item.value;
        rest->ptr += len;
        rest->len -= len;
        return PIPIT_OK;
    }
    if (item.kind != PP_CBOR_ARRAY && item.kind != PP_CBOR_OPEN_ARRAY)
        return pp_cbor_string(rest, &item, false, &r->data, &payload->data);
    err = read_elements(rest, &item, &r->data);
    payload->data = pp_buf_str(&r->data);
    return err;
}

static pipit_err read_payload(pp_t2_reader *r, pp_str *rest, void *target)
{
    static const field fields[] = {
        {"data", read_data, 0, false}, /* of the whole payload */
        {"is_compressed", read_bool, offsetof(pp_t2_payload, is_compressed), false},
    };

    return READ_STRUCT(r, rest, fields, target);
}

static pipit_err read_status(pp_t2_reader *r, pp_str *rest, void *target)
{
    pp_str name;
    bool has_value;
    pipit_err err = read_variant(rest, &name, &has_value);

    (void)r;
    if (err)
        return err;
    *(bool *)target = pp_str_eq(name, PP_STR("Timeout"));
    if (!*(bool *)target && !pp_str_eq(name, PP_STR("Ok")))
        return PIPIT_EPROTO;
    return read_nothing(rest, has_value);
}

/* Does null stand there? Then it is taken. */
static bool take_null(pp_str *rest)
{
    pp_str ahead = *rest;
    pp_cbor_item item;

    if (pp_cbor_next(&ahead, &item) || item.kind != PP_CBOR_NULL)
        return false;
    *rest = ahead;
    return true;
}

/* An array of two: [number, text], [text, text]. */
static pipit_err read_pair(pp_t2_reader *r, pp_str *rest, pp_t2_cargo cargo, pp_t2_error *error)
{
    pp_cbor_item item;
    pipit_err err = pp_cbor_next(rest, &item);

    if (err || (item.kind != PP_CBOR_OPEN_ARRAY && (item.kind != PP_CBOR_ARRAY || item.value != 2)))
        return PIPIT_EPROTO;
    if (cargo == PP_T2_CARRIES_NUMBER_AND_TEXT) {
        err = read_u32(r, rest, &error->number);
        if (!err)
            err = read_text_into(rest, &r->texts, &error->text);
    } else {
        err = read_text_into(rest, &r->texts, &error->text);
        if (!err)
            err = read_text_into(rest, &r->topic, &error->other);
    }
    if (!err && item.kind == PP_CBOR_OPEN_ARRAY &&
        (pp_cbor_next(rest, &item) || item.kind != PP_CBOR_BREAK))
        err = PIPIT_EPROTO;
    return err;
}

static pipit_err read_error(pp_t2_reader *r, pp_str *rest, void *target)
{
    pp_t2_error *error = target;
    const pp_t2_error_form *form = pp_t2_error_forms;
    pp_str name;
    bool has_value;
    pipit_err err;

    if (take_null(rest))
        return PIPIT_OK;
    err = read_variant(rest, &name, &has_value);
    if (err)
        return err;
    for (error->code = 1; error->code < PP_T2_ERROR_COUNT; error->code++) {
        form = &pp_t2_error_forms[error->code];
        if (pp_str_eq(form->name, name))
            break;
    }
    if (error->code == PP_T2_ERROR_COUNT)
        return PIPIT_EPROTO;
    if (form->cargo == PP_T2_CARRIES_NOTHING)
        return read_nothing(rest, has_value);
    if (!has_value)
        return PIPIT_EPROTO;
    if (form->cargo == PP_T2_CARRIES_TEXT)
        return read_text_into(rest, &r->texts, &error->text);
    if (form->cargo == PP_T2_CARRIES_NUMBER)
        return read_u32(r, rest, &error->number);
    return read_pair(r, rest, form->cargo, error);
}

static pipit_err read_recipients(pp_t2_reader *r, pp_str *rest, void *target)
{
    pp_t2_message *m = target;

    (void)r;
    m->has_recipients = !take_null(rest);
    return m->has_recipients ? pp_cbor_uint(rest, UINT64_MAX, &m->recipients) : PIPIT_OK;
}

/* --- messages ----------------------------------------------------------------------------- */

#define AT(member) offsetof(pp_t2_message, member)

static const field topic_only[] = {{"topic", read_topic, AT(topic), false}};
static const field with_payload[] = {
    {"topic", read_topic, AT(topic), false},
    {"payload", read_payload, AT(payload), false},
};
static const field response[] = {
    {"req_id", read_u32, AT(req_id), false},
    {"status", read_status, AT(timed_out), false},
    {"payload", read_payload, AT(payload), false},
};
static const field ack[] = {
    {"msg_id", read_u32, AT(msg_id), false},
    {"err", read_error, AT(error), true},
    {"num_recipients", read_recipients, 0, true},
};

#define FIELDS(fields) fields, sizeof(fields) / sizeof((fields)[0])

static const struct variant {
    const char *name;
    pp_t2_kind kind;
    const field *fields;
    size_t field_count;
} variants[] = {
    {"Sub", PP_T2_SUB, FIELDS(topic_only)},
    {"Unsub", PP_T2_UNSUB, FIELDS(topic_only)},
    {"Pub", PP_T2_PUB, FIELDS(with_payload)},
    {"Srv", PP_T2_SRV, FIELDS(topic_only)},
    {"Unsrv", PP_T2_UNSRV, FIELDS(topic_only)},
    {"Req", PP_T2_REQ, FIELDS(with_payload)},
    {"Rsp", PP_T2_RSP, FIELDS(response)},
    {"Ack", PP_T2_ACK, FIELDS(ack)},
    {"Stop", PP_T2_STOP, NULL, 0},
    {"KeepAlive", PP_T2_KEEP_ALIVE, NULL, 0},
};

static pipit_err read_content(pp_t2_reader *r, pp_str *rest, void *target)
{
    pp_t2_message *m = target;
    pp_str name;
    bool has_value;
    pipit_err err = read_variant(rest, &name, &has_value);

    if (err)
        return err;
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
        const struct variant *variant = &variants[i];

        if (!pp_str_eq(name, pp_str_of(variant->name)))
            continue;
        m->kind = variant->kind;
        if (!variant->fields)
            return read_nothing(rest, has_value);
        return has_value ? read_struct(r, rest, variant->fields, variant->field_count, m)
                         : PIPIT_EPROTO;
    }
    return PIPIT_EPROTO;
}

/* Room for what one frame can hold. What a large one has taken is given back. */
static void begin_scratch(pp_buf *buf)
{
    enum { KEPT_MAX = 64 * 1024 };

    if (buf->cap > KEPT_MAX)
        pp_buf_fini(buf);
    buf->len = 0;
    buf->max = PP_T2_FRAME_MAX;
}

pipit_err pp_t2_read_items(pp_t2_reader *reader, pp_str frame, pp_t2_message *out_message)
{
    static const field fields[] = {
        {"id", read_u32, AT(id), false},
        {"content", read_content, 0, false},
    };

    begin_scratch(&reader->topic);
    begin_scratch(&reader->texts);
    begin_scratch(&reader->data);
    *out_message = (pp_t2_message){0};
    return READ_STRUCT(reader, &frame, fields, out_message);
}

pipit_err pp_t2_read(pp_t2_reader *reader, pp_str window, size_t frame_max,
                     pp_t2_message *out_message, size_t *out_used)
{
    const unsigned char *head = (const unsigned char *)window.ptr;
    size_t len;
    pp_str frame;

    *out_used = 0;
    if (window.len < PP_T2_LENGTH_BYTES)
        return PIPIT_EAGAIN;
    len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len > frame_max)
        return PIPIT_ETOOBIG;
    *out_used = PP_T2_LENGTH_BYTES + len;
    if (window.len < *out_used)
        return PIPIT_EAGAIN;
    frame = (pp_str){window.ptr + PP_T2_LENGTH_BYTES, len};
    if (pp_t2_read_canonical(frame, out_message))
        return PIPIT_OK;
    return pp_t2_read_items(reader, frame, out_message);
}
