/* A store begins and ends. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>

static void set_defaults(struct pp_store_options *options)
{
    if (!options->segment_bytes)
        options->segment_bytes = 64 * 1024 * 1024;
    if (options->segment_bytes > PP_SEGMENT_BYTES_MAX)
        options->segment_bytes = PP_SEGMENT_BYTES_MAX;
    if (options->segment_bytes < PP_SEGMENT_BYTES_MIN)
        options->segment_bytes = PP_SEGMENT_BYTES_MIN;
    if (!options->cache_bytes)
        options->cache_bytes = 512 * 1024;
    if (!options->index_bytes)
        options->index_bytes = 256 * 1024 * 1024;
    if (!options->pending_max)
        options->pending_max = 64 * 1024 * 1024;
    if (!options->first_seq)
        options->first_seq = 1;
    if (!options->disk)
        options->disk = pp_disk_real();
}

static pipit_err new_store(const struct pp_store_options *options, pp_store **out_store)
{
    pp_store *store = pp_calloc(1, sizeof(*store));
    pthread_condattr_t monotonic;

    if (!store)
        return PIPIT_ENOMEM;
    store->options = *options;
    store->options.dir = NULL;
    set_defaults(&store->options);
    store->limits = options->limits;
    store->disk = store->options.disk;
    store->memory = options->kind == PP_STORE_MEMORY;
    store->lock_fd = store->writer.fd = store->writer.spare_fd = -1;
    store->writer.removed = true; /* maybe, when it was open before */
    store->next_number = 1;
    store->cut_lowest = UINT64_MAX;
    store->first_seq = store->options.first_seq;
    store->last_seq = store->first_seq - 1;
    store->marked = true;
    pp_subjects_init(&store->subjects);
    pp_buf_init(&store->scratch, PP_RECORD_BODY_MAX + 4096);
    pp_buf_init(&store->opened, PP_RECORD_BODY_MAX + 4096);
    pp_buf_init(&store->raw, PP_RECORD_BODY_MAX + 4096);
    pp_buf_init(&store->squeezed, 2 * (size_t)PP_RECORD_BODY_MAX);
    store->options.keys = NULL;
    store->epoch = pp_random_seed();
    pp_rewrite_init(&store->rewrite);
    store->rewrite.wanted = true;
    pp_list_init(&store->batches);
    pp_pool_seat_init(&store->seat, pp_writer_serve);
    pp_ahead_init(&store->ahead);
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_cond_init(&store->moved, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->more, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *out_store = store;
    return PIPIT_OK;
}

static void close_fd(pp_store *store, int *fd)
{
    if (*fd >= 0)
        store->disk->ops->close(store->disk, *fd);
    *fd = -1;
}

static void free_store(pp_store *store)
{
    if (!store)
        return;
    /* One may be left that nothing was put into, for want of memory; it knows its segment. */
    while (!pp_list_empty(&store->batches)) {
        struct pp_batch *batch = PP_CONTAINER(store->batches.next, struct pp_batch, link);

        pp_list_remove(&batch->link);
        batch->segment->pending = 0;
        pp_batch_free(batch);
    }
    for (uint32_t i = 0; i < store->segment_count; i++) {
        pp_store_close_file(store, store->segments[i]);
        pp_segment_free(store->segments[i]);
    }
    for (pp_segment *segment = store->limbo; segment;) {
        pp_segment *next = segment->next_limbo;

        pp_segment_free(segment);
        segment = next;
    }
    pp_rewrite_fini(&store->rewrite);
    pp_batch_free(store->idle);
    close_fd(store, &store->writer.fd);
    close_fd(store, &store->writer.spare_fd);
    close_fd(store, &store->lock_fd);
    pp_subjects_fini(&store->subjects);
    pp_cache_fini(&store->cache);
    pp_ahead_fini(&store->ahead);
    pp_buf_fini(&store->scratch);
    pp_buf_fini(&store->opened);
    pp_buf_fini(&store->raw);
    pp_buf_fini(&store->squeezed);
    if (store->keys)
        pp_store_keys_wipe(store->keys);
    pp_free(store->keys);
    pp_ranges_fini(&store->lost);
    pp_ranges_fini(&store->cut);
    pp_free(store->due);
    pp_expiries_fini(&store->due_aside);
    pp_free(store->segments);
    pp_free(store->dir);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_cond_destroy(&store->moved);
    (void)pthread_cond_destroy(&store->more);
    pp_free(store);
}

/* Nobody else may have it open. */
static pipit_err lock_dir(pp_store *store)
{
    char path[PP_PATH_BYTES];
    int locked;
    pipit_err err;

    pp_store_path_of(store, "lock", path);
    err = pp_disk_open(store->disk, path, O_RDWR | (store->options.create ? O_CREAT : 0),
                       &store->lock_fd);
    if (err == PIPIT_ENOTFOUND && !store->options.create)
        err = pp_disk_open(store->disk, path, O_RDWR | O_CREAT, &store->lock_fd);
    if (err) {
        store->lock_fd = -1;
        return err;
    }
    locked = store->disk->ops->lock(store->disk, store->lock_fd);
    if (locked == -EWOULDBLOCK)
        return PIPIT_EINUSE;
    return locked < 0 ? pp_err_from_errno(-locked) : PIPIT_OK;
}

static pipit_err make_dir(pp_store *store)
{
    char parent[PP_PATH_BYTES];
    int made = store->disk->ops->make_dir(store->disk, store->dir);
    char *slash;

    if (made == -EEXIST)
        return PIPIT_OK;
    if (made < 0)
        return pp_err_from_errno(-made);
    (void)snprintf(parent, sizeof(parent), "%s", store->dir);
    slash = strrchr(parent, '/');
    if (slash == parent)
        slash++;
    if (slash)
        *slash = '\0';
    if (store->disk->ops->sync_dir(store->disk, slash ? parent : ".") < 0)
        return PIPIT_EIO;
    return PIPIT_OK;
}

static pipit_err take_keys(pp_store *store, const struct pp_store_keys *keys)
{
    if (!keys)
        return PIPIT_OK;
    if (keys->count == 0 || keys->count > PP_STORE_KEYS_MAX || sodium_init() < 0)
        return PIPIT_EINVAL;
    store->keys = pp_alloc(sizeof(*keys));
    if (!store->keys)
        return PIPIT_ENOMEM;
    *store->keys = *keys;
    return PIPIT_OK;
}

static pipit_err open_files(pp_store *store, const char *dir, char *why)
{
    pipit_err err;

    if (!dir || !*dir || strlen(dir) > PP_PATH_BYTES - 64)
        return PIPIT_EINVAL;
    store->dir = pp_memdupz(dir, strlen(dir));
    if (!store->dir)
        return PIPIT_ENOMEM;
    err = pp_cache_init(&store->cache, store->options.cache_bytes);
    if (!err && store->options.create)
        err = make_dir(store);
    if (!err)
        err = lock_dir(store);
    if (!err)
        err = pp_store_recover(store, why);
    return err;
}

/* The memory kind: a first segment, and nothing to wait for. */
static pipit_err open_memory(pp_store *store)
{
    struct pp_journal_needs needs = {.new_segment = true, .new_seq = store->first_seq};
    pipit_err err;

    store->id.salt = pp_random_seed();
    err = pp_journal_begin(store, &needs);
    if (!err)
        (void)pthread_mutex_unlock(&store->lock);
    return err;
}

pipit_err pp_store_open(const struct pp_store_options *options, pp_store **out_store, char *out_why)
{
    char ignored[PP_STORE_WHY_BYTES], *why = out_why ? out_why : ignored;
    pp_store *store = NULL;
    pipit_err err = new_store(options, &store);

    *why = '\0';
    if (err)
        return err;
    err = store->memory ? PIPIT_OK : take_keys(store, options->keys);
    if (!err)
        err = store->memory ? open_memory(store) : open_files(store, options->dir, why);
    if (!err && !store->failure) {
        /* What is over the limits goes; what cannot go now goes with the next message. */
        (void)pp_store_take_limits(store, &options->limits, false);
    }
    if (err) {
        if (!*why)
            (void)snprintf(why, PP_STORE_WHY_BYTES, "%s", pipit_strerror(err));
        free_store(store);
        return err;
    }
    if (store->options.sync_interval_ns && store->options.log && !store->memory)
        pp_log_write(
            store->options.log, PP_LOG_WARN,
            "store: what is acknowledged is not on disk at once dir=%s sync_interval=%lldms",
            store->dir, (long long)(store->options.sync_interval_ns / PP_NS_PER_MS));
    *out_store = store;
    return PIPIT_OK;
}

void pp_store_close(pp_store *store)
{
    if (!store)
        return;
    if (store->options.readers)
        pp_pool_leave(store->options.readers, &store->ahead.seat);
    if (!store->memory) {
        (void)pp_store_say_evicted(store);
        (void)pp_store_wait(store, store->issued);
        if (store->options.pool)
            pp_pool_leave(store->options.pool, &store->seat);
        if (!store->failure)
            pp_writer_mark(store);
    }
    free_store(store);
}
