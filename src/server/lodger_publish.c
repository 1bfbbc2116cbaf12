/* What a lodger publishes: straight into the lanes of those that hear it, and to everybody else by
 * an inlet. lodger.c says which way a message goes. */
#include "server/lodger_inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "core/subject.h"

#include <stdlib.h>
#include <string.h>

enum {
    DUE_AT_HAND = 16,
    RUN_MAX = 256,             /* messages while nobody else can publish by the lodger */
    LEAVE_MAX_NS = 2000000000, /* who takes longer to empty its lane may see messages overtake */
    LONG_AGO_NS = 1,
};

/* A message that is being published, and what is in its way when it cannot be yet. */
struct attempt {
    pp_record record;
    int64_t leave_by_ns; /* order holds it up no longer than that; 0: it does not wait */
    pp_lane *full;       /* whose recipient is in the way; NULL: the inlet is */
    bool for_order;      /* full must be emptied, room is not what it lacks */
    bool nobody;         /* has heard it */
};

pipit_err pp_lodger_check_subject(const pipit_server *server, pp_str subject)
{
    if (!pp_local_text_valid(subject) || !pp_subject_literal(subject))
        return PIPIT_EINVAL;
    return subject.len > atomic_load((atomic_size_t *)&server->max_line) ? PIPIT_ETOOBIG : PIPIT_OK;
}

/* --- lanes or the inlet ------------------------------------------------------------------- */

/* Has it got everything that went to it by the inlet, so that what follows cannot overtake it? */
static bool is_through(const pp_lodger *lodger, struct pp_passage_to *passage)
{
    const struct pp_way *way = &passage->to->ways[lodger->home->loop.index];
    uint64_t mark =
        passage->due_mark > lodger->indirect_mark ? passage->due_mark : lodger->indirect_mark;
    const pp_lane *lane;

    if (mark <= passage->through_mark)
        return true;
    if (atomic_load(&lodger->home->local.inlet.routed) < mark)
        return false;
    lane = atomic_load_explicit(&way->lane, memory_order_acquire);
    if (lane && !pp_lane_settled(lane))
        return false;
    passage->through_mark = mark;
    return true;
}

static inline bool goes_by_lane(pp_lodger *lodger, struct pp_passage_to *passage)
{
    if (PP_LIKELY(passage->way == PP_BY_LANE))
        return true;
    if (!is_through(lodger, passage))
        return false;
    lodger->lane_count += passage->way == PP_BY_INLET;
    passage->way = PP_BY_LANE;
    return true;
}

/* Has it been given time enough to empty its lane? Its time begins when somebody first asks. */
static bool is_overdue(struct pp_passage_to *passage, int64_t now_ns)
{
    if (passage->way == PP_BY_LANE) {
        passage->way = PP_LEAVING;
        passage->leave_by_ns = now_ns + LEAVE_MAX_NS;
    }
    return now_ns > passage->leave_by_ns;
}

/* What comes next for it goes by the inlet. False: it has not taken what lies in its lane, which
 * would be overtaken. Who publishes to itself cannot wait for that; who has waited until
 * leave_by_ns overtakes alone, and the others still wait. */
static bool leave_lane(pp_lodger *lodger, struct pp_passage_to *passage, int64_t leave_by_ns)
{
    int64_t now_ns;

    if (passage->way == PP_BY_INLET)
        return true;
    if (!pp_lane_emptied(passage->lane) && !passage->stuck && passage->to != lodger &&
        !pp_lane_closed(passage->lane)) {
        now_ns = pp_clock_mono_ns();
        if (!is_overdue(passage, now_ns))
            return leave_by_ns && now_ns > leave_by_ns;
    }
    passage->way = PP_BY_INLET;
    lodger->lane_count--;
    return true;
}

/* Only a loop can tell who hears it: all that there are, at once, so that their times are the same.
 * The first that has not taken what lies in its lane; NULL: none. */
static pp_lane *leave_lanes(pp_lodger *lodger, int64_t leave_by_ns)
{
    pp_link *at = lodger->passage_list.next;
    pp_lane *full = NULL;

    for (; lodger->lane_count && at != &lodger->passage_list; at = at->next) {
        struct pp_passage_to *passage = PP_CONTAINER(at, struct pp_passage_to, link);

        if (!leave_lane(lodger, passage, leave_by_ns) && !full)
            full = passage->lane;
    }
    lodger->leaving_all = lodger->lane_count != 0;
    return full;
}

/* There is no mapping any more for which lanes were to be left. Where what did not wait has not
 * arrived yet, they are left still. */
static void come_back(pp_lodger *lodger)
{
    for (pp_link *at = lodger->passage_list.next; at != &lodger->passage_list; at = at->next) {
        struct pp_passage_to *passage = PP_CONTAINER(at, struct pp_passage_to, link);

        if (passage->way == PP_LEAVING)
            (void)goes_by_lane(lodger, passage);
    }
    lodger->leaving_all = false;
}

static pipit_err put(pp_lodger *lodger, const pp_record *record, const pp_inlet_mark *mark)
{
    const pp_parcel parcel = {record->subject, record->reply, record->data,
                              (uint32_t)record->header_len, record->body};
    uint64_t number;
    pipit_err err = pp_inlet_put(&lodger->home->local.inlet, &parcel, mark, &number);

    if (err)
        return err;
    atomic_store_explicit(&lodger->inlet_mark, number, memory_order_relaxed);
    if (!mark->hosted_done)
        lodger->indirect_mark = number;
    pp_count(&lodger->put_msgs, 1);
    pp_count(&lodger->put_bytes, record->data.len);
    return PIPIT_OK;
}

/* By the inlet alone. */
static pipit_err put_whole(pp_lodger *lodger, const pp_record *record)
{
    return put(lodger, record, &(pp_inlet_mark){.from = lodger->serial});
}

static int compare_serials(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

    return (first > second) - (first < second);
}

/* Those who hear it and do not get it by a lane, each once, by serial. Returns how many. */
static uint32_t name_due(const struct pp_hearers *h, uint64_t *due)
{
    uint32_t found = 0, count = 0;

    for (uint32_t i = 0; i < h->count; i++) {
        if (h->targets[i].passage->way != PP_BY_LANE)
            due[found++] = h->targets[i].passage->to->serial;
    }
    if (found > 1)
        qsort(due, found, sizeof(*due), compare_serials);
    for (uint32_t i = 0; i < found; i++) {
        if (!count || due[i] != due[count - 1])
            due[count++] = due[i];
    }
    return count;
}

/* By the inlet to so many that do not get it by a lane, and to all who are not lodgers. Those are
 * named, be it all that hear it: whoever subscribes before the loop routes it is not to have it,
 * for what comes next may go to him by a lane. */
static pipit_err put_rest(pp_lodger *lodger, const struct pp_hearers *h, const pp_record *record,
                          uint32_t due_count)
{
    uint64_t few[DUE_AT_HAND];
    uint64_t *due = due_count > DUE_AT_HAND ? pp_alloc(due_count * sizeof(*due)) : few;
    pp_inlet_mark mark = {.from = lodger->serial, .hosted_done = true, .due = due};
    pipit_err err;

    if (!due)
        return PIPIT_ENOMEM;
    mark.due_count = due_count ? name_due(h, due) : 0;
    err = put(lodger, record, &mark);
    for (uint32_t i = 0; i < h->count && due_count && !err; i++) {
        if (h->targets[i].passage->way != PP_BY_LANE)
            h->targets[i].passage->due_mark =
                atomic_load_explicit(&lodger->inlet_mark, memory_order_relaxed);
    }
    if (due != few)
        pp_free(due);
    return err;
}

/* --- to those that hear it ---------------------------------------------------------------- */

/* The first recipient that has no room and is not passed over; NULL: none. */
static pp_lane *find_full(const struct pp_hearers *h, const pp_record *record)
{
    for (uint32_t i = 0; i < h->count; i++) {
        struct pp_passage_to *passage = h->targets[i].passage;

        if (PP_UNLIKELY(passage->way != PP_BY_LANE))
            continue;
        if (PP_LIKELY(pp_lane_has_room(passage->lane, record)))
            passage->stuck = false;
        else if (!passage->stuck)
            return passage->lane;
    }
    return NULL;
}

static void hand(pp_lodger *lodger, const struct pp_heard_by *target, pp_record *record)
{
    pipit_err err;

    record->sid = target->sid;
    err = pp_lane_write(target->passage->lane, record);
    if (PP_LIKELY(!err)) {
        pp_count(&lodger->out_msgs, 1);
        pp_count(&lodger->out_bytes, record->data.len);
    } else if (err != PIPIT_ECLOSED) {
        pp_port_count_missed(target->passage->to->port);
    }
}

/* By which way each of them gets it; *out_due: how many by the inlet. The first to which it cannot
 * go yet by either, since it would overtake; NULL: none. */
static pp_lane *choose_ways(pp_lodger *lodger, const struct pp_hearers *h, int64_t leave_by_ns,
                            uint32_t *out_due)
{
    pp_lane *full = NULL;
    uint32_t due = 0;

    for (uint32_t i = 0; i < h->count; i++) {
        struct pp_passage_to *passage = h->targets[i].passage;

        if (PP_LIKELY(goes_by_lane(lodger, passage)))
            continue;
        due++;
        /* one that hears it twice is asked once: else it may be seen emptied, and waited for */
        if (passage->lane != full && !leave_lane(lodger, passage, leave_by_ns) && !full)
            full = passage->lane;
    }
    *out_due = due;
    return full;
}

static pipit_err spread(pp_lodger *lodger, const struct pp_hearers *h, struct attempt *attempt)
{
    pp_record *record = &attempt->record;
    pipit_err err = PIPIT_OK;
    uint32_t due;

    attempt->full = choose_ways(lodger, h, attempt->leave_by_ns, &due);
    attempt->for_order = attempt->full != NULL;
    if (!attempt->full)
        attempt->full = find_full(h, record);
    if (attempt->full)
        return PIPIT_EAGAIN;
    if (h->elsewhere || due)
        err = put_rest(lodger, h, record, due);
    if (err)
        return err;
    for (uint32_t i = 0; i < h->count; i++) {
        if (PP_LIKELY(h->targets[i].passage->way == PP_BY_LANE))
            hand(lodger, &h->targets[i], record);
    }
    if (!h->elsewhere && !due) {
        pp_count(&lodger->in_msgs, 1);
        pp_count(&lodger->in_bytes, record->data.len);
    }
    return PIPIT_OK;
}

static pipit_err publish_locked(pp_lodger *lodger, struct attempt *attempt)
{
    const pp_account *account = lodger->account;
    struct pp_hearers *h;
    pipit_err err = pp_hearers_find(lodger, attempt->record.subject, &h);

    attempt->full = NULL;
    attempt->for_order = false;
    if (err)
        return err;
    if (PP_UNLIKELY(atomic_load_explicit(&account->mappings, memory_order_relaxed) ||
                    atomic_load_explicit(&account->imports, memory_order_relaxed))) {
        attempt->full = leave_lanes(lodger, attempt->leave_by_ns);
        attempt->for_order = attempt->full != NULL;
        return attempt->full ? PIPIT_EAGAIN : put_whole(lodger, &attempt->record);
    }
    if (PP_UNLIKELY(lodger->leaving_all))
        come_back(lodger);
    attempt->nobody = !h->elsewhere && !h->count;
    return spread(lodger, h, attempt);
}

/* A message without header and reply, to the one that hears it, which is what most are: whether
 * there is room is seen when it is written. False: nothing has been done, it goes the long way. */
static bool publish_plain_locked(pp_lodger *lodger, const pipit_msg *msg)
{
    const pp_account *account = lodger->account;
    const pp_str subject = {msg->subject, msg->subject_bytes};
    const pp_str data = {msg->payload, msg->payload_bytes};
    const struct pp_hearers *h = pp_hearers_recent(lodger, subject);

    if (PP_UNLIKELY(!h || h->count != 1 || h->elsewhere || h->targets->passage->way != PP_BY_LANE ||
                    atomic_load_explicit(&account->mappings, memory_order_relaxed) ||
                    atomic_load_explicit(&account->imports, memory_order_relaxed)))
        return false;
    if (PP_UNLIKELY(pp_lane_write_plain(h->targets->passage->lane, h->targets->sid, subject, data)))
        return false;
    h->targets->passage->stuck = false;
    pp_count(&lodger->in_msgs, 1);
    pp_count(&lodger->in_bytes, data.len);
    pp_count(&lodger->out_msgs, 1);
    pp_count(&lodger->out_bytes, data.len);
    return true;
}

/* All but the subject, which is checked when it is looked up. */
static pipit_err check(const pp_lodger *lodger, const pipit_msg *msg)
{
    int64_t max_payload = pp_lodger_max_payload(lodger);
    size_t data = msg->header_bytes + msg->payload_bytes;
    const char *header = msg->header;

    if (!msg->subject_bytes)
        return PIPIT_EINVAL;
    if (msg->reply_bytes) {
        pipit_err err =
            pp_lodger_check_subject(lodger->server, (pp_str){msg->reply, msg->reply_bytes});

        if (err)
            return err;
    }
    if (msg->header_bytes > UINT32_MAX || msg->payload_bytes > UINT32_MAX ||
        (max_payload >= 0 && data > (uint64_t)max_payload))
        return PIPIT_ETOOBIG;
    if (msg->header_bytes && (msg->header_bytes < 12 || memcmp(header, "NATS/1.0", 8) != 0 ||
                              memcmp(header + msg->header_bytes - 4, "\r\n\r\n", 4) != 0))
        return PIPIT_EINVAL;
    return PIPIT_OK;
}

/* Header and payload in one piece: in small, or, when they are large, in a body. */
static bool join(const pipit_msg *msg, char *small, pp_record *record)
{
    size_t len = msg->header_bytes + msg->payload_bytes;

    record->data = (pp_str){msg->payload, len};
    if (len >= PP_LANE_REFER_MIN) {
        record->body = pp_lane_body((pp_str){msg->header, msg->header_bytes},
                                    (pp_str){msg->payload, msg->payload_bytes});
        if (!record->body)
            return false;
        record->data.ptr = record->body->bytes;
    } else if (msg->header_bytes) {
        memcpy(small, msg->header, msg->header_bytes);
        if (msg->payload_bytes)
            memcpy(small + msg->header_bytes, msg->payload, msg->payload_bytes);
        record->data.ptr = small;
    }
    return true;
}

void pp_lodger_answer_itself(pp_lodger *lodger, const pipit_msg *msg)
{
    pp_record record = {
        .subject = {msg->subject, msg->subject_bytes},
        .data = {msg->header, msg->header_bytes},
        .header_len = msg->header_bytes,
    };
    struct pp_hearers *h;

    pp_biased_lock(&lodger->lock);
    h = pp_hearers_own(lodger, record.subject);
    for (uint32_t i = 0; h && i < h->count; i++)
        hand(lodger, &h->targets[i], &record);
    pp_biased_unlock(&lodger->lock);
    pp_free(h);
}

pipit_err pp_lodger_publish_matching(pp_lodger *lodger, const pipit_msg *msg,
                                     uint64_t *out_recipients)
{
    size_t recipients = 0;
    pipit_err err = pipit_server_publish_matching(lodger->server, msg, &recipients);

    *out_recipients = recipients;
    return err;
}

static int64_t sooner(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Again and again, until deadline_ns; for others to empty their lanes no longer than LEAVE_MAX_NS,
 * whatever else goes on meanwhile. */
static pipit_err publish_patiently(pp_lodger *lodger, struct attempt *attempt, int64_t wait_ns)
{
    int64_t deadline_ns = pp_clock_mono_ns() + wait_ns;
    pipit_err err;

    while ((err = publish_locked(lodger, attempt)) == PIPIT_EAGAIN) {
        if (!attempt->for_order) {
            if (!pp_room_await(lodger, attempt->full, attempt->record.data.len, deadline_ns))
                break;
            continue;
        }
        if (!attempt->leave_by_ns)
            attempt->leave_by_ns = pp_clock_mono_ns() + LEAVE_MAX_NS;
        if (pp_clock_mono_ns() >= deadline_ns ||
            !pp_room_await_emptied(lodger, attempt->full,
                                   sooner(deadline_ns, attempt->leave_by_ns)))
            break;
    }
    return err;
}

static __attribute__((noinline)) pipit_err publish_any(pp_lodger *lodger, const pipit_msg *msg,
                                                       int64_t wait_ns, bool *out_nobody)
{
    char small[PP_LANE_REFER_MIN];
    struct attempt attempt = {
        .record = {.subject = {msg->subject, msg->subject_bytes},
                   .reply = {msg->reply, msg->reply_bytes},
                   .header_len = msg->header_bytes},
    };
    pipit_err err;

    if (wait_ns > 0 && pp_loop_current())
        wait_ns = -1; /* a loop would wait for itself, perhaps */
    err = check(lodger, msg);
    if (err)
        return err;
    if (!join(msg, small, &attempt.record))
        return PIPIT_ENOMEM;
    if (wait_ns < 0)
        attempt.leave_by_ns = LONG_AGO_NS;
    pp_biased_lock(&lodger->lock);
    err = wait_ns > 0 ? publish_patiently(lodger, &attempt, wait_ns)
                      : publish_locked(lodger, &attempt);
    pp_biased_unlock(&lodger->lock);
    *out_nobody = attempt.nobody;
    if (attempt.record.body)
        pp_body_unref(attempt.record.body);
    return err == PIPIT_EAGAIN && atomic_load(&lodger->ended) ? PIPIT_ECLOSED : err;
}

/* Has it neither reply nor header, and needs no body? Then it is given as it is. */
static bool is_plain(const pipit_msg *msg, int64_t max_payload)
{
    return msg->subject_bytes && !msg->reply_bytes && !msg->header_bytes &&
           msg->payload_bytes < PP_LANE_REFER_MIN &&
           (max_payload < 0 || msg->payload_bytes <= (uint64_t)max_payload);
}

pipit_err pp_lodger_publish(pp_lodger *lodger, const pipit_msg *msg, int64_t wait_ns,
                            bool *out_nobody)
{
    bool done;

    if (!atomic_load_explicit(&lodger->server->open, memory_order_acquire))
        return PIPIT_ECLOSED;
    if (PP_LIKELY(is_plain(msg, pp_lodger_max_payload(lodger)))) {
        pp_biased_lock(&lodger->lock);
        done = publish_plain_locked(lodger, msg);
        pp_biased_unlock(&lodger->lock);
        if (PP_LIKELY(done))
            return PIPIT_OK;
    }
    return publish_any(lodger, msg, wait_ns, out_nobody);
}

size_t pp_lodger_publish_run(pp_lodger *lodger, const pipit_msg *msgs, size_t count)
{
    int64_t max_payload = pp_lodger_max_payload(lodger);
    size_t done = 0;

    if (!atomic_load_explicit(&lodger->server->open, memory_order_acquire))
        return 0;
    if (count > RUN_MAX)
        count = RUN_MAX;
    pp_biased_lock(&lodger->lock);
    for (; done < count && is_plain(&msgs[done], max_payload); done++) {
        struct attempt attempt = {
            .record = {.subject = {msgs[done].subject, msgs[done].subject_bytes},
                       .data = {msgs[done].payload, msgs[done].payload_bytes}},
        };

        if (PP_LIKELY(publish_plain_locked(lodger, &msgs[done])))
            continue;
        if (publish_locked(lodger, &attempt))
            break;
    }
    pp_biased_unlock(&lodger->lock);
    return done;
}
