#include "server/monitor/monitor.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/list.h"
#include "server/monitor/page.h"

#include <pthread.h>
#include <stddef.h>

enum {
    BODY_MAX = 256 * 1024 * 1024,
    TEXTS_MAX = 64 * 1024, /* of one job's options */
};

struct job {
    pp_link link;
    pp_monitor_write_fn write;
    pp_monitor_options options; /* its texts lie in texts */
    pp_monitor_reply_fn reply;
    void *context;
    char texts[];
};

struct pp_monitor {
    pipit_server *server;
    pthread_t thread;
    pthread_mutex_t lock; /* guards jobs, job_count, running, stopping */
    pthread_cond_t changed;
    pp_link jobs;
    size_t job_count;
    bool running; /* there is a thread: many servers are never asked anything */
    bool stopping;
    pp_cpu_meter cpu; /* the thread's */
    atomic_uint_fast64_t requests[PP_MONITOR_ENDPOINT_COUNT];
};

static const struct endpoint {
    const char *path;
    const char *counted;
    pipit_err (*write)(pp_page *page);
} endpoints[] = {
#define ENDPOINT(name, path, counted, noun) [name] = {path, counted, pp_monitor_write_##noun},
    PP_MONITOR_ENDPOINTS(ENDPOINT)
#undef ENDPOINT
};

pp_monitor_endpoint pp_monitor_find(pp_str path)
{
    for (unsigned i = 0; i < PP_MONITOR_ENDPOINT_COUNT; i++) {
        if (pp_str_eq(path, pp_str_of(endpoints[i].path)))
            return (pp_monitor_endpoint)i;
    }
    return PP_MONITOR_ENDPOINT_COUNT;
}

bool pp_monitor_sort_parse(pp_str text, pp_monitor_sort *out_sort)
{
    static const char *const names[] = {
#define SORT_NAME(name, text) [name] = text,
        PP_MONITOR_SORTS(SORT_NAME)
#undef SORT_NAME
    };

    if (text.len == 0) {
        *out_sort = PP_SORT_CID;
        return true;
    }
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pp_str_eq(text, pp_str_of(names[i]))) {
            *out_sort = (pp_monitor_sort)i;
            return true;
        }
    }
    return false;
}

/* --- counting ----------------------------------------------------------------------------- */

void pp_monitor_count_request(pp_monitor *monitor, pp_monitor_endpoint endpoint)
{
    (void)atomic_fetch_add_explicit(&monitor->requests[endpoint], 1, memory_order_relaxed);
}

uint64_t pp_monitor_requests(const pp_monitor *monitor, pp_monitor_endpoint endpoint)
{
    const char *counted = endpoints[endpoint].counted;
    uint64_t sum = 0;

    for (unsigned i = 0; i < PP_MONITOR_ENDPOINT_COUNT; i++) {
        if (i == endpoint ||
            (counted && endpoints[i].counted && strcmp(endpoints[i].counted, counted) == 0))
            sum += atomic_load_explicit((atomic_uint_fast64_t *)&monitor->requests[i],
                                        memory_order_relaxed);
    }
    return sum;
}

size_t pp_monitor_waiting(const pp_monitor *monitor_)
{
    pp_monitor *monitor = (pp_monitor *)monitor_;
    size_t count;

    (void)pthread_mutex_lock(&monitor->lock);
    count = monitor->job_count;
    (void)pthread_mutex_unlock(&monitor->lock);
    return count;
}

/* --- answering ---------------------------------------------------------------------------- */

static pp_page page_for(pp_monitor *monitor, const struct job *job)
{
    pp_page page = {
        .monitor = monitor,
        .server = monitor->server,
        .options = &job->options,
        .cpu = &monitor->cpu,
        .now_wall_ns = pp_clock_wall_ns(),
        .now_ns = pp_clock_mono_ns(),
        .status = 200,
        .content_type = "application/json",
        .open_to_all = true,
    };

    pp_buf_init(&page.body, BODY_MAX);
    return page;
}

/* Hand the page over, and the job is done. */
static void reply(struct job *job, pp_page *page)
{
    pp_monitor_answer answer = {
        .status = page->status,
        .content_type = page->content_type,
        .open_to_all = page->open_to_all,
        .body = page->body.len ? pp_body_new(page->body.len) : NULL,
    };

    if (answer.body) {
        memcpy(answer.body->bytes, page->body.ptr, page->body.len);
        answer.body_bytes = page->body.len;
    } else if (page->body.len) {
        answer.status = 503; /* no memory to say more */
    }
    pp_buf_fini(&page->body);
    job->reply(job->context, &answer);
    pp_free(job);
}

static void answer_job(pp_monitor *monitor, struct job *job)
{
    pp_page page = page_for(monitor, job);
    pipit_err err;

    (void)pthread_rwlock_rdlock(&monitor->server->options_lock);
    err = job->write(&page);
    if (err == PIPIT_ETOOBIG)
        (void)pp_page_refuse(&page, 500, "the answer is too large: ask for less at a time");
    else if (err)
        (void)pp_page_refuse(&page, 503, "out of memory");
    reply(job, &page); /* answers to messages say who the server is: options still */
    (void)pthread_rwlock_unlock(&monitor->server->options_lock);
}

static struct job *take_job_locked(pp_monitor *monitor)
{
    struct job *job = PP_CONTAINER(monitor->jobs.next, struct job, link);

    pp_list_remove(&job->link);
    monitor->job_count--;
    return job;
}

static void *run(void *arg)
{
    pp_monitor *monitor = arg;

    (void)pthread_mutex_lock(&monitor->lock);
    while (!monitor->stopping) {
        struct job *job;

        if (pp_list_empty(&monitor->jobs)) {
            (void)pthread_cond_wait(&monitor->changed, &monitor->lock);
            continue;
        }
        job = take_job_locked(monitor);
        (void)pthread_mutex_unlock(&monitor->lock);
        answer_job(monitor, job);
        (void)pthread_mutex_lock(&monitor->lock);
    }
    (void)pthread_mutex_unlock(&monitor->lock);
    return NULL;
}

static pipit_err start_thread_locked(pp_monitor *monitor)
{
    if (pp_fault("thread") || pthread_create(&monitor->thread, NULL, run, monitor) != 0)
        return PIPIT_ELIMIT;
    monitor->running = true;
    return PIPIT_OK;
}

/* --- asking ------------------------------------------------------------------------------- */

/* Where the texts of options are. */
static const size_t text_offsets[] = {
    offsetof(pp_monitor_options, account),        offsetof(pp_monitor_options, user),
    offsetof(pp_monitor_options, mqtt_client),    offsetof(pp_monitor_options, test),
    offsetof(pp_monitor_options, filter_subject), offsetof(pp_monitor_options, gateway),
    offsetof(pp_monitor_options, stream),         offsetof(pp_monitor_options, consumer),
    offsetof(pp_monitor_options, queues),         offsetof(pp_monitor_options, group),
    offsetof(pp_monitor_options, among),
};

static pp_str *option_text(const pp_monitor_options *options, size_t i)
{
    return (pp_str *)((char *)options + text_offsets[i]);
}

enum { TEXT_COUNT = sizeof(text_offsets) / sizeof(text_offsets[0]) };

static pipit_err job_new(const pp_monitor_options *options, struct job **out_job)
{
    size_t bytes = 0;
    struct job *job;
    char *to;

    for (size_t i = 0; i < TEXT_COUNT; i++) {
        size_t len = option_text(options, i)->len;

        if (len > TEXTS_MAX - bytes)
            return PIPIT_ETOOBIG;
        bytes += len;
    }
    job = pp_alloc(sizeof(*job) + bytes);
    if (!job)
        return PIPIT_ENOMEM;
    job->options = *options;
    to = job->texts;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        pp_str *text = option_text(&job->options, i);

        if (text->len)
            memcpy(to, text->ptr, text->len);
        text->ptr = to;
        to += text->len;
    }
    *out_job = job;
    return PIPIT_OK;
}

pipit_err pp_monitor_ask(pp_monitor *monitor, pp_monitor_endpoint endpoint,
                         const pp_monitor_options *options, pp_monitor_reply_fn reply_fn,
                         void *context)
{
    PP_ASSERT(endpoint < PP_MONITOR_ENDPOINT_COUNT);
    return pp_monitor_run(monitor, endpoints[endpoint].write, options, reply_fn, context);
}

pipit_err pp_monitor_run(pp_monitor *monitor, pp_monitor_write_fn write,
                         const pp_monitor_options *options, pp_monitor_reply_fn reply_fn,
                         void *context)
{
    struct job *job;
    pipit_err err = job_new(options, &job);

    if (err)
        return err;
    job->write = write;
    job->reply = reply_fn;
    job->context = context;
    (void)pthread_mutex_lock(&monitor->lock);
    if (monitor->stopping)
        err = PIPIT_ECLOSED;
    else if (monitor->job_count == PP_MONITOR_JOBS_MAX)
        err = PIPIT_EAGAIN;
    else if (!monitor->running)
        err = start_thread_locked(monitor);
    if (!err) {
        pp_list_append(&monitor->jobs, &job->link);
        monitor->job_count++;
        (void)pthread_cond_signal(&monitor->changed);
    }
    (void)pthread_mutex_unlock(&monitor->lock);
    if (err)
        pp_free(job);
    return err;
}

/* --- life --------------------------------------------------------------------------------- */

pipit_err pp_monitor_new(pp_monitor **out_monitor, pipit_server *server)
{
    pp_monitor *monitor = pp_calloc(1, sizeof(*monitor));

    if (!monitor)
        return PIPIT_ENOMEM;
    monitor->server = server;
    pp_list_init(&monitor->jobs);
    (void)pthread_mutex_init(&monitor->lock, NULL);
    (void)pthread_cond_init(&monitor->changed, NULL);
    *out_monitor = monitor;
    return PIPIT_OK;
}

void pp_monitor_stop(pp_monitor *monitor)
{
    bool was_running;

    if (!monitor)
        return;
    (void)pthread_mutex_lock(&monitor->lock);
    monitor->stopping = true; /* no thread is started any more */
    was_running = monitor->running;
    monitor->running = false;
    (void)pthread_cond_signal(&monitor->changed);
    (void)pthread_mutex_unlock(&monitor->lock);
    if (was_running)
        (void)pthread_join(monitor->thread, NULL);
    while (!pp_list_empty(&monitor->jobs)) {
        struct job *job = take_job_locked(monitor); /* nobody else is left */
        pp_page page = page_for(monitor, job);

        (void)pp_page_refuse(&page, 503, "the server is stopping");
        reply(job, &page);
    }
}

void pp_monitor_free(pp_monitor *monitor)
{
    if (!monitor)
        return;
    (void)pthread_cond_destroy(&monitor->changed);
    (void)pthread_mutex_destroy(&monitor->lock);
    pp_free(monitor);
}
