/* What a client calls itself, for loops that tell others about it. They read it where connect has
 * it: a copy would take as much again with each connection. */
#include "base/alloc.h"
#include "proto/nats/session.h"

/* Texts that some loop may still be looking at. */
struct old_texts {
    pp_retired retired;
    char *texts;
};

void pp_nats_show_name(pp_nats_session *s)
{
    if (pp_nats_connect_text(&s->connect, PP_CONNECT_NAME).len)
        atomic_store_explicit(&s->shown_texts, s->connect.texts, memory_order_release);
}

static void free_old(pp_retired *retired)
{
    struct old_texts *old = PP_CONTAINER(retired, struct old_texts, retired);

    pp_free(old->texts); /* whoever is shown has no secrets any more */
    pp_free(old);
}

/* Few clients send a second CONNECT, so what that takes is not kept for all. */
bool pp_nats_hide_name(pp_nats_session *s)
{
    struct old_texts *old;

    if (!atomic_load_explicit(&s->shown_texts, memory_order_relaxed))
        return true;
    old = pp_alloc(sizeof(*old));
    if (!old || !pp_nats_connect_leave_texts(&s->connect, &old->texts)) {
        pp_free(old);
        return false;
    }
    atomic_store_explicit(&s->shown_texts, NULL, memory_order_relaxed);
    pp_reclaim_retire(&s->conn->loop->reclaimer, &old->retired, free_old);
    return true;
}

void pp_nats_identify(const pp_client *client, pp_client_identity *out)
{
    const pp_nats_session *s = PP_CONTAINER(client, pp_nats_session, client);
    const char *texts = atomic_load_explicit(&s->shown_texts, memory_order_acquire);

    out->id = s->conn->id;
    out->nearby = s->conn->local;
    out->name = pp_nats_text_in(texts, PP_CONNECT_NAME);
}
