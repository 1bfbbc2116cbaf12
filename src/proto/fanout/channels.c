#include "proto/fanout/channels.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"

#include <string.h>

enum { SLOTS_AT_START = 64 };

struct pp_fanout_channel {
    struct pp_fanout_channel *next;
    uint64_t hash;
    uint32_t subs;
    uint32_t name_len;
    char name[];
};

void pp_fanout_channels_init(pp_fanout_channels *channels)
{
    *channels = (pp_fanout_channels){.seed = pp_random_seed()};
    (void)pthread_mutex_init(&channels->lock, NULL);
}

void pp_fanout_channels_fini(pp_fanout_channels *channels)
{
    PP_ASSERT(atomic_load(&channels->count) == 0);
    pp_free(channels->table);
    (void)pthread_mutex_destroy(&channels->lock);
}

/* Where the channel stands, or would. */
static struct pp_fanout_channel **place_locked(pp_fanout_channels *channels, pp_str name,
                                               uint64_t hash)
{
    struct pp_fanout_channel **at = &channels->table[hash & channels->mask];

    while (*at && ((*at)->hash != hash || (*at)->name_len != name.len ||
                   memcmp((*at)->name, name.ptr, name.len) != 0))
        at = &(*at)->next;
    return at;
}

/* Without memory chains get longer, no more. */
static void grow_locked(pp_fanout_channels *channels)
{
    size_t slots = channels->table ? 2 * (channels->mask + 1) : SLOTS_AT_START;
    struct pp_fanout_channel **table = pp_calloc(slots, sizeof(struct pp_fanout_channel *));

    if (!table)
        return;
    for (size_t i = 0; channels->table && i <= channels->mask; i++) {
        while (channels->table[i]) {
            struct pp_fanout_channel *channel = channels->table[i];

            channels->table[i] = channel->next;
            channel->next = table[channel->hash & (slots - 1)];
            table[channel->hash & (slots - 1)] = channel;
        }
    }
    pp_free(channels->table);
    channels->table = table;
    channels->mask = slots - 1;
}

static pipit_err add_locked(pp_fanout_channels *channels, pp_str name, uint64_t hash)
{
    struct pp_fanout_channel *channel = pp_alloc(sizeof(*channel) + name.len);
    struct pp_fanout_channel **at;

    if (!channel)
        return PIPIT_ENOMEM;
    if (atomic_load(&channels->count) > channels->mask)
        grow_locked(channels);
    at = place_locked(channels, name, hash);
    *channel = (struct pp_fanout_channel){
        .next = *at, .hash = hash, .subs = 1, .name_len = (uint32_t)name.len};
    memcpy(channel->name, name.ptr, name.len);
    *at = channel;
    (void)atomic_fetch_add(&channels->count, 1);
    return PIPIT_OK;
}

pipit_err pp_fanout_channels_enter(pp_fanout_channels *channels, pp_str name, size_t max)
{
    uint64_t hash = pp_hash(name.ptr, name.len, channels->seed);
    struct pp_fanout_channel *channel;
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&channels->lock);
    if (!channels->table)
        grow_locked(channels);
    channel = channels->table ? *place_locked(channels, name, hash) : NULL;
    if (channel)
        channel->subs++;
    else if (!channels->table)
        err = PIPIT_ENOMEM;
    else
        err = atomic_load(&channels->count) < max ? add_locked(channels, name, hash) : PIPIT_ELIMIT;
    (void)pthread_mutex_unlock(&channels->lock);
    return err;
}

void pp_fanout_channels_leave(pp_fanout_channels *channels, pp_str name)
{
    uint64_t hash = pp_hash(name.ptr, name.len, channels->seed);
    struct pp_fanout_channel **at, *channel;

    (void)pthread_mutex_lock(&channels->lock);
    at = place_locked(channels, name, hash);
    channel = *at;
    PP_ASSERT(channel);
    if (--channel->subs == 0) {
        *at = channel->next;
        pp_free(channel);
        (void)atomic_fetch_sub(&channels->count, 1);
    }
    (void)pthread_mutex_unlock(&channels->lock);
}
