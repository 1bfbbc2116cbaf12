/* server/system/publish.h -- messages of the server's own, into any account.
 *
 * First ask whether anybody would hear it, and only then write it. Thread: the home loop's, not
 * while a message is being delivered. */
#ifndef PP_SERVER_SYSTEM_PUBLISH_H
#define PP_SERVER_SYSTEM_PUBLISH_H

#include "base/buf.h"
#include "core/route.h"

struct pp_system;

/* A way to those who listen. Good until the next call for the same account, or the turn's end. */
typedef struct pp_audience {
    pp_route_cache *cache;
    const pp_route *route;
} pp_audience;

/* Who would hear a message on that subject in that account? False: nobody. account is one that
 * cannot go meanwhile. */
bool pp_audience_find(struct pp_system *system, pp_account *account, pp_str subject,
                      pp_audience *out_audience);

/* Tell them. subject is the one that was asked for; the first header_len bytes of data are a header
 * block. False: nobody took it, or no memory. */
bool pp_audience_tell(struct pp_system *system, const pp_audience *audience, pp_str subject,
                      pp_str data, size_t header_len);

/* The same with a subject at which they may answer. */
bool pp_audience_ask(struct pp_system *system, const pp_audience *audience, pp_str subject,
                     pp_str reply, pp_str data, size_t header_len);

/* Tell with data in a body, of which len bytes are meant and two more are there. */
bool pp_audience_tell_body(struct pp_system *system, const pp_audience *audience, pp_str subject,
                           struct pp_body *body, size_t len, size_t header_len);

/* Find and tell in the system account: subject is a printf format. write makes the text and is not
 * called when nobody would hear it; on an error nothing is told. */
void pp_system_announce(struct pp_system *system,
                        pipit_err (*write)(struct pp_system *system, pp_buf *out, void *arg),
                        void *arg, const char *subject_format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
