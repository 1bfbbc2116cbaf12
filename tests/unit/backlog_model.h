/* tests/unit/backlog_model.h -- what a backlog must do, said as simply as possible.
 *
 * An array of frames in order; everything is looked for from one end to the other. */
#ifndef PIPIT_TESTS_UNIT_BACKLOG_MODEL_H
#define PIPIT_TESTS_UNIT_BACKLOG_MODEL_H

#include "net/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MODEL_MAX = 4096, FRAME_MAX = 600, STREAM_MAX = 16 << 20 };

struct model_frame {
    char bytes[FRAME_MAX];
    size_t len, sent, cost;
    size_t head_len; /* with the key in it */
    char key[8];
    bool message, begun;
};

struct model {
    struct model_frame *frames; /* in order */
    size_t count;
    pp_slow_policy policy;
    size_t max;
    uint64_t newest, oldest, conflated;
    char *stream; /* what the peer has read, by the model */
    size_t stream_len;
};

static inline size_t model_cost(const struct model *m, bool lasting_only)
{
    size_t cost = 0;

    for (size_t i = 0; i < m->count; i++) {
        const struct model_frame *f = &m->frames[i];

        if (!lasting_only || !f->message || f->begun)
            cost += f->cost;
    }
    return cost;
}

static inline void model_remove(struct model *m, size_t at)
{
    memmove(&m->frames[at], &m->frames[at + 1], (m->count - at - 1) * sizeof(m->frames[0]));
    m->count--;
}

static inline bool model_drop_one(struct model *m, bool youngest)
{
    for (size_t n = 0; n < m->count; n++) {
        size_t i = youngest ? m->count - 1 - n : n;

        if (m->frames[i].message && !m->frames[i].begun) {
            model_remove(m, i);
            return true;
        }
    }
    return false;
}

static inline void model_make_room(struct model *m, size_t cost)
{
    bool newest = m->policy == PP_SLOW_DROP_NEW;

    while (model_cost(m, false) + cost > m->max && model_drop_one(m, newest))
        *(newest ? &m->newest : &m->oldest) += 1;
}

/* False: the connection would be closed. */
static inline bool model_add(struct model *m, const struct model_frame *f)
{
    if (!f->message || f->begun) {
        if (m->policy != PP_SLOW_DISCONNECT)
            model_make_room(m, f->cost);
        if (!f->begun && model_cost(m, false) + f->cost > m->max)
            return false;
    } else if (m->policy == PP_SLOW_DISCONNECT || m->policy == PP_SLOW_DROP_NEW) {
        if (model_cost(m, false) + f->cost > m->max) {
            m->newest += m->policy == PP_SLOW_DROP_NEW;
            return m->policy == PP_SLOW_DROP_NEW;
        }
    } else {
        if (model_cost(m, true) + f->cost > m->max) {
            m->newest++;
            return true;
        }
        for (size_t i = 0; i < m->count && m->policy == PP_SLOW_CONFLATE; i++) {
            const struct model_frame *old = &m->frames[i];

            if (old->message && !old->begun && strcmp(old->key, f->key) == 0) {
                model_remove(m, i);
                m->conflated++;
                break;
            }
        }
        model_make_room(m, f->cost);
    }
    assert_true(m->count < MODEL_MAX);
    m->frames[m->count++] = *f;
    return true;
}

static inline void model_read(struct model *m, size_t bytes)
{
    while (bytes) {
        struct model_frame *f = &m->frames[0];
        size_t n = bytes < f->len - f->sent ? bytes : f->len - f->sent;

        assert_true(m->stream_len + n <= STREAM_MAX);
        memcpy(m->stream + m->stream_len, f->bytes + f->sent, n);
        m->stream_len += n;
        f->sent += n;
        f->begun = true;
        bytes -= n;
        if (f->sent == f->len)
            model_remove(m, 0);
    }
}

static inline void model_init(struct model *m, pp_slow_policy policy, size_t max)
{
    *m = (struct model){
        .frames = malloc(MODEL_MAX * sizeof(struct model_frame)),
        .policy = policy,
        .max = max,
        .stream = malloc(STREAM_MAX),
    };
    assert_true(m->frames && m->stream);
}

static inline void model_fini(struct model *m)
{
    free(m->frames);
    free(m->stream);
}

#endif
