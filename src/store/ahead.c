#include "store/inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/holes.h"

#include <fcntl.h>

/* --- reading; thread: the pool's ---------------------------------------------------------- */

static pipit_err read_bytes(const pp_store *store, struct pp_ahead_place *place, int fd)
{
    size_t got;
    pipit_err err = pp_disk_read(store->disk, fd, place->bytes_read, place->bytes, place->at, &got);

    return !err && got < place->bytes ? PIPIT_EDAMAGED : err;
}

/* If the footer is lost all records are read: that, too, is not the owner's to wait for. */
static pipit_err read_index(const pp_store *store, struct pp_ahead_place *place,
                            const struct pp_footer_file *file)
{
    pipit_err err = pp_footer_read_index(file, &place->index);

    return pp_footer_is_lost(err) ? pp_rebuilt_read(store, place->number, place->records_end,
                                                    &place->later, &place->rebuilt)
                                  : err;
}

static pipit_err read_place(const pp_store *store, struct pp_ahead_place *place)
{
    struct pp_footer_file file = {.disk = store->disk,
                                  .number = place->number,
                                  .seed = pp_record_seed(store->id.salt, place->number)};
    char path[PP_PATH_BYTES];
    pipit_err err;

    pp_store_path(store, place->number, path);
    err = pp_disk_open(store->disk, path, O_RDONLY, &file.fd);
    if (err)
        return err;
    err = place->is_index ? read_index(store, place, &file) : read_bytes(store, place, file.fd);
    store->disk->ops->close(store->disk, file.fd);
    return err;
}

static struct pp_ahead_place *find_locked(struct pp_ahead *ahead, pp_ahead_state state)
{
    struct pp_ahead_place *oldest = NULL;

    for (unsigned i = 0; i < PP_AHEAD_PLACES; i++) {
        struct pp_ahead_place *place = &ahead->places[i];

        if (place->state == state && (!oldest || place->tick < oldest->tick))
            oldest = place;
    }
    return oldest;
}

static int64_t serve(pp_pool_seat *seat, bool due)
{
    pp_store *store = PP_CONTAINER(seat, pp_store, ahead.seat);
    struct pp_ahead_place *place;
    int64_t began_ns;

    (void)due;
    (void)pthread_mutex_lock(&store->lock);
    while ((place = find_locked(&store->ahead, PP_AHEAD_ASKED))) {
        place->state = PP_AHEAD_BEING_READ;
        (void)pthread_mutex_unlock(&store->lock);
        began_ns = pp_clock_mono_ns();
        place->err = read_place(store, place);
        place->took_ns = pp_clock_mono_ns() - began_ns;
        (void)pthread_mutex_lock(&store->lock);
        place->state = PP_AHEAD_DONE;
        store->ahead.reads++;
        (void)pthread_mutex_unlock(&store->lock);
        if (store->options.on_progress)
            store->options.on_progress(store->options.ctx);
        (void)pthread_mutex_lock(&store->lock);
    }
    (void)pthread_mutex_unlock(&store->lock);
    return INT64_MAX;
}

/* --- asking ------------------------------------------------------------------------------- */

static void empty(struct pp_ahead_place *place)
{
    pp_free(place->bytes_read);
    pp_free(place->later.files);
    pp_footer_index_fini(&place->index);
    pp_rebuilt_free(place->rebuilt);
    *place = (struct pp_ahead_place){.state = PP_AHEAD_IDLE};
}

static struct pp_ahead_place index_of(const pp_store *store, const pp_segment *segment)
{
    return (struct pp_ahead_place){.is_index = true,
                                   .number = segment->number,
                                   .records_end = pp_rebuilt_end_of(segment),
                                   .forgotten = store->cache.forgotten};
}

static struct pp_ahead_place bytes_of(const pp_store *store, const pp_segment *segment, uint64_t at,
                                      size_t bytes)
{
    return (struct pp_ahead_place){
        .number = segment->number, .at = at, .bytes = bytes, .forgotten = store->cache.forgotten};
}

static bool is_same(const struct pp_ahead_place *place, const struct pp_ahead_place *wanted)
{
    return place->state != PP_AHEAD_IDLE && place->is_index == wanted->is_index &&
           place->number == wanted->number && place->at == wanted->at &&
           place->bytes >= wanted->bytes && place->forgotten == wanted->forgotten;
}

static struct pp_ahead_place *find_same_locked(struct pp_ahead *ahead,
                                               const struct pp_ahead_place *wanted)
{
    for (unsigned i = 0; i < PP_AHEAD_PLACES; i++)
        if (is_same(&ahead->places[i], wanted))
            return &ahead->places[i];
    return NULL;
}

/* If it is here, all that the place has is the caller's; if it failed, there are but its err and
 * how long that took. */
static pp_ahead_answer take(pp_store *store, const struct pp_ahead_place *wanted,
                            struct pp_ahead_place *out_place)
{
    struct pp_ahead_place *place;
    pp_ahead_answer answer = PP_AHEAD_UNKNOWN;

    (void)pthread_mutex_lock(&store->lock);
    place = find_same_locked(&store->ahead, wanted);
    if (place && place->state != PP_AHEAD_DONE) {
        answer = PP_AHEAD_COMING;
    } else if (place) {
        answer = place->err ? PP_AHEAD_FAILED : PP_AHEAD_HERE;
        *out_place = *place;
        *place = (struct pp_ahead_place){.state = PP_AHEAD_IDLE};
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (answer == PP_AHEAD_FAILED) {
        struct pp_ahead_place failed = {.err = out_place->err, .took_ns = out_place->took_ns};

        empty(out_place);
        *out_place = failed;
    }
    return answer;
}

pp_ahead_answer pp_ahead_take_index(pp_store *store, const pp_segment *segment,
                                    struct pp_footer_index *out_index,
                                    struct pp_rebuilt **out_rebuilt, pipit_err *out_err,
                                    int64_t *out_took_ns)
{
    const struct pp_ahead_place wanted = index_of(store, segment);
    struct pp_ahead_place place;
    pp_ahead_answer answer = take(store, &wanted, &place);

    if (answer == PP_AHEAD_HERE) {
        *out_index = place.index;
        *out_rebuilt = place.rebuilt;
        pp_free(place.later.files);
    } else if (answer == PP_AHEAD_FAILED) {
        *out_err = place.err;
        *out_took_ns = place.took_ns;
    }
    return answer;
}

pp_ahead_answer pp_ahead_take_bytes(pp_store *store, const pp_segment *segment, uint64_t at,
                                    size_t bytes, char **out_bytes)
{
    const struct pp_ahead_place wanted = bytes_of(store, segment, at, bytes);
    struct pp_ahead_place place;
    pp_ahead_answer answer = take(store, &wanted, &place);

    if (answer == PP_AHEAD_HERE)
        *out_bytes = place.bytes_read;
    return answer;
}

/* Indexes are large: there is one at a time. */
static struct pp_ahead_place *find_index_locked(struct pp_ahead *ahead)
{
    for (unsigned i = 0; i < PP_AHEAD_PLACES; i++)
        if (ahead->places[i].state != PP_AHEAD_IDLE && ahead->places[i].is_index)
            return &ahead->places[i];
    return NULL;
}

/* One that is idle, or whose contents nobody came for: it stays so, since only the owner changes
 * that. NULL: all are being read, or it is asked for already. */
static struct pp_ahead_place *find_room(pp_store *store, const struct pp_ahead_place *wanted,
                                        bool only_idle)
{
    struct pp_ahead_place *place = NULL;

    (void)pthread_mutex_lock(&store->lock);
    if (wanted->is_index && (place = find_index_locked(&store->ahead))) {
        place = place->state == PP_AHEAD_DONE ? place : NULL;
    } else if (!find_same_locked(&store->ahead, wanted)) {
        place = find_locked(&store->ahead, PP_AHEAD_IDLE);
        if (!place && !only_idle)
            place = find_locked(&store->ahead, PP_AHEAD_DONE);
    }
    (void)pthread_mutex_unlock(&store->lock);
    return place;
}

/* Owner: what wanted has is its place's now, or freed. */
static bool ask(pp_store *store, const struct pp_ahead_place *wanted, bool only_idle)
{
    struct pp_ahead_place *place = find_room(store, wanted, only_idle), before;
    char *bytes = NULL;

    if (!place) {
        pp_free(wanted->later.files);
        return true;
    }
    if (!wanted->is_index)
        bytes =
            pp_alloc(wanted->bytes > PP_CACHE_BLOCK_BYTES ? wanted->bytes : PP_CACHE_BLOCK_BYTES);
    if (!bytes && !wanted->is_index)
        return false;
    before = *place;
    (void)pthread_mutex_lock(&store->lock);
    *place = *wanted;
    place->bytes_read = bytes;
    place->tick = ++store->ahead.tick;
    place->state = PP_AHEAD_ASKED;
    (void)pthread_mutex_unlock(&store->lock);
    empty(&before);
    pp_pool_push(store->options.readers, &store->ahead.seat);
    return true;
}

bool pp_ahead_ask_index(pp_store *store, const pp_segment *segment)
{
    struct pp_ahead_place wanted = index_of(store, segment);

    if (pp_holes_list_later(store, segment, &wanted.later))
        return false;
    return ask(store, &wanted, false);
}

bool pp_ahead_ask_bytes(pp_store *store, const pp_segment *segment, uint64_t at, size_t bytes)
{
    const struct pp_ahead_place wanted = bytes_of(store, segment, at, bytes);

    return ask(store, &wanted, false);
}

void pp_ahead_hint(pp_store *store, const pp_segment *segment, uint64_t at, size_t bytes)
{
    const struct pp_ahead_place wanted = bytes_of(store, segment, at, bytes);

    (void)ask(store, &wanted, true);
}

/* --- life --------------------------------------------------------------------------------- */

void pp_ahead_init(struct pp_ahead *ahead)
{
    pp_pool_seat_init(&ahead->seat, serve);
}

void pp_ahead_fini(struct pp_ahead *ahead)
{
    for (unsigned i = 0; i < PP_AHEAD_PLACES; i++)
        empty(&ahead->places[i]);
}
