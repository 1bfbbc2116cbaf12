#include "server/monitor/gather.h"

#include "base/alloc.h"
#include "server/monitor/peer_certs.h"
#include "server/monitor/sweep.h"
#include "server/server.h"

enum {
    SLOTS_PER_STEP = 32, /* of a connection's table of subscriptions */
    PINGS_PER_LOOP = 64, /* in one go: they cost more than looking */
    ROUNDS_MAX = 8,      /* how often a table may grow under the walk */
};

void pp_gathered_fini(pp_gathered *gathered)
{
    for (unsigned i = 0; i < gathered->loop_count; i++)
        pp_records_fini(&gathered->by_loop[i]);
    pp_free(gathered->by_loop);
    pp_free(gathered->list);
    *gathered = (pp_gathered){0};
}

static pipit_err gathered_init(pp_gathered *out, unsigned loop_count)
{
    *out = (pp_gathered){.by_loop = pp_calloc(loop_count, sizeof(*out->by_loop))};
    if (!out->by_loop)
        return PIPIT_ENOMEM;
    out->loop_count = loop_count;
    for (unsigned i = 0; i < loop_count; i++)
        pp_records_init(&out->by_loop[i], PP_GATHER_BYTES_MAX / loop_count);
    return PIPIT_OK;
}

/* Put the records of all loops into one list; gives everything up on an error. */
static pipit_err finish(pp_gathered *gathered)
{
    pipit_err err = PIPIT_OK;
    size_t at = 0;

    for (unsigned i = 0; i < gathered->loop_count; i++) {
        gathered->count += gathered->by_loop[i].count;
        err = err ? err : gathered->by_loop[i].err;
    }
    if (!err && gathered->count) {
        gathered->list = pp_alloc(gathered->count * sizeof(*gathered->list));
        err = gathered->list ? PIPIT_OK : PIPIT_ENOMEM;
    }
    for (unsigned i = 0; i < gathered->loop_count && !err; i++) {
        void **part = pp_records_list(&gathered->by_loop[i]);

        if (part)
            memcpy(gathered->list + at, part, gathered->by_loop[i].count * sizeof(*part));
        else if (gathered->by_loop[i].count)
            err = PIPIT_ENOMEM;
        at += gathered->by_loop[i].count;
        pp_free(part);
    }
    if (err)
        pp_gathered_fini(gathered);
    return err;
}

/* --- connections -------------------------------------------------------------------------- */

struct conn_state {
    pp_records *records;
    size_t at; /* of the walk */
    unsigned pings_left;
    bool peer_certs;
};

static void add_conn(struct conn_state *state, pp_conn *conn)
{
    pp_conn_record *record;
    pp_buf certs;

    pp_buf_init(&certs, PP_PEER_CERTS_MAX);
    if (state->peer_certs && pp_peer_certs_write(&certs, conn))
        pp_buf_fini(&certs); /* all else of it is worth showing */
    record = pp_records_add(state->records, pp_conn_record_bytes(conn) + certs.len);
    if (record) {
        pp_conn_record_fill(record, conn);
        pp_conn_record_add_peer_certs(record, pp_buf_str(&certs));
    }
    pp_buf_fini(&certs);
}

static void visit_conn(pp_conn *conn, void *arg)
{
    struct conn_state *state = arg;
    pp_nats_session *session = pp_nats_session_of(conn);

    if (!pp_conn_recorded(conn))
        return;
    add_conn(state, conn);
    if (session && state->pings_left && pp_nats_measure_rtt(session))
        state->pings_left--;
}

static bool step_conns(pp_worker *worker, void *arg)
{
    struct conn_state *state = arg;

    return !pp_conn_walk(&worker->loop, &state->at, visit_conn, state) || state->records->err;
}

pipit_err pp_gather_conns(pipit_server *server, pp_gather_conns_wish wish, pp_gathered *out)
{
    struct conn_state states[PP_WORKERS_MAX];
    pipit_err err = gathered_init(out, server->worker_count);

    if (err)
        return err;
    for (unsigned i = 0; i < server->worker_count; i++)
        states[i] = (struct conn_state){.records = &out->by_loop[i],
                                        .pings_left = wish.rtt ? PINGS_PER_LOOP : 0,
                                        .peer_certs = wish.peer_certs};
    pp_sweep(server, step_conns, states, sizeof(states[0]));
    return finish(out);
}

/* --- subscriptions ------------------------------------------------------------------------ */

struct sub_state {
    pp_records *records;
    pp_gather_wish *wishes;
    size_t wish_count;
    size_t at;     /* the wish at hand */
    bool mine;     /* its connection was found on this loop */
    uint32_t slot; /* to look at next */
    uint32_t mask; /* of its table when the round began, and where that was */
    const void *slots;
    uint32_t round;
    pp_gather_filter filter;
    const void *filter_arg;
};

static void visit_sub(const pp_sub *sub, void *arg)
{
    struct sub_state *state = arg;
    pp_sub_record *record;

    if (atomic_load_explicit(&((pp_sub *)sub)->remaining, memory_order_relaxed) == 0)
        return; /* it has ended but for the formalities */
    if (state->filter && !state->filter(state->filter_arg, pp_sublist_pattern(sub)))
        return;
    record = pp_records_add(state->records, pp_sub_record_bytes(sub));
    if (!record)
        return;
    pp_sub_record_fill(record, sub, state->wishes[state->at].cid);
    record->round = state->round;
}

static void next_wish(struct sub_state *state)
{
    if (state->mine)
        state->wishes[state->at].round = state->round;
    state->at++;
    state->mine = false;
    state->slot = state->round = 0;
}

/* Some slots of the connection at hand. A table that has been exchanged for another has its
 * subscriptions in other places: it is gone through again, and what was found counts no more. In
 * the last of so many rounds all of it is gone through at once. */
static void walk_subs(struct sub_state *state, const pp_nats_sids *sids)
{
    if (!state->mine || sids->mask != state->mask || sids->slots != state->slots) {
        state->round += state->mine;
        state->mine = true;
        state->mask = sids->mask;
        state->slots = sids->slots;
        state->slot = 0;
    }
    do {
        if (!pp_nats_sids_walk(sids, &state->slot, SLOTS_PER_STEP, visit_sub, state)) {
            next_wish(state);
            return;
        }
    } while (state->round >= ROUNDS_MAX);
}

/* Clients of other doors have few. */
static void visit_side_subs(struct sub_state *state, const pp_conn *conn)
{
    const pp_side_door *door = pp_side_door_of(conn);

    state->mine = true;
    if (door && door->each_sub)
        door->each_sub(conn, visit_sub, state);
    next_wish(state);
}

static bool step_subs(pp_worker *worker, void *arg)
{
    struct sub_state *state = arg;
    pp_conn *conn;
    pp_nats_session *session;

    if (state->at == state->wish_count || state->records->err)
        return true;
    conn = pp_conn_find(&worker->loop, state->wishes[state->at].cid);
    session = conn ? pp_nats_session_of(conn) : NULL;
    if (session && session->sids.count)
        walk_subs(state, &session->sids);
    else if (conn && !session)
        visit_side_subs(state, conn);
    else
        next_wish(state); /* on another loop, or gone */
    return false;
}

pipit_err pp_gather_subs(pipit_server *server, pp_gather_wish *wishes, size_t wish_count,
                         pp_gather_filter filter, const void *filter_arg, pp_gathered *out)
{
    struct sub_state states[PP_WORKERS_MAX];
    pipit_err err = gathered_init(out, server->worker_count);

    if (err)
        return err;
    for (unsigned i = 0; i < server->worker_count; i++)
        states[i] = (struct sub_state){
            .records = &out->by_loop[i],
            .wishes = wishes,
            .wish_count = wish_count,
            .filter = filter,
            .filter_arg = filter_arg,
        };
    pp_sweep(server, step_subs, states, sizeof(states[0]));
    return finish(out);
}
