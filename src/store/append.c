/* Messages come in. */
#include "store/inside.h"

#include "store/squeeze.h"

enum {
    MESSAGE_BYTES_MAX = 64 * 1024 * 1024, /* subject, headers and payload */
};

/* Nothing that can be refused for what the message is. */
static pipit_err check_message(const pp_store *store, const struct pp_store_message *message,
                               uint64_t expected_last)
{
    if (message->subject.len == 0 || message->subject.len > UINT16_MAX ||
        message->seq > UINT64_MAX / 2)
        return PIPIT_EINVAL;
    if (message->headers.len > MESSAGE_BYTES_MAX || message->payload.len > MESSAGE_BYTES_MAX ||
        message->subject.len + message->headers.len + message->payload.len > MESSAGE_BYTES_MAX)
        return PIPIT_ETOOBIG;
    if ((expected_last != PP_STORE_ANY && expected_last != store->last_seq) ||
        (message->seq && message->seq <= store->last_seq))
        return PIPIT_EEXIST;
    return PIPIT_OK;
}

static uint64_t counts_for(const pp_store *store, const struct pp_store_message *message)
{
    return pp_record_counted_bytes(store->memory, message->subject.len, message->headers.len,
                                   message->payload.len);
}

static pipit_err refuse(pp_store *store, pp_store_refusal why)
{
    store->refused = why;
    return PIPIT_ELIMIT;
}

/* With discard new: may it come? evicted is what its subject's limit would let go for it, 0: none.
 * Source: JetStream, "Discard and limits". */
static pipit_err check_limits(pp_store *store, const struct pp_store_message *message,
                              uint64_t evicted)
{
    const struct pp_store_limits *limits = &store->limits;
    uint64_t bytes = counts_for(store, message), freed = 0;
    struct pp_record_head head;
    pp_segment *segment;
    uint32_t nth;

    if (limits->discard != PP_STORE_DISCARD_NEW)
        return PIPIT_OK;
    if (evicted && limits->discard_new_per_subject)
        return refuse(store, PP_STORE_REFUSED_PER_SUBJECT);
    if (limits->messages && store->messages >= limits->messages && !evicted)
        return refuse(store, PP_STORE_REFUSED_MESSAGES);
    if (!limits->bytes || store->bytes + bytes <= limits->bytes)
        return PIPIT_OK;
    if (evicted && pp_store_find(store, evicted, &segment, &nth) == PIPIT_OK &&
        pp_store_fetch_head(store, segment, nth, &head) == PIPIT_OK)
        freed = pp_record_head_counts(store->memory, &head);
    return freed >= bytes ? PIPIT_OK : refuse(store, PP_STORE_REFUSED_BYTES);
}

/* Stale counts are never too low, but where something could not be counted: mostly it is known that
 * a subject is within its limit, and all of them are not counted again for that. */
static bool may_be_full(const pp_store *store, uint32_t id)
{
    const struct pp_stored_subject *subject;

    if (!store->limits.per_subject || id == PP_SUBJECT_NONE)
        return false;
    subject = pp_subjects_at(&store->subjects, id);
    return subject->count >= store->limits.per_subject ||
           (store->subjects_stale && store->vague_seq);
}

/* The message that its subject's limit lets go for this one; 0: none. */
static pipit_err find_evicted(pp_store *store, uint32_t id, uint64_t *out_seq)
{
    bool hurried = store->options.readers != NULL;
    pipit_err err;

    *out_seq = 0;
    if (!may_be_full(store, id))
        return PIPIT_OK;
    err = pp_store_count_subjects(store); /* if they are stale: else one might go that may stay */
    if (err)
        return err;
    if (pp_subjects_at(&store->subjects, id)->count < store->limits.per_subject)
        return PIPIT_OK;
    store->hurried = hurried;
    err = pp_store_first_of(store, id, out_seq);
    store->hurried = false;
    if (err == PIPIT_ENOTFOUND) { /* it was said to have more than it has */
        *out_seq = 0;
        return PIPIT_OK;
    }
    return err ? err : pp_store_prepare_one(store, *out_seq, hurried);
}

static void note_message(pp_store *store, const struct pp_store_message *message, uint64_t seq,
                         uint64_t at, uint32_t id)
{
    pp_segment *active = pp_store_active(store);
    struct pp_stored_subject *subject = pp_subjects_at(&store->subjects, id);
    uint64_t bytes = counts_for(store, message);

    if (active->count == 0)
        active->first_time_ns = message->time_ns;
    active->last_time_ns = message->time_ns;
    active->live_bytes += bytes;
    pp_segment_push(active, seq, at, id, (uint32_t)bytes);
    if (subject->count++ == 0 || seq < subject->first) { /* none is there, whatever was counted */
        subject->first = seq;
        subject->first_stale = false;
    }
    subject->last = seq;
    subject->last_stale = false;
    if (store->messages++ == 0)
        store->first_seq = seq;
    store->bytes += bytes;
    store->last_seq = seq;
    store->last_time_ns = message->time_ns;
    if (message->expires_ns && message->expires_ns != INT64_MAX) {
        pp_store_add_due(store, message->expires_ns, seq);
        if (!store->memory)
            pp_expiries_push(&active->expiries, message->expires_ns, seq);
    }
}

static struct pp_record_parts parts_of(pp_store *store, const struct pp_store_message *message)
{
    struct pp_record_parts parts = {
        .expires_ns = message->expires_ns,
        .floor = store->memory ? 0 : store->evicted_seq,
        .subject = message->subject,
        .headers = message->headers,
        .payload = message->payload,
        .sealed = store->keys != NULL,
    };

    if (store->id.features & PP_FEATURE_COMPRESSED && store->options.compress &&
        pp_squeeze(message->headers, message->payload, &store->squeezed)) {
        parts.squeezed = pp_buf_str(&store->squeezed);
        parts.raw_bytes = (uint32_t)(message->headers.len + message->payload.len);
    }
    return parts;
}

static pipit_err put(pp_store *store, const struct pp_store_message *message, uint64_t seq,
                     uint32_t id, uint64_t evicted)
{
    struct pp_record_parts parts = parts_of(store, message);
    struct pp_range gone = {evicted, evicted};
    struct pp_journal_needs needs = {
        .bytes = pp_record_bytes(pp_record_body_bytes(&parts)) +
                 (evicted ? pp_record_bytes(sizeof(gone)) : 0),
        .ranges = 2,
        .seq = seq,
        .message = true,
        .expires = message->expires_ns && message->expires_ns != INT64_MAX,
    };
    pipit_err err = needs.expires ? pp_store_reserve_due(store) : PIPIT_OK;
    uint64_t at;

    if (!err)
        err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    if (!store->evicted_seq && parts.floor) /* a new segment began, and the last one says so */
        parts.floor = 0;
    at = pp_journal_message(store, &parts, seq, message->time_ns);
    if (evicted)
        pp_journal_deletes(store, PP_RECORD_DELETE, seq, &gone, 1);
    pp_journal_end(store, seq);
    note_message(store, message, seq, at, id);
    if (evicted)
        (void)pp_store_kill(store, evicted, evicted);
    return PIPIT_OK;
}

pipit_err pp_store_append(pp_store *store, const struct pp_store_message *message,
                          uint64_t expected_last, uint64_t *out_seq)
{
    uint64_t seq = message->seq ? message->seq : store->last_seq + 1, evicted;
    uint32_t id;
    pipit_err err = check_message(store, message, expected_last);

    if (err)
        return err;
    err = pp_store_make_way(store);
    if (err)
        return err;
    id = pp_subjects_find(&store->subjects, message->subject);
    err = find_evicted(store, id, &evicted);
    if (!err)
        err = check_limits(store, message, evicted);
    if (!err)
        err = pp_subjects_add(&store->subjects, message->subject, &id);
    if (err)
        return err;
    err = put(store, message, seq, id, evicted);
    if (err) {
        pp_subjects_release(&store->subjects, id);
        return err;
    }
    /* What cannot go now goes with the next one. */
    (void)pp_store_enforce(store);
    pp_store_reclaim(store);
    if (out_seq)
        *out_seq = seq;
    return PIPIT_OK;
}

pipit_err pp_store_skip(pp_store *store, uint64_t seq)
{
    struct pp_journal_needs needs = {.bytes = pp_record_bytes(0)};
    pipit_err err;

    if (seq <= store->last_seq)
        return PIPIT_EEXIST;
    if (seq > UINT64_MAX / 2)
        return PIPIT_EINVAL;
    err = pp_journal_begin(store, &needs);
    if (err)
        return err;
    pp_journal_ranges(store, PP_RECORD_SKIP, seq, NULL, 0);
    pp_journal_end(store, seq);
    pp_store_active(store)->last_seq = seq;
    store->last_seq = seq;
    if (store->messages == 0)
        store->first_seq = seq + 1;
    return PIPIT_OK;
}
