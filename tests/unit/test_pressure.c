/* Loops and connections while memory is short: what is begun, what waits, who has to go. The test
 * says how much memory is in use. */
#include "net/relief.h"

#include "base/ceiling.h"
#include "loops.h"
#include "net/slow.h"

enum {
    LARGE = 200000,
    PROMISE_MAX = 16 * 1024, /* as in conn.c */
    SMALL_SEND_BUFFER = 4096,
};

#define CEILING ((size_t)64 << 30)

static void memory_is_short(struct loops *l)
{
    pp_ceiling_pretend(CEILING - ((size_t)200 << 20));
    pp_loop_feel_pressure(&l->at[0]);
    assert_true(l->at[0].pressed);
}

/* A turn a little later, for what waits for time to pass. */
static void turn_later(struct loops *l)
{
    (void)poll(NULL, 0, 1);
    turn(l, 0);
}

static void memory_is_tight(void)
{
    pp_ceiling_pretend(CEILING / 4 * 3);
}

static void memory_is_plenty(void)
{
    pp_ceiling_pretend(0);
}

/* --- a protocol: a length of four bytes, then so many bytes --------------------------------- */

static void take_ops(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    size_t *ops = w->context;

    *used = *want = 0;
    while (window.len - *used >= 4) {
        uint32_t len;

        memcpy(&len, window.ptr + *used, 4);
        if (window.len - *used - 4 < len) {
            *want = 4 + (size_t)len;
            return;
        }
        check_stream(window.ptr + *used + 4, 0, len);
        *used += 4 + (size_t)len;
        (*ops)++;
    }
}

static const struct watch_hooks taking = {.on_bytes = take_ops};

struct world {
    struct loops l;
    struct watch w[3];
    size_t ops[3];
    pp_ceiling_claim claim;
};

static void world_init(struct world *x, const struct watch_hooks *hooks, int send_bytes)
{
    x->claim = (pp_ceiling_claim){0};
    pp_ceiling_hold(&x->claim, CEILING);
    memory_is_plenty();
    loops_init(&x->l, 1);
    for (size_t i = 0; i < COUNT_OF(x->w); i++) {
        watch_init(&x->w[i], &x->l, hooks);
        x->ops[i] = 0;
        x->w[i].context = &x->ops[i];
        watch_connect_as(&x->w[i], 0, i + 1, &roomy_limits, send_bytes);
    }
}

static void world_fini(struct world *x)
{
    pp_ceiling_pretend(0);
    pp_ceiling_release(&x->claim);
    loops_fini(&x->l);
    for (size_t i = 0; i < COUNT_OF(x->w); i++)
        watch_fini(&x->w[i]);
    loops_check_memory(&x->l);
}

static char large[4 + LARGE];

/* Send [from, to) of a large operation, as far as the socket takes it; returns how far. */
static size_t say(struct world *x, size_t i, size_t from, size_t to)
{
    uint32_t len = LARGE;
    ssize_t n;

    memcpy(large, &len, 4);
    fill_stream(large + 4, 0, LARGE);
    n = send(x->w[i].peer, large + from, to - from, MSG_DONTWAIT);
    assert_true(n > 0);
    return from + (size_t)n;
}

/* All the rest of it, with turns in between. */
static void say_rest(struct world *x, size_t i, size_t from)
{
    size_t ops = x->ops[i];

    while (from < sizeof(large)) {
        from = say(x, i, from, sizeof(large));
        for (unsigned k = 0; k < 100 && x->ops[i] == ops; k++)
            turn(&x->l, 0);
    }
    assert_int_equal(x->ops[i], ops + 1);
}

/* While there is enough memory all of it is taken at once. */
static void test_pressure_none(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, &taking, 0);
    (void)say(&x, 0, 0, 10);
    turn_on_event(&x.l, 0);
    assert_true(x.w[0].conn->body->len >= sizeof(large));
    say_rest(&x, 0, 10);
    world_fini(&x);
}

/* When half of it is gone a promise is worth what has come of it. */
static void test_pressure_promises(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, &taking, 0);
    memory_is_tight();
    (void)say(&x, 0, 0, 100);
    turn_on_event(&x.l, 0);
    assert_in_range(x.w[0].conn->body->len, 100, 100 + PP_WINDOW_SLACK);
    (void)say(&x, 0, 100, PROMISE_MAX - 1);
    turn_on_event(&x.l, 0);
    assert_in_range(x.w[0].conn->body->len, PROMISE_MAX - 1, PROMISE_MAX + PP_WINDOW_SLACK);
    (void)say(&x, 0, PROMISE_MAX - 1, PROMISE_MAX + 1000);
    turn_on_event(&x.l, 0);
    turn(&x.l, 0);
    (void)say(&x, 0, PROMISE_MAX + 1000, PROMISE_MAX + 2000);
    turn_on_event(&x.l, 0);
    assert_true(x.w[0].conn->body->len >= sizeof(large));
    say_rest(&x, 0, PROMISE_MAX + 2000);
    say_rest(&x, 0, 0);
    world_fini(&x);
}

static void start_large(struct world *x, size_t i)
{
    (void)say(x, i, 0, 40000);
}

/* When it is short one large operation at a time goes on, the others wait. */
static void test_pressure_one_at_a_time(void **state)
{
    struct world x;
    size_t begun, waiting;

    (void)state;
    world_init(&x, &taking, 0);
    memory_is_short(&x.l);
    start_large(&x, 0);
    start_large(&x, 1);
    for (unsigned i = 0; i < 50; i++)
        turn_later(&x.l);
    assert_true(x.l.at[0].late.conn_id == 1 || x.l.at[0].late.conn_id == 2);
    begun = (size_t)x.l.at[0].late.conn_id - 1;
    waiting = 1 - begun;
    assert_true(x.w[begun].conn->body->len >= sizeof(large));
    assert_true(x.w[waiting].conn->body->len < sizeof(large));
    assert_true(x.w[waiting].conn->paused);
    say_rest(&x, begun, 40000);
    while (x.w[waiting].conn->body->len < sizeof(large))
        turn_later(&x.l);
    assert_int_equal(x.l.at[0].late.conn_id, waiting + 1);
    pp_conn_close(x.w[waiting].conn, PP_CLOSE_CLIENT, false);
    assert_int_equal(x.l.at[0].late.conn_id, 0);
    world_fini(&x);
}

/* It waits no longer than memory is short. */
static void test_pressure_ends(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, &taking, 0);
    memory_is_short(&x.l);
    x.l.at[0].late.conn_id = 99;
    start_large(&x, 0);
    while (!x.w[0].conn->paused)
        turn_later(&x.l);
    for (unsigned i = 0; i < 30; i++)
        turn_later(&x.l);
    assert_true(x.w[0].conn->paused);
    memory_is_plenty();
    while (x.w[0].conn->paused)
        turn_later(&x.l);
    say_rest(&x, 0, 40000);
    x.l.at[0].late.conn_id = 0;
    world_fini(&x);
}

/* Who was allowed to go on and stops has to go when others wait: also when memory is not short, but
 * would be. */
static void test_pressure_who_stops_goes(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, &taking, 0);
    pp_ceiling_pretend(CEILING - ((size_t)256 << 20) - LARGE / 4);
    for (size_t i = 0; i < 2; i++) {
        start_large(&x, i);
        while (x.w[i].conn->got != 40000)
            turn_later(&x.l);
        (void)say(&x, i, 40000, 41000);
        turn_on_event(&x.l, 0);
    }
    assert_int_equal(x.l.at[0].late.conn_id, 1);
    assert_true(x.w[1].conn->paused);
    while (!x.w[0].closed)
        turn_later(&x.l);
    assert_int_equal(x.w[0].reason, PP_CLOSE_MEMORY);
    while (x.l.at[0].late.conn_id != 2)
        turn_later(&x.l);
    say_rest(&x, 1, 41000);
    assert_int_equal(x.l.at[0].late.conn_id, 0);
    world_fini(&x);
}

/* Of who has stopped in the middle nothing more is expected. */
static void test_pressure_who_has_stopped_waits(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, &taking, 0);
    memory_is_tight();
    (void)say(&x, 0, 0, 40000);
    for (unsigned i = 0; i < 20; i++)
        turn_later(&x.l);
    assert_int_equal(x.w[0].conn->got, 40000);
    assert_true(x.w[0].conn->body->len < sizeof(large));
    assert_false(x.w[0].conn->paused);
    say_rest(&x, 0, 40000);
    (void)say(&x, 0, 0, 40000);
    while (x.w[0].conn->got != 40000)
        turn_later(&x.l);
    assert_int_equal(shutdown(x.w[0].peer, SHUT_WR), 0);
    while (!x.w[0].closed)
        turn_on_event(&x.l, 0);
    assert_int_equal(x.w[0].reason, PP_CLOSE_CLIENT);
    world_fini(&x);
}

/* --- output --------------------------------------------------------------------------------- */

static void send_to(struct world *x, size_t i, size_t len)
{
    char *bytes = calloc(1, len);

    assert_true(pp_outlet_write(&x->w[i].conn->own, (pp_str){bytes, len}));
    pp_loop_flush(&x->l.at[0]);
    free(bytes);
}

/* A little that waits makes publishers stop; when memory is back it does not any more. */
static void test_pressure_gates(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, SMALL_SEND_BUFFER);
    memory_is_short(&x.l);
    send_to(&x, 0, 100000);
    assert_true(x.w[0].conn->own.gated);
    assert_true(x.w[0].conn->own.gated_pressed);
    assert_true(pp_outlet_lags(&x.w[0].conn->own));
    /* It asks, and does not read answers: it is not read from. */
    assert_int_equal(send(x.w[0].peer, "x", 1, 0), 1);
    turn_later(&x.l);
    assert_true(x.w[0].conn->paused);
    assert_int_equal(x.w[0].got.len, 0);
    memory_is_plenty();
    while (x.w[0].conn->paused)
        turn_later(&x.l);
    turn(&x.l, 0);
    assert_int_equal(x.w[0].got.len, 1);
    assert_false(pp_outlet_lags(&x.w[0].conn->own));
    assert_false(x.w[0].conn->own.gated);
    world_fini(&x);
}

/* A few bytes that wait do not hold a whole chunk. */
static void test_pressure_little_holds_little(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, NULL, SMALL_SEND_BUFFER);
    send_to(&x, 0, 100000);
    send_to(&x, 1, 100000);
    for (unsigned i = 0; i < 100; i++)
        send_to(&x, 1, 30);
    assert_true(x.w[1].conn->box.last->cap < 8192);
    world_fini(&x);
}

/* --- relief --------------------------------------------------------------------------------- */

static void survey(pp_relief *r, struct world *x)
{
    pp_relief_begin(r);
    while (pp_relief_survey(r, &x->l.at[0]))
        ;
}

static void test_relief_output(void **state)
{
    pp_relief *r = calloc(1, sizeof(*r));
    struct world x;
    size_t worst;

    (void)state;
    world_init(&x, NULL, SMALL_SEND_BUFFER);
    send_to(&x, 0, 50000);
    send_to(&x, 1, 300000);
    send_to(&x, 2, 200000);
    survey(r, &x);
    worst = pp_relief_worst(r, x.l.at[0].now_ns);
    assert_in_range(worst, 250000, 300000);
    assert_in_range(r->total, 480000, 550000);
    assert_int_equal(pp_relief_close(r, &x.l.at[0], worst + 1, SIZE_MAX), 0);
    assert_int_equal(pp_relief_close(r, &x.l.at[0], worst / 2, 1), worst);
    assert_int_equal(x.w[1].closed, 1);
    assert_int_equal(x.w[1].reason, PP_CLOSE_SLOW_PENDING);
    assert_int_equal(atomic_load(&x.l.counters[0].memory_closed), 1);
    turn(&x.l, 0);
    survey(r, &x);
    assert_in_range(pp_relief_close(r, &x.l.at[0], 100000, SIZE_MAX), 150000, 200000);
    assert_int_equal(x.w[2].closed, 1);
    assert_int_equal(x.w[0].closed, 0);
    world_fini(&x);
    free(r);
}

static bool read_frame(pp_str bytes, pp_frame_form *out)
{
    *out = (pp_frame_form){.len = bytes.len, .message = true};
    return true;
}

/* Who may miss messages misses them. */
static void test_relief_sheds(void **state)
{
    pp_proto_ops framed = watch_proto;
    pp_relief *r = calloc(1, sizeof(*r));
    struct world x;

    (void)state;
    framed.frame = read_frame;
    world_init(&x, NULL, SMALL_SEND_BUFFER);
    x.w[0].door.proto = &framed;
    assert_true(pp_conn_set_policy(x.w[0].conn, PP_SLOW_DROP_OLD));
    for (unsigned i = 0; i < 50; i++)
        send_to(&x, 0, 5000);
    survey(r, &x);
    assert_true(pp_relief_close(r, &x.l.at[0], 1, SIZE_MAX) > 200000);
    assert_int_equal(x.w[0].closed, 0);
    assert_true(x.w[0].conn->box.pending_bytes <= 5000);
    assert_true(pp_conn_dropped(x.w[0].conn) > 40);
    world_fini(&x);
    free(r);
}

/* The beginning of an operation may wait a while for the rest, and not for ever. */
static void test_relief_unfinished(void **state)
{
    pp_relief *r = calloc(1, sizeof(*r));
    struct world x;
    pp_loop *loop;

    (void)state;
    world_init(&x, &taking, 0);
    loop = &x.l.at[0];
    (void)say(&x, 0, 0, 40000);
    (void)say(&x, 1, 0, 40000);
    while (!x.w[0].conn->body || !x.w[1].conn->body)
        turn_on_event(&x.l, 0);
    survey(r, &x);
    assert_int_equal(r->count, 2);
    assert_int_equal(pp_relief_worst(r, loop->now_ns), 0);
    assert_int_equal(pp_relief_close(r, loop, 1, SIZE_MAX), 0);
    /* One goes on, the other does not. */
    (void)say(&x, 1, 40000, 50000);
    while (x.w[1].conn->got < 50000)
        turn_on_event(&x.l, 0);
    loop->now_ns = r->worst[0].since_ns + 300 * PP_NS_PER_MS;
    survey(r, &x);
    assert_true(pp_relief_worst(r, loop->now_ns) > LARGE);
    assert_true(pp_relief_close(r, loop, 1, SIZE_MAX) > LARGE);
    assert_int_equal(x.w[0].closed, 1);
    assert_int_equal(x.w[0].reason, PP_CLOSE_MEMORY);
    assert_int_equal(x.w[1].closed, 0);
    /* It goes on too slowly. */
    loop->now_ns += 6 * PP_NS_PER_S;
    x.w[1].conn->got++;
    survey(r, &x);
    x.w[1].conn->got--;
    r->worst[0].got--;
    assert_true(pp_relief_close(r, loop, 1, SIZE_MAX) > LARGE);
    assert_int_equal(x.w[1].closed, 1);
    world_fini(&x);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pressure_none),
        cmocka_unit_test(test_pressure_promises),
        cmocka_unit_test(test_pressure_one_at_a_time),
        cmocka_unit_test(test_pressure_ends),
        cmocka_unit_test(test_pressure_who_stops_goes),
        cmocka_unit_test(test_pressure_who_has_stopped_waits),
        cmocka_unit_test(test_pressure_gates),
        cmocka_unit_test(test_pressure_little_holds_little),
        cmocka_unit_test(test_relief_output),
        cmocka_unit_test(test_relief_sheds),
        cmocka_unit_test(test_relief_unfinished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
