/* The monitor from inside: whatever memory is refused, every question gets one answer, and what was
 * taken is given back. */
#include "server/monitor/monitor.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "pipit/server.h"
#include "server/server.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

static const char *const options[] = {"--addr=127.0.0.1", "--port=-1", "--threads=2"};

/* Where the answer to one question goes. */
struct asker {
    sem_t answered;
    unsigned answers;
    int status;
    size_t bytes;
};

static void on_answer(void *context, const pp_monitor_answer *answer)
{
    struct asker *asker = context;

    asker->answers++;
    asker->status = answer->status;
    asker->bytes = answer->body_bytes;
    pp_body_unref(answer->body);
    (void)sem_post(&asker->answered);
}

static void asker_init(struct asker *asker)
{
    *asker = (struct asker){0};
    assert_int_equal(sem_init(&asker->answered, 0, 0), 0);
}

static void asker_wait(struct asker *asker)
{
    struct timespec end;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    assert_int_equal(sem_timedwait(&asker->answered, &end), 0);
}

static pipit_server *server_started(void)
{
    pipit_server *server;
    char error[256];

    assert_int_equal(pipit_server_new(&server, options, 3, NULL, NULL, error, sizeof(error)),
                     PIPIT_OK);
    assert_int_equal(pipit_server_start(server), PIPIT_OK);
    return server;
}

static pipit_err ask(pipit_server *server, pp_monitor_endpoint endpoint, struct asker *asker)
{
    const pp_monitor_options question = {
        .subs = PP_SUBS_DETAIL,
        .state = PP_STATE_ALL,
        .auth = true,
        .details = true,
        .all = true,
        .unused = true,
        .account = endpoint == PP_MONITOR_CONNZ ? PP_STR("$G") : (pp_str){NULL, 0},
        .filter_subject = endpoint == PP_MONITOR_CONNZ ? PP_STR("a.b") : (pp_str){NULL, 0},
    };

    return pp_monitor_ask(server->monitor, endpoint, &question, on_answer, asker);
}

static void test_monitor_answers_once_whatever_fails(void **state)
{
    pipit_server *server = server_started();

    (void)state;
    for (unsigned endpoint = 0; endpoint < PP_MONITOR_ENDPOINT_COUNT; endpoint++) {
        for (unsigned nth = 1;; nth++) {
            struct asker asker;
            pipit_err err;
            bool fired;

            asker_init(&asker);
            pp_fault_arm("alloc", nth);
            err = ask(server, endpoint, &asker);
            if (!err)
                asker_wait(&asker);
            fired = pp_fault_disarm();
            assert_int_equal(asker.answers, err ? 0 : 1);
            if (err)
                assert_int_equal(err, PIPIT_ENOMEM);
            else if (asker.status == 503)
                assert_true(fired);
            else
                assert_true(asker.status == (endpoint == PP_MONITOR_RAFTZ ? 404 : 200));
            (void)sem_destroy(&asker.answered);
            if (!fired)
                break;
        }
    }
    pipit_server_free(server);
}

static void test_monitor_has_a_limited_queue(void **state)
{
    enum { ASKED = 20 * PP_MONITOR_JOBS_MAX };
    static struct asker askers[ASKED];
    pipit_server *server = server_started();
    unsigned taken = 0, refused = 0;

    (void)state;
    for (unsigned i = 0; i < ASKED; i++) {
        pipit_err err;

        asker_init(&askers[i]);
        err = ask(server, PP_MONITOR_CONNZ, &askers[i]);
        assert_true(err == PIPIT_OK || err == PIPIT_EAGAIN);
        taken += !err;
        refused += err != 0;
    }
    assert_true(taken >= PP_MONITOR_JOBS_MAX);
    assert_true(refused > 0);
    pipit_server_stop(server); /* answers what waits */
    for (unsigned i = 0; i < ASKED; i++) {
        taken -= askers[i].answers;
        assert_true(askers[i].answers == 0 || askers[i].status == 200 || askers[i].status == 503);
        (void)sem_destroy(&askers[i].answered);
    }
    assert_int_equal(taken, 0);
    assert_int_equal(ask(server, PP_MONITOR_VARZ, &askers[0]), PIPIT_ECLOSED);
    pipit_server_free(server);
}

static void test_monitor_copies_texts_of_questions(void **state)
{
    static char long_text[70000];
    pp_monitor_options question = {.user = {long_text, sizeof(long_text)}};
    pipit_server *server = server_started();
    struct asker asker;

    (void)state;
    asker_init(&asker);
    assert_int_equal(
        pp_monitor_ask(server->monitor, PP_MONITOR_CONNZ, &question, on_answer, &asker),
        PIPIT_ETOOBIG);
    question.user.len = 1000;
    assert_int_equal(
        pp_monitor_ask(server->monitor, PP_MONITOR_CONNZ, &question, on_answer, &asker), PIPIT_OK);
    asker_wait(&asker);
    assert_int_equal(asker.status, 200);
    (void)sem_destroy(&asker.answered);
    pipit_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monitor_answers_once_whatever_fails),
        cmocka_unit_test(test_monitor_has_a_limited_queue),
        cmocka_unit_test(test_monitor_copies_texts_of_questions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
