#include "store_world.h"

#include "base/assert.h"
#include "base/hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { READS_MAX = 4096 };

const struct pp_store_keys world_keys = {1, {"a key"}};
static const uint8_t store_id[16] = "fuzz";

struct pp_seal world_seal(uint64_t number)
{
    struct pp_seal seal;

    pp_seal_derive(&seal, world_keys.keys[0], store_id, number, 3);
    return seal;
}

struct pp_identity world_identity(uint64_t number, uint64_t first_seq)
{
    struct pp_identity id = {.magic = number ? PP_SEGMENT_MAGIC : PP_MANIFEST_MAGIC,
                             .version = PP_STORE_VERSION,
                             .features = PP_STORE_FEATURES,
                             .store = "fuzz",
                             .key_id = pp_seal_key_id(world_keys.keys[0], store_id),
                             .salt = WORLD_SALT,
                             .created_ns = 1,
                             .number = number,
                             .first_seq = first_seq};

    pp_identity_seal(&id);
    return id;
}

void world_put(struct sim_disk *sim, const char *name, const void *bytes, size_t len)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "s/%s", name);
    fd = sim->disk.ops->open(&sim->disk, path, O_RDWR | O_CREAT);
    PP_ASSERT(fd >= 0);
    sim->disk.ops->close(&sim->disk, fd);
    sim_set(sim_find(sim, path), bytes, len);
}

static uint64_t mix(uint64_t hash, pp_str bytes)
{
    return pp_hash(bytes.ptr, bytes.len, hash);
}

static void visit_subject(void *ctx, pp_str subject, uint64_t messages)
{
    PP_ASSERT(subject.len > 0 && messages > 0);
    *(uint64_t *)ctx += messages;
}

static void visit_range(void *ctx, uint64_t first, uint64_t last)
{
    PP_ASSERT(first <= last);
    (void)ctx;
}

/* All that it serves, as a number. */
static uint64_t digest(pp_store *store)
{
    struct pp_store_message message;
    uint64_t hash = 1, seq = 0, subjects = 0;

    for (int i = 0; i < READS_MAX && !pp_store_next(store, PP_STR(">"), seq, &message); i++) {
        PP_ASSERT(message.seq >= seq && message.subject.len > 0);
        seq = message.seq + 1;
        hash = mix(hash + message.seq, message.subject);
        hash = mix(hash + (uint64_t)message.time_ns, message.headers);
        hash = mix(hash, message.payload);
    }
    (void)pp_store_prev(store, PP_STR(">"), UINT64_MAX / 2, &message);
    (void)pp_store_prev(store, PP_STR("a.*"), UINT64_MAX / 2, &message);
    (void)pp_store_at_time(store, 5, &seq);
    pp_store_subjects(store, PP_STR(">"), visit_subject, &subjects);
    pp_store_lost(store, visit_range, NULL);
    return hash;
}

static pp_store *open_store(struct sim_disk *sim)
{
    struct pp_store_options options = {.dir = "s",
                                       .disk = &sim->disk,
                                       .segment_bytes = 64 * 1024,
                                       .keys = &world_keys,
                                       .compress = true};
    pp_store *store = NULL;

    return pp_store_open(&options, &store, NULL) ? NULL : store;
}

/* Whatever it is, it can be changed or says that it cannot. */
static void change(pp_store *store)
{
    struct pp_store_message message = {.time_ns = 7, .subject = PP_STR("a.b")};
    uint64_t count, seq = 0;
    uint32_t expired;
    pipit_err err = pp_store_append(store, &message, PP_STORE_ANY, &seq);

    (void)pp_store_wait(store, pp_store_issued(store));
    if (!err)
        PP_ASSERT(pp_store_read(store, seq, &message) == PIPIT_OK && message.seq == seq);
    (void)pp_store_purge(store, PP_STR("a.>"), 0, 1, &count);
    (void)pp_store_expire(store, 1000, 16, &expired);
    (void)pp_store_truncate(store, seq / 2);
    (void)pp_store_wait(store, pp_store_issued(store));
}

void world_look(struct sim_disk *sim)
{
    pp_store *store = open_store(sim);
    uint64_t seen;

    if (!store)
        return;
    seen = digest(store);
    PP_ASSERT(digest(store) == seen);
    pp_store_close(store);
    store = open_store(sim);
    PP_ASSERT(store && digest(store) == seen);
    change(store);
    seen = digest(store);
    pp_store_close(store);
    store = open_store(sim);
    PP_ASSERT(store);
    (void)digest(store);
    pp_store_close(store);
}
