/* A backlog against a naive model: whatever is added, sent, taken aside and shed, what the peer
 * reads is what the model says, byte by byte, and the counts of what was missed are exact. */
#include "net/backlog.h"

#include "backlog_model.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- both ---------------------------------------------------------------------------------- */

struct world {
    uint64_t random;
    struct model model;
    pp_backlog *backlog;
    char *stream;
    size_t stream_len, compared;
    uint64_t newest, oldest, conflated;
    int64_t live_before;
};

static void world_init(struct world *x, uint64_t seed, pp_slow_policy policy, size_t max)
{
    *x = (struct world){.random = seed, .live_before = pp_alloc_live()};
    model_init(&x->model, policy, max);
    x->stream = malloc(STREAM_MAX);
    x->backlog = pp_backlog_new();
    assert_non_null(x->backlog);
}

static void world_fini(struct world *x)
{
    pp_backlog_free(x->backlog);
    assert_int_equal(pp_alloc_live(), x->live_before);
    model_fini(&x->model);
    free(x->stream);
}

static void compare(struct world *x)
{
    pp_backlog_drops drops = pp_backlog_take_drops(x->backlog);
    size_t left = 0;

    x->newest += drops.newest;
    x->oldest += drops.oldest;
    x->conflated += drops.conflated;
    for (size_t i = 0; i < x->model.count; i++)
        left += x->model.frames[i].len - x->model.frames[i].sent;
    assert_int_equal(pp_backlog_bytes(x->backlog), left);
    assert_int_equal(pp_backlog_cost(x->backlog), model_cost(&x->model, false));
    assert_int_equal(x->newest, x->model.newest);
    assert_int_equal(x->oldest, x->model.oldest);
    assert_int_equal(x->conflated, x->model.conflated);
    assert_int_equal(pp_backlog_dropped(x->backlog), x->newest + x->oldest + x->conflated);
    assert_int_equal(x->stream_len, x->model.stream_len);
    assert_memory_equal(x->stream + x->compared, x->model.stream + x->compared,
                        x->stream_len - x->compared);
    x->compared = x->stream_len;
}

static struct model_frame make_frame(struct world *x, uint64_t serial)
{
    struct model_frame f = {.message = pp_random_below(&x->random, 5) != 0};
    size_t filling = pp_random_below(&x->random, 4) ? pp_random_below(&x->random, 60)
                                                    : pp_random_below(&x->random, 500);

    (void)snprintf(f.key, sizeof(f.key), "k%u", pp_random_below(&x->random, 12));
    f.head_len = (size_t)snprintf(f.bytes, sizeof(f.bytes), "%s %s %llu|", f.message ? "M" : "C",
                                  f.key, (unsigned long long)serial);
    f.len = f.head_len;
    while (filling--)
        f.bytes[f.len++] = (char)('a' + pp_random_below(&x->random, 26));
    f.cost = f.len + PP_FRAME_COST;
    return f;
}

/* As a door's output would be cut: in one piece, in two, the second in a body, or begun. */
static pipit_err add(struct world *x, const struct model_frame *f)
{
    size_t head = pp_random_below(&x->random, 2) ? f->len : f->head_len;
    size_t sent = f->sent < head ? f->sent : head;
    pp_frame_parts parts = {
        .head = {f->bytes + sent, head - sent},
        .tail = {f->bytes + head + (f->sent - sent), f->len - head - (f->sent - sent)},
        .key = {f->bytes + 2, strlen(f->key)},
        .message = f->message,
        .begun = f->begun,
    };
    pipit_err err;

    if (parts.tail.len && pp_random_below(&x->random, 2)) {
        parts.body = pp_body_new(parts.tail.len);
        memcpy(parts.body->bytes, parts.tail.ptr, parts.tail.len);
        parts.tail.ptr = parts.body->bytes;
    }
    err = pp_backlog_add(x->backlog, &parts, x->model.policy, x->model.max, x->model.max);
    pp_body_unref(parts.body);
    return err;
}

static void add_some(struct world *x, uint64_t *serial)
{
    unsigned count = 1 + pp_random_below(&x->random, 30);

    while (count--) {
        struct model_frame f = make_frame(x, (*serial)++);
        bool good;

        if (x->model.count == 0 && pp_random_below(&x->random, 3) == 0) {
            f.begun = true;
            f.sent = 1 + pp_random_below(&x->random, (uint32_t)f.len - 1);
            f.cost -= f.sent;
        }
        good = model_add(&x->model, &f);
        assert_int_equal(add(x, &f), good ? PIPIT_OK : PIPIT_ELIMIT);
    }
}

/* The socket takes some of what it is given; frames may be added while it does. */
static void send_some(struct world *x, uint64_t *serial)
{
    struct iovec iov[64];
    size_t cap = 2 + pp_random_below(&x->random, COUNT_OF(iov) - 2), bytes, n, left;
    size_t count = pp_backlog_gather(x->backlog, iov, cap, &bytes);

    (void)serial;
    assert_true(count <= cap);
    n = bytes ? pp_random_below(&x->random, (uint32_t)bytes + 1) : 0;
    if (pp_random_below(&x->random, 3) == 0)
        n = bytes;
    left = n;
    for (size_t i = 0; i < count && left; i++) {
        size_t len = iov[i].iov_len < left ? iov[i].iov_len : left;

        memcpy(x->stream + x->stream_len, iov[i].iov_base, len);
        x->stream_len += len;
        left -= len;
    }
    pp_backlog_sent(x->backlog, n, x->model.policy);
    model_read(&x->model, n);
}

/* What was there comes behind what comes now. */
static void add_before(struct world *x, uint64_t *serial)
{
    struct model_frame *later = malloc(x->model.count * sizeof(*later) + 1);
    size_t count = x->model.count;
    pp_link aside;

    if (count && x->model.frames[0].begun) {
        free(later);
        return; /* a frame of which a part was sent is the first */
    }
    memcpy(later, x->model.frames, count * sizeof(*later));
    x->model.count = 0;
    pp_list_init(&aside);
    pp_backlog_set_aside(x->backlog, &aside);
    assert_int_equal(pp_backlog_cost(x->backlog), 0);
    add_some(x, serial);
    for (size_t i = 0; i < count; i++) {
        if (!model_add(&x->model, &later[i])) {
            /* Closed: the rest is gone. Begin anew without it. */
            x->model.count = 0;
            assert_int_equal(pp_backlog_put_back(x->backlog, &aside, x->model.policy, x->model.max,
                                                 x->model.max),
                             PIPIT_ELIMIT);
            assert_true(pp_list_empty(&aside));
            pp_backlog_clear(x->backlog);
            free(later);
            return;
        }
    }
    assert_int_equal(
        pp_backlog_put_back(x->backlog, &aside, x->model.policy, x->model.max, x->model.max),
        PIPIT_OK);
    free(later);
}

static void shed(struct world *x)
{
    pp_backlog_shed(x->backlog);
    while (model_drop_one(&x->model, false))
        x->model.oldest++;
}

static void play(pp_slow_policy policy, uint64_t seed)
{
    struct world x;
    uint64_t serial = 0;

    world_init(&x, seed, policy, 2000 + pp_random_below(&seed, 20000));
    for (unsigned step = 0; step < 400; step++) {
        switch (pp_random_below(&x.random, 12)) {
        case 0:
            add_before(&x, &serial);
            break;
        case 1:
            if (pp_random_below(&x.random, 8) == 0)
                shed(&x);
            break;
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
            add_some(&x, &serial);
            break;
        default:
            send_some(&x, &serial);
        }
        compare(&x);
    }
    world_fini(&x);
}

static void test_backlog_is_the_model(void **state)
{
    uint64_t seed = test_seed("backlog");

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        for (int policy = PP_SLOW_DISCONNECT; policy <= PP_SLOW_CONFLATE; policy++)
            play((pp_slow_policy)policy, pp_random_next(&seed));
    }
}

/* --- by hand ------------------------------------------------------------------------------- */

static pp_frame_parts message(const char *text, size_t key_len)
{
    return (pp_frame_parts){.head = pp_str_of(text), .key = {text, key_len}, .message = true};
}

static pipit_err put(pp_backlog *b, const char *text, size_t key_len, pp_slow_policy policy,
                     size_t max)
{
    pp_frame_parts parts = message(text, key_len);

    return pp_backlog_add(b, &parts, policy, max, max);
}

/* Everything that waits, as text. */
static void require_waits(pp_backlog *b, pp_slow_policy policy, const char *expected)
{
    char text[1024];
    struct iovec iov[64];
    size_t bytes, len = 0, count = pp_backlog_gather(b, iov, COUNT_OF(iov), &bytes);

    for (size_t i = 0; i < count; i++) {
        memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    text[len] = '\0';
    pp_backlog_sent(b, 0, policy);
    assert_string_equal(text, expected);
}

/* While a send has not come back its frames are left alone; what comes meanwhile for the same key
 * takes the place of those that did not go. */
static void test_backlog_in_flight(void **state)
{
    const size_t three = 3 * (PP_FRAME_COST + 2);
    pp_backlog *b = pp_backlog_new();
    struct iovec iov[64];
    size_t bytes;

    (void)state;
    (void)put(b, "a1", 1, PP_SLOW_CONFLATE, 1 << 20);
    (void)put(b, "b1", 1, PP_SLOW_CONFLATE, 1 << 20);
    (void)put(b, "c1", 1, PP_SLOW_CONFLATE, 1 << 20);
    assert_int_equal(pp_backlog_gather(b, iov, COUNT_OF(iov), &bytes), 3);
    assert_int_equal(bytes, 6);
    (void)put(b, "b2", 1, PP_SLOW_CONFLATE, 1 << 20);
    assert_int_equal(pp_backlog_dropped(b), 0);
    pp_backlog_sent(b, 2, PP_SLOW_CONFLATE);
    assert_int_equal(pp_backlog_dropped(b), 1);
    require_waits(b, PP_SLOW_CONFLATE, "c1b2");

    /* Nothing to drop: all is in flight, so the new one must go. */
    (void)put(b, "d1", 1, PP_SLOW_DROP_OLD, three);
    (void)pp_backlog_gather(b, iov, COUNT_OF(iov), &bytes);
    (void)put(b, "e1", 1, PP_SLOW_DROP_OLD, three);
    assert_int_equal(pp_backlog_dropped(b), 2);
    pp_backlog_sent(b, 1, PP_SLOW_DROP_OLD);
    (void)put(b, "f1", 1, PP_SLOW_DROP_OLD, three);
    require_waits(b, PP_SLOW_DROP_OLD, "1d1f1");
    pp_backlog_free(b);
}

/* Without memory a message is missed, and counted; a control line cannot be. */
static void test_backlog_without_memory(void **state)
{
    pp_frame_parts control = {.head = PP_STR("PONG")};
    pp_backlog *b = pp_backlog_new();

    (void)state;
    pp_fault_arm_from("alloc", 1);
    assert_int_equal(put(b, "a1", 1, PP_SLOW_DROP_OLD, 1 << 20), PIPIT_OK);
    assert_int_equal(pp_backlog_add(b, &control, PP_SLOW_DROP_OLD, 1 << 20, 1 << 20), PIPIT_ENOMEM);
    assert_int_equal(put(b, "a1", 1, PP_SLOW_DISCONNECT, 1 << 20), PIPIT_ENOMEM);
    (void)pp_fault_disarm();
    assert_int_equal(pp_backlog_dropped(b), 1);
    assert_int_equal(pp_backlog_bytes(b), 0);
    /* No index: what would be conflated waits beside what is newer. */
    assert_int_equal(put(b, "a1", 1, PP_SLOW_CONFLATE, 1 << 20), PIPIT_OK);
    assert_int_equal(put(b, "a2", 1, PP_SLOW_CONFLATE, 1 << 20), PIPIT_OK);
    require_waits(b, PP_SLOW_CONFLATE, "a2");
    pp_backlog_free(b);
}

static void test_backlog_many_keys(void **state)
{
    enum { KEYS = 5000 };
    pp_backlog *b = pp_backlog_new();
    char text[32];

    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < KEYS; i++) {
            int key_len = snprintf(text, sizeof(text), "key.%u", i);

            (void)snprintf(text + key_len, sizeof(text) - (size_t)key_len, " %u", round);
            (void)put(b, text, (size_t)key_len, PP_SLOW_CONFLATE, 64 << 20);
        }
    }
    assert_int_equal(pp_backlog_dropped(b), 2 * KEYS);
    pp_backlog_free(b);
}

static void test_backlog_policy_names(void **state)
{
    pp_slow_policy policy;

    (void)state;
    for (int i = PP_SLOW_DISCONNECT; i <= PP_SLOW_CONFLATE; i++) {
        assert_true(
            pp_slow_policy_parse(pp_str_of(pp_slow_policy_name((pp_slow_policy)i)), &policy));
        assert_int_equal(policy, i);
    }
    assert_true(pp_slow_policy_parse(PP_STR("Drop_Old"), &policy));
    assert_int_equal(policy, PP_SLOW_DROP_OLD);
    assert_false(pp_slow_policy_parse(PP_STR("drop"), &policy));
    assert_false(pp_slow_policy_parse(PP_STR(""), &policy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backlog_is_the_model),   cmocka_unit_test(test_backlog_in_flight),
        cmocka_unit_test(test_backlog_without_memory), cmocka_unit_test(test_backlog_many_keys),
        cmocka_unit_test(test_backlog_policy_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
