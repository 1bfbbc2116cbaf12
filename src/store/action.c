/* What is done to files once the records that say so are on disk. */
#include "store/inside.h"

#include "base/alloc.h"

#include <fcntl.h>

/* Zeros over the body of a record that must not be read again by anybody. Then its head says that
 * this is meant: 16 bytes in one sector, so that the power cannot go between them. If they are not
 * in one, only the record of the deletion tells. */
static pipit_err erase(pp_store *store, int fd, const struct pp_action *action)
{
    enum { CHECKS_BYTES = 16, SECTOR_BYTES = 512 };
    static const char zeros[4096];
    uint64_t done = sizeof(action->head);
    pipit_err err = PIPIT_OK;

    while (done < action->bytes && !err) {
        size_t part = sizeof(zeros);

        if (part > action->bytes - done)
            part = (size_t)(action->bytes - done);
        err = pp_disk_write(store->disk, fd, zeros, part, action->at + done);
        done += part;
    }
    if (!err && action->at % SECTOR_BYTES <= SECTOR_BYTES - CHECKS_BYTES)
        err = pp_disk_write(store->disk, fd, &action->head, CHECKS_BYTES, action->at);
    if (!err)
        err = pp_disk_sync(store->disk, fd);
    /* It may have been copied from a file that is removed, and must not be back with that. */
    if (!err && store->writer.removed) {
        err = store->disk->ops->sync_dir(store->disk, store->dir) < 0 ? PIPIT_EIO : PIPIT_OK;
        store->writer.removed = err != PIPIT_OK;
    }
    return err;
}

static void note(pp_store *store, bool replaced)
{
    (void)pthread_mutex_lock(&store->lock);
    if (replaced)
        store->rewrite_done = true;
    else
        store->rewrite_failed = true;
    (void)pthread_mutex_unlock(&store->lock);
}

/* A part of a segment that is written anew. It is on disk before it gets its name. */
static void copy(pp_store *store, const struct pp_action *action)
{
    char path[PP_PATH_BYTES];
    pipit_err err;
    int fd;

    pp_store_path_of(store, pp_rewrite_name, path);
    err = pp_disk_open(store->disk, path, O_RDWR | O_CREAT | (action->at ? 0 : O_TRUNC), &fd);
    if (!err) {
        err = pp_disk_write(store->disk, fd, action->copy, action->bytes, action->at);
        if (!err)
            err = pp_disk_sync(store->disk, fd);
        store->disk->ops->close(store->disk, fd);
    }
    if (err)
        note(store, false);
}

/* Until the folder is on disk it is not known which of the two files will be there. */
static pipit_err replace(pp_store *store, uint64_t number)
{
    char from[PP_PATH_BYTES], to[PP_PATH_BYTES];
    bool failed;

    (void)pthread_mutex_lock(&store->lock);
    failed = store->rewrite_failed;
    (void)pthread_mutex_unlock(&store->lock);
    if (failed)
        return PIPIT_OK;
    pp_store_path_of(store, pp_rewrite_name, from);
    pp_store_path(store, number, to);
    if (store->disk->ops->rename(store->disk, from, to) < 0) {
        note(store, false);
        return PIPIT_OK;
    }
    if (store->disk->ops->sync_dir(store->disk, store->dir) < 0)
        return PIPIT_EIO;
    note(store, true);
    return PIPIT_OK;
}

static pipit_err abandon(pp_store *store, const struct pp_action *action)
{
    static const char zeros[4096];
    char path[PP_PATH_BYTES];
    pipit_err err = PIPIT_OK;
    int fd;

    pp_store_path_of(store, pp_rewrite_name, path);
    if (action->bytes) {
        err = pp_disk_open(store->disk, path, O_RDWR, &fd);
        if (err)
            return err == PIPIT_ENOTFOUND ? PIPIT_OK : PIPIT_EIO;
        for (uint64_t done = 0; done < action->bytes && !err; done += sizeof(zeros))
            err =
                pp_disk_write(store->disk, fd, zeros,
                              action->bytes - done < sizeof(zeros) ? (size_t)(action->bytes - done)
                                                                   : sizeof(zeros),
                              action->at + done);
        if (!err)
            err = pp_disk_sync(store->disk, fd);
        store->disk->ops->close(store->disk, fd);
    }
    (void)store->disk->ops->remove(store->disk, path);
    return err;
}

static pipit_err punch_or_erase(pp_store *store, const struct pp_action *action)
{
    char path[PP_PATH_BYTES];
    pipit_err err;
    int fd;

    pp_store_path(store, action->number, path);
    err = pp_disk_open(store->disk, path, O_RDWR, &fd);
    if (err)
        return action->kind == PP_ACTION_ERASE ? PIPIT_EIO : PIPIT_OK;
    if (action->kind == PP_ACTION_PUNCH)
        (void)store->disk->ops->punch(store->disk, fd, action->at, action->bytes);
    else
        err = erase(store, fd, action);
    store->disk->ops->close(store->disk, fd);
    return err;
}

/* An erasure that fails is a failure, and a rename of which nobody knows how it ended: files and
 * room that stay are looked at when the store is opened again. */
pipit_err pp_action_run(pp_store *store, const struct pp_action *action)
{
    char path[PP_PATH_BYTES];

    switch (action->kind) {
    case PP_ACTION_REMOVE:
        pp_store_path(store, action->number, path);
        (void)store->disk->ops->remove(store->disk, path);
        store->writer.removed = true;
        return PIPIT_OK;
    case PP_ACTION_PUNCH:
    case PP_ACTION_ERASE:
        return punch_or_erase(store, action);
    case PP_ACTION_COPY:
        copy(store, action);
        return PIPIT_OK;
    case PP_ACTION_REPLACE:
        return replace(store, action->number);
    case PP_ACTION_ABANDON:
        return abandon(store, action);
    }
    return PIPIT_OK;
}

void pp_actions_forget(struct pp_action *actions, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        pp_free(actions[i].copy);
}
