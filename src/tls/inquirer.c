/* The threads that ask, and that write down now and then what they have been told. */
#include "tls/inquirer.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

#include <pthread.h>

enum { LINE_BYTES = 1024 };

struct pp_tls_inquirer {
    pp_tls_inquirer_hooks hooks;
    pp_tls_standings *standings;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    pp_link queue; /* the oldest first */
    unsigned queued;
    unsigned idle;       /* threads that wait */
    atomic_bool stopped; /* written under the lock; read by who waits for an answer, too */
    bool saving;         /* somebody writes the file */
    pthread_cond_t saved;
    pthread_t threads[PP_TLS_INQUIRER_THREADS];
    unsigned thread_count;
    pthread_mutex_t log_lock;
    pp_log_limit log_limit;
};

pp_tls_standings *pp_tls_inquirer_standings(pp_tls_inquirer *inquirer)
{
    return inquirer->standings;
}

const pp_tls_inquirer_hooks *pp_tls_inquirer_hooks_of(const pp_tls_inquirer *inquirer)
{
    return &inquirer->hooks;
}

const atomic_bool *pp_tls_inquirer_stopped(const pp_tls_inquirer *inquirer)
{
    return &inquirer->stopped;
}

void pp_tls_inquirer_log(pp_tls_inquirer *inquirer, pp_log_level level, X509 *certificate,
                         const char *text)
{
    uint64_t left_out = 0;
    pp_buf name;
    bool may;

    (void)pthread_mutex_lock(&inquirer->log_lock);
    may = pp_log_limit_allows(&inquirer->log_limit, pp_clock_mono_ns(), &left_out);
    (void)pthread_mutex_unlock(&inquirer->log_lock);
    if (!may)
        return;
    pp_buf_init(&name, LINE_BYTES);
    (void)pp_tls_name_write(&name, X509_get_subject_name(certificate));
    if (left_out)
        pp_log_write(inquirer->hooks.log, level, "OCSP of [%.*s]: %s (%llu more were left out)",
                     PP_STR_ARGS(pp_buf_str(&name)), text, (unsigned long long)left_out);
    else
        pp_log_write(inquirer->hooks.log, level, "OCSP of [%.*s]: %s",
                     PP_STR_ARGS(pp_buf_str(&name)), text);
    pp_buf_fini(&name);
}

/* --- the threads ---------------------------------------------------------------------------- */

static void save(pp_tls_inquirer *inquirer)
{
    pp_buf error;

    pp_buf_init(&error, 8192);
    if (pp_tls_standings_save(inquirer->standings, &error))
        pp_log_write(inquirer->hooks.log, PP_LOG_ERROR,
                     "OCSP: what is known of certificates cannot be written: %.*s",
                     PP_STR_ARGS(pp_buf_str(&error)));
    pp_buf_fini(&error);
}

static void leave_queue_locked(pp_tls_inquirer *inquirer, pp_tls_inquiry *inquiry)
{
    pp_list_remove(&inquiry->link);
    inquiry->queued = false;
    inquirer->queued--;
}

/* The newest: when there are more than can be asked about in time, the time of the oldest is over
 * by the time somebody answers, and so nobody would ever get in. */
static pp_tls_inquiry *take_locked(pp_tls_inquirer *inquirer)
{
    pp_tls_inquiry *inquiry = PP_CONTAINER(inquirer->queue.prev, pp_tls_inquiry, link);

    leave_queue_locked(inquirer, inquiry);
    return inquiry;
}

/* When the file is to be written by whoever is first. */
static int64_t due_locked(pp_tls_inquirer *inquirer)
{
    return inquirer->saving ? INT64_MAX : pp_tls_standings_due(inquirer->standings);
}

static void save_locked(pp_tls_inquirer *inquirer)
{
    inquirer->saving = true;
    (void)pthread_mutex_unlock(&inquirer->lock);
    save(inquirer);
    (void)pthread_mutex_lock(&inquirer->lock);
    inquirer->saving = false;
    (void)pthread_cond_broadcast(&inquirer->saved);
}

static void wait_locked(pp_tls_inquirer *inquirer)
{
    int64_t due_ns = due_locked(inquirer);
    struct timespec until = {.tv_sec = (time_t)(due_ns / PP_NS_PER_S),
                             .tv_nsec = (long)(due_ns % PP_NS_PER_S)};

    inquirer->idle++;
    if (due_ns == INT64_MAX)
        (void)pthread_cond_wait(&inquirer->changed, &inquirer->lock);
    else
        (void)pthread_cond_timedwait(&inquirer->changed, &inquirer->lock, &until);
    inquirer->idle--;
}

static void work_on_locked(pp_tls_inquirer *inquirer)
{
    pp_tls_inquiry *inquiry = take_locked(inquirer);

    (void)pthread_mutex_unlock(&inquirer->lock);
    pp_tls_inquiry_finish(inquiry, true);
    pp_loop_post(inquiry->loop, &inquiry->task); /* whose it is now */
    (void)pthread_mutex_lock(&inquirer->lock);
}

static void *run(void *arg)
{
    pp_tls_inquirer *inquirer = arg;

    (void)pthread_mutex_lock(&inquirer->lock);
    while (inquirer->queued || !inquirer->stopped) {
        if (due_locked(inquirer) <= pp_clock_mono_ns())
            save_locked(inquirer); /* however much there is to ask */
        else if (inquirer->queued)
            work_on_locked(inquirer);
        else
            wait_locked(inquirer);
    }
    (void)pthread_mutex_unlock(&inquirer->lock);
    return NULL;
}

/* One more, if all are busy. */
static void add_thread_locked(pp_tls_inquirer *inquirer)
{
    if (inquirer->idle > inquirer->queued || inquirer->thread_count == PP_TLS_INQUIRER_THREADS)
        return;
    if (!pp_fault("thread") &&
        pthread_create(&inquirer->threads[inquirer->thread_count], NULL, run, inquirer) == 0)
        inquirer->thread_count++;
}

void pp_tls_inquirer_submit(pp_tls_inquirer *inquirer, pp_tls_inquiry *inquiry)
{
    bool taken;

    (void)pthread_mutex_lock(&inquirer->lock);
    if (!inquirer->stopped)
        add_thread_locked(inquirer);
    taken = !inquirer->stopped && inquirer->thread_count && inquirer->queued < PP_TLS_INQUIRIES_MAX;
    if (taken) {
        pp_list_append(&inquirer->queue, &inquiry->link);
        inquiry->queued = true;
        inquirer->queued++;
        (void)pthread_cond_signal(&inquirer->changed);
    }
    (void)pthread_mutex_unlock(&inquirer->lock);
    if (taken)
        return;
    pp_tls_inquiry_finish(inquiry, false);
    pp_loop_post(inquiry->loop, &inquiry->task);
}

void pp_tls_inquirer_abandon(pp_tls_inquirer *inquirer, pp_tls_inquiry *inquiry)
{
    bool waited;

    atomic_store(&inquiry->abandoned, true);
    (void)pthread_mutex_lock(&inquirer->lock);
    waited = inquiry->queued;
    if (waited)
        leave_queue_locked(inquirer, inquiry);
    (void)pthread_mutex_unlock(&inquirer->lock);
    if (waited)
        pp_tls_inquiry_unref(inquiry);
}

/* --- life ----------------------------------------------------------------------------------- */

pipit_err pp_tls_inquirer_new(pp_tls_inquirer **out, const pp_tls_inquirer_hooks *hooks)
{
    pp_tls_inquirer *inquirer = pp_calloc(1, sizeof(*inquirer));
    pthread_condattr_t monotonic;

    if (!inquirer || pp_tls_standings_new(&inquirer->standings)) {
        pp_free(inquirer);
        return PIPIT_ENOMEM;
    }
    inquirer->hooks = *hooks;
    pp_list_init(&inquirer->queue);
    (void)pthread_mutex_init(&inquirer->lock, NULL);
    (void)pthread_mutex_init(&inquirer->log_lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&inquirer->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_cond_init(&inquirer->saved, NULL);
    *out = inquirer;
    return PIPIT_OK;
}

pipit_err pp_tls_inquirer_keep(pp_tls_inquirer *inquirer, const pp_tls_standings_spec *spec,
                               pp_buf *error)
{
    pipit_err err;

    (void)pthread_mutex_lock(&inquirer->lock);
    while (inquirer->saving)
        (void)pthread_cond_wait(&inquirer->saved, &inquirer->lock);
    if (due_locked(inquirer) != INT64_MAX)
        save_locked(inquirer);
    (void)pthread_mutex_unlock(&inquirer->lock);
    err = pp_tls_standings_keep(inquirer->standings, spec, error);
    /* Those who wait do so until the file was to be written before. */
    (void)pthread_mutex_lock(&inquirer->lock);
    (void)pthread_cond_broadcast(&inquirer->changed);
    (void)pthread_mutex_unlock(&inquirer->lock);
    return err;
}

void pp_tls_inquirer_stop(pp_tls_inquirer *inquirer)
{
    unsigned count;

    (void)pthread_mutex_lock(&inquirer->lock);
    inquirer->stopped = true;
    count = inquirer->thread_count;
    (void)pthread_cond_broadcast(&inquirer->changed);
    (void)pthread_mutex_unlock(&inquirer->lock);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(inquirer->threads[i], NULL);
    inquirer->thread_count = 0;
    if (pp_tls_standings_due(inquirer->standings) != INT64_MAX)
        save(inquirer);
}

void pp_tls_inquirer_free(pp_tls_inquirer *inquirer)
{
    if (!inquirer)
        return;
    pp_tls_inquirer_stop(inquirer);
    pp_tls_standings_free(inquirer->standings);
    (void)pthread_cond_destroy(&inquirer->changed);
    (void)pthread_cond_destroy(&inquirer->saved);
    (void)pthread_mutex_destroy(&inquirer->lock);
    (void)pthread_mutex_destroy(&inquirer->log_lock);
    pp_free(inquirer);
}
