/* The door when something goes away: peers, memory, sockets; and answers from other threads. */
#include "http/door.h"

#include "http_door_world.h"

/* --- peers that leave ----------------------------------------------------------------------- */

static void test_http_door_peer_leaves_before_the_answer(void **state)
{
    (void)state;
    for (unsigned bytes = 0; bytes < 2; bytes++) {
        struct world x;

        world_init(&x);
        x.h.later = true;
        x.h.body_bytes = bytes * (10 << 20);
        say_text(&x, GET("/"));
        settle(&x.l, 0);
        (void)close(x.peer);
        x.peer = -1;
        settle(&x.l, 0);
        answer_next(&x, "late");
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        world_fini(&x);
    }
}

static void test_http_door_closed_before_the_answer(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    ask_for_later(&x);
    pp_conn_close(x.conn, PP_CLOSE_SHUTDOWN, true);
    answer_next(&x, "in the same turn");
    assert_int_equal(hear(&x), PIPIT_ECLOSED);
    check_heard(&x, "");
    world_fini(&x);
}

/* An answer that is still on its way when the loops end. */
static void test_http_door_answer_among_the_leftovers(void **state)
{
    struct world x;

    (void)state;
    world_init(&x);
    ask_for_later(&x);
    answer_next(&x, "never arrives");
    world_fini(&x);
}

static void test_http_door_peer_leaves_in_the_middle(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct world x;

        world_init(&x);
        x.h.body_bytes = 10 << 20;
        say_text(&x, GET("/") GET("/"));
        settle(&x.l, 0);
        assert_int_equal(peer_read(x.peer, &x.got, 1000000), PIPIT_OK);
        if (how == 1)
            assert_int_equal(shutdown(x.peer, SHUT_RD), 0); /* it does not listen any more */
        else
            (void)close(x.peer);
        x.peer = how == 0 ? -1 : x.peer;
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        assert_int_equal(atomic_load(&x.door.answer_bytes), 0);
        world_fini(&x);
    }
}

static void test_http_door_peer_leaves_in_a_request(void **state)
{
    static const char wire[] = "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab";

    (void)state;
    for (size_t len = 0; len <= strlen(wire); len++) {
        struct world x;

        world_init(&x);
        say(&x, wire, len);
        settle(&x.l, 0);
        (void)close(x.peer);
        x.peer = -1;
        settle(&x.l, 0);
        assert_int_equal(atomic_load(&x.door.connections), 0);
        world_fini(&x);
    }
}

/* --- without memory, and with sockets that fail --------------------------------------------- */

/* Like hear, but the connection may be reset. */
static void hear_until_the_end(struct world *x)
{
    for (bool more = true; more;) {
        char bytes[65536];
        ssize_t n;

        settle(&x->l, 0);
        n = recv(x->peer, bytes, sizeof(bytes), MSG_DONTWAIT);
        more = n > 0;
        if (more)
            assert_int_equal(pp_buf_add(&x->got, bytes, (size_t)n), PIPIT_OK);
    }
}

/* One connection's life: small, large, pipelined, refused. What comes is right as far as it goes.
 */
static void live_once(struct world *x)
{
    static const char first[] = GET("/1") GET("/2") "GET";
    static const char second[] = " /3 HTTP/1.1\r\n" H "\r\nbad";
    int peer;

    if (try_connect_peer(x, 0, 0, &peer)) {
        (void)close(peer);
        return;
    }
    x->peer = peer;
    x->h.body_bytes = 1 << 20;
    (void)!send(peer, first, strlen(first), MSG_NOSIGNAL);
    settle(&x->l, 0);
    (void)!send(peer, second, strlen(second), MSG_NOSIGNAL);
    hear_until_the_end(x);
    (void)close(peer);
    x->peer = -1;
    settle(&x->l, 0);
}

static void check_life(struct world *x, bool whole)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n";
    size_t at = 0;

    for (unsigned i = 0; i < 3 && at + strlen(head) + (1 << 20) <= x->got.len; i++) {
        if (memcmp(x->got.ptr + at, head, strlen(head)) != 0)
            return; /* a 503 */
        check_stream(x->got.ptr + at + strlen(head), 0, 1 << 20);
        at += strlen(head) + (1 << 20);
    }
    if (whole) {
        assert_int_equal(at, 3 * (strlen(head) + (1 << 20)));
        assert_memory_equal(x->got.ptr + at, "HTTP/1.1 400 ", 13);
    }
}

static void sweep(const char *point)
{
    uint64_t nth;
    bool fired = true;

    for (nth = 1; fired; nth++) {
        struct world x;

        world_open(&x, 1);
        assert_int_equal(pp_buf_reserve(&x.got, 4 << 20), PIPIT_OK);
        pp_fault_arm(point, nth);
        live_once(&x);
        fired = pp_fault_disarm();
        check_life(&x, !fired);
        world_fini(&x);
    }
    assert_true(nth > 3);
}

static void test_http_door_fault_sweep(void **state)
{
    (void)state;
    sweep("alloc");
    sweep("send");
    sweep("send_short");
    sweep("recv");
    sweep("epoll_mod");
}

/* --- answers from other threads ------------------------------------------------------------- */

enum { ANSWERERS = 2, CLIENTS = 8, REQUESTS = 200 };

/* A queue between the loops and the threads that answer. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pp_http_ticket tickets[CLIENTS];
    char words[CLIENTS][16];
    size_t count;
    bool ended;
};

static bool enqueue(void *context, const pp_http_request *request, pp_http_ticket ticket)
{
    struct queue *q = context;

    (void)pthread_mutex_lock(&q->lock);
    PP_ASSERT(q->count < CLIENTS); /* one request of each connection at a time */
    (void)snprintf(q->words[q->count], 16, "%.*s", PP_STR_ARGS(request->path));
    q->tickets[q->count++] = ticket;
    (void)pthread_cond_signal(&q->changed);
    (void)pthread_mutex_unlock(&q->lock);
    return true;
}

static void *answer_thread(void *arg)
{
    struct queue *q = arg;

    (void)pthread_mutex_lock(&q->lock);
    while (!q->ended || q->count) {
        pp_http_answer a = {.status = 200};
        pp_http_ticket ticket;

        if (q->count == 0) {
            (void)pthread_cond_wait(&q->changed, &q->lock);
            continue;
        }
        ticket = q->tickets[--q->count];
        a.body_bytes = strlen(q->words[q->count]);
        a.body = pp_body_new(a.body_bytes);
        PP_ASSERT(a.body);
        memcpy(a.body->bytes, q->words[q->count], a.body_bytes);
        (void)pthread_mutex_unlock(&q->lock);
        pp_http_answer_send(ticket, &a);
        (void)pthread_mutex_lock(&q->lock);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return NULL;
}

struct opening {
    struct world *x;
    unsigned index;
    int peer;
};

static void open_one(void *arg)
{
    struct opening *o = arg;

    assert_int_equal(try_connect_peer(o->x, o->index, 0, &o->peer), PIPIT_OK);
}

/* Half of the clients leave while answers are on their way to them. */
static void *client_thread(void *arg)
{
    struct opening *o = arg;
    pp_buf got;

    pp_buf_init(&got, 1 << 16);
    for (unsigned i = 0; i < REQUESTS; i++) {
        char wire[64], expected[128];
        int len = snprintf(wire, sizeof(wire), "GET /%u HTTP/1.1\r\n" H "\r\n", i);
        int words = snprintf(expected, sizeof(expected), "/%u", i);

        PP_ASSERT(send(o->peer, wire, (size_t)len, MSG_NOSIGNAL) == len);
        if (o->index && i == REQUESTS / 2)
            break;
        len = snprintf(expected, sizeof(expected),
                       "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n/%u", words, i);
        got.len = 0;
        while (got.len < (size_t)len) {
            peer_wait(o->peer);
            PP_ASSERT(peer_read(o->peer, &got, SIZE_MAX) == PIPIT_OK);
        }
        PP_ASSERT(got.len == (size_t)len && memcmp(got.ptr, expected, got.len) == 0);
    }
    (void)close(o->peer);
    pp_buf_fini(&got);
    return NULL;
}

static void test_http_door_answers_from_threads(void **state)
{
    struct queue q = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t answerers[ANSWERERS], clients[CLIENTS];
    struct opening openings[CLIENTS];
    struct world x;

    (void)state;
    world_open(&x, 2);
    x.door.handle = enqueue;
    x.door.context = &q;
    loops_start(&x.l);
    for (unsigned i = 0; i < ANSWERERS; i++)
        assert_int_equal(pthread_create(&answerers[i], NULL, answer_thread, &q), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        openings[i] = (struct opening){.x = &x, .index = i % 2};
        on_loop(&x.l, i % 2, open_one, &openings[i]);
        assert_int_equal(pthread_create(&clients[i], NULL, client_thread, &openings[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(clients[i], NULL), 0);
    (void)pthread_mutex_lock(&q.lock);
    q.ended = true;
    (void)pthread_cond_broadcast(&q.changed);
    (void)pthread_mutex_unlock(&q.lock);
    for (unsigned i = 0; i < ANSWERERS; i++)
        assert_int_equal(pthread_join(answerers[i], NULL), 0);
    x.peer = -1;
    /* Requests that were not read yet are not asked any more: their connections close first. */
    x.door.handle = handle;
    x.door.context = &x.h;
    world_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_door_peer_leaves_before_the_answer),
        cmocka_unit_test(test_http_door_closed_before_the_answer),
        cmocka_unit_test(test_http_door_answer_among_the_leftovers),
        cmocka_unit_test(test_http_door_peer_leaves_in_the_middle),
        cmocka_unit_test(test_http_door_peer_leaves_in_a_request),
        cmocka_unit_test(test_http_door_fault_sweep),
        cmocka_unit_test(test_http_door_answers_from_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
