/* Lodgers that wait until a recipient, or the inlet, has room for what they publish. */
#include "server/lodger_inside.h"

#include "base/clock.h"

/* One thread that waits for one recipient: on its stack. */
struct awaiting {
    pp_link link;
    pp_lane *lane;
};

/* Without the lock; a reference to the lane is held, and left to the caller. */
static bool await_lane(pp_lodger *lodger, pp_lane *full, int64_t deadline_ns)
{
    struct awaiting awaiting = {.lane = full};
    uint64_t seen = pp_lane_taken_seen(full);
    bool room;

    pp_lane_ref(full);
    pp_list_append(&lodger->awaiting, &awaiting.link);
    pp_biased_unlock(&lodger->lock);
    room = pp_lane_await_room(full, seen, deadline_ns, &lodger->ended);
    pp_biased_lock(&lodger->lock);
    pp_list_remove(&awaiting.link);
    return room;
}

bool pp_room_await_emptied(pp_lodger *lodger, pp_lane *lane, int64_t deadline_ns)
{
    if (atomic_load(&lodger->ended))
        return false;
    (void)await_lane(lodger, lane, deadline_ns);
    pp_lane_leave(lane);
    return !atomic_load(&lodger->ended);
}

bool pp_room_await(pp_lodger *lodger, pp_lane *full, size_t data_bytes, int64_t deadline_ns)
{
    pp_inlet *inlet = &lodger->home->local.inlet;
    /* Others that publish may have taken all the room there was: that, too, has an end. */
    bool late = pp_clock_mono_ns() >= deadline_ns, room;

    if (atomic_load(&lodger->ended) || (late && !full))
        return false;
    if (!full) {
        pp_biased_unlock(&lodger->lock);
        room = pp_inlet_await_room(inlet, data_bytes, deadline_ns, &lodger->ended);
        pp_biased_lock(&lodger->lock);
        return room && !atomic_load(&lodger->ended);
    }
    if (late) {
        pp_hearers_give_up(lodger, full);
        return true;
    }
    if (!await_lane(lodger, full, deadline_ns))
        pp_hearers_give_up(lodger, full);
    pp_lane_leave(full);
    return !atomic_load(&lodger->ended);
}

void pp_lodger_end(pp_lodger *lodger)
{
    pp_biased_lock(&lodger->lock);
    atomic_store(&lodger->ended, true);
    for (pp_link *at = lodger->awaiting.next; at != &lodger->awaiting; at = at->next)
        pp_lane_rouse(PP_CONTAINER(at, struct awaiting, link)->lane);
    pp_biased_unlock(&lodger->lock);
    pp_inlet_rouse(&lodger->home->local.inlet);
}
