/* A server, how a client comes to it, and what a client hears there. */
#ifndef PIPIT_TESTS_CLIENT_PLACE_H
#define PIPIT_TESTS_CLIENT_PLACE_H

#include "support/check.h"
#include "support/host.h"

#include "pipit/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

enum { URL_BYTES = 256, WAIT_MS = CHECK_WAIT_MS, MANY = 20000, LARGE = 700000 };

struct place {
    host host;
    const char *way;
    pid_t peer; /* 0: none */
    char folder[64], socket[128], url[URL_BYTES], ca[128];
};

/* For servers that the test makes itself. */
void log_line(void *context, pipit_log_level level, const char *text);
/* A shell command, which must succeed. */
void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool is_way(const struct place *p, const char *part);
/* NULL: nats-server is not there. */
const char *peer_program(void);
/* Start a server that is reached by way, with more in its configuration; and end it, with nothing
 * left. */
void place_open(struct place *p, const char *way, const char *more);
void place_close(struct place *p);
/* By every way that there is, or the one of PIPIT_CLIENT_WAY. */
void each_way(void (*scenario)(struct place *p));

/* Connect, with o, or as anybody. */
pipit_client *connect_with(struct place *p, pipit_client_options *o);
pipit_client *come(struct place *p);
void must(pipit_err err, const char *what);

/* --- what is heard ------------------------------------------------------------------------ */

struct heard {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    uint64_t count, bytes;
    uint64_t next; /* numbers must come in order */
    bool disordered;
    char subject[64], payload[64], header[64];
};

void heard_init(struct heard *h);
/* A callback, whose context is a struct heard. */
void hear(void *context, pipit_sub *sub, const pipit_msg *msg);
/* Until count messages have been heard. */
void await(struct heard *h, uint64_t count);
void publish_text(pipit_client *client, const char *subject, const char *text);

/* --- events, counted ---------------------------------------------------------------------- */

struct events {
    atomic_uint count[16];
};

void on_event(void *context, pipit_client *client, pipit_event event, const char *text);
/* Has it come back to a server, lost its connection? arg is a struct events. */
bool came_back(void *arg);
bool went(void *arg);

#endif
