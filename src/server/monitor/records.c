#include "server/monitor/records.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "core/sublist.h"
#include "server/side_door.h"

enum { BLOCK_BYTES = 64 * 1024 };

struct pp_records_block {
    struct pp_records_block *next;
    size_t used, cap;
    _Alignas(8) char bytes[];
};

static size_t round_up(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

void pp_records_init(pp_records *records, size_t bytes_max)
{
    *records = (pp_records){.bytes_max = bytes_max};
}

void pp_records_fini(pp_records *records)
{
    while (records->first) {
        struct pp_records_block *block = records->first;

        records->first = block->next;
        pp_free(block);
    }
    *records = (pp_records){0};
}

static struct pp_records_block *add_block(pp_records *records, size_t bytes)
{
    size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct pp_records_block *block = pp_alloc(sizeof(*block) + cap);

    if (!block)
        return NULL;
    block->next = NULL;
    block->used = 0;
    block->cap = cap;
    if (records->last)
        records->last->next = block;
    else
        records->first = block;
    records->last = block;
    return block;
}

void *pp_records_add(pp_records *records, size_t bytes)
{
    struct pp_records_block *block = records->last;
    uint32_t *record;

    bytes = round_up(bytes);
    if (records->err)
        return NULL;
    if (bytes > UINT32_MAX || bytes > records->bytes_max - records->bytes) {
        records->err = PIPIT_ETOOBIG;
        return NULL;
    }
    if (!block || block->cap - block->used < bytes)
        block = add_block(records, bytes);
    if (!block) {
        records->err = PIPIT_ENOMEM;
        return NULL;
    }
    record = (uint32_t *)(void *)(block->bytes + block->used);
    block->used += bytes;
    records->bytes += bytes;
    records->count++;
    *record = (uint32_t)bytes; /* the first field of every kind */
    return record;
}

void pp_records_take_back(pp_records *records, size_t bytes)
{
    bytes = round_up(bytes);
    PP_ASSERT(records->last && records->last->used >= bytes);
    records->last->used -= bytes;
    records->bytes -= bytes;
    records->count--;
}

void **pp_records_list(const pp_records *records)
{
    void **list = records->count ? pp_alloc(records->count * sizeof(*list)) : NULL;
    size_t n = 0;

    if (!list)
        return NULL;
    for (struct pp_records_block *block = records->first; block; block = block->next) {
        for (size_t at = 0; at < block->used;) {
            uint32_t *record = (uint32_t *)(void *)(block->bytes + at);

            list[n++] = record;
            at += *record;
        }
    }
    PP_ASSERT(n == records->count);
    return list;
}

/* --- connections -------------------------------------------------------------------------- */

pp_str pp_conn_record_text(const pp_conn_record *record, enum pp_record_text which)
{
    const char *at = record->texts;

    for (unsigned i = 0; i < (unsigned)which; i++)
        at += record->text_len[i];
    return (pp_str){at, record->text_len[which]};
}

/* What is no public key of a user may be the seed of one, sent by mistake. */
static pp_str claimed_user(const pp_nats_session *s)
{
    pp_str nkey = pp_nats_connect_text(&s->connect, PP_CONNECT_NKEY);
    pp_str user = pp_nats_connect_text(&s->connect, PP_CONNECT_USER);

    if (!user.len)
        user = pp_nats_carried(s->conn, PP_CONNECT_USER);
    if ((nkey.len && nkey.ptr[0] != 'U') || (!nkey.len && !user.len && s->by_token))
        return PP_STR("[REDACTED]");
    return nkey.len ? nkey : user;
}

/* Who it has been verified to be. NULL: nobody yet, or it is refused for want of memory just now.
 */
static const pp_user *verified(const pp_nats_session *s)
{
    return s->authenticated ? pp_nats_user(s) : NULL;
}

/* What has been verified, or else, of who has not come in or need not show anything, what it says.
 */
static pp_str user_of(const pp_nats_session *s)
{
    const pp_gate *gate = s->context->settings->gate;
    const pp_user *user = verified(s);

    if (user && user->nkey)
        return pp_str_of(user->nkey);
    if (user && *user->name)
        return pp_str_of(user->name);
    if (user && s->by_token && pp_gate_required(gate, pp_nats_entrance(s->conn)))
        return PP_STR("[REDACTED]");
    return claimed_user(s);
}

static pp_str account_of(const pp_nats_session *s)
{
    /* Who has not come in yet is at home nowhere; the reference says that it is the global one. */
    return pp_str_of(atomic_load_explicit(&s->client.scope, memory_order_relaxed)
                         ? pp_nats_account(s)->name
                         : "$G");
}

static pp_str title_of(const pp_nats_session *s)
{
    return atomic_load_explicit(&s->client.scope, memory_order_relaxed)
               ? pp_account_title(pp_nats_account(s))
               : PP_STR("$G");
}

/* What one who came in by NATS says, or is known to be. */
static pp_str nats_text_of(const pp_nats_session *s, enum pp_record_text which)
{
    switch (which) {
    case PP_RECORD_NAME:
        return pp_nats_connect_text(&s->connect, PP_CONNECT_NAME);
    case PP_RECORD_LANG:
        return pp_nats_connect_text(&s->connect, PP_CONNECT_LANG);
    case PP_RECORD_VERSION:
        return pp_nats_connect_text(&s->connect, PP_CONNECT_VERSION);
    case PP_RECORD_USER:
        return user_of(s);
    case PP_RECORD_ACCOUNT:
        return account_of(s);
    case PP_RECORD_PROXY:
        return pp_str_of(s->proxy_key);
    case PP_RECORD_NAME_TAG:
        return title_of(s);
    case PP_RECORD_ISSUER:
        return verified(s) ? pp_guest_issuer(verified(s)) : PP_STR("");
    case PP_RECORD_TAGS:
        return verified(s) ? pp_guest_tags(verified(s)) : PP_STR("");
    default:
        return (pp_str){NULL, 0};
    }
}

/* The same of somebody at another door. */
static pp_str side_text_of(const pp_conn *conn, enum pp_record_text which)
{
    const pp_side_door *door = pp_side_door_of(conn);
    pp_side_session about = {0};

    if (door->describe)
        door->describe(conn, &about);
    return which == PP_RECORD_ACCOUNT || which == PP_RECORD_NAME_TAG ? about.account
           : which == PP_RECORD_NAME                                 ? about.name
                                                                     : (pp_str){NULL, 0};
}

static pp_str text_of(pp_conn *conn, enum pp_record_text which)
{
    const pp_nats_session *session = pp_nats_session_of(conn);
    const pp_layer *tls = pp_tls_layer_of(conn);

    if (which == PP_RECORD_TLS_VERSION)
        return pp_str_of(tls ? pp_tls_layer_version(tls) : NULL);
    if (which == PP_RECORD_TLS_CIPHER)
        return pp_str_of(tls ? pp_tls_layer_cipher(tls) : NULL);
    return session ? nats_text_of(session, which) : side_text_of(conn, which);
}

void pp_tags_write(pp_json *json, pp_str tags)
{
    if (!tags.len)
        return;
    pp_json_begin_array(json, "tags");
    while (tags.len) {
        pp_str tag = pp_str_of(tags.ptr);

        pp_json_text(json, NULL, tag);
        tags = (pp_str){tags.ptr + tag.len + 1, tags.len - tag.len - 1};
    }
    pp_json_end_array(json);
}

bool pp_conn_recorded(pp_conn *conn)
{
    const pp_nats_session *session = pp_nats_session_of(conn);

    return session ? !session->expects_layer : pp_side_door_of(conn) != NULL;
}

size_t pp_conn_record_bytes(pp_conn *conn)
{
    size_t bytes = sizeof(pp_conn_record);

    for (unsigned which = 0; which < PP_RECORD_TEXT_COUNT; which++)
        bytes += text_of(conn, which).len;
    return round_up(bytes);
}

/* What the outbox knows; other loops may be adding to it. */
static void fill_output(pp_conn_record *record, const pp_conn *conn)
{
    pp_outbox *box = &((pp_conn *)conn)->box;
    int64_t out_ns;

    pp_mutex_lock(&box->lock);
    record->out_msgs = box->out_msgs;
    record->out_bytes = box->out_bytes;
    record->pending_bytes = pp_outbox_waiting_locked(conn);
    out_ns = (int64_t)box->out_time << PP_OUT_TIME_SHIFT;
    pp_mutex_unlock(&box->lock);
    record->out_msgs += conn->own.msgs; /* staged in this turn */
    record->out_bytes += conn->own.bytes;
    if (out_ns > record->active_ns)
        record->active_ns = out_ns;
}

static void fill_nats(pp_conn_record *record, const pp_nats_session *session)
{
    record->subs = session->sids.count;
    record->start_ns = session->start_ns;
    record->active_ns = session->op_ns ? session->op_ns : session->start_ns;
    record->rtt_us = session->rtt_us;
    record->type = pp_nats_by_websocket(session->conn) ? "websocket" : "nats";
    record->tls_first = session->tls_first && session->tls == PP_NATS_TLS_NONE;
}

static void fill_side(pp_conn_record *record, const pp_conn *conn)
{
    const pp_side_door *door = pp_side_door_of(conn);
    pp_side_session about = {0};

    if (door->describe)
        door->describe(conn, &about);
    record->subs = about.subs;
    record->start_ns = about.start_ns;
    record->active_ns = about.active_ns;
    record->type = door->name;
}

void pp_conn_record_fill(pp_conn_record *record, pp_conn *conn)
{
    const pp_nats_session *session = pp_nats_session_of(conn);
    char *to = record->texts;

    *record = (pp_conn_record){
        .bytes = record->bytes,
        .cid = conn->id,
        .in_msgs = conn->in_msgs,
        .in_bytes = conn->in_bytes,
        .stalls = conn->stalls,
        .dropped = pp_conn_dropped(conn),
        .port = conn->peer_port,
        .family = conn->addr_family,
        .reason = conn->reason,
    };
    if (session)
        fill_nats(record, session);
    else
        fill_side(record, conn);
    memcpy(record->address, conn->peer_addr, sizeof(record->address));
    fill_output(record, conn);
    for (unsigned which = 0; which < PP_RECORD_TEXT_COUNT; which++) {
        pp_str text = text_of(conn, which);

        record->text_len[which] = (uint32_t)text.len;
        if (text.len)
            memcpy(to, text.ptr, text.len);
        to += text.len;
    }
}

void pp_conn_record_add_peer_certs(pp_conn_record *record, pp_str json)
{
    char *to = (char *)pp_conn_record_text(record, PP_RECORD_PEER_CERTS).ptr;

    PP_ASSERT(to + json.len <= (char *)record + record->bytes);
    if (json.len)
        memcpy(to, json.ptr, json.len);
    record->text_len[PP_RECORD_PEER_CERTS] = (uint32_t)json.len;
}

/* --- subscriptions ------------------------------------------------------------------------ */

pp_str pp_sub_record_subject(const pp_sub_record *record)
{
    return (pp_str){record->texts, record->subject_len};
}

pp_str pp_sub_record_sid(const pp_sub_record *record)
{
    return (pp_str){record->texts + record->subject_len, record->sid_len};
}

pp_str pp_sub_record_queue(const pp_sub_record *record)
{
    return (pp_str){record->texts + record->subject_len + record->sid_len, record->queue_len};
}

size_t pp_sub_record_bytes(const pp_sub *sub)
{
    return round_up(sizeof(pp_sub_record) + pp_sublist_pattern(sub).len + sub->sid_len +
                    sub->queue_len);
}

void pp_sub_record_fill(pp_sub_record *record, const pp_sub *sub, uint64_t cid)
{
    pp_str subject = pp_sublist_pattern(sub);
    int32_t left = atomic_load_explicit(&((pp_sub *)sub)->remaining, memory_order_relaxed);

    *record = (pp_sub_record){
        .bytes = record->bytes,
        .cid = cid,
        .msgs = pp_sub_delivered(sub),
        .subject_len = (uint32_t)subject.len,
        .sid_len = sub->sid_len,
        .queue_len = sub->queue_len,
    };
    if (left != PP_SUB_UNLIMITED)
        record->max = record->msgs + (uint32_t)(left > 0 ? left : 0);
    memcpy(record->texts, subject.ptr, subject.len);
    memcpy(record->texts + subject.len, sub->text, (size_t)sub->sid_len + sub->queue_len);
}
