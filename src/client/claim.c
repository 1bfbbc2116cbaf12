/* Claims: over memory the server has them; by a wire they are asked for, and remembered to be asked
 * for again on a new connection.
 *
 *      [pipit_client_claim]          [on_granted]             [pp_client_reclaim_locked]
 *   --------------------> asked for -------------> granted  <----------------------------+
 *                             |                       |  |    on each new connection     |
 *              refused [end_asking]     [forget_locked]  +-------------------------------+
 *                             v                       v       refused: lost, and told
 *                            gone <-------------------+
 *
 * It is granted when the answer is read, not when who asked hears of it: a connection that is lost
 * in between has had it. Who drives sees answers and losses in their order. */
#include "client/own_request.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "client/frame.h"
#include "core/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CLAIMS_MAX = 65536, REPLY_MAX = PP_INBOX_BYTES + 20 };

#define CLAIM "$PIPIT.CLAIM."
#define RELEASE "$PIPIT.RELEASE."

/* All under the client's lock. */
struct claim {
    pp_table_entry entry;
    pipit_client *client;
    unsigned asking; /* threads that ask for it now */
    bool granted;
    char subject[]; /* with the verb before it, and a NUL */
};

static pp_str subject_of(const struct claim *c)
{
    return pp_str_of(c->subject + sizeof(CLAIM) - 1);
}

/* --- the table ---------------------------------------------------------------------------- */

/* Of 64 bits, and of the program's own subjects, at which nobody aims collisions: it names one
 * claim. A second one of the same hash could not be asked for again by itself, and is refused. */
static uint64_t hash_of(pp_str subject)
{
    return pp_hash(subject.ptr, subject.len, 0);
}

static struct claim *find_hash_locked(const pipit_client *client, uint64_t hash)
{
    pp_table_entry *e = pp_table_first(&client->claims, hash);

    while (e && e->hash != hash)
        e = e->next;
    return e ? PP_CONTAINER(e, struct claim, entry) : NULL;
}

static struct claim *find_locked(const pipit_client *client, pp_str subject)
{
    struct claim *c = find_hash_locked(client, hash_of(subject));

    return c && pp_str_eq(subject_of(c), subject) ? c : NULL;
}

static pipit_err enter_locked(pipit_client *client, pp_str subject, struct claim **out)
{
    struct claim *c = find_locked(client, subject);

    if (!c) {
        if (client->claims.count >= CLAIMS_MAX || find_hash_locked(client, hash_of(subject)))
            return PIPIT_ELIMIT;
        c = pp_calloc(1, sizeof(*c) + sizeof(CLAIM) + subject.len);
        if (!c)
            return PIPIT_ENOMEM;
        c->client = client;
        c->entry.hash = hash_of(subject);
        memcpy(c->subject, CLAIM, sizeof(CLAIM) - 1);
        memcpy(c->subject + sizeof(CLAIM) - 1, subject.ptr, subject.len);
        if (pp_table_add(&client->claims, &c->entry)) {
            pp_free(c);
            return PIPIT_ENOMEM;
        }
    }
    c->asking++;
    *out = c;
    return PIPIT_OK;
}

static void forget_locked(struct claim *c)
{
    c->granted = false;
    if (c->asking)
        return; /* who asks forgets it */
    pp_table_remove(&c->client->claims, &c->entry);
    pp_free(c);
}

void pp_client_free_claims(pipit_client *client)
{
    pp_table_entry *entry;

    while ((entry = pp_table_any(&client->claims)) != NULL) {
        pp_table_remove(&client->claims, entry);
        pp_free(PP_CONTAINER(entry, struct claim, entry));
    }
    pp_table_fini(&client->claims);
}

/* --- a new connection --------------------------------------------------------------------- */

static pipit_err reclaim(const struct claim *c, pp_buf *out)
{
    char reply[REPLY_MAX];
    const pipit_msg msg = {
        .subject = c->subject,
        .subject_bytes = strlen(c->subject),
        .reply = reply,
        .reply_bytes = (size_t)snprintf(reply, sizeof(reply), "%s%c%" PRIx64, c->client->inbox,
                                        PP_CLAIM_MARK, c->entry.hash),
    };

    return pp_frame_pub(out, &msg);
}

pipit_err pp_client_reclaim_locked(pipit_client *client, pp_buf *out)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; client->claims.slots && i <= client->claims.mask; i++) {
        for (pp_table_entry *e = client->claims.slots[i]; e && !err; e = e->next) {
            const struct claim *c = PP_CONTAINER(e, struct claim, entry);

            if (c->granted)
                err = reclaim(c, out);
        }
    }
    return err;
}

void pp_client_reclaimed(pipit_client *client, uint64_t hash, const pipit_msg *answer)
{
    char text[256] = "";
    struct claim *c;

    if (pp_own_answer(answer) == PIPIT_OK)
        return;
    (void)pthread_mutex_lock(&client->lock);
    c = find_hash_locked(client, hash);
    if (c && c->granted) {
        (void)snprintf(text, sizeof(text), "%s", subject_of(c).ptr);
        forget_locked(c);
    }
    (void)pthread_mutex_unlock(&client->lock);
    if (*text)
        pp_client_emit(client, PIPIT_EVENT_CLAIM_LOST, text);
}

/* --- claiming ----------------------------------------------------------------------------- */

static void on_granted(void *context, const pipit_msg *answer)
{
    struct claim *c = context;

    (void)pthread_mutex_lock(&c->client->lock);
    c->granted |= pp_own_answer(answer) == PIPIT_OK;
    (void)pthread_mutex_unlock(&c->client->lock);
}

static pipit_err ask_to_claim(pipit_client *client, pp_str subject, int64_t timeout_ms)
{
    struct claim *c;
    pipit_err err;

    (void)pthread_mutex_lock(&client->lock);
    err = enter_locked(client, subject, &c);
    (void)pthread_mutex_unlock(&client->lock);
    if (err)
        return err;
    err = pp_own_request(client,
                         &(pipit_msg){.subject = c->subject, .subject_bytes = strlen(c->subject)},
                         timeout_ms, on_granted, c, NULL);
    (void)pthread_mutex_lock(&client->lock);
    c->asking--;
    if (!c->granted)
        forget_locked(c);
    (void)pthread_mutex_unlock(&client->lock);
    return err;
}

static pipit_err ask_to_release(pipit_client *client, pp_str subject, int64_t timeout_ms)
{
    pipit_msg request = {.subject_bytes = sizeof(RELEASE) - 1 + subject.len};
    char *text = pp_alloc(request.subject_bytes);
    struct claim *c;
    pipit_err err;

    if (!text)
        return PIPIT_ENOMEM;
    memcpy(text, RELEASE, sizeof(RELEASE) - 1);
    memcpy(text + sizeof(RELEASE) - 1, subject.ptr, subject.len);
    request.subject = text;
    (void)pthread_mutex_lock(&client->lock);
    c = find_locked(client, subject);
    if (c)
        forget_locked(c); /* before it is asked for again */
    (void)pthread_mutex_unlock(&client->lock);
    err = pp_own_request(client, &request, timeout_ms, NULL, NULL, NULL);
    pp_free(text);
    return err;
}

static pipit_err check(const pipit_client *client, pp_str subject)
{
    if (!pp_client_text_valid(subject))
        return PIPIT_EINVAL;
    if (subject.len > PP_CLIENT_SUBJECT_MAX)
        return PIPIT_ETOOBIG;
    return client->server && atomic_load((atomic_bool *)&client->closing) ? PIPIT_ECLOSED
                                                                          : PIPIT_OK;
}

pipit_err pipit_client_claim(pipit_client *client, const char *subject, int64_t timeout_ms)
{
    pp_str text = pp_str_of(subject);
    pipit_err err = check(client, text);

    if (err)
        return err;
    return client->server ? pp_lodger_claim(client->lodger, text)
                          : ask_to_claim(client, text, timeout_ms);
}

pipit_err pipit_client_release(pipit_client *client, const char *subject, int64_t timeout_ms)
{
    pp_str text = pp_str_of(subject);
    pipit_err err = check(client, text);

    if (err)
        return err;
    if (!client->server)
        return ask_to_release(client, text, timeout_ms);
    pp_lodger_release(client->lodger, text);
    return PIPIT_OK;
}
