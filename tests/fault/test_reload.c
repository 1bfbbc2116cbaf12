/* A reload between two states: while some loops have changed over and others have not, while
 * answers are being made, and when memory is refused half-way. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "server/monitor/monitor.h"
#include "server/monitor/page.h"
#include "server/server.h"
#include "server/system/service.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUIET_ROUNDS_END = 3, ROUNDS_MAX = 4000 };

/* --- a server with a file ----------------------------------------------------------------- */

static char folder[64], file[80], file_option[96];
static host h;

static void write_config(const char *text)
{
    FILE *out = fopen(file, "we");

    REQUIRE(out && fputs(text, out) >= 0 && fclose(out) == 0, "%s is written", file);
}

static void start(const char *config)
{
    const char *base = getenv("TMPDIR");
    const char *options[] = {"--threads=2", file_option, NULL};

    (void)snprintf(folder, sizeof(folder), "%.40s/pipit-XXXXXX", base ? base : "/tmp");
    REQUIRE(mkdtemp(folder), "a folder in %s", base ? base : "/tmp");
    (void)snprintf(file, sizeof(file), "%s/conf", folder);
    (void)snprintf(file_option, sizeof(file_option), "--config=%s", file);
    write_config(config);
    host_start(&h, options);
}

static void stop(void)
{
    host_stop(&h);
    (void)unlink(file);
    (void)rmdir(folder);
}

static pipit_err reload(const char *config)
{
    pipit_err err;
    pp_buf error;

    write_config(config);
    pp_buf_init(&error, 64 * 1024);
    err = pp_server_reload(h.server, &error);
    pp_buf_fini(&error);
    return err;
}

/* On a thread of its own. */
struct reloading {
    pthread_t thread;
    const char *config;
    pipit_err err;
    atomic_bool done;
};

static void *run_reload(void *arg)
{
    struct reloading *r = arg;

    r->err = reload(r->config);
    atomic_store(&r->done, true);
    return NULL;
}

static void begin_reload(struct reloading *r, const char *config)
{
    *r = (struct reloading){.config = config};
    REQUIRE(!pthread_create(&r->thread, NULL, run_reload, r), "a thread");
}

static void end_reload(struct reloading *r)
{
    REQUIRE(!pthread_join(r->thread, NULL), "its end");
    REQUIRE(!r->err, "reload: %s", pipit_strerror(r->err));
}

static void open_as(peer *p, const char *user)
{
    peer_dial(p, h.port, 0);
    (void)peer_printf(p,
                      "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,"
                      "\"protocol\":1,\"user\":\"%s\",\"pass\":\"p\"}\r\n",
                      user);
    REQUIRE(peer_barrier(p), "%s comes in", user);
}

/* --- a loop that is held in the middle of a turn ------------------------------------------ */

struct hold {
    pp_task task;
    sem_t held, go;
};

static void run_hold(pp_task *task)
{
    struct hold *hold = PP_CONTAINER(task, struct hold, task);

    (void)sem_post(&hold->held);
    while (sem_wait(&hold->go) && errno == EINTR)
        ;
}

static void hold_loop(struct hold *hold, unsigned index)
{
    hold->task.run = run_hold;
    REQUIRE(!sem_init(&hold->held, 0, 0) && !sem_init(&hold->go, 0, 0), "semaphores");
    pp_loop_post(h.server->loops[index], &hold->task);
    while (sem_wait(&hold->held) && errno == EINTR)
        ;
}

static void release(struct hold *hold)
{
    (void)sem_post(&hold->go);
}

/* The server's own services are there. */
static void require_service(peer *p)
{
    peer_event event;

    (void)peer_printf(p, "SUB info.%c 9\r\nPUB $SYS.REQ.USER.INFO info.x 0\r\n\r\n", '*');
    REQUIRE(peer_next_msg(p, &event), "an answer");
    REQUIRE(event.payload_len > 10, "an answer of the server: %zu bytes", event.payload_len);
}

/* --- the program's own messages ----------------------------------------------------------- */

static const pp_scope *old_root;

static bool root_is_new(void *arg)
{
    (void)arg;
    return atomic_load(&h.server->global->root) != old_root;
}

static void publish_x(pp_task *task)
{
    (void)task;
    REQUIRE(!pipit_server_publish(h.server, "x", NULL, "own", 3), "published");
}

static bool has_been_routed(void *arg)
{
    return atomic_load(&h.server->workers[1].counters.in_msgs) > *(uint64_t *)arg;
}

/* Views are numbered anew by each configuration; a loop that has not changed over still goes by the
 * old numbers. */
static void own_messages_keep_to_their_account(void)
{
    static const char before[] =
        "accounts { A { users: [ {user: a, password: p} ] }\n"
        "           B { users: [ {user: b, password: p} ] } }\nno_auth_user: a\n";
    static const char after[] = "accounts { A { users: [ {user: a, password: p} ] } }\n"
                                "no_auth_user: a\n";
    struct reloading r;
    struct hold hold;
    peer peers[2];
    peer_event event;
    uint64_t routed;
    pp_task task = {.run = publish_x};

    start(before);
    for (size_t i = 0; i < 2; i++) { /* one on each loop */
        open_as(&peers[i], "b");
        (void)peer_printf(&peers[i], "SUB x 1\r\nPUB y 1\r\n1\r\n");
        REQUIRE(peer_barrier(&peers[i]), "subscribed");
    }
    old_root = atomic_load(&h.server->global->root);
    hold_loop(&hold, 0);
    begin_reload(&r, after);
    check_until(root_is_new, NULL, "the new root of the global account");
    routed = atomic_load(&h.server->workers[1].counters.in_msgs);
    pp_loop_post(h.server->loops[1], &task);
    check_until(has_been_routed, &routed, "the message has been routed");
    release(&hold);
    end_reload(&r);
    for (size_t i = 0; i < 2; i++) {
        peer_kind kind;

        do
            kind = peer_next(&peers[i], &event);
        while (kind == PEER_INFO || kind == PEER_ERR);
        REQUIRE(kind == PEER_CLOSED, "an account hears nothing of another one");
        peer_close(&peers[i]);
    }
    host_wait_empty(&h);
    stop();
}

static void own_messages_are_mapped(void)
{
    peer p;
    peer_event event;

    start("mappings { \"old.*\": \"new.$1\" }\n");
    peer_open(&p, h.port);
    (void)peer_printf(&p, "SUB > 1\r\n");
    REQUIRE(peer_barrier(&p), "subscribed");
    REQUIRE(!pipit_server_publish(h.server, "old.x", "reply", "own", 3), "published");
    REQUIRE(peer_next_msg(&p, &event), "a message");
    REQUIRE(strcmp(event.subject, "new.x") == 0 && event.payload_len == 3 &&
                memcmp(event.payload, "own", 3) == 0 && strcmp(event.reply, "reply") == 0,
            "as it is mapped: %s", event.subject);
    peer_close(&p);
    host_wait_empty(&h);
    stop();
}

/* --- what goes, and when ------------------------------------------------------------------ */

static bool done_or_waits_for_0(void *arg)
{
    return atomic_load(&((struct reloading *)arg)->done) ||
           atomic_load(&h.server->loops[0]->mailbox.waiting);
}

static bool has_changed_over_0(void *arg)
{
    (void)arg;
    /* Its errand is done when the next one waits at loop 1. */
    return atomic_load(&h.server->loops[1]->mailbox.waiting);
}

/* A loop that has changed over may be looking at users whose sessions another one changes over
 * just now: until its turn has ended they must stay. */
static void old_users_stay_for_the_turn(void)
{
    struct reloading r;
    struct hold first, second;

    start("authorization { users: [ {user: a, password: p} ] }\n");
    hold_loop(&second, 1);
    begin_reload(&r, "authorization { users: [ {user: b, password: p} ] }\n");
    check_until(has_changed_over_0, NULL, "loop 0 has changed over");
    hold_loop(&first, 0);
    release(&second);
    check_until(done_or_waits_for_0, &r, "the reload goes on");
    REQUIRE(!atomic_load(&r.done), "the reload waits for loop 0");
    release(&first);
    end_reload(&r);
    stop();
}

static sem_t monitor_held, monitor_go;

static pipit_err hold_monitor(pp_page *page)
{
    /* Without what answers hold: a reload shall pass. */
    (void)pthread_rwlock_unlock(&page->server->options_lock);
    (void)sem_post(&monitor_held);
    while (sem_wait(&monitor_go) && errno == EINTR)
        ;
    (void)pthread_rwlock_rdlock(&page->server->options_lock);
    return PIPIT_OK;
}

static void ignore_answer(void *context, const pp_monitor_answer *answer)
{
    (void)context;
    pp_body_unref(answer->body);
}

static bool monitor_has_work(void *arg)
{
    (void)arg;
    return pp_monitor_waiting(h.server->monitor) > 0;
}

static bool nobody_requests(void *arg)
{
    (void)arg;
    return atomic_load(&h.server->system.requests) == 0;
}

static bool is_listed(const pp_account *account)
{
    pp_accounts *accounts = &h.server->accounts;
    bool listed = false;

    (void)pthread_mutex_lock(&accounts->lock);
    for (size_t i = 0; i < accounts->count; i++)
        listed |= accounts->all[i] == account;
    (void)pthread_mutex_unlock(&accounts->lock);
    return listed;
}

static pipit_err refuse(void *context, const pp_options *options, pp_buf *error)
{
    (void)context;
    (void)options;
    (void)error;
    return PIPIT_EINVAL;
}

/* A question of an account waits for its answer while the account goes. A reload that is refused
 * afterwards takes nothing away but what it has made itself. */
static void refused_reload_leaves_accounts(void)
{
    static const char without[] = "accounts { B { users: [ {user: b, password: p} ] } }\n";
    static const pp_reload_hook refusing = {.apply = refuse};
    const pp_monitor_options options = {0};
    const pp_account *account;
    size_t count;
    peer p;

    start("accounts { X { users: [ {user: x, password: p} ] } }\n");
    REQUIRE(!sem_init(&monitor_held, 0, 0) && !sem_init(&monitor_go, 0, 0), "semaphores");
    account = pp_accounts_find(&h.server->accounts, PP_STR("X"));
    REQUIRE(!pp_monitor_run(h.server->monitor, hold_monitor, &options, ignore_answer, NULL),
            "the monitor is asked");
    while (sem_wait(&monitor_held) && errno == EINTR)
        ;
    open_as(&p, "x");
    (void)peer_printf(&p, "SUB i 1\r\nPUB $SYS.REQ.ACCOUNT.PING.STATZ i 0\r\n\r\n");
    check_until(monitor_has_work, NULL, "the question has come to the monitor");
    REQUIRE(!reload(without), "an account goes");
    peer_await_close(&p);
    peer_close(&p);
    host_wait_empty(&h);
    count = h.server->accounts.count;
    pp_server_set_reload_hook(h.server, &refusing);
    REQUIRE(reload("accounts { Y { users: [ {user: y, password: p} ] } }\n") == PIPIT_EINVAL,
            "another is refused");
    pp_server_set_reload_hook(h.server, NULL);
    REQUIRE(is_listed(account), "the account that is asked about stays");
    REQUIRE(h.server->accounts.count == count, "nothing was added");
    (void)sem_post(&monitor_go);
    check_until(nobody_requests, NULL, "the question is answered");
    REQUIRE(!reload(without), "again");
    REQUIRE(!is_listed(account), "now it has gone");
    stop();
}

/* The services of an account go while a loop has just asked to tell of its clients: nothing of them
 * is left in the home loop's list. */
static void services_go_while_a_count_is_posted(void)
{
    static const char config[] = "accounts { X { users: [ {user: x, password: p} ] } }\n";
    struct hold hold, after;
    pp_account *account;
    pp_services *services;
    peer p, first;

    start(config);
    open_as(&first, "x"); /* only where there are clients are there services */
    account = pp_accounts_find(&h.server->accounts, PP_STR("X"));
    hold_loop(&hold, 0);
    services = atomic_load(&account->services);
    services->told_ns = h.server->loops[0]->now_ns; /* a moment ago: the next time is put off */
    pp_services_detach(account);
    atomic_store(&services->changed, true);
    pp_loop_post(h.server->loops[0], &services->count);
    release(&hold);
    hold_loop(&after, 0);
    REQUIRE(pp_list_empty(&h.server->system.late), "nothing is put off");
    release(&after);
    REQUIRE(!reload(config), "a reload puts them there again");
    open_as(&p, "x");
    require_service(&p);
    peer_close(&p);
    peer_close(&first);
    host_wait_empty(&h);
    stop();
}

static void look_at_lock(void *context, const pp_monitor_answer *answer)
{
    bool *held = context;

    *held = pthread_rwlock_trywrlock(&h.server->options_lock) == EBUSY;
    if (!*held)
        (void)pthread_rwlock_unlock(&h.server->options_lock);
    pp_body_unref(answer->body);
    (void)sem_post(&monitor_held);
}

static pipit_err write_nothing(pp_page *page)
{
    (void)page;
    return PIPIT_OK;
}

/* Answers to messages say who the server is, where they are handed over. */
static void answers_keep_the_options(void)
{
    const pp_monitor_options options = {0};
    bool held = false;

    start("");
    REQUIRE(!sem_init(&monitor_held, 0, 0), "a semaphore");
    REQUIRE(!pp_monitor_run(h.server->monitor, write_nothing, &options, look_at_lock, &held),
            "the monitor is asked");
    while (sem_wait(&monitor_held) && errno == EINTR)
        ;
    REQUIRE(held, "no reload exchanges them meanwhile");
    stop();
}

/* --- memory is refused -------------------------------------------------------------------- */

static const char config_one[] =
    "accounts {\n"
    "  A { users: [ {user: a, password: p} ], mappings: { \"m.*\": \"n.$1\" } }\n"
    "  B { users: [ {user: b, password: p, permissions: { subscribe: { deny: \"no\" } } } ] }\n"
    "}\nno_auth_user: a\nserver_name: one\n";
static const char config_two[] =
    "accounts {\n"
    "  A { users: [ {user: a, password: p, permissions: { publish: \">\" }} ] }\n"
    "  C { users: [ {user: c, password: p} ], mappings: { \"m.*\": \"n.$1\" } }\n"
    "  B { users: [ {user: b, password: p, permissions: { subscribe: { deny: \"not\" } } } ] }\n"
    "}\nno_auth_user: a\nserver_name: one\n";

static bool reload_short_of_memory(uint64_t nth, bool lasting)
{
    peer a, b;
    pp_buf error;
    bool fired;
    pipit_err err;

    host_start(&h, (const char *[]){"--threads=2", file_option, NULL});
    open_as(&a, "a");
    open_as(&b, "b");
    (void)peer_printf(&a, "SUB x 1\r\nPUB m.x 1\r\n1\r\n");
    (void)peer_printf(&b, "SUB > 1\r\nPUB x 1\r\n1\r\n");
    (void)peer_barrier(&a);
    (void)peer_barrier(&b);
    write_config(config_two);
    if (lasting)
        pp_fault_arm_from("alloc", nth);
    else
        pp_fault_arm("alloc", nth);
    pp_buf_init(&error, 4096);
    err = pp_server_reload(h.server, &error);
    fired = pp_fault_disarm();
    pp_buf_fini(&error);
    REQUIRE(fired || !err, "it fails only when something is refused: %s", pipit_strerror(err));
    (void)peer_barrier(&a); /* or it was closed */
    (void)peer_barrier(&b);
    REQUIRE(!reload(config_one), "with memory it goes");
    REQUIRE(!reload(config_two), "and on");
    peer_close(&a);
    peer_close(&b);
    host_wait_empty(&h);
    open_as(&a, "c");
    require_service(&a);
    peer_close(&a);
    open_as(&a, "a");
    require_service(&a);
    peer_close(&a);
    host_require_serves(&h);
    host_wait_empty(&h);
    host_stop(&h);
    write_config(config_one);
    return fired;
}

static void reloads_short_of_memory(void)
{
    start(config_one);
    host_end(&h);
    for (unsigned lasting = 0; lasting < 2; lasting++) {
        unsigned quiet = 0, refused = 0;

        for (uint64_t nth = 1; quiet < QUIET_ROUNDS_END; nth += lasting ? 7 : 1) {
            bool fired = reload_short_of_memory(nth, lasting);

            REQUIRE(nth < ROUNDS_MAX, "an end");
            quiet = fired ? 0 : quiet + 1;
            refused += fired;
        }
        check_note("refused %u times", refused);
    }
    (void)unlink(file);
    (void)rmdir(folder);
}

/* Who has published and says CONNECT as somebody else, all in one breath. */
static bool connect_again(uint64_t nth)
{
    peer p;
    bool fired;

    peer_dial(&p, h.port, 0);
    REQUIRE(peer_barrier(&p), "a comes in");
    pp_fault_arm("alloc", nth);
    (void)peer_printf(&p, "PUB x 1\r\n1\r\nCONNECT {\"verbose\":false,\"user\":\"b\","
                          "\"pass\":\"p\"}\r\nPUB x 1\r\n1\r\n");
    (void)peer_barrier(&p); /* or closed */
    fired = pp_fault_disarm();
    peer_close(&p);
    return fired;
}

static void changes_user_short_of_memory(void)
{
    unsigned quiet = 0;

    start(config_one);
    pp_fault_exempt_thread(true);
    for (uint64_t nth = 1; quiet < QUIET_ROUNDS_END; nth++) {
        bool fired = connect_again(nth);

        REQUIRE(nth < ROUNDS_MAX, "an end");
        quiet = fired ? 0 : quiet + 1;
        REQUIRE(!reload(nth % 2 ? config_two : config_one), "what was remembered is forgotten");
    }
    REQUIRE(!reload(config_one), "as at first");
    host_require_serves(&h);
    host_wait_empty(&h);
    stop();
}

struct traffic {
    const char *account;
    uint64_t in_msgs;
};

static bool has_traffic(void *arg)
{
    const struct traffic *wanted = arg;
    pp_account *account = pp_accounts_find(&h.server->accounts, pp_str_of(wanted->account));
    pp_account_totals totals;

    pp_account_sum(account, &totals);
    return totals.in_msgs == wanted->in_msgs;
}

/* Each message counts for the account that it was published in. */
static void changes_user_between_messages(void)
{
    peer p;

    start(config_one);
    peer_dial(&p, h.port, 0);
    (void)peer_printf(&p, "PUB x 1\r\n1\r\nPUB x 1\r\n2\r\nCONNECT {\"verbose\":false,\"user\":"
                          "\"b\",\"pass\":\"p\"}\r\nPUB x 1\r\n3\r\n");
    REQUIRE(peer_barrier(&p), "b");
    check_until(has_traffic, &(struct traffic){"A", 2}, "two messages in A");
    check_until(has_traffic, &(struct traffic){"B", 1}, "one in B");
    peer_close(&p);
    host_wait_empty(&h);
    stop();
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"own_messages_keep_to_their_account", own_messages_keep_to_their_account, 60},
        {"own_messages_are_mapped", own_messages_are_mapped, 60},
        {"old_users_stay_for_the_turn", old_users_stay_for_the_turn, 60},
        {"refused_reload_leaves_accounts", refused_reload_leaves_accounts, 60},
        {"services_go_while_a_count_is_posted", services_go_while_a_count_is_posted, 60},
        {"answers_keep_the_options", answers_keep_the_options, 60},
        {"reloads_short_of_memory", reloads_short_of_memory, 120},
        {"changes_user_short_of_memory", changes_user_short_of_memory, 60},
        {"changes_user_between_messages", changes_user_between_messages, 60},
    };

    return scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
}
