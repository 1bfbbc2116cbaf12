/* server/lodger_inside.h -- what a lodger is made of: for lodger.c and lodger_publish.c, and for
 * hearers.c, which remembers who hears what it publishes. */
#ifndef PP_SERVER_LODGER_INSIDE_H
#define PP_SERVER_LODGER_INSIDE_H

#include "base/biased.h"
#include "base/table.h"
#include "core/route.h"
#include "server/server.h"

/* One loop's way to a lodger; it alone makes and uses it. */
struct pp_way {
    _Atomic(pp_lane *) lane;
    pp_worker *worker; /* of the loop */
    pp_lodger *to;
    uint64_t missed_at; /* when it missed something last it had taken so many bytes ... */
    bool missed;        /* ... if it has */
};

/* By which of two ways messages go from a lodger to another. No message overtakes one that went by
 * the other way, so before the way changes what is under way arrives. Lanes are left where there
 * are mappings or imports, and for no other reason:
 *
 *             [goes_by_lane] the inlet is through       [leave_lane] not emptied yet
 *   BY_INLET --------------------------------> BY_LANE -----------------------------> LEAVING
 *       ^                                        |  ^                                    |  |
 *       |          [leave_lane] emptied          |  |  [come_back], [goes_by_lane]       |  |
 *       +----------------------------------------+  +------------------------------------+  |
 *       +-----------------------------------------------------------------------------------+
 *                  [leave_lane] emptied, or left for too long
 *
 * While it is being left nothing is written to the lane: others that publish cannot keep it from
 * being emptied. */
enum pp_passage_way { PP_BY_INLET, PP_BY_LANE, PP_LEAVING };

/* A lodger's own way to another. */
struct pp_passage_to {
    pp_table_entry entry;
    pp_link link;
    pp_lodger *to; /* a reference is held */
    pp_lane *lane;
    enum pp_passage_way way;
    bool stuck;            /* room has been waited for in vain: no more, until it goes on */
    int64_t leave_by_ns;   /* LEAVING: what still lies in the lane then may be overtaken */
    uint64_t due_mark;     /* the last that went by the inlet to it, and not to all; 0: none */
    uint64_t through_mark; /* of what went by the inlet it has got so much */
};

struct pp_heard_by {
    struct pp_passage_to *passage;
    uint64_t sid;
};

/* Who hears a subject. One allocation with what it points to. */
struct pp_hearers {
    uint64_t hash;
    pp_sublist_gen gen;
    size_t subject_len;
    bool elsewhere; /* others too, whom a loop must give it to */
    uint32_t count;
    struct pp_heard_by *targets;
    char *subject;
};

struct pp_lodger {
    pp_client client; /* as the core sees it */
    pipit_server *server;
    pp_account *account;
    pp_port *port;
    uint64_t serial; /* its name where it may be gone: no other lodger of the server gets it */
    bool no_echo;
    void (*on_end)(void *context);
    void *context;
    pp_link link;
    atomic_uint refs;                /* its client, its subscriptions, passages of others */
    struct pp_way *ways;             /* by loop */
    pp_worker *home;                 /* whose inlet it uses */
    atomic_uint_fast64_t inlet_mark; /* number of what it has put there last; 0: nothing */

    atomic_bool ended; /* it need not wait any more; written under the lock */

    pp_biased lock;   /* of all below: who publishes holds it */
    pp_link awaiting; /* who waits for room with a recipient (room.c) */
    struct pp_hearers **routes;
    struct pp_hearers *recent; /* one of them, found last; NULL: none */
    size_t targets;            /* of routes, together */
    pp_table passages;         /* by lodger */
    pp_link passage_list;
    size_t sweep_at;
    size_t lane_count;      /* of passages, that are not BY_INLET */
    bool leaving_all;       /* some are LEAVING because of mappings or imports */
    uint64_t indirect_mark; /* the last that went by the inlet as a whole; 0: none */
    /* What went to others without a loop, and what they got of it; and what went to a loop, which
     * counts it as the server's. */
    atomic_uint_fast64_t in_msgs, in_bytes, out_msgs, out_bytes;
    atomic_uint_fast64_t put_msgs, put_bytes;
};

/* --- lodger.c ----------------------------------------------------------------------------- */

/* Of its client, its subscriptions, passages of others. */
void pp_lodger_unref(pp_lodger *lodger);
bool pp_lodger_has(const pp_sub *sub);
/* Is it a subject that can be published on? Errors: PIPIT_EINVAL; PIPIT_ETOOBIG. */
pipit_err pp_lodger_check_subject(const pipit_server *server, pp_str subject);

/* --- room.c; under the lodger's lock, which is let go of while waiting -------------------- */

/* Wait for room for data_bytes: with one recipient, which is passed over from now on if it makes
 * none in time, or with the inlet (full NULL). False: it is too late, or the lodger has ended. */
bool pp_room_await(pp_lodger *lodger, pp_lane *full, size_t data_bytes, int64_t deadline_ns);
/* Wait until the recipient takes something of its lane, which is to be emptied, until deadline_ns
 * at most. False: the lodger has ended. */
bool pp_room_await_emptied(pp_lodger *lodger, pp_lane *lane, int64_t deadline_ns);

/* --- hearers.c; all under the lodger's lock ----------------------------------------------- */

/* Who hears the subject, if that was found last and is still true; NULL: it takes a look. */
const struct pp_hearers *pp_hearers_recent(const pp_lodger *lodger, pp_str subject);
/* Who hears the subject now, until something else is asked. Errors: PIPIT_EINVAL; PIPIT_ETOOBIG;
 * PIPIT_ENOMEM. */
pipit_err pp_hearers_find(pp_lodger *lodger, pp_str subject, struct pp_hearers **out);
/* Those of its own subscriptions that hear the subject; to be freed. NULL: no memory. */
struct pp_hearers *pp_hearers_own(pp_lodger *lodger, pp_str subject);
/* The recipient at the end of lane is not waited for any more, until it goes on. */
void pp_hearers_give_up(pp_lodger *lodger, const pp_lane *lane);
/* Let go of all that is remembered. */
void pp_hearers_forget(pp_lodger *lodger);

#endif
