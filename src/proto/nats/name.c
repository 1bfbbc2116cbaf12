/* What a client calls itself, for loops that tell others about it. */
#include "base/alloc.h"
#include "proto/nats/session.h"

#include <string.h>

static void free_name(pp_retired *retired)
{
    pp_free(PP_CONTAINER(retired, pp_nats_name, retired));
}

/* Without memory it has none: nothing but reports depends on it. */
void pp_nats_show_name(pp_nats_session *s)
{
    pp_str text = pp_nats_connect_text(&s->connect, PP_CONNECT_NAME);
    pp_nats_name *name = text.len ? pp_alloc(sizeof(*name) + text.len) : NULL, *old;

    if (name) {
        name->len = text.len;
        memcpy(name->text, text.ptr, text.len);
    }
    old = atomic_exchange_explicit(&s->name, name, memory_order_acq_rel);
    if (old)
        pp_reclaim_retire(&s->conn->loop->reclaimer, &old->retired, free_name);
}

void pp_nats_identify(const pp_client *client, pp_client_identity *out)
{
    const pp_nats_session *s = PP_CONTAINER(client, pp_nats_session, client);
    const pp_nats_name *name = atomic_load_explicit(&s->name, memory_order_acquire);

    out->id = s->conn->id;
    out->nearby = s->conn->local;
    out->name = name ? (pp_str){name->text, name->len} : (pp_str){NULL, 0};
}
