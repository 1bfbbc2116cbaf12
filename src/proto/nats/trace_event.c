#include "proto/nats/trace_event.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proto/nats/trace_header.h"

#include <stdlib.h>

enum {
    TAIL_BYTES = 64, /* what close writes */
    KIND_CLIENT = 0,
};

/* --- entries that fit, whole, or are left out --------------------------------------------- */

/* The writer as it was before an entry. */
struct mark {
    pp_json json;
    size_t len;
};

static struct mark set_mark(const pp_trace_event *event)
{
    return (struct mark){event->json, event->text.len};
}

/* Keep what has been written since, if all of it was and max is not passed. */
static void settle(pp_trace_event *event, const struct mark *mark, size_t max)
{
    if (mark->json.err || (!event->json.err && event->text.len <= max))
        return;
    event->json = mark->json;
    event->text.len = mark->len;
    event->left_out++;
}

static void optional_text(pp_json *json, const char *key, pp_str value)
{
    if (value.len)
        pp_json_text(json, key, value);
}

/* --- the request -------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const pp_header_field *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = memcmp(x->name.ptr, y->name.ptr, len);

    if (!order)
        order = (x->name.len > y->name.len) - (x->name.len < y->name.len);
    if (!order) /* fields of one name in the order of the block */
        order = (x->name.ptr > y->name.ptr) - (x->name.ptr < y->name.ptr);
    return order;
}

/* All fields of one name; they stand together. Returns how many. */
static size_t write_values(pp_trace_event *event, const pp_header_field *fields, size_t count)
{
    struct mark mark = set_mark(event);
    size_t n = 0;

    pp_json_begin_array_at(&event->json, fields[0].name);
    while (n < count && pp_str_eq(fields[n].name, fields[0].name))
        pp_json_text(&event->json, NULL, fields[n++].value);
    pp_json_end_array(&event->json);
    settle(event, &mark, PP_TRACE_HEADER_MAX);
    return n;
}

static void write_header(pp_trace_event *event, pp_str block)
{
    pp_header_field field, *fields = pp_alloc(PP_TRACE_HEADER_FIELDS * sizeof(*fields));
    size_t at = 0, count = 0;

    while (pp_header_next(block, &at, &field)) {
        if (fields && count < PP_TRACE_HEADER_FIELDS)
            fields[count++] = field;
        else
            event->left_out++;
    }
    if (count) {
        qsort(fields, count, sizeof(*fields), by_name);
        pp_json_begin_object(&event->json, "header");
        for (size_t i = 0; i < count;)
            i += write_values(event, fields + i, count - i);
        pp_json_end_object(&event->json);
    }
    pp_free(fields);
}

/* --- the event ---------------------------------------------------------------------------- */

/* Source: accounts and subjects, section 8, "Common server object". */
static void write_server(pp_json *json, const pp_trace_server *server)
{
    pp_json_begin_object(json, "server");
    pp_json_text(json, "name", server->name);
    pp_json_text(json, "host", server->host);
    pp_json_text(json, "id", server->id);
    pp_json_text(json, "ver", server->version);
    pp_json_bool(json, "jetstream", false);
    pp_json_u64(json, "flags", 0);
    pp_json_u64(json, "seq", server->seq);
    pp_json_time(json, "time", pp_clock_wall_ns());
    pp_json_end_object(json);
}

static void begin_entry(pp_json *json, const char *type)
{
    pp_json_begin_object(json, NULL);
    pp_json_text(json, "type", pp_str_of(type));
    pp_json_time(json, "ts", pp_clock_wall_ns());
}

static void write_ingress(pp_json *json, const pp_trace_ingress *ingress)
{
    begin_entry(json, "in");
    pp_json_u64(json, "kind", KIND_CLIENT);
    pp_json_u64(json, "cid", ingress->cid);
    optional_text(json, "name", ingress->name);
    pp_json_text(json, "acc", ingress->account);
    pp_json_text(json, "subj", ingress->subject);
    optional_text(json, "error", ingress->error);
    pp_json_end_object(json);
}

void pp_trace_event_open(pp_trace_event *event, const pp_trace_server *server,
                         const pp_trace_ingress *ingress)
{
    pp_json *json = &event->json;

    event->left_out = 0;
    pp_buf_init(&event->text, PP_TRACE_EVENT_MAX - TAIL_BYTES);
    pp_json_init(json, &event->text, 0);
    pp_json_begin_object(json, NULL);
    write_server(json, server);
    pp_json_begin_object(json, "request");
    write_header(event, ingress->header);
    if (ingress->msg_bytes)
        pp_json_u64(json, "msgsize", ingress->msg_bytes);
    pp_json_end_object(json);
    pp_json_begin_array(json, "events");
    write_ingress(json, ingress);
}

void pp_trace_event_mapped(pp_trace_event *event, pp_str subject)
{
    struct mark mark = set_mark(event);

    begin_entry(&event->json, "sm");
    pp_json_text(&event->json, "to", subject);
    pp_json_end_object(&event->json);
    settle(event, &mark, SIZE_MAX);
}

static pp_str reason(pp_verdict verdict)
{
    switch (verdict) {
    case PP_VERDICT_DELIVERED:
        break;
    case PP_VERDICT_ECHO:
        return PP_STR("Not delivered because of no echo");
    case PP_VERDICT_FORBIDDEN:
        return PP_STR("Not delivered because subscription denies this subject");
    case PP_VERDICT_EXHAUSTED:
        return PP_STR("Not delivered because auto-unsubscribe exceeded");
    case PP_VERDICT_CLOSED:
        return PP_STR("Not delivered because client is closed");
    case PP_VERDICT_REFUSED:
        return PP_STR("Not delivered because fast producer not stalled and consumer is slow");
    }
    return (pp_str){NULL, 0};
}

void pp_trace_event_export(pp_trace_event *event, const char *account, pp_str to)
{
    struct mark mark = set_mark(event);

    begin_entry(&event->json, "se");
    pp_json_text(&event->json, "acc", pp_str_of(account));
    pp_json_text(&event->json, "to", to);
    pp_json_end_object(&event->json);
    settle(event, &mark, SIZE_MAX);
}

void pp_trace_event_request(pp_trace_event *event, const char *account, pp_str from, pp_str to)
{
    struct mark mark = set_mark(event);

    begin_entry(&event->json, "si");
    pp_json_text(&event->json, "acc", pp_str_of(account));
    pp_json_text(&event->json, "from", from);
    pp_json_text(&event->json, "to", to);
    pp_json_end_object(&event->json);
    settle(event, &mark, SIZE_MAX);
}

void pp_trace_event_recipient(pp_trace_event *event, const char *account, const pp_sub *sub,
                              pp_str pattern, pp_verdict verdict)
{
    struct mark mark = set_mark(event);
    pp_client_identity who = {0};
    pp_json *json = &event->json;

    if (sub->client->ops->identify)
        sub->client->ops->identify(sub->client, &who);
    begin_entry(json, "eg");
    pp_json_u64(json, "kind", KIND_CLIENT);
    pp_json_u64(json, "cid", who.id);
    optional_text(json, "name", who.name);
    optional_text(json, "acc", pp_str_of(account));
    optional_text(json, "sub", pattern);
    optional_text(json, "queue", pp_sub_queue(sub));
    optional_text(json, "error", reason(verdict));
    pp_json_end_object(json);
    settle(event, &mark, SIZE_MAX);
}

pipit_err pp_trace_event_close(pp_trace_event *event)
{
    pp_json *json = &event->json;

    event->text.max = PP_TRACE_EVENT_MAX;
    if (json->err)
        return PIPIT_ENOMEM; /* not even its beginning was written */
    pp_json_end_array(json);
    if (event->left_out)
        pp_json_u64(json, "left_out", event->left_out);
    pp_json_end_object(json);
    return pp_json_finish(json);
}

void pp_trace_event_fini(pp_trace_event *event)
{
    pp_buf_fini(&event->text);
}
