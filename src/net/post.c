#include "net/post.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/conn.h"

enum {
    CHUNKS_PER_RUN = 64,       /* about 1 MiB; then others of the loop have their turn */
    PRESSED_BYTES = 64 * 1024, /* under way before publishers wait, when memory is short */
};

static bool over_mark(const pp_post *post)
{
    size_t most = post->from->post_bytes_max / 4 * 3;

    if (PP_UNLIKELY(post->from->pressed) && most > PRESSED_BYTES)
        most = PRESSED_BYTES;
    return post->added_bytes - post->taken_seen > most;
}

/* Close the gate, unless the other side has caught up meanwhile: it tells when its inbox is empty
 * only if it sees that somebody wants to know, and one of the two sees the other. */
static void close_gate(pp_post *post)
{
    post->taken_seen = atomic_load_explicit(&post->taken_bytes, memory_order_acquire);
    if (!over_mark(post))
        return;
    post->gated = true;
    atomic_store(&post->wants_notice, true);
    post->taken_seen = atomic_load(&post->taken_bytes);
    if (!over_mark(post) && atomic_exchange(&post->wants_notice, false))
        post->gated = false;
}

static void on_ungate(pp_task *task)
{
    pp_post *post = PP_CONTAINER(task, pp_post, ungate);

    post->gated = false;
    pp_conn_resume_for(post->from, post);
}

/* --- packing ------------------------------------------------------------------------------ */

/* The message with its large data in a body that every post of this loop can share. */
static bool with_body(pp_loop *loop, uint64_t serial, pp_parcel *parcel)
{
    if (loop->packed_serial != serial || !loop->packed_body) {
        pp_body *body = pp_parcel_body(parcel->data);

        if (!body)
            return false;
        pp_body_unref(loop->packed_body);
        loop->packed_body = body;
        loop->packed_serial = serial;
    }
    parcel->body = loop->packed_body;
    parcel->data.ptr = loop->packed_body->bytes;
    return true;
}

static size_t pack(pp_post *post, uint64_t serial, const pp_parcel *parcel)
{
    pp_parcel shared = *parcel;

    if (parcel->data.len >= PP_PARCEL_REFER_MIN && !parcel->body &&
        !with_body(post->from, serial, &shared))
        return 0;
    return pp_bag_pack(&post->bag, &post->from->chunks, &shared, 1);
}

static void list_as_dirty(pp_post *post)
{
    if (post->dirty)
        return;
    post->dirty = true;
    post->next_dirty = post->from->posts_dirty;
    post->from->posts_dirty = post;
}

static bool has_room(pp_post *post, size_t bytes)
{
    size_t max = post->from->post_bytes_max;

    if (PP_LIKELY(post->added_bytes - post->taken_seen + bytes <= max))
        return true;
    post->taken_seen = atomic_load_explicit(&post->taken_bytes, memory_order_acquire);
    return post->added_bytes - post->taken_seen + bytes <= max;
}

bool pp_post_add(pp_post *post, uint64_t serial, const pp_parcel *parcel, const pp_address *to)
{
    size_t bytes = 0, packed = 0;

    PP_DASSERT(serial != 0);
    if (PP_UNLIKELY(post->gated))
        post->from->gate = post;
    if (post->serial == serial) {
        if (!has_room(post, sizeof(*to)))
            return false;
        bytes = pp_bag_address(&post->bag, to);
    }
    if (!bytes) {
        if (!has_room(post,
                      sizeof(*to) + parcel->subject.len + parcel->reply.len + parcel->data.len))
            return false;
        packed = pack(post, serial, parcel);
        if (!packed)
            return false;
        post->serial = serial;
        bytes = pp_bag_address(&post->bag, to);
        PP_ASSERT(bytes != 0);
        list_as_dirty(post);
    }
    post->added_bytes += packed + bytes;
    post->from->staged_bytes += packed + bytes;
    if (PP_UNLIKELY(over_mark(post)) && !post->gated)
        close_gate(post);
    return true;
}

/* --- handing over ------------------------------------------------------------------------- */

static void hand_over(pp_post *post)
{
    pp_chunk *back;
    bool post_it;

    post->dirty = false;
    post->serial = 0;
    (void)pthread_mutex_lock(&post->lock);
    pp_bag_append(&post->inbox, &post->bag);
    back = post->back;
    post->back = NULL;
    post->back_count = 0;
    post_it = !post->posted;
    post->posted = true;
    (void)pthread_mutex_unlock(&post->lock);
    if (post_it)
        pp_loop_post(post->to, &post->arrive);
    while (back) {
        pp_chunk *chunk = back;

        back = chunk->next;
        pp_chunk_give(&post->from->chunks, chunk);
    }
}

void pp_post_hand_over_all(pp_loop *loop)
{
    while (loop->posts_dirty) {
        pp_post *post = loop->posts_dirty;

        loop->posts_dirty = post->next_dirty;
        hand_over(post);
    }
    pp_body_unref(loop->packed_body);
    loop->packed_body = NULL;
}

/* --- arriving ----------------------------------------------------------------------------- */

static void receive(void *context, const pp_parcel *parcel, const pp_address *to, uint32_t count)
{
    (void)context;
    for (uint32_t i = 0; i < count; i++)
        to[i].receiver->receive(to[i].receiver, to[i].client_id, to[i].sub_id, parcel);
}

/* Give emptied chunks back to who packs, as many as it may want again. */
static void give_back(pp_post *post, pp_chunk *chunks)
{
    (void)pthread_mutex_lock(&post->lock);
    while (chunks && post->back_count < PP_POST_BACK_MAX) {
        pp_chunk *chunk = chunks;

        chunks = chunk->next;
        chunk->next = post->back;
        post->back = chunk;
        post->back_count++;
    }
    (void)pthread_mutex_unlock(&post->lock);
    while (chunks) {
        pp_chunk *chunk = chunks;

        chunks = chunk->next;
        pp_chunk_give(&post->to->chunks, chunk);
    }
}

static void on_arrive(pp_task *task)
{
    pp_post *post = PP_CONTAINER(task, pp_post, arrive);
    pp_chunk *chunk, *emptied = NULL;
    bool again;

    (void)pthread_mutex_lock(&post->lock);
    pp_bag_append(&post->taking, &post->inbox);
    (void)pthread_mutex_unlock(&post->lock);
    for (unsigned i = 0; i < CHUNKS_PER_RUN && (chunk = pp_bag_take(&post->taking)); i++) {
        uint64_t taken = atomic_load_explicit(&post->taken_bytes, memory_order_relaxed);

        /* Sequentially consistent, and before wants_notice is looked at: see close_gate. */
        atomic_store(&post->taken_bytes, taken + pp_parcels_unpack(chunk, receive, NULL));
        chunk->next = emptied;
        emptied = chunk;
    }
    give_back(post, emptied);
    (void)pthread_mutex_lock(&post->lock);
    again = post->taking.first || post->inbox.first;
    post->posted = again;
    (void)pthread_mutex_unlock(&post->lock);
    if (again)
        pp_loop_post(post->to, task);
    else if (atomic_load(&post->wants_notice) && atomic_exchange(&post->wants_notice, false))
        pp_loop_post(post->from, &post->ungate);
}

/* --- life --------------------------------------------------------------------------------- */

pp_post *pp_post_between(pp_loop *from, pp_loop *to)
{
    pp_post *post;

    for (post = from->posts; post; post = post->next) {
        if (post->to == to)
            return post;
    }
    post = pp_calloc(1, sizeof(*post));
    if (!post)
        return NULL;
    post->from = from;
    post->to = to;
    post->arrive.run = on_arrive;
    post->ungate.run = on_ungate;
    (void)pthread_mutex_init(&post->lock, NULL);
    post->next = from->posts;
    from->posts = post;
    return post;
}

void pp_post_free_all(pp_loop *loop)
{
    while (loop->posts) {
        pp_post *post = loop->posts;

        loop->posts = post->next;
        pp_bag_drop(&post->bag, NULL);
        pp_bag_drop(&post->inbox, NULL);
        pp_bag_drop(&post->taking, NULL);
        while (post->back) {
            pp_chunk *chunk = post->back;

            post->back = chunk->next;
            pp_chunk_give(NULL, chunk);
        }
        (void)pthread_mutex_destroy(&post->lock);
        pp_free(post);
    }
    loop->posts_dirty = NULL;
    pp_body_unref(loop->packed_body);
    loop->packed_body = NULL;
}
