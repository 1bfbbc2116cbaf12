/* What a client over memory hears: records from its port. Thread: who drives. */
#include "client/driver.h"

#include "base/clock.h"

enum {
    RECORDS_PER_TURN = 4096,
    SPIN_MIN_NS = 1000,
    SPIN_MAX_NS = 50000,
    PAUSES = 8, /* a few hundred ns at most */
    RUN = 32,   /* records: over so many it is found how fast they come */
    FLOW_EACH_NS = 330,
    REST_MAX_NS = 3000,
};

static void on_record(void *context, const pp_record *record)
{
    const pipit_msg msg =
        pp_host_msg(record->subject, record->reply, record->data, record->header_len);

    pp_client_deliver(context, record->sid, &msg);
}

/* What was there before it was asked for has been taken. */
static void settle(pipit_client *client, uint64_t asked)
{
    (void)pthread_mutex_lock(&client->lock);
    if (client->flushed < asked) {
        client->flushed = asked;
        pp_client_end_drained_locked(client);
        (void)pthread_cond_broadcast(&client->changed);
        client->more |= client->draining; /* which goes on in the next turn: no sleep before that */
    }
    (void)pthread_mutex_unlock(&client->lock);
}

/* Writers have found no room for messages: say so, once for all since the last time. */
static void tell_missed(pipit_client *client)
{
    uint64_t missed = pp_port_missed(client->port);

    if (missed != client->missed_told)
        pp_client_emit(client, PIPIT_EVENT_MISSED, "");
    client->missed_told = missed;
}

/* Each look at a lane takes lines away from its writer: when records flow, it is better for both to
 * find a run of them at each. When they come more slowly, somebody may wait for each. */
static void pace(pipit_client *client, size_t taken)
{
    int64_t now_ns, each_ns;

    if (!taken)
        client->rest_ns = 0;
    client->flow_count += taken;
    if (client->flow_count < RUN)
        return;
    now_ns = pp_clock_mono_ns();
    each_ns = (now_ns - client->flow_since_ns) / (int64_t)client->flow_count;
    client->rest_ns = each_ns < FLOW_EACH_NS ? each_ns * RUN : 0;
    if (client->rest_ns > REST_MAX_NS)
        client->rest_ns = REST_MAX_NS;
    client->flow_since_ns = now_ns;
    client->flow_count = 0;
}

void pp_client_take_in(pipit_client *client)
{
    uint64_t asked, flushed;
    bool settled;
    size_t taken;

    (void)pthread_mutex_lock(&client->lock);
    asked = client->flushes_asked;
    flushed = client->flushed;
    (void)pthread_mutex_unlock(&client->lock);
    settled = asked == flushed || pp_lodger_settled(client->lodger);
    tell_missed(client);
    taken = pp_port_take(client->port, RECORDS_PER_TURN, on_record, client);
    client->more = taken != 0;
    pace(client, taken);
    if (asked != flushed && settled && taken < RECORDS_PER_TURN)
        settle(client, asked);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

bool pp_client_spin(pipit_client *client)
{
    int64_t until, rest_until;

    if (client->spin_ns <= 0)
        return false;
    rest_until = pp_clock_mono_ns() + client->rest_ns;
    until = rest_until + client->spin_ns;
    while (client->rest_ns && pp_clock_mono_ns() < rest_until)
        pause_cpu();
    do {
        /* Not too often: each look takes the line away that the writer is about to write. */
        for (unsigned i = 0; i < PAUSES; i++)
            pause_cpu();
        if (pp_port_has(client->port)) {
            client->spin_ns = client->spin_ns * 2 < SPIN_MAX_NS ? client->spin_ns * 2 : SPIN_MAX_NS;
            return true;
        }
    } while (pp_clock_mono_ns() < until);
    client->spin_ns = client->spin_ns / 2 > SPIN_MIN_NS ? client->spin_ns / 2 : SPIN_MIN_NS;
    return false;
}
