/* Stores that are made to be measured. */
#include "bench.h"

#include "base/clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct signal {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t turns;
};

static struct signal progress = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static void on_progress(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&progress.lock);
    progress.turns++;
    (void)pthread_cond_signal(&progress.moved);
    (void)pthread_mutex_unlock(&progress.lock);
}

void wait_progress(uint64_t *seen)
{
    (void)pthread_mutex_lock(&progress.lock);
    while (progress.turns == *seen)
        (void)pthread_cond_wait(&progress.moved, &progress.lock);
    *seen = progress.turns;
    (void)pthread_mutex_unlock(&progress.lock);
}

void path_of(const char *name, char out[600])
{
    (void)snprintf(out, 600, "%s/%s", folder, name);
}

void remove_store(const char *name)
{
    char path[600], command[640];

    path_of(name, path);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", path);
    if (system(command) != 0)
        fail("%s", command);
}

pp_store *open_store(const char *name, const struct how *how)
{
    static const struct pp_store_keys keys = {1, {"a key"}};
    struct pp_store_options options = {.kind = how->memory ? PP_STORE_MEMORY : PP_STORE_FILE,
                                       .create = true,
                                       .pool = how->alone || how->memory ? NULL : pool,
                                       .sync_interval_ns = how->sync_interval_ns,
                                       .segment_bytes = how->segment_bytes,
                                       .compress = how->compress,
                                       .keys = how->sealed ? &keys : NULL,
                                       .limits = {.per_subject = how->per_subject},
                                       .on_progress = on_progress};
    char path[600], why[PP_STORE_WHY_BYTES];
    pp_store *store;

    path_of(name, path);
    options.dir = path;
    if (pp_store_open(&options, &store, why))
        fail("%s: %s", path, why);
    return store;
}

void fill(char *payload, size_t len)
{
    uint64_t random = 88172645463325252u;

    for (size_t i = 0; i < len; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        payload[i] = (i / 16) % 2 ? (char)random : (char)('a' + i % 16);
    }
}

void append(pp_store *store, const struct pp_store_message *message, uint64_t *seen)
{
    pipit_err err;

    while ((err = pp_store_append(store, message, PP_STORE_ANY, NULL)) == PIPIT_EAGAIN)
        wait_progress(seen);
    must(err, "append");
}

pp_store *fill_store(const char *name, uint64_t messages, uint64_t subjects, size_t payload_len,
                     uint64_t segment_bytes)
{
    struct how how = {.sync_interval_ns = 10 * PP_NS_PER_S, .segment_bytes = segment_bytes};
    pp_store *store = open_store(name, &how);
    struct pp_store_message message = {0};
    static char payload[LARGE];
    uint64_t seen = 0;
    char subject[32];

    fill(payload, payload_len);
    message.payload = (pp_str){payload, payload_len};
    for (uint64_t i = 0; i < messages; i++) {
        int len = snprintf(subject, sizeof(subject), "bench.%" PRIu64, i % subjects);

        message.time_ns = (int64_t)i;
        message.subject = (pp_str){subject, (size_t)len};
        append(store, &message, &seen);
    }
    must(pp_store_wait(store, pp_store_issued(store)), "wait");
    return store;
}
