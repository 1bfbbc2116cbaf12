/* Parcels and the post that carries them from loop to loop. */
#include "loops.h"

#include "net/parcel.h"
#include "net/post.h"

#include <string.h>

enum { HEARD_MAX = 4096 };

/* Keeps a record of what arrives on a loop. */
struct hearer {
    pp_receiver receiver;
    uint64_t client_ids[HEARD_MAX], sub_ids[HEARD_MAX];
    size_t data_lens[HEARD_MAX];
    char first[HEARD_MAX]; /* byte of data */
    const pp_body *bodies[HEARD_MAX];
    char subject[64], reply[64];
    uint32_t header_len;
    unsigned count;
};

static void hear(pp_receiver *receiver, uint64_t client_id, uint64_t sub_id,
                 const pp_parcel *parcel)
{
    struct hearer *h = PP_CONTAINER(receiver, struct hearer, receiver);

    assert_true(h->count < HEARD_MAX);
    h->client_ids[h->count] = client_id;
    h->sub_ids[h->count] = sub_id;
    h->data_lens[h->count] = parcel->data.len;
    h->first[h->count] = parcel->data.len ? parcel->data.ptr[0] : 0;
    h->bodies[h->count] = parcel->body;
    (void)snprintf(h->subject, sizeof(h->subject), "%.*s", PP_STR_ARGS(parcel->subject));
    (void)snprintf(h->reply, sizeof(h->reply), "%.*s", PP_STR_ARGS(parcel->reply));
    h->header_len = parcel->header_len;
    for (size_t i = 0; i < parcel->data.len; i++)
        assert_int_equal(parcel->data.ptr[i], parcel->data.ptr[0]);
    if (parcel->body)
        assert_memory_equal(parcel->data.ptr + parcel->data.len, "\r\n", 2);
    h->count++;
}

/* Data of len times the same letter, with CR LF behind; static, so that it may go with a call. */
static pp_parcel parcel_of(char letter, size_t len)
{
    static char data[300002];

    memset(data, letter, len);
    memcpy(data + len, "\r\n", 2);
    return (pp_parcel){.subject = PP_STR("a.b"), .reply = PP_STR("r"), .data = {data, len}};
}

static bool add(pp_loop *from, pp_loop *to, uint64_t serial, const pp_parcel *parcel,
                struct hearer *hearer, uint64_t sub_id)
{
    pp_post *post = pp_post_between(from, to);

    return post && pp_post_add(post, serial, parcel,
                               &(pp_address){&hearer->receiver, sub_id + 1000, sub_id});
}

/* --- bags --------------------------------------------------------------------------------- */

struct unpacked {
    unsigned parcels, addresses;
    pp_parcel expected;
};

static void look(void *context, const pp_parcel *parcel, const pp_address *to, uint32_t count)
{
    struct unpacked *u = context;

    assert_true(pp_str_eq(parcel->subject, u->expected.subject));
    assert_true(pp_str_eq(parcel->reply, u->expected.reply));
    assert_true(pp_str_eq(parcel->data, u->expected.data));
    assert_int_equal(parcel->header_len, u->expected.header_len);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(to[i].sub_id, u->addresses++);
    u->parcels++;
}

static void test_bag_gives_back_what_was_packed(void **state)
{
    static const struct {
        size_t subject, reply, data;
        bool body;
    } cases[] = {
        {1, 0, 0, false},       {3, 1, 1, false},         {7, 9, 2047, false},
        {7, 9, 2047, true},     {300, 0, 2048, true},     {5, 5, 300000, true},
        {20000, 40, 10, false}, {16384, 16384, 1, false},
    };
    int64_t live = pp_alloc_live();
    static char text[40000];
    pp_chunk_pool pool = {0};

    (void)state;
    memset(text, 't', sizeof(text));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (unsigned addresses = 0; addresses <= 2000; addresses = addresses * 7 + 1) {
            struct unpacked u = {.expected = parcel_of('x', cases[i].data)};
            pp_bag bag = {0};
            pp_body *body = NULL;
            size_t grown = 0, shrunk = 0;
            pp_chunk *chunk;

            u.expected.subject = (pp_str){text, cases[i].subject};
            u.expected.reply = (pp_str){text, cases[i].reply};
            u.expected.header_len = (uint32_t)cases[i].data / 2;
            if (cases[i].body) {
                body = pp_parcel_body(u.expected.data);
                assert_non_null(body);
                assert_memory_equal(body->bytes + cases[i].data, "\r\n", 2);
                u.expected.data.ptr = body->bytes;
                u.expected.body = body;
            }
            grown = pp_bag_pack(&bag, &pool, &u.expected, 1);
            assert_true(grown >= cases[i].subject + cases[i].reply + cases[i].data);
            for (uint64_t n = 0; n < addresses; n++) {
                pp_address to = {.sub_id = n};
                size_t took = pp_bag_address(&bag, &to);

                if (!took) { /* the chunk is full */
                    assert_true(n > 0);
                    grown += pp_bag_pack(&bag, &pool, &u.expected, 1);
                    took = pp_bag_address(&bag, &to);
                    assert_true(took > 0);
                }
                grown += took;
            }
            while ((chunk = pp_bag_take(&bag))) {
                shrunk += pp_parcels_unpack(chunk, look, &u);
                pp_chunk_give(&pool, chunk);
            }
            assert_true(!body || atomic_load(&body->refs) == 1); /* the bag let go */
            pp_body_unref(body);
            assert_int_equal(u.addresses, addresses);
            assert_true(u.parcels == 1 || addresses > 100 || cases[i].subject > PP_CHUNK_BYTES / 2);
            assert_int_equal(grown, shrunk);
            assert_null(bag.first);
        }
    }
    pp_chunk_pool_fini(&pool);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_bag_drops_what_it_refers_to(void **state)
{
    int64_t live = pp_alloc_live();
    pp_parcel parcel = parcel_of('x', 5000);
    pp_bag bag = {0};

    (void)state;
    parcel.body = pp_parcel_body(parcel.data);
    parcel.data.ptr = parcel.body->bytes;
    for (unsigned i = 0; i < 100; i++)
        assert_true(pp_bag_pack(&bag, &(pp_chunk_pool){0}, &parcel, 1) > 0);
    /* So that who takes chunk after chunk can stop between large messages. */
    assert_true(bag.referred < PP_PARCEL_REFERRED_MAX + 5000);
    assert_ptr_not_equal(bag.first, bag.last);
    assert_int_equal(atomic_load(&parcel.body->refs), 101);
    pp_bag_drop(&bag, NULL);
    assert_int_equal(atomic_load(&parcel.body->refs), 1);
    pp_body_unref(parcel.body);
    assert_int_equal(pp_alloc_live(), live);
}

/* --- the post ----------------------------------------------------------------------------- */

static void test_post_hands_over_once_a_turn(void **state)
{
    struct hearer *h = calloc(1, sizeof(*h));
    struct loops l;
    pp_parcel parcel;

    (void)state;
    h->receiver.receive = hear;
    loops_init(&l, 2);
    parcel = parcel_of('a', 10);
    parcel.header_len = 4;
    for (uint64_t n = 0; n < 1000; n++) /* of 500 messages, each for two */
        assert_true(add(&l.at[0], &l.at[1], 1 + n / 2, &parcel, h, n));
    assert_null(l.at[1].mailbox.first);
    pp_loop_flush(&l.at[0]);
    assert_non_null(l.at[1].mailbox.first);
    assert_ptr_equal(l.at[1].mailbox.first, l.at[1].mailbox.last);
    assert_int_equal(h->count, 0);
    turn(&l, 1);
    assert_int_equal(h->count, 1000);
    for (unsigned n = 0; n < 1000; n++) {
        assert_int_equal(h->sub_ids[n], n);
        assert_int_equal(h->client_ids[n], n + 1000);
        assert_int_equal(h->data_lens[n], 10);
    }
    assert_string_equal(h->subject, "a.b");
    assert_string_equal(h->reply, "r");
    assert_int_equal(h->header_len, 4);
    loops_fini(&l);
    loops_check_memory(&l);
    free(h);
}

static void test_post_packs_a_message_once(void **state)
{
    struct hearer *h = calloc(1, sizeof(*h));
    pp_parcel parcel = parcel_of('a', 1000);
    struct loops l;
    pp_post *post;

    (void)state;
    h->receiver.receive = hear;
    loops_init(&l, 2);
    for (uint64_t n = 0; n < 100; n++)
        assert_true(add(&l.at[0], &l.at[1], 7, &parcel, h, n));
    post = pp_post_between(&l.at[0], &l.at[1]);
    assert_true(post->added_bytes < 1200 + 100 * sizeof(pp_address));
    /* Across a hand-over in mid-message it is packed anew. */
    pp_loop_flush(&l.at[0]);
    assert_true(add(&l.at[0], &l.at[1], 7, &parcel, h, 100));
    pp_loop_flush(&l.at[0]);
    settle(&l, 1);
    assert_int_equal(h->count, 101);
    loops_fini(&l);
    loops_check_memory(&l);
    free(h);
}

static void test_post_to_the_own_loop_comes_next_turn(void **state)
{
    struct hearer *h = calloc(1, sizeof(*h));
    pp_parcel parcel = parcel_of('a', 1);
    struct loops l;
    uint64_t woken;

    (void)state;
    h->receiver.receive = hear;
    loops_init(&l, 1);
    assert_true(add(&l.at[0], &l.at[0], 1, &parcel, h, 5));
    pp_loop_flush(&l.at[0]);
    assert_int_equal(h->count, 0); /* never inside what is running */
    assert_int_equal(read(l.at[0].wake_fd, &woken, sizeof(woken)), -1);
    turn(&l, 0);
    assert_int_equal(h->count, 1);
    assert_int_equal(h->sub_ids[0], 5);
    loops_fini(&l);
    loops_check_memory(&l);
    free(h);
}

static void test_post_shares_one_body_of_large_data(void **state)
{
    struct hearer *h = calloc(3, sizeof(*h));
    pp_parcel parcel = parcel_of('a', 5000);
    struct loops l;

    (void)state;
    loops_init(&l, 3);
    for (unsigned i = 0; i < 3; i++)
        h[i].receiver.receive = hear;
    /* It goes with the call, so it is copied: once, whoever gets it. */
    for (unsigned i = 0; i < 3; i++)
        assert_true(add(&l.at[0], &l.at[i], 1, &parcel, &h[i], 0));
    /* The next, though it lies in the same place, is another. */
    parcel = parcel_of('b', 5000);
    for (unsigned i = 0; i < 3; i++)
        assert_true(add(&l.at[0], &l.at[i], 2, &parcel, &h[i], 0));
    /* One with a body of its own is not copied at all. */
    parcel = parcel_of('c', 5000);
    parcel.body = pp_parcel_body(parcel.data);
    parcel.data.ptr = parcel.body->bytes;
    for (unsigned i = 0; i < 3; i++)
        assert_true(add(&l.at[0], &l.at[i], 3, &parcel, &h[i], 0));
    pp_loop_flush(&l.at[0]);
    for (unsigned i = 0; i < 3; i++) {
        settle(&l, i);
        assert_int_equal(h[i].count, 3);
        assert_memory_equal(h[i].first, "abc", 3);
        assert_int_equal(h[i].data_lens[2], 5000);
        assert_ptr_equal(h[i].bodies[0], h[0].bodies[0]);
        assert_ptr_equal(h[i].bodies[1], h[0].bodies[1]);
        assert_ptr_equal(h[i].bodies[2], parcel.body);
    }
    assert_ptr_not_equal(h[0].bodies[0], h[0].bodies[1]);
    assert_int_equal(atomic_load(&parcel.body->refs), 1);
    pp_body_unref(parcel.body);
    loops_fini(&l);
    loops_check_memory(&l);
    free(h);
}

static void test_post_allocates_nothing_for_small_messages(void **state)
{
    struct hearer *h = calloc(1, sizeof(*h));
    pp_parcel parcel = parcel_of('a', 100);
    struct loops l;

    (void)state;
    h->receiver.receive = hear;
    loops_init(&l, 2);
    for (unsigned round = 0; round < 8; round++) {
        if (round == 4) /* by now there are enough chunks, and they come back */
            pp_fault_arm("alloc", 1);
        for (uint64_t n = 0; n < 300; n++)
            assert_true(add(&l.at[0], &l.at[1], 1 + n, &parcel, h, n));
        pp_loop_flush(&l.at[0]);
        turn(&l, 1);
    }
    assert_false(pp_fault_disarm());
    assert_int_equal(h->count, 8 * 300);
    loops_fini(&l);
    loops_check_memory(&l);
    free(h);
}

static void on_resume(pp_waiter *waiter)
{
    waiter->waits_for = NULL;
}

static void test_post_limits_what_is_under_way(void **state)
{
    struct hearer *h = calloc(1, sizeof(*h));
    pp_parcel parcel = parcel_of('a', 1000);
    pp_waiter waiter = {.resume = on_resume};
    uint64_t serial = 0, taken = 0;
    struct loops l;
    pp_post *post;

    (void)state;
    h->receiver.receive = hear;
    loops_init(&l, 2);
    l.at[0].post_bytes_max = 100000;
    post = pp_post_between(&l.at[0], &l.at[1]);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t added = 0;

        l.at[0].gate = NULL;
        while (!l.at[0].gate) {
            assert_true(add(&l.at[0], &l.at[1], ++serial, &parcel, h, taken + added++));
            if (added == 40)
                pp_loop_flush(&l.at[0]); /* some are handed over, some only packed */
            assert_true(added < 100);
        }
        assert_ptr_equal(l.at[0].gate, post);
        assert_true(added >= 70 && added < 80); /* three quarters */
        while (add(&l.at[0], &l.at[1], ++serial, &parcel, h, taken + added))
            added++;
        assert_true(added > 85 && added < 100);
        waiter.waits_for = post;
        pp_list_append(&l.at[0].waiters, &waiter.link);
        pp_loop_flush(&l.at[0]);
        assert_false(add(&l.at[0], &l.at[1], ++serial, &parcel, h, 0));
        assert_true(post->gated);
        settle(&l, 1);
        taken += added;
        assert_int_equal(h->count, taken);
        assert_true(post->gated); /* it is told in a turn of its own */
        settle(&l, 0);
        assert_false(post->gated);
        assert_null(waiter.waits_for);
        assert_true(pp_list_empty(&l.at[0].waiters));
    }
    for (uint64_t n = 0; n < taken; n++)
        assert_int_equal(h->sub_ids[n], n);
    loops_fini(&l);
    loops_check_memory(&l);
    free(h);
}

static void test_post_refuses_without_memory(void **state)
{
    bool fired = true;

    (void)state;
    for (uint64_t nth = 1; fired; nth++) {
        struct hearer *h = calloc(1, sizeof(*h));
        pp_parcel small = parcel_of('a', 1500), large;
        pp_body *body;
        struct loops l;
        unsigned expected = 0;

        h->receiver.receive = hear;
        loops_init(&l, 2);
        body = pp_parcel_body(small.data);
        pp_fault_arm("alloc", nth);
        for (uint64_t n = 0; n < 40; n++) {
            small = parcel_of('a', 1500);
            expected += add(&l.at[0], &l.at[1], 2 * n + 1, &small, h, n);
            large = parcel_of('b', 3000);
            expected += add(&l.at[0], &l.at[1], 2 * n + 2, &large, h, n);
        }
        pp_loop_flush(&l.at[0]);
        settle(&l, 1);
        fired = pp_fault_disarm();
        assert_int_equal(h->count, expected);
        if (fired)
            assert_int_equal(expected, 79); /* the one for which there was no memory */
        else
            assert_int_equal(expected, 80);
        pp_body_unref(body);
        loops_fini(&l);
        loops_check_memory(&l);
        free(h);
    }
}

static void test_post_drops_what_never_arrived(void **state)
{
    struct hearer *h = calloc(1, sizeof(*h));
    struct loops l;
    pp_parcel parcel;

    (void)state;
    h->receiver.receive = hear;
    loops_init(&l, 2);
    for (uint64_t n = 1; n < 50; n++) {
        parcel = parcel_of('a', 100 * n);
        assert_true(add(&l.at[0], &l.at[1], n, &parcel, h, n));
        if (n == 20)
            pp_loop_flush(&l.at[0]);
    }
    for (unsigned i = 0; i < 2; i++) /* no leftovers are run */
        pp_loop_fini(&l.at[i]);
    pp_reclaim_fini(&l.reclaim);
    assert_int_equal(h->count, 0);
    loops_check_memory(&l);
    free(h);
}

/* --- between threads ---------------------------------------------------------------------- */

enum { STREAM = 20000, PER_TURN = 37 };

struct stream {
    pp_task task;
    pp_receiver receiver; /* on the loop it leads to */
    pp_loop *from, *to;
    uint64_t sent, heard;
    uint64_t refused;
    sem_t *all_heard;
};

static void stream_hear(pp_receiver *receiver, uint64_t client_id, uint64_t sub_id,
                        const pp_parcel *parcel)
{
    struct stream *s = PP_CONTAINER(receiver, struct stream, receiver);
    uint64_t number;

    if (parcel->data.len < sizeof(number) || client_id != 1 || sub_id != s->heard)
        abort();
    memcpy(&number, parcel->data.ptr, sizeof(number));
    if (number != s->heard)
        abort();
    if (++s->heard == STREAM)
        (void)sem_post(s->all_heard);
}

/* Some more each turn; what is refused is tried again. */
static void stream_send(pp_task *task)
{
    struct stream *s = PP_CONTAINER(task, struct stream, task);
    pp_post *post = pp_post_between(s->from, s->to);
    char data[3000] = {0};

    for (unsigned i = 0; i < PER_TURN && s->sent < STREAM && post; i++) {
        pp_parcel parcel = {.subject = PP_STR("s"), .data = {data, s->sent % 50 ? 20 : 3000}};

        memcpy(data, &s->sent, sizeof(s->sent));
        if (!pp_post_add(post, s->sent + 1, &parcel, &(pp_address){&s->receiver, 1, s->sent})) {
            s->refused++;
            break;
        }
        s->sent++;
    }
    if (s->sent < STREAM)
        pp_loop_post(s->from, task);
}

static void test_post_keeps_order_between_threads(void **state)
{
    static struct stream streams[LOOPS_MAX][LOOPS_MAX];
    uint64_t refused = 0;
    sem_t all_heard;
    struct loops l;

    (void)state;
    assert_int_equal(sem_init(&all_heard, 0, 0), 0);
    loops_init(&l, LOOPS_MAX);
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        l.at[i].post_bytes_max = 30000; /* so that limits and gates take part */
    loops_start(&l);
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        for (unsigned k = 0; k < LOOPS_MAX; k++) {
            streams[i][k] = (struct stream){.task.run = stream_send,
                                            .receiver.receive = stream_hear,
                                            .from = &l.at[i],
                                            .to = &l.at[k],
                                            .all_heard = &all_heard};
            pp_loop_post(&l.at[i], &streams[i][k].task);
        }
    }
    for (unsigned i = 0; i < LOOPS_MAX * LOOPS_MAX; i++)
        wait_sem(&all_heard);
    loops_fini(&l);
    loops_check_memory(&l);
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        for (unsigned k = 0; k < LOOPS_MAX; k++)
            refused += streams[i][k].refused;
    }
    print_message("refused and tried again: %llu\n", (unsigned long long)refused);
    (void)sem_destroy(&all_heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bag_gives_back_what_was_packed),
        cmocka_unit_test(test_bag_drops_what_it_refers_to),
        cmocka_unit_test(test_post_hands_over_once_a_turn),
        cmocka_unit_test(test_post_packs_a_message_once),
        cmocka_unit_test(test_post_to_the_own_loop_comes_next_turn),
        cmocka_unit_test(test_post_shares_one_body_of_large_data),
        cmocka_unit_test(test_post_allocates_nothing_for_small_messages),
        cmocka_unit_test(test_post_limits_what_is_under_way),
        cmocka_unit_test(test_post_refuses_without_memory),
        cmocka_unit_test(test_post_drops_what_never_arrived),
        cmocka_unit_test(test_post_keeps_order_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
