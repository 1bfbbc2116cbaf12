#include "server/stapler.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/operators/operators.h"
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const int64_t timeout_ns = 5 * PP_NS_PER_S; /* for each who is asked */

struct pp_stapler {
    pipit_server *server;
    pp_tls_staples staples;
    pthread_mutex_t lock; /* guards the following three */
    pthread_cond_t changed;
    bool running, stopping, hurried;
    pthread_t thread;
    atomic_bool hurry; /* stopping, for who waits for an answer */
};

/* --- asking -------------------------------------------------------------------------------- */

static pipit_err ask_one(pp_stapler *stapler, pp_tls_staple *staple, const char *url, pp_buf *why)
{
    static const pp_fetch_tls tls = {.min_version = 12};
    pipit_err err;
    pp_buf answer;

    pp_buf_init(&answer, PP_TLS_OCSP_ANSWER_MAX);
    err = pp_fetch_url(url, &tls, pp_tls_staple_question(staple), timeout_ns, &stapler->hurry,
                       &answer);
    if (err)
        (void)pp_buf_addf(why, "%s is not to be had: %s", url, pipit_strerror(err));
    else
        err = pp_tls_staple_take(staple, pp_buf_str(&answer), why);
    pp_buf_fini(&answer);
    return err;
}

/* Whoever can be had first. error is one sentence. */
static pipit_err ask(pp_stapler *stapler, pp_tls_staple *staple, pp_buf *error)
{
    pipit_err err = PIPIT_EIO;
    const char *url;
    pp_buf why;

    pp_buf_init(&why, 4096);
    for (size_t i = 0; err && (url = pp_tls_staple_url(staple, i)); i++) {
        if (atomic_load(&stapler->hurry))
            break;
        if (why.len)
            (void)pp_buf_addf(&why, "; ");
        err = ask_one(stapler, staple, url, &why);
    }
    pp_tls_staple_schedule(staple, pp_clock_mono_ns(), err != PIPIT_OK);
    if (err)
        (void)pp_buf_addf(error,
                          "bad OCSP status update for certificate at '%s': exhausted ocsp servers: "
                          "%.*s",
                          pp_tls_staple_file(staple), PP_STR_ARGS(pp_buf_str(&why)));
    pp_buf_fini(&why);
    return err;
}

static bool is_bad(pp_tls_staple *staple)
{
    return pp_tls_staple_must_be_good(staple) && pp_tls_staple_standing(staple) != PP_TLS_GOOD;
}

/* --- from time to time --------------------------------------------------------------------- */

/* Whoever waits for the server to end is told that it should. */
static void end_server(pp_stapler *stapler, pp_tls_staple *staple)
{
    pipit_server *server = stapler->server;
    uint64_t one = 1;

    pp_log_write(&server->log, PP_LOG_ERROR,
                 "Received OCSP status for certificate '%s': %s; the server ends",
                 pp_tls_staple_file(staple), pp_tls_standing_text(pp_tls_staple_standing(staple)));
    (void)!write(server->done_fd, &one, sizeof(one));
}

static void ask_again(pp_stapler *stapler, pp_tls_staple *staple)
{
    pp_buf error;

    pp_buf_init(&error, 8192);
    if (ask(stapler, staple, &error)) {
        if (!atomic_load(&stapler->hurry))
            pp_log_write(&stapler->server->log, PP_LOG_ERROR, "%.*s",
                         PP_STR_ARGS(pp_buf_str(&error)));
    } else if (is_bad(staple)) {
        end_server(stapler, staple);
    } else {
        PP_DEBUG(&stapler->server->log, "Received OCSP status for certificate '%s': %s",
                 pp_tls_staple_file(staple), pp_tls_standing_text(pp_tls_staple_standing(staple)));
    }
    pp_buf_fini(&error);
}

/* False: it is over. */
static bool wait_until(pp_stapler *stapler, int64_t due_ns)
{
    struct timespec until = {.tv_sec = (time_t)(due_ns / PP_NS_PER_S),
                             .tv_nsec = (long)(due_ns % PP_NS_PER_S)};
    int status = 0;
    bool goes_on;

    (void)pthread_mutex_lock(&stapler->lock);
    while (!stapler->stopping && !stapler->hurried && status != ETIMEDOUT) {
        if (due_ns == INT64_MAX)
            (void)pthread_cond_wait(&stapler->changed, &stapler->lock);
        else
            status = pthread_cond_timedwait(&stapler->changed, &stapler->lock, &until);
    }
    stapler->hurried = false;
    goes_on = !stapler->stopping;
    (void)pthread_mutex_unlock(&stapler->lock);
    return goes_on;
}

static void *run(void *arg)
{
    pp_stapler *stapler = arg;
    int64_t due_ns = 0;

    do {
        pp_tls_staple *staple;

        while (!atomic_load(&stapler->hurry) &&
               (staple = pp_tls_staples_due(&stapler->staples, pp_clock_mono_ns(), &due_ns))) {
            ask_again(stapler, staple);
            pp_tls_staple_unref(staple);
        }
    } while (wait_until(stapler, due_ns));
    return NULL;
}

/* --- life ---------------------------------------------------------------------------------- */

pipit_err pp_stapler_new(pp_stapler **out, pipit_server *server)
{
    pp_stapler *stapler = pp_calloc(1, sizeof(*stapler));
    pthread_condattr_t monotonic;

    if (!stapler)
        return PIPIT_ENOMEM;
    stapler->server = server;
    pp_tls_staples_init(&stapler->staples);
    (void)pthread_mutex_init(&stapler->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&stapler->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *out = stapler;
    return PIPIT_OK;
}

void pp_stapler_free(pp_stapler *stapler)
{
    if (!stapler)
        return;
    pp_tls_staples_fini(&stapler->staples);
    (void)pthread_cond_destroy(&stapler->changed);
    (void)pthread_mutex_destroy(&stapler->lock);
    pp_free(stapler);
}

pp_tls_staples *pp_stapler_staples(pp_stapler *stapler)
{
    return &stapler->staples;
}

static pipit_err start_thread(pp_stapler *stapler)
{
    if (stapler->running)
        return PIPIT_OK;
    stapler->running =
        !pp_fault("thread") && pthread_create(&stapler->thread, NULL, run, stapler) == 0;
    return stapler->running ? PIPIT_OK : PIPIT_ELIMIT;
}

static pipit_err ask_first(pp_stapler *stapler, pp_tls_staple *staple, pp_buf *error)
{
    if (ask(stapler, staple, error))
        return PIPIT_EINVAL;
    if (is_bad(staple)) {
        (void)pp_buf_addf(error, "found existing OCSP status for certificate at '%s': %s",
                          pp_tls_staple_file(staple),
                          pp_tls_standing_text(pp_tls_staple_standing(staple)));
        return PIPIT_EINVAL;
    }
    pp_log_write(&stapler->server->log, PP_LOG_INFO, "OCSP Stapling enabled for certificate '%s'",
                 pp_tls_staple_file(staple));
    return PIPIT_OK;
}

pipit_err pp_stapler_start(pp_stapler *stapler, pp_buf *error)
{
    pp_tls_staple *staple;
    pipit_err err = PIPIT_OK;
    int64_t due_ns;

    /* Whoever has been asked is not due any more. */
    while (!err && (staple = pp_tls_staples_due(&stapler->staples, pp_clock_mono_ns(), &due_ns))) {
        err = ask_first(stapler, staple, error);
        pp_tls_staple_unref(staple);
    }
    return err || due_ns == INT64_MAX ? err : start_thread(stapler);
}

void pp_stapler_hurry(pp_stapler *stapler)
{
    int64_t now_ns = pp_clock_mono_ns(), due_ns;
    pp_tls_staple *staple;

    pp_tls_staples_hurry(&stapler->staples);
    /* Asking makes it due later than now. */
    while ((staple = pp_tls_staples_unheard(&stapler->staples, now_ns))) {
        ask_again(stapler, staple);
        pp_tls_staple_unref(staple);
    }
    staple = pp_tls_staples_due(&stapler->staples, pp_clock_mono_ns(), &due_ns);
    if (!staple)
        return; /* there are none */
    pp_tls_staple_unref(staple);
    (void)pthread_mutex_lock(&stapler->lock);
    stapler->hurried = true;
    (void)pthread_cond_signal(&stapler->changed);
    (void)pthread_mutex_unlock(&stapler->lock);
    if (start_thread(stapler))
        pp_log_write(&stapler->server->log, PP_LOG_ERROR,
                     "OCSP: nobody can be asked about certificates: no thread");
}

void pp_stapler_abandon(pp_stapler *stapler)
{
    if (stapler)
        atomic_store(&stapler->hurry, true);
}

void pp_stapler_stop(pp_stapler *stapler)
{
    if (!stapler || !stapler->running)
        return;
    atomic_store(&stapler->hurry, true);
    (void)pthread_mutex_lock(&stapler->lock);
    stapler->stopping = true;
    (void)pthread_cond_signal(&stapler->changed);
    (void)pthread_mutex_unlock(&stapler->lock);
    (void)pthread_join(stapler->thread, NULL);
    stapler->running = false;
}
