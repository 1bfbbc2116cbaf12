#include "server/system/publish.h"

#include "net/parcel.h"
#include "proto/nats/session.h"
#include "server/server.h"
#include "server/system/system.h"

#include <stdarg.h>
#include <stdio.h>

enum { SUBJECT_MAX = 1024, ANNOUNCEMENT_MAX = 1024 * 1024 };

/* The place from where everything in the account can be seen; NULL: this loop does not know it (any
 * more). While a reload is under way the account's root may belong to another table than this
 * loop's routes. */
static const pp_scope *root_of(const pp_worker *home, const pp_account *account)
{
    const pp_scope *root = atomic_load_explicit(&account->root, memory_order_acquire);
    const pp_users *users = home->nats.settings->users;
    const pp_users *table = root ? PP_CONTAINER(root, pp_user, scope)->table : NULL;

    if (root && (table == users || !table)) /* of a tenant: it stays as long as the account */
        return root;
    return pp_users_find_root(users, account);
}

bool pp_audience_find(pp_system *system, pp_account *account, pp_str subject,
                      pp_audience *out_audience)
{
    pp_worker *home = system->home;
    const pp_scope *root = root_of(home, account);
    pp_route_cache *cache = root ? pp_router_cache(&home->router, root) : NULL;

    /* What the server says goes where it says: mappings are for clients. */
    if (cache && atomic_load_explicit(&account->mappings, memory_order_relaxed))
        cache = pp_route_cache_final(cache);
    if (!cache || !pp_local_text_valid(subject))
        return false;
    *out_audience = (pp_audience){cache, pp_route_find(cache, subject)};
    return out_audience->route && out_audience->route->target_count;
}

static bool deliver(pp_system *system, const pp_audience *audience, const pp_msg *msg)
{
    pp_loop *loop = &system->home->loop;
    size_t taken = pp_route_deliver(audience->cache, audience->route, msg);

    loop->gate = NULL; /* who lags makes publishers wait, and the server is none */
    pp_count(&audience->cache->counters->out_msgs, taken);
    pp_count(&audience->cache->counters->out_bytes, taken * msg->data.len);
    if (loop->staged_bytes > PP_STAGED_MAX)
        pp_loop_flush(loop);
    return taken != 0;
}

static bool tell(pp_system *system, const pp_audience *audience, pp_str subject, pp_str reply,
                 pp_body *body, size_t len, size_t header_len)
{
    const pp_msg msg = {
        .subject = subject,
        .reply = reply,
        .data = {body->bytes, len},
        .header_len = (uint32_t)header_len,
        .body = len >= PP_PARCEL_REFER_MIN ? body : NULL,
    };

    return deliver(system, audience, &msg);
}

bool pp_audience_tell_body(pp_system *system, const pp_audience *audience, pp_str subject,
                           pp_body *body, size_t len, size_t header_len)
{
    return tell(system, audience, subject, PP_STR(""), body, len, header_len);
}

bool pp_audience_ask(pp_system *system, const pp_audience *audience, pp_str subject, pp_str reply,
                     pp_str data, size_t header_len)
{
    pp_body *body = pp_parcel_body(data);
    bool told;

    if (!body)
        return false;
    told = tell(system, audience, subject, reply, body, data.len, header_len);
    pp_body_unref(body);
    return told;
}

bool pp_audience_tell(pp_system *system, const pp_audience *audience, pp_str subject, pp_str data,
                      size_t header_len)
{
    return pp_audience_ask(system, audience, subject, PP_STR(""), data, header_len);
}

void pp_system_announce(pp_system *system,
                        pipit_err (*write)(pp_system *system, pp_buf *out, void *arg), void *arg,
                        const char *subject_format, ...)
{
    pp_account *account = atomic_load(&system->account);
    char subject[SUBJECT_MAX];
    pp_audience audience;
    va_list args;
    pp_buf text;
    int len;

    va_start(args, subject_format);
    len = vsnprintf(subject, sizeof(subject), subject_format, args);
    va_end(args);
    if (!account || len >= (int)sizeof(subject) ||
        !pp_audience_find(system, account, (pp_str){subject, (size_t)len}, &audience))
        return;
    pp_buf_init(&text, ANNOUNCEMENT_MAX);
    if (!write(system, &text, arg))
        (void)pp_audience_tell(system, &audience, (pp_str){subject, (size_t)len}, pp_buf_str(&text),
                               0);
    pp_buf_fini(&text);
}
