/* Listening, and giving what comes to loops. */
#include "net/listener.h"

#include "loops.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

/* --- a temporary folder ------------------------------------------------------------------- */

static char folder[64];

static int make_folder(void **state)
{
    const char *temp = getenv("TMPDIR");

    (void)state;
    if (!temp || strlen(temp) > 30)
        temp = "/tmp"; /* a socket's path must not be long */
    (void)snprintf(folder, sizeof(folder), "%s/pipit-listener-XXXXXX", temp);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* fails if a test left something */
}

static const char *path_to(const char *name)
{
    static char path[108];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* --- Unix sockets ------------------------------------------------------------------------- */

static void test_listen_unix_file_modes(void **state)
{
    static const unsigned modes[] = {0700, 0600, 0660, 0666, 0777};
    mode_t umask_before = umask(077);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct stat st;
        int fd, client;

        (void)umask(i % 2 ? 077 : 0); /* has no say in it */
        assert_int_equal(pp_listen_unix(path_to("mode"), modes[i], &fd), PIPIT_OK);
        assert_int_equal(lstat(path_to("mode"), &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 07777, modes[i]);
        client = connect_unix(path_to("mode"));
        assert_true(client >= 0);
        (void)close(client);
        (void)close(fd);
        (void)unlink(path_to("mode"));
    }
    (void)umask(umask_before);
}

/* A file that nobody answers on is replaced; one that somebody does is not. */
static void test_listen_unix_stale_socket(void **state)
{
    struct stat first, second;
    int fd, other;

    (void)state;
    assert_int_equal(pp_listen_unix(path_to("stale"), 0700, &fd), PIPIT_OK);
    assert_int_equal(lstat(path_to("stale"), &first), 0);
    assert_int_equal(pp_listen_unix(path_to("stale"), 0700, &other), PIPIT_EINUSE);
    assert_int_equal(lstat(path_to("stale"), &second), 0);
    assert_true(first.st_ino == second.st_ino);
    (void)close(fd); /* the file stays, as after a crash */
    assert_int_equal(connect_unix(path_to("stale")), -1);
    assert_int_equal(pp_listen_unix(path_to("stale"), 0700, &fd), PIPIT_OK);
    other = connect_unix(path_to("stale"));
    assert_true(other >= 0);
    (void)close(other);
    (void)close(fd);
    (void)unlink(path_to("stale"));
}

/* What is no socket is somebody's file. */
static void test_listen_unix_leaves_files_alone(void **state)
{
    struct stat st;
    FILE *file = fopen(path_to("file"), "we");
    int fd;

    (void)state;
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(pp_listen_unix(path_to("file"), 0700, &fd), PIPIT_EEXIST);
    assert_int_equal(lstat(path_to("file"), &st), 0);
    assert_true(S_ISREG(st.st_mode));
    (void)unlink(path_to("file"));
    assert_int_equal(symlink("nowhere", path_to("link")), 0);
    assert_int_equal(pp_listen_unix(path_to("link"), 0700, &fd), PIPIT_EEXIST);
    assert_int_equal(lstat(path_to("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    (void)unlink(path_to("link"));
    assert_int_equal(pp_listen_unix(folder, 0700, &fd), PIPIT_EEXIST);
}

static void test_listen_unix_bad_paths(void **state)
{
    char path[300];
    int fd;

    (void)state;
    assert_int_equal(pp_listen_unix(path_to("none/socket"), 0700, &fd), PIPIT_ENOTFOUND);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[108] = '\0'; /* a byte longer than fits */
    assert_int_equal(pp_listen_unix(path, 0700, &fd), PIPIT_EINVAL);
    path[108] = 'x';
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(pp_listen_unix(path, 0700, &fd), PIPIT_EINVAL);
}

static void test_listen_fault_sweep(void **state)
{
    (void)state;
    for (unsigned nth = 1;; nth++) {
        struct stat st;
        uint16_t port;
        int fd = -1, tcp = -1, stale;
        bool fired;

        assert_int_equal(pp_listen_unix(path_to("sweep"), 0700, &stale), PIPIT_OK);
        (void)close(stale);
        pp_fault_arm("*", nth);
        if (pp_listen_unix(path_to("sweep"), 0700, &fd))
            assert_int_equal(fd, -1);
        if (pp_listen_tcp("127.0.0.1", 0, &tcp, &port))
            assert_int_equal(tcp, -1);
        fired = pp_fault_disarm();
        assert_true(fired == (fd < 0 || tcp < 0));
        if (fd >= 0)
            (void)close(fd);
        if (tcp >= 0)
            (void)close(tcp);
        if (lstat(path_to("sweep"), &st) == 0)
            (void)unlink(path_to("sweep"));
        if (!fired)
            break;
    }
}

/* --- TCP ---------------------------------------------------------------------------------- */

static int connect_tcp(const char *address, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool v4 = inet_pton(AF_INET, address, &in.sin_addr) == 1;
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!v4)
        assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
    if (fd < 0)
        return -1;
    if (connect(fd, v4 ? (struct sockaddr *)&in : (struct sockaddr *)&in6,
                v4 ? sizeof(in) : sizeof(in6)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

    if (fd >= 0)
        (void)close(fd);
    return has;
}

static void check_reachable(const char *host, const char *address, bool reachable)
{
    uint16_t port = 0;
    int fd, client;

    assert_int_equal(pp_listen_tcp(host, 0, &fd, &port), PIPIT_OK);
    assert_true(port > 0);
    client = connect_tcp(address, port);
    assert_true((client >= 0) == reachable);
    if (client >= 0)
        (void)close(client);
    (void)close(fd);
}

static void test_listen_tcp_v4(void **state)
{
    (void)state;
    check_reachable("127.0.0.1", "127.0.0.1", true);
    check_reachable("0.0.0.0", "127.0.0.1", true);
    check_reachable("127.0.0.2", "127.0.0.1", false);
}

static void test_listen_tcp_v6(void **state)
{
    (void)state;
    if (!has_ipv6()) {
        print_message("no IPv6 here\n");
        skip();
    }
    check_reachable("::1", "::1", true);
    check_reachable("::1", "127.0.0.1", false);
    check_reachable("::", "::1", true);
    check_reachable("::", "127.0.0.1", true); /* everybody is everybody */
}

static void test_listen_tcp_refusals(void **state)
{
    uint16_t port, same;
    int fd, other;

    (void)state;
    assert_int_equal(pp_listen_tcp("no such host", 0, &fd, &port), PIPIT_EINVAL);
    assert_int_equal(pp_listen_tcp("1.2.3.4.5", 0, &fd, &port), PIPIT_EINVAL);
    assert_int_equal(pp_listen_tcp("127.0.0.1", 0, &fd, &port), PIPIT_OK);
    assert_int_equal(pp_listen_tcp("127.0.0.1", port, &other, &same), PIPIT_EINUSE);
    (void)close(fd);
    assert_int_equal(pp_listen_tcp("127.0.0.1", port, &fd, &same), PIPIT_OK);
    assert_int_equal(same, port);
    (void)close(fd);
}

/* A server that starts again has its port at once, though old connections linger. */
static void test_listen_tcp_again_at_once(void **state)
{
    uint16_t port;
    int fd, client, accepted;

    (void)state;
    assert_int_equal(pp_listen_tcp("127.0.0.1", 0, &fd, &port), PIPIT_OK);
    client = connect_tcp("127.0.0.1", port);
    assert_true(client >= 0);
    accepted = accept(fd, NULL, NULL);
    assert_true(accepted >= 0);
    (void)close(accepted); /* first: so its end lingers here */
    (void)close(client);
    (void)close(fd);
    assert_int_equal(pp_listen_tcp("127.0.0.1", port, &fd, &port), PIPIT_OK);
    (void)close(fd);
}

/* --- accepting ---------------------------------------------------------------------------- */

enum { CLIENTS_MAX = 200 };

struct world {
    struct loops l;
    pp_listener listener;
    pp_loop *loops[LOOPS_MAX];
    uint64_t given[LOOPS_MAX];
    atomic_uint_fast64_t next_id;
    struct watch watches[CLIENTS_MAX];
    int clients[CLIENTS_MAX];
    unsigned count;
    uint16_t port;
};

static struct world world;

/* The record of a connection is chosen by its id, which counts from 1. */
static pipit_err open_by_id(void *session, pp_conn *conn)
{
    watch_opening = &world.watches[conn->id - 1];
    return watch_open(session, conn);
}

static void world_init(struct world *x, unsigned loops)
{
    static pp_proto_ops proto;
    static pp_door door = {
        .proto = &proto,
        .limits = {.pending_max = 64 << 20, .write_deadline_ns = 3600 * PP_NS_PER_S}};

    proto = watch_proto;
    proto.open = open_by_id;
    *x = (struct world){.count = 0};
    loops_init(&x->l, loops);
    for (unsigned i = 0; i < loops; i++)
        x->loops[i] = &x->l.at[i];
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        watch_init(&x->watches[i], &x->l, NULL);
    x->listener = (pp_listener){
        .loop = x->loops[0],
        .loops = x->loops,
        .loop_count = loops,
        .given = x->given,
        .next_id = &x->next_id,
        .door = &door,
    };
    pp_listener_init(&x->listener);
}

static void world_listen_tcp(struct world *x)
{
    assert_int_equal(pp_listen_tcp("127.0.0.1", 0, &x->listener.source.fd, &x->port), PIPIT_OK);
    assert_int_equal(pp_listener_start(&x->listener), PIPIT_OK);
}

static void world_connect(struct world *x)
{
    x->clients[x->count] = connect_tcp("127.0.0.1", x->port);
    assert_true(x->clients[x->count] >= 0);
    x->count++;
}

static void world_fini(struct world *x)
{
    pp_listener_stop(&x->listener);
    pp_listener_stop(&x->listener); /* as often as one likes */
    loops_fini(&x->l);
    for (unsigned i = 0; i < x->count; i++)
        (void)close(x->clients[i]);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        watch_fini(&x->watches[i]);
    loops_check_memory(&x->l);
}

/* Turns of all loops until so many have been opened. */
static void turn_until_opened(struct world *x, unsigned count)
{
    unsigned opened = 0;

    for (unsigned turns = 0; opened < count; turns++) {
        assert_true(turns < 10000);
        opened = 0;
        for (unsigned i = 0; i < x->l.count; i++) {
            turn(&x->l, i);
            opened += (unsigned)atomic_load(&x->l.counters[i].connections_opened);
        }
    }
    assert_int_equal(opened, count);
}

static void test_listener_accepts(void **state)
{
    struct world *x = &world;
    char byte;

    (void)state;
    world_init(x, 1);
    world_listen_tcp(x);
    world_connect(x);
    turn_until_opened(x, 1);
    assert_int_equal(x->watches[0].conn->id, 1);
    assert_false(x->watches[0].conn->local);
    assert_true(pp_outlet_write(&x->watches[0].conn->own, PP_STR("!")));
    turn(&x->l, 0);
    peer_wait(x->clients[0]);
    assert_int_equal(recv(x->clients[0], &byte, 1, 0), 1);
    assert_int_equal(byte, '!');
    world_fini(x);
}

static void test_listener_sets_no_delay(void **state)
{
    struct world *x = &world;
    int value = 0;
    socklen_t len = sizeof(value);

    (void)state;
    world_init(x, 1);
    world_listen_tcp(x);
    world_connect(x);
    turn_until_opened(x, 1);
    assert_int_equal(
        getsockopt(x->watches[0].conn->source.fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_true(value);
    world_fini(x);
}

/* One loop is filled after the other, then all again. */
static void test_listener_fills_loops(void **state)
{
    struct world *x = &world;

    (void)state;
    world_init(x, 2);
    x->listener.together = 3;
    world_listen_tcp(x);
    for (unsigned count = 1; count <= 7; count++) {
        world_connect(x);
        turn_until_opened(x, count);
        assert_int_equal(x->given[0], count <= 3 ? count : count <= 6 ? 3 : 4);
    }
    assert_int_equal(x->given[1], 3);
    world_fini(x);
}

/* Many at once: more than are accepted in a turn, none forgotten; every loop its share. */
static void test_listener_spreads(void **state)
{
    struct world *x = &world;

    (void)state;
    world_init(x, LOOPS_MAX);
    world_listen_tcp(x);
    for (unsigned i = 0; i < 150; i++)
        world_connect(x);
    turn_until_opened(x, 150);
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        assert_int_equal(x->l.at[i].conn_count, 150 / LOOPS_MAX);
    world_fini(x);
}

/* A loop whose connections have left is given the next ones. */
static void test_listener_fills_up(void **state)
{
    struct world *x = &world;

    (void)state;
    world_init(x, 2);
    world_listen_tcp(x);
    for (unsigned i = 0; i < 20; i++)
        world_connect(x);
    turn_until_opened(x, 20);
    loops_shut(&x->l.at[1]);
    settle(&x->l, 1);
    for (unsigned i = 0; i < 10; i++)
        world_connect(x);
    turn_until_opened(x, 30);
    assert_int_equal(x->l.at[0].conn_count, 10);
    assert_int_equal(x->l.at[1].conn_count, 10);
    world_fini(x);
}

/* No descriptors left: it tries again by itself, and less often each time; nobody is lost. */
static void test_listener_backs_off(void **state)
{
    struct world *x = &world;
    pp_loop *loop;
    int64_t wait_ns = 10 * PP_NS_PER_MS;

    (void)state;
    world_init(x, 1);
    world_listen_tcp(x);
    loop = x->loops[0];
    world_connect(x);
    pp_fault_arm_from("accept", 1);
    turn_on_event(&x->l, 0);
    for (unsigned tries = 0; tries < 12; tries++) {
        int64_t due_ns = pp_timers_next_ns(&loop->timers);

        assert_int_equal(loop->timers.count, 1);
        assert_int_equal((due_ns - loop->now_ns) / PP_NS_PER_MS, wait_ns / PP_NS_PER_MS);
        loop->now_ns = due_ns; /* the test keeps the clock */
        pp_timers_run(&loop->timers, due_ns);
        wait_ns = 2 * wait_ns < PP_NS_PER_S ? 2 * wait_ns : PP_NS_PER_S;
    }
    assert_true(pp_fault_disarm());
    loop->now_ns = pp_timers_next_ns(&loop->timers);
    pp_timers_run(&loop->timers, loop->now_ns);
    assert_int_equal(loop->timers.count, 0);
    turn_until_opened(x, 1);
    /* The next time it begins from the shortest wait. */
    world_connect(x);
    pp_fault_arm("accept", 1);
    turn_on_event(&x->l, 0);
    assert_true(pp_fault_disarm());
    assert_int_equal((pp_timers_next_ns(&loop->timers) - loop->now_ns) / PP_NS_PER_MS, 10);
    loop->now_ns = pp_timers_next_ns(&loop->timers);
    pp_timers_run(&loop->timers, loop->now_ns);
    turn_until_opened(x, 2);
    world_fini(x);
}

/* No memory to receive one: that client sees its connection end, the next is welcome. */
static void test_listener_without_memory(void **state)
{
    struct world *x = &world;
    char byte;

    (void)state;
    world_init(x, 1);
    world_listen_tcp(x);
    world_connect(x);
    pp_fault_arm("alloc", 1);
    turn_on_event(&x->l, 0);
    assert_true(pp_fault_disarm());
    peer_wait(x->clients[0]);
    assert_int_equal(recv(x->clients[0], &byte, 1, 0), 0);
    world_connect(x);
    turn_until_opened(x, 1);
    world_fini(x);
}

static void test_listener_stops(void **state)
{
    struct world *x = &world;
    struct stat st;

    (void)state;
    world_init(x, 1);
    assert_int_equal(pp_listen_unix(path_to("stop"), 0700, &x->listener.source.fd), PIPIT_OK);
    x->listener.unlink_path = strdup(path_to("stop"));
    assert_int_equal(pp_listener_start(&x->listener), PIPIT_OK);
    x->clients[x->count] = connect_unix(x->listener.unlink_path);
    assert_true(x->clients[x->count] >= 0);
    x->count++;
    turn_until_opened(x, 1);
    assert_true(x->watches[0].conn->local);
    pp_listener_stop(&x->listener);
    assert_int_equal(lstat(x->listener.unlink_path, &st), -1); /* the file is gone */
    assert_int_equal(x->l.at[0].conn_count, 1);                /* who was there stays */
    free((void *)x->listener.unlink_path);
    x->listener.unlink_path = NULL;
    world_fini(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_unix_file_modes),
        cmocka_unit_test(test_listen_unix_stale_socket),
        cmocka_unit_test(test_listen_unix_leaves_files_alone),
        cmocka_unit_test(test_listen_unix_bad_paths),
        cmocka_unit_test(test_listen_fault_sweep),
        cmocka_unit_test(test_listen_tcp_v4),
        cmocka_unit_test(test_listen_tcp_v6),
        cmocka_unit_test(test_listen_tcp_refusals),
        cmocka_unit_test(test_listen_tcp_again_at_once),
        cmocka_unit_test(test_listener_accepts),
        cmocka_unit_test(test_listener_sets_no_delay),
        cmocka_unit_test(test_listener_spreads),
        cmocka_unit_test(test_listener_fills_loops),
        cmocka_unit_test(test_listener_fills_up),
        cmocka_unit_test(test_listener_backs_off),
        cmocka_unit_test(test_listener_without_memory),
        cmocka_unit_test(test_listener_stops),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
