/* A store is made of a snapshot. */
#include "store/snapshot.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "store/inside.h"

#include <errno.h>
#include <stdio.h>

struct pp_restore {
    struct pp_store_options options;
    struct pp_store_keys *keys;
    char to[PP_PATH_BYTES];
    char dir[PP_PATH_BYTES]; /* where it is made */
    pp_store *store;         /* NULL: the head has not come yet, or it is finished */
    pp_buf rest;             /* what came of the next head or frame */
    uint64_t check;
    uint64_t last_seq;
    uint64_t messages;
    bool begun;
    bool ended;
};

static void ignore(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
}

/* The directory it shall have, and the one it is made in, are not there. */
static pipit_err claim(pp_restore *restore, char *why)
{
    pp_disk *disk = restore->options.disk;
    int made;

    if (disk->ops->list(disk, restore->to, ignore, NULL) >= 0) {
        (void)snprintf(why, PP_STORE_WHY_BYTES, "%.120s is there already", restore->to);
        return PIPIT_EEXIST;
    }
    made = disk->ops->make_dir(disk, restore->dir);
    if (made == -EEXIST) {
        (void)snprintf(why, PP_STORE_WHY_BYTES,
                       "%.120s is there already, of a restore that did not end", restore->dir);
        return PIPIT_EEXIST;
    }
    return made < 0 ? pp_err_from_errno(-made) : PIPIT_OK;
}

pipit_err pp_restore_new(const struct pp_store_options *options, pp_restore **out_restore,
                         char *out_why)
{
    pp_restore *restore;
    pipit_err err;

    *out_why = '\0';
    if (!options->dir || strlen(options->dir) > PP_PATH_BYTES - 64)
        return PIPIT_EINVAL;
    restore = pp_calloc(1, sizeof(*restore));
    if (!restore)
        return PIPIT_ENOMEM;
    (void)snprintf(restore->to, sizeof(restore->to), "%s", options->dir);
    (void)snprintf(restore->dir, sizeof(restore->dir), "%s.restoring", options->dir);
    pp_buf_init(&restore->rest,
                PP_STORE_SNAPSHOT_FRAME_MAX + sizeof(struct pp_store_snapshot_frame));
    restore->options = *options;
    restore->options.kind = PP_STORE_FILE;
    restore->options.dir = restore->dir;
    restore->options.create = true;
    restore->options.pool = NULL;
    restore->options.sync_interval_ns = 0;
    restore->options.limits = (struct pp_store_limits){0};
    if (!restore->options.disk)
        restore->options.disk = pp_disk_real();
    err = claim(restore, out_why);
    if (!err && options->keys) {
        restore->keys = pp_alloc(sizeof(*restore->keys));
        if (restore->keys)
            *restore->keys = *options->keys;
        else
            err = PIPIT_ENOMEM;
        restore->options.keys = restore->keys;
    }
    if (err) {
        pp_restore_free(restore);
        return err;
    }
    *out_restore = restore;
    return PIPIT_OK;
}

void pp_restore_free(pp_restore *restore)
{
    if (!restore)
        return;
    pp_store_close(restore->store);
    pp_buf_fini(&restore->rest);
    if (restore->keys)
        pp_store_keys_wipe(restore->keys);
    pp_free(restore->keys);
    pp_free(restore);
}

static pipit_err take_head(pp_restore *restore, const char *bytes)
{
    struct pp_store_snapshot_head head;

    memcpy(&head, bytes, sizeof(head));
    if (head.magic != PP_STORE_SNAPSHOT_MAGIC ||
        head.check != pp_hash((char *)&head + 16, sizeof(head) - 16, head.magic))
        return PIPIT_EDAMAGED;
    if (head.version != PP_STORE_SNAPSHOT_VERSION || head.features)
        return PIPIT_EPROTO;
    if (head.first_seq == 0 || head.last_seq > UINT64_MAX / 2 || head.first_seq > head.last_seq + 1)
        return PIPIT_EDAMAGED;
    restore->check = head.check;
    restore->last_seq = head.last_seq;
    restore->begun = true;
    restore->options.first_seq = head.first_seq;
    return pp_store_open(&restore->options, &restore->store, NULL);
}

static pipit_err append(pp_restore *restore, const struct pp_store_message *message)
{
    pipit_err err = pp_store_append(restore->store, message, PP_STORE_ANY, NULL);

    if (err == PIPIT_EAGAIN) {
        err = pp_store_wait(restore->store, pp_store_issued(restore->store));
        if (!err)
            err = pp_store_append(restore->store, message, PP_STORE_ANY, NULL);
    }
    restore->messages += !err;
    /* Sequences that come again, or nonsense that has a true check. */
    return err == PIPIT_EEXIST || err == PIPIT_EINVAL || err == PIPIT_ETOOBIG ? PIPIT_EDAMAGED
                                                                              : err;
}

static pipit_err take_messages(pp_restore *restore, pp_str body)
{
    pipit_err err = PIPIT_OK;

    while (body.len && !err) {
        struct pp_store_snapshot_message head;
        struct pp_store_message message;
        const char *at = body.ptr + sizeof(head);
        uint64_t bytes;

        if (body.len < sizeof(head))
            return PIPIT_EDAMAGED;
        memcpy(&head, body.ptr, sizeof(head));
        bytes = (uint64_t)head.subject_bytes + head.headers_bytes + head.payload_bytes;
        if (bytes > body.len - sizeof(head) || head.seq == 0 || head.seq > restore->last_seq)
            return PIPIT_EDAMAGED;
        message = (struct pp_store_message){
            .seq = head.seq,
            .time_ns = head.time_ns,
            .expires_ns = head.expires_ns,
            .subject = {at, head.subject_bytes},
            .headers = {at + head.subject_bytes, head.headers_bytes},
            .payload = {at + head.subject_bytes + head.headers_bytes, head.payload_bytes},
        };
        err = append(restore, &message);
        body.ptr += sizeof(head) + bytes;
        body.len -= sizeof(head) + (size_t)bytes;
    }
    return err ? err : pp_store_wait(restore->store, pp_store_issued(restore->store));
}

static pipit_err take_end(pp_restore *restore, pp_str body)
{
    struct pp_store_snapshot_message end;
    struct pp_store_state state;

    if (body.len != sizeof(end))
        return PIPIT_EDAMAGED;
    memcpy(&end, body.ptr, sizeof(end));
    if (end.seq != restore->messages)
        return PIPIT_EDAMAGED;
    restore->ended = true;
    pp_store_state(restore->store, &state);
    return state.last_seq < restore->last_seq ? pp_store_skip(restore->store, restore->last_seq)
                                              : PIPIT_OK;
}

static pipit_err take_frame(pp_restore *restore, const char *bytes, size_t len)
{
    struct pp_store_snapshot_frame frame;
    pp_str body = {bytes + sizeof(frame), len - sizeof(frame)};

    memcpy(&frame, bytes, sizeof(frame));
    if (frame.check != pp_hash(bytes + 8, len - 8, restore->check))
        return PIPIT_EDAMAGED;
    restore->check = frame.check;
    if (frame.kind == PP_STORE_SNAPSHOT_MESSAGES)
        return take_messages(restore, body);
    return frame.kind == PP_STORE_SNAPSHOT_END ? take_end(restore, body) : PIPIT_EDAMAGED;
}

/* How many bytes make the next head or frame, as far as that is known. */
static pipit_err wanted(const pp_restore *restore, pp_str bytes, size_t *out_wanted)
{
    struct pp_store_snapshot_frame frame;

    *out_wanted = restore->begun ? sizeof(frame) : sizeof(struct pp_store_snapshot_head);
    if (!restore->begun || bytes.len < sizeof(frame))
        return PIPIT_OK;
    memcpy(&frame, bytes.ptr, sizeof(frame));
    if (frame.bytes > PP_STORE_SNAPSHOT_FRAME_MAX)
        return PIPIT_EDAMAGED;
    *out_wanted += frame.bytes;
    return PIPIT_OK;
}

/* Take what is whole of these bytes. */
static pipit_err take(pp_restore *restore, pp_str bytes, size_t *out_used)
{
    pipit_err err = PIPIT_OK;

    *out_used = 0;
    while (bytes.len && !err) {
        size_t len;

        if (restore->ended)
            return PIPIT_EDAMAGED; /* there is more than there should be */
        err = wanted(restore, bytes, &len);
        if (err || bytes.len < len)
            return err;
        err = restore->begun ? take_frame(restore, bytes.ptr, len) : take_head(restore, bytes.ptr);
        bytes.ptr += len;
        bytes.len -= len;
        *out_used += len;
    }
    return err;
}

pipit_err pp_restore_add(pp_restore *restore, pp_str bytes)
{
    size_t used;
    pipit_err err;

    if (restore->rest.len == 0) { /* most come whole */
        err = take(restore, bytes, &used);
        if (!err)
            err = pp_buf_add(&restore->rest, bytes.ptr + used, bytes.len - used);
        return err;
    }
    err = pp_buf_add(&restore->rest, bytes.ptr, bytes.len);
    if (!err)
        err = take(restore, pp_buf_str(&restore->rest), &used);
    if (err)
        return err;
    memmove(restore->rest.ptr, restore->rest.ptr + used, restore->rest.len - used);
    restore->rest.len -= used;
    return PIPIT_OK;
}

pipit_err pp_restore_finish(pp_restore *restore)
{
    pp_disk *disk = restore->options.disk;
    char parent[PP_PATH_BYTES], *slash;
    pipit_err err;

    if (!restore->ended || restore->rest.len)
        return PIPIT_EDAMAGED;
    err = pp_store_wait(restore->store, pp_store_issued(restore->store));
    pp_store_close(restore->store);
    restore->store = NULL;
    if (err)
        return err;
    if (disk->ops->rename(disk, restore->dir, restore->to) < 0)
        return PIPIT_EIO;
    (void)snprintf(parent, sizeof(parent), "%s", restore->to);
    slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    return disk->ops->sync_dir(disk, slash ? parent : ".") < 0 ? PIPIT_EIO : PIPIT_OK;
}
