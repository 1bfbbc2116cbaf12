#include "core/sub.h"

#include "base/alloc.h"
#include "base/assert.h"

pp_sub *pp_sub_new(struct pp_client *client, pp_str sid, pp_str queue)
{
    pp_sub *sub;

    PP_ASSERT(sid.len <= UINT16_MAX && queue.len <= UINT16_MAX);
    sub = pp_alloc(sizeof(*sub) + sid.len + queue.len);
    if (!sub)
        return NULL;
    sub->client = client;
    sub->pattern = NULL;
    sub->next = sub->prev = sub;
    atomic_init(&sub->taps, NULL);
    atomic_init(&sub->remaining, PP_SUB_UNLIMITED);
    sub->sid_len = (uint16_t)sid.len;
    sub->queue_len = (uint16_t)queue.len;
    memcpy(sub->text, sid.ptr, sid.len);
    if (queue.len)
        memcpy(sub->text + sid.len, queue.ptr, queue.len);
    return sub;
}

void pp_sub_free(pp_sub *sub)
{
    pp_tap *tap;

    if (!sub)
        return;
    tap = atomic_load_explicit(&sub->taps, memory_order_acquire);
    while (tap) {
        pp_tap *next = tap->next;

        pp_free(tap);
        tap = next;
    }
    pp_free(sub);
}

pp_tap *pp_sub_tap(pp_sub *sub, uint32_t router_index)
{
    pp_tap *head = atomic_load_explicit(&sub->taps, memory_order_acquire);
    pp_tap *tap;

    for (tap = head; tap; tap = tap->next) {
        if (tap->router_index == router_index)
            return tap;
    }
    tap = pp_alloc(sizeof(*tap));
    if (!tap)
        return NULL;
    tap->router_index = router_index;
    atomic_init(&tap->delivered, 0);
    do {
        tap->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&sub->taps, &head, tap, memory_order_acq_rel,
                                                    memory_order_acquire));
    return tap;
}

uint64_t pp_sub_delivered(const pp_sub *sub)
{
    uint64_t total = 0;

    for (pp_tap *tap = atomic_load_explicit(&((pp_sub *)sub)->taps, memory_order_acquire); tap;
         tap = tap->next)
        total += atomic_load_explicit(&tap->delivered, memory_order_relaxed);
    return total;
}
