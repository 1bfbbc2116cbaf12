/* Frames in the very form in which clients of the original write them. */
#include "t2/data.h"
#include "t2/reader.h"

typedef struct cursor {
    const char *at, *end;
} cursor;

static inline bool take(cursor *c, pp_str text)
{
    if ((size_t)(c->end - c->at) < text.len || memcmp(c->at, text.ptr, text.len) != 0)
        return false;
    c->at += text.len;
    return true;
}

#define TAKE(c, literal) take(c, (pp_str){literal, sizeof(literal) - 1})

/* A number, or the head of a text or an array, in its shortest form; major is its upper bits. */
static bool take_head(cursor *c, unsigned major, uint32_t *out_value)
{
    const unsigned char *p = (const unsigned char *)c->at;
    size_t left = (size_t)(c->end - c->at);
    unsigned low;

    if (left == 0 || (*p & 0xe0u) != major)
        return false;
    low = *p & 0x1fu;
    if (low < 24) {
        *out_value = low;
        c->at += 1;
        return true;
    }
    if (low == 24 && left >= 2 && p[1] >= 24) {
        *out_value = p[1];
        c->at += 2;
        return true;
    }
    if (low == 25 && left >= 3 && p[1]) {
        *out_value = (uint32_t)p[1] << 8 | p[2];
        c->at += 3;
        return true;
    }
    if (low == 26 && left >= 5 && (p[1] || p[2])) {
        *out_value = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
        c->at += 5;
        return true;
    }
    return false;
}

enum { UINT = 0x00, TEXT = 0x60, ARRAY = 0x80 };

/* Only what can be a topic: other text must be looked at more closely. */
static bool take_topic(cursor *c, pp_str *out_topic)
{
    uint32_t len;

    if (!TAKE(c, "\x65topic") || !take_head(c, TEXT, &len) || len > (size_t)(c->end - c->at))
        return false;
    for (uint32_t i = 0; i < len; i++) {
        if ((unsigned char)c->at[i] >= 0x80)
            return false;
    }
    *out_topic = (pp_str){c->at, len};
    c->at += len;
    return true;
}

static bool take_payload(cursor *c, pp_t2_payload *out)
{
    const char *begin;
    uint32_t count;
    size_t len;

    if (!TAKE(c, "\x67payload"))
        return false;
    begin = c->at;
    if (!TAKE(c, "\xa2\x64"
                 "data") ||
        !take_head(c, ARRAY, &count) ||
        !pp_t2_data_check((pp_str){c->at, (size_t)(c->end - c->at)}, count, &len))
        return false;
    out->data = (pp_str){c->at, len};
    out->is_array = true;
    out->count = count;
    c->at += len;
    if (!TAKE(c, "\x6dis_compressed") || c->at == c->end)
        return false;
    out->is_compressed = *c->at == '\xf5';
    if (!out->is_compressed && *c->at != '\xf4')
        return false;
    c->at++;
    out->wire = (pp_str){begin, (size_t)(c->at - begin)};
    return true;
}

static bool take_response(cursor *c, pp_t2_message *m)
{
    if (!TAKE(c, "\xa3\x66req_id") || !take_head(c, UINT, &m->req_id) || !TAKE(c, "\x66status"))
        return false;
    m->timed_out = !TAKE(c, "\x62Ok");
    return (!m->timed_out || TAKE(c, "\x67Timeout")) && take_payload(c, &m->payload);
}

static bool take_content(cursor *c, pp_t2_message *m)
{
    static const struct {
        pp_str name;
        pp_t2_kind kind;
        bool whole; /* the name is all */
    } contents[] = {
        {{"\xa1\x63Pub\xa2", 6}, PP_T2_PUB, false}, {{"\x69KeepAlive", 10}, PP_T2_KEEP_ALIVE, true},
        {{"\xa1\x63Req\xa2", 6}, PP_T2_REQ, false}, {{"\xa1\x63Rsp", 5}, PP_T2_RSP, false},
        {{"\xa1\x63Sub\xa1", 6}, PP_T2_SUB, false}, {{"\xa1\x65Unsub\xa1", 8}, PP_T2_UNSUB, false},
        {{"\xa1\x63Srv\xa1", 6}, PP_T2_SRV, false}, {{"\xa1\x65Unsrv\xa1", 8}, PP_T2_UNSRV, false},
        {{"\x64Stop", 5}, PP_T2_STOP, true},
    };

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        if (!take(c, contents[i].name))
            continue;
        m->kind = contents[i].kind;
        if (contents[i].whole)
            return true;
        if (m->kind == PP_T2_RSP)
            return take_response(c, m);
        if (!take_topic(c, &m->topic))
            return false;
        return (m->kind != PP_T2_PUB && m->kind != PP_T2_REQ) || take_payload(c, &m->payload);
    }
    return false;
}

bool pp_t2_read_canonical(pp_str frame, pp_t2_message *out_message)
{
    cursor c = {frame.ptr, frame.ptr + frame.len};
    const char *begin;

    *out_message = (pp_t2_message){0};
    if (!TAKE(&c, "\xa2\x62id") || !take_head(&c, UINT, &out_message->id) ||
        !TAKE(&c, "\x67"
                  "content"))
        return false;
    begin = c.at;
    if (!take_content(&c, out_message) || c.at != c.end)
        return false;
    out_message->wire = (pp_str){begin, (size_t)(c.at - begin)};
    return true;
}
