/* Who serves a store writes its batches, in order: one write, one sync, then what was in them is
 * settled. When anything of that fails nothing more is written, and nothing more is settled. */
#include "store/inside.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>

enum {
    GATHER_COUNT_MIN = 4, /* fewer at a time are not waited for */
    GATHER_PART = 8,      /* of the time that writing takes, waiting may take one part */
    GATHER_MAX_NS = 500 * 1000,
    MARK_DELAY_NS = 10 * 1000 * 1000,
    /* Of memory that is kept for the next batch: always, and as long as there is a next one soon.
     */
    BATCH_KEPT_BYTES = 1024 * 1024,
    BATCH_BUSY_BYTES = 32 * 1024 * 1024,
};

const char pp_spare_name[] = "spare";

static void make_spare(pp_store *store)
{
    struct pp_writer *writer = &store->writer;
    char path[PP_PATH_BYTES];
    uint64_t room;
    pipit_err err = PIPIT_OK;

    (void)pthread_mutex_lock(&store->lock);
    room = store->spare_bytes;
    if (store->failure || store->spare != PP_SPARE_WANTED || store->openings) {
        (void)pthread_mutex_unlock(&store->lock);
        return;
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (writer->spare_fd < 0) {
        pp_store_path_of(store, pp_spare_name, path);
        err = pp_disk_open(store->disk, path, O_RDWR | O_CREAT | O_TRUNC, &writer->spare_fd);
        if (err)
            writer->spare_fd = -1;
    }
    if (!err)
        err = pp_disk_reserve(store->disk, writer->spare_fd, pp_segment_file_bytes(room));
    if (err && writer->spare_fd >= 0) { /* give back what it may have got of the disk */
        store->disk->ops->close(store->disk, writer->spare_fd);
        writer->spare_fd = -1;
        (void)store->disk->ops->remove(store->disk, path);
    }
    (void)pthread_mutex_lock(&store->lock);
    if (err) {
        store->spare = PP_SPARE_NONE;
        if (!store->spare_err && store->options.log)
            pp_log_write(store->options.log, PP_LOG_WARN,
                         "store: no room for the next segment dir=%s err=%s", store->dir,
                         pipit_strerror(err));
    } else if (store->spare_bytes == room) { /* else more is wanted by now */
        store->spare = PP_SPARE_READY;
    }
    store->spare_err = err;
    (void)pthread_mutex_unlock(&store->lock);
}

/* The spare file gets its header and its name, all of it on disk. */
static pipit_err name_spare(pp_store *store, const struct pp_batch *batch)
{
    char header[PP_SEGMENT_HEADER_BYTES] = {0}, from[PP_PATH_BYTES], to[PP_PATH_BYTES];
    struct pp_identity id = pp_store_identity_of(store, batch->segment->number, batch->begins);
    int fd = store->writer.spare_fd;
    pipit_err err;

    memcpy(header, &id, sizeof(id));
    err = pp_disk_write(store->disk, fd, header, sizeof(header), 0);
    if (!err)
        err = pp_disk_sync(store->disk, fd);
    if (err)
        return err;
    pp_store_path_of(store, pp_spare_name, from);
    pp_store_path(store, batch->segment->number, to);
    if (store->disk->ops->rename(store->disk, from, to) < 0 ||
        store->disk->ops->sync_dir(store->disk, store->dir) < 0)
        return PIPIT_EIO;
    return PIPIT_OK;
}

/* The segment that was written so far gets its footer. It can do without one, if the disk is full.
 */
static pipit_err write_footer(pp_store *store, struct pp_batch *batch)
{
    int fd = store->writer.fd;
    uint64_t at = batch->sealed->footer_at;
    pipit_err err = pp_disk_write(store->disk, fd, batch->footer.ptr, batch->footer.len, at);

    if (!err && store->disk->ops->resize(store->disk, fd, at + batch->footer.len) < 0)
        err = PIPIT_EIO;
    if (!err)
        err = pp_disk_sync(store->disk, fd);
    if (err != PIPIT_ENOSPC)
        return err;
    (void)pthread_mutex_lock(&store->lock);
    batch->sealed->footer_missing = true;
    (void)pthread_mutex_unlock(&store->lock);
    return PIPIT_OK;
}

static pipit_err sync_now(pp_store *store)
{
    pipit_err err = store->writer.unsynced ? pp_disk_sync(store->disk, store->writer.fd) : PIPIT_OK;

    if (!err)
        store->writer.unsynced = false;
    if (store->options.sync_interval_ns)
        store->writer.sync_due_ns = pp_clock_mono_ns() + store->options.sync_interval_ns;
    return err;
}

static pipit_err open_segment(pp_store *store, struct pp_batch *batch)
{
    struct pp_writer *writer = &store->writer;
    pipit_err err = sync_now(store); /* all before it is on disk when a segment comes to be */

    if (!err)
        err = name_spare(store, batch);
    if (!err)
        err = write_footer(store, batch);
    if (err)
        return err;
    store->disk->ops->close(store->disk, writer->fd);
    writer->fd = writer->spare_fd;
    writer->spare_fd = -1;
    writer->number = batch->segment->number;
    return PIPIT_OK;
}

static pipit_err write_batch(pp_store *store, struct pp_batch *batch)
{
    struct pp_writer *writer = &store->writer;
    bool lazy = batch->mark || (store->options.sync_interval_ns && !batch->urgent &&
                                pp_clock_mono_ns() < writer->sync_due_ns);
    pipit_err err = batch->opens ? open_segment(store, batch) : PIPIT_OK;

    if (!err && batch->bytes.len) {
        err = (lazy ? pp_disk_write : pp_disk_write_much)(store->disk, writer->fd, batch->bytes.ptr,
                                                          batch->bytes.len, batch->at);
        writer->unsynced = true;
    }
    if (!err && !lazy)
        err = sync_now(store);
    for (uint32_t i = 0; i < batch->action_count && !err; i++)
        err = pp_action_run(store, &batch->actions[i]);
    return err;
}

/* Its memory may serve another one. */
static void let_go_locked(pp_store *store, struct pp_batch *batch)
{
    struct pp_batch emptied = {
        .bytes = batch->bytes, .actions = batch->actions, .action_room = batch->action_room};

    pp_actions_forget(batch->actions, batch->action_count);
    batch->action_count = 0;
    pp_list_remove(&batch->link);
    batch->segment->pending--;
    if (batch->sealed)
        batch->sealed->pending--;
    store->openings -= batch->opens;
    store->pending_bytes -= batch->mark ? 0 : batch->bytes.len;
    if (store->idle || batch->bytes.cap > BATCH_BUSY_BYTES) {
        pp_batch_free(batch);
        return;
    }
    pp_buf_fini(&batch->footer);
    emptied.footer = batch->footer;
    emptied.bytes.len = 0;
    *batch = emptied;
    store->idle = batch;
}

static void fail_locked(pp_store *store, pipit_err err)
{
    store->failure = err == PIPIT_ENOSPC ? PIPIT_ENOSPC : PIPIT_EIO;
    while (!pp_list_empty(&store->batches))
        let_go_locked(store, PP_CONTAINER(store->batches.next, struct pp_batch, link));
    pp_batch_free(store->idle); /* there is no next one */
    store->idle = NULL;
    if (store->options.log)
        pp_log_write(store->options.log, PP_LOG_ERROR,
                     "store: a write failed, nothing more is written dir=%s err=%s", store->dir,
                     pipit_strerror(err));
}

static void settle_locked(pp_store *store, struct pp_batch *batch)
{
    uint64_t end = batch->at + batch->bytes.len;

    atomic_store_explicit(&batch->segment->written, end, memory_order_release);
    if (batch->sealed && !batch->sealed->footer_missing)
        pp_ranges_fini(&batch->sealed->deletes); /* the footer has them */
    /* Of a segment that is written: another one may have begun while this waited. */
    if (batch->segment == store->tail && (batch->mark || !store->writer.unsynced))
        store->synced_end = batch->mark ? batch->at : end;
    if (!batch->mark) {
        store->last_count = batch->ticket - store->settled;
        store->settled = batch->ticket;
        store->settled_seq = batch->seq;
    }
    let_go_locked(store, batch);
}

/* Who has so many in flight sends as many again when they are settled. The first of them is here
 * when the others are about to come: if it went alone, each sync would do half of what it could. So
 * they are waited for, a short time beside what the sync takes; a single one that comes after
 * single ones never waits. */
static void gather_locked(pp_store *store)
{
    uint64_t wanted = store->last_count - store->last_count / GATHER_PART;
    int64_t wait_ns = store->writer.took_ns / GATHER_PART, until_ns;
    struct timespec until;

    if (!store->options.pool || store->options.sync_interval_ns || store->awaited ||
        store->batches.next->next != &store->batches || store->last_count < GATHER_COUNT_MIN ||
        store->issued - store->settled >= wanted)
        return;
    until_ns = pp_clock_mono_ns() + (wait_ns < GATHER_MAX_NS ? wait_ns : GATHER_MAX_NS);
    until.tv_sec = until_ns / PP_NS_PER_S;
    until.tv_nsec = until_ns % PP_NS_PER_S;
    store->gather_at = store->settled + wanted;
    while (store->gather_at && pthread_cond_timedwait(&store->more, &store->lock, &until) == 0)
        continue;
    store->gather_at = 0;
}

/* The next batch, which nobody adds to any more; NULL: none. */
static struct pp_batch *next_batch(pp_store *store)
{
    struct pp_batch *batch = NULL;

    (void)pthread_mutex_lock(&store->lock);
    if (!pp_list_empty(&store->batches)) {
        gather_locked(store);
        batch = PP_CONTAINER(store->batches.next, struct pp_batch, link);
        batch->taken = true;
    } else if (store->spare != PP_SPARE_WANTED) {
        store->served = false;
    }
    (void)pthread_mutex_unlock(&store->lock);
    return batch;
}

static void tell(const pp_store *store)
{
    if (store->options.on_progress)
        store->options.on_progress(store->options.ctx);
}

static void finish_batch(pp_store *store, struct pp_batch *batch, pipit_err err)
{
    (void)pthread_mutex_lock(&store->lock);
    if (err)
        fail_locked(store, err);
    else
        settle_locked(store, batch);
    (void)pthread_cond_broadcast(&store->moved);
    (void)pthread_mutex_unlock(&store->lock);
    tell(store);
}

static bool wants_spare(pp_store *store)
{
    bool wanted;

    (void)pthread_mutex_lock(&store->lock);
    wanted = store->spare == PP_SPARE_WANTED && !store->openings && !store->failure;
    if (store->failure)
        store->served = store->spare == PP_SPARE_WANTED ? false : store->served;
    (void)pthread_mutex_unlock(&store->lock);
    return wanted;
}

static void write_one(pp_store *store, struct pp_batch *batch)
{
    int64_t began_ns = pp_clock_mono_ns();
    pipit_err err = write_batch(store, batch);

    store->writer.took_ns = pp_clock_mono_ns() - began_ns;
    finish_batch(store, batch, err);
}

/* Write all there is, and make the next segment's file as soon as it is wanted: an owner who always
 * has more to write would have to stop for it. */
static void write_all(pp_store *store)
{
    struct pp_batch *batch;
    bool wanted;

    do {
        batch = next_batch(store);
        if (batch)
            write_one(store, batch);
        wanted = wants_spare(store);
        if (wanted) {
            make_spare(store);
            tell(store); /* room, or that there is none */
        }
    } while (batch || wanted);
}

/* A batch of its own that is but a mark; NULL: there is no need for one, or no way. */
static struct pp_batch *make_mark_locked(pp_store *store)
{
    pp_segment *active = store->tail;
    struct pp_record_head head = {.seq = store->settled_seq, .kind = PP_RECORD_MARK};
    struct pp_batch *batch;

    if (store->failure || store->marked || !pp_list_empty(&store->batches) ||
        active->end + PP_RECORD_HEAD_BYTES > active->room)
        return NULL;
    batch = pp_batch_take(store);
    if (!batch)
        return NULL;
    if (batch->bytes.cap > BATCH_KEPT_BYTES) /* nobody wrote for a while */
        pp_buf_fini(&batch->bytes);
    if (pp_buf_reserve(&batch->bytes, PP_RECORD_HEAD_BYTES)) {
        pp_batch_free(batch);
        return NULL;
    }
    head.durable_at = (uint32_t)(active->end / PP_RECORD_ALIGN);
    pp_record_encode_ranges(batch->bytes.ptr, &head, NULL, 0,
                            pp_record_seed(store->id.salt, active->number), active->end);
    batch->bytes.len = PP_RECORD_HEAD_BYTES;
    batch->segment = active;
    batch->at = active->end;
    batch->taken = batch->mark = true;
    active->end += PP_RECORD_HEAD_BYTES;
    active->pending++;
    store->marked = true;
    pp_list_append(&store->batches, &batch->link);
    return batch;
}

void pp_writer_mark(pp_store *store)
{
    struct pp_batch *batch;
    pipit_err err = sync_now(store); /* what it says must be true */

    if (err) {
        (void)pthread_mutex_lock(&store->lock);
        fail_locked(store, err);
        (void)pthread_cond_broadcast(&store->moved);
        (void)pthread_mutex_unlock(&store->lock);
        tell(store);
        return;
    }
    (void)pthread_mutex_lock(&store->lock);
    batch = make_mark_locked(store);
    (void)pthread_mutex_unlock(&store->lock);
    if (!batch)
        return;
    err = write_batch(store, batch);
    if (!err) /* else a hole might be left where it was */
        err = sync_now(store);
    finish_batch(store, batch, err);
}

int64_t pp_writer_serve(pp_pool_seat *seat, bool due)
{
    pp_store *store = PP_CONTAINER(seat, pp_store, seat);
    int64_t delay_ns = MARK_DELAY_NS;
    bool marked;

    if (due)
        pp_writer_mark(store);
    write_all(store);
    (void)pthread_mutex_lock(&store->lock);
    marked = store->marked || store->failure;
    (void)pthread_mutex_unlock(&store->lock);
    if (store->options.sync_interval_ns)
        delay_ns = store->options.sync_interval_ns;
    return marked ? INT64_MAX : pp_clock_mono_ns() + delay_ns;
}
