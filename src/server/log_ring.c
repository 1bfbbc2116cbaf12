#include "server/log_ring.h"

#include "base/alloc.h"
#include "base/assert.h"

struct head {
    int64_t time_ns;
    uint32_t level;
    uint32_t text_bytes;
};

pipit_err pp_log_ring_init(pp_log_ring *ring, size_t cap)
{
    PP_ASSERT((cap & (cap - 1)) == 0);
    *ring = (pp_log_ring){.bytes = pp_alloc(cap), .cap = cap};
    return ring->bytes ? PIPIT_OK : PIPIT_ENOMEM;
}

void pp_log_ring_fini(pp_log_ring *ring)
{
    pp_free(ring->bytes);
    ring->bytes = NULL;
}

static void copy_in(pp_log_ring *ring, size_t at, const void *from, size_t len)
{
    size_t start = at & (ring->cap - 1);
    size_t first = len < ring->cap - start ? len : ring->cap - start;

    memcpy(ring->bytes + start, from, first);
    memcpy(ring->bytes, (const char *)from + first, len - first);
}

static void copy_out(const pp_log_ring *ring, size_t at, void *to, size_t len)
{
    size_t start = at & (ring->cap - 1);
    size_t first = len < ring->cap - start ? len : ring->cap - start;

    memcpy(to, ring->bytes + start, first);
    memcpy((char *)to + first, ring->bytes, len - first);
}

bool pp_log_ring_put(pp_log_ring *ring, const pp_log_entry *entry, size_t spare)
{
    size_t len = entry->text.len < PP_LOG_TEXT_MAX ? entry->text.len : PP_LOG_TEXT_MAX;
    struct head head = {entry->time_ns, (uint32_t)entry->level, (uint32_t)len};
    size_t room = ring->cap - (ring->head - ring->tail);

    if (room < spare || room - spare < sizeof(head) + len)
        return false;
    copy_in(ring, ring->head, &head, sizeof(head));
    copy_in(ring, ring->head + sizeof(head), entry->text.ptr, len);
    ring->head += sizeof(head) + len;
    return true;
}

size_t pp_log_ring_read(const pp_log_ring *ring, size_t at, pp_log_entry *out,
                        char text[PP_LOG_TEXT_MAX])
{
    struct head head;

    copy_out(ring, at, &head, sizeof(head));
    PP_ASSERT(head.text_bytes <= PP_LOG_TEXT_MAX);
    copy_out(ring, at + sizeof(head), text, head.text_bytes);
    *out = (pp_log_entry){
        .time_ns = head.time_ns,
        .level = (pp_log_level)head.level,
        .text = {text, head.text_bytes},
    };
    return at + sizeof(head) + head.text_bytes;
}

void pp_log_ring_release(pp_log_ring *ring, size_t at)
{
    PP_ASSERT(at - ring->tail <= ring->head - ring->tail);
    ring->tail = at;
    if (ring->tail == ring->head)
        ring->head = ring->tail = 0;
}
