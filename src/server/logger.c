#include "server/logger.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/log_ring.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    RING_BYTES = 1 << 20,
    RING_SPARE = 16 << 10,             /* for errors only */
    BATCH_BYTES = 2 * PP_LOG_LINE_MAX, /* written at once */
    FLUSH_MS = 2000,
    END_MS = 1000,
};

struct pp_logger {
    pthread_t thread;
    int attention_fd; /* readable while the writer is wanted: for a command, or to end */
    pthread_mutex_t lock;
    pthread_cond_t filled;   /* for the writer */
    pthread_cond_t advanced; /* for who flushes */
    /* under the lock: */
    pp_log_ring ring;
    uint64_t accepted, finished; /* lines */
    uint64_t left_out;
    pp_log_sink *next; /* to write to, when what is in the ring now is written */
    bool reopen;
    bool stop, ended;
    bool sleeping;
    /* the writer's: */
    pp_log_sink *sink;
    size_t batch_len, batch_done, batch_end; /* bytes; the last is a position in the ring */
    unsigned batch_lines;
    /* Read only where they have been written, and not zeroed: what is not used is not resident. */
    char text[PP_LOG_TEXT_MAX];
    char line[PP_LOG_LINE_MAX];
    char batch[BATCH_BYTES];
};

/* --- the writer's side -------------------------------------------------------------------- */

/* A line of the log's own, past the ring. False: it could not be written. */
__attribute__((format(printf, 3, 4))) static bool say(pp_logger *logger, pp_log_level level,
                                                      const char *format, ...)
{
    char text[1024];
    size_t done = 0, len;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    len = pp_log_sink_format(logger->sink,
                             &(pp_log_entry){
                                 .time_ns = pp_clock_wall_ns(),
                                 .level = level,
                                 .text = pp_str_of(text),
                             },
                             logger->line);
    return pp_log_sink_write(logger->sink, logger->line, len, &done) == PP_LOG_WRITTEN;
}

static void on_purged(void *context, const char *path)
{
    (void)say(context, PP_LOG_INFO, "Purged log file \"%s\"", path);
}

static void rotate(pp_logger *logger, pp_log_file *file)
{
    char suffix[PP_LOG_BACKUP_SUFFIX_BYTES + 1], reason[128];

    if (pp_log_file_rotate(file, pp_clock_wall_ns(), suffix)) {
        pp_errno_text(errno, reason, sizeof(reason));
        (void)say(logger, PP_LOG_ERROR,
                  "Unable to rotate the log file (%s), next attempt when it has %llu bytes", reason,
                  (unsigned long long)file->rotate_at);
        return;
    }
    (void)say(logger, PP_LOG_INFO, "Rotated log, backup saved as \"%s%s\"", file->path, suffix);
    pp_log_file_purge(file, on_purged, logger);
}

static void rotate_if_full(pp_logger *logger)
{
    pp_log_file *file = pp_log_sink_file(logger->sink);

    if (file && pp_log_file_is_full(file))
        rotate(logger, file);
}

static void begin_sink(pp_logger *logger)
{
    pp_log_file *file = pp_log_sink_file(logger->sink);

    if (file && pp_log_file_is_full(file)) {
        (void)say(logger, PP_LOG_INFO, "Rotating logfile...");
        rotate(logger, file);
    }
}

static void reopen(pp_logger *logger)
{
    pp_log_file *file = pp_log_sink_file(logger->sink);
    char reason[128];

    if (!file) {
        (void)say(logger, PP_LOG_INFO, "File log re-open ignored, not a file logger");
    } else if (pp_log_file_reopen(file)) {
        pp_errno_text(errno, reason, sizeof(reason));
        (void)say(logger, PP_LOG_ERROR, "Unable to re-open the log file: %s", reason);
    } else {
        logger->batch_len = 0; /* what the old one did not take is the new one's */
        (void)say(logger, PP_LOG_INFO, "File log re-opened");
        begin_sink(logger);
    }
}

/* Put as many lines together as the sink takes at once. */
static void fill_batch(pp_logger *logger, size_t at, size_t end)
{
    size_t room = pp_log_sink_room(logger->sink);

    logger->batch_len = logger->batch_done = logger->batch_lines = 0;
    do {
        pp_log_entry entry;

        at = pp_log_ring_read(&logger->ring, at, &entry, logger->text);
        logger->batch_len +=
            pp_log_sink_format(logger->sink, &entry, logger->batch + logger->batch_len);
        logger->batch_lines++;
    } while (at != end && logger->batch_len <= room && logger->batch_len <= BATCH_BYTES / 2);
    logger->batch_end = at;
}

/* The batch is done with, whether it was written or not. */
static void finish_batch(pp_logger *logger, uint64_t lost)
{
    (void)pthread_mutex_lock(&logger->lock);
    logger->finished += logger->batch_lines;
    logger->left_out += lost;
    pp_log_ring_release(&logger->ring, logger->batch_end);
    (void)pthread_cond_broadcast(&logger->advanced);
    (void)pthread_mutex_unlock(&logger->lock);
    logger->batch_len = 0;
}

static uint64_t count_lines(const char *text, size_t len)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

/* Write the ring from its tail to end. PP_LOG_LATER: the sink does not take more now. */
static pp_log_result write_until(pp_logger *logger, size_t at, size_t end)
{
    pp_log_result result = PP_LOG_WRITTEN;

    while (logger->batch_len || at != end) {
        if (!logger->batch_len)
            fill_batch(logger, at, end);
        result =
            pp_log_sink_write(logger->sink, logger->batch, logger->batch_len, &logger->batch_done);
        if (result == PP_LOG_LATER)
            return result;
        at = logger->batch_end;
        finish_batch(logger, result == PP_LOG_LOST
                                 ? count_lines(logger->batch + logger->batch_done,
                                               logger->batch_len - logger->batch_done)
                                 : 0);
        rotate_if_full(logger);
    }
    return result;
}

static void count_left_out(pp_logger *logger, uint64_t count)
{
    (void)pthread_mutex_lock(&logger->lock);
    logger->left_out += count;
    (void)pthread_mutex_unlock(&logger->lock);
}

static void report_left_out(pp_logger *logger, uint64_t count)
{
    if (!say(logger, PP_LOG_WARN,
             "%llu log lines were left out: they came faster than they could "
             "be written",
             (unsigned long long)count))
        count_left_out(logger, count);
}

/* Until somebody wants attention, or the sink is to be tried again. */
static void wait_for_sink(pp_logger *logger)
{
    int64_t left_ns = pp_log_sink_retry_ns(logger->sink) - pp_clock_mono_ns();
    struct pollfd attention = {.fd = logger->attention_fd, .events = POLLIN};

    if (left_ns > 0)
        (void)poll(&attention, 1, (int)(left_ns / PP_NS_PER_MS) + 1);
}

struct order {
    size_t at, end; /* positions in the ring to write from and to */
    uint64_t left_out;
    pp_log_sink *next;
    bool reopen, stop;
};

/* Wait until there is something to do; take it. */
static struct order take_order(pp_logger *logger)
{
    struct order order;
    uint64_t drained;

    (void)pthread_mutex_lock(&logger->lock);
    while (logger->ring.head == logger->ring.tail && !logger->next && !logger->reopen &&
           !logger->stop) {
        logger->sleeping = true;
        (void)pthread_cond_wait(&logger->filled, &logger->lock);
        logger->sleeping = false;
    }
    order = (struct order){logger->ring.tail, logger->ring.head, logger->left_out,
                           logger->next,      logger->reopen,    logger->stop};
    logger->next = NULL;
    logger->reopen = false;
    logger->left_out = 0;
    /* To end stays urgent; a command is under way now. */
    if (!logger->stop)
        (void)!read(logger->attention_fd, &drained, sizeof(drained));
    (void)pthread_mutex_unlock(&logger->lock);
    return order;
}

static void change_sink(pp_logger *logger, pp_log_sink *next)
{
    pp_log_sink_close(logger->sink);
    logger->sink = next;
    logger->batch_len = 0; /* what the old one did not take is the new one's */
    begin_sink(logger);
}

/* Returns what became of the lines. stuck: the sink took no more when it was tried last, so a
 * command must not wait for it again. */
static pp_log_result follow(pp_logger *logger, const struct order *order, bool stuck)
{
    bool command = order->next || order->reopen || order->stop;
    pp_log_result result =
        stuck && command ? PP_LOG_LATER : write_until(logger, order->at, order->end);

    if (order->left_out && result == PP_LOG_WRITTEN)
        report_left_out(logger, order->left_out);
    else if (order->left_out)
        count_left_out(logger, order->left_out);
    if (order->next)
        change_sink(logger, order->next);
    if (order->reopen)
        reopen(logger);
    return result;
}

static void *run_writer(void *arg)
{
    pp_logger *logger = arg;
    pp_log_result result = PP_LOG_WRITTEN;
    struct order order = {0};

    begin_sink(logger);
    while (!order.stop) {
        order = take_order(logger);
        result = follow(logger, &order, result == PP_LOG_LATER);
        if (result == PP_LOG_LATER && !order.stop && !order.next && !order.reopen)
            wait_for_sink(logger);
    }
    (void)pthread_mutex_lock(&logger->lock);
    logger->ended = true;
    (void)pthread_cond_broadcast(&logger->advanced);
    (void)pthread_mutex_unlock(&logger->lock);
    return NULL;
}

/* --- the callers' side -------------------------------------------------------------------- */

void pp_logger_write(void *context, pipit_log_level level, const char *text)
{
    pp_logger *logger = context;
    bool urgent = level <= PIPIT_LOG_ERROR;
    pp_log_entry entry = {.level = (pp_log_level)level, .text = pp_str_of(text)};

    (void)pthread_mutex_lock(&logger->lock);
    entry.time_ns = pp_clock_wall_ns(); /* here, so that lines stand in the order of their times */
    if (pp_log_ring_put(&logger->ring, &entry, urgent ? 0 : RING_SPARE))
        logger->accepted++;
    else
        logger->left_out++;
    if (logger->sleeping)
        (void)pthread_cond_signal(&logger->filled);
    (void)pthread_mutex_unlock(&logger->lock);
    if (level == PIPIT_LOG_FATAL)
        (void)pp_logger_flush(logger, FLUSH_MS);
}

/* The writer is wanted, even if it waits for its sink. The lock is held. */
static void call_writer_locked(pp_logger *logger)
{
    uint64_t one = 1;

    (void)pthread_cond_signal(&logger->filled);
    (void)!write(logger->attention_fd, &one, sizeof(one));
}

void pp_logger_reopen(pp_logger *logger)
{
    (void)pthread_mutex_lock(&logger->lock);
    logger->reopen = true;
    call_writer_locked(logger);
    (void)pthread_mutex_unlock(&logger->lock);
}

pipit_err pp_logger_configure(pp_logger *logger, const pp_logger_options *options, char *error,
                              size_t error_bytes)
{
    pp_log_sink *sink, *replaced;
    pipit_err err = pp_log_sink_open(&sink, options, logger->attention_fd, error, error_bytes);

    if (err)
        return err;
    (void)pthread_mutex_lock(&logger->lock);
    replaced = logger->next;
    logger->next = sink;
    call_writer_locked(logger);
    (void)pthread_mutex_unlock(&logger->lock);
    pp_log_sink_close(replaced);
    return PIPIT_OK;
}

/* Wait for the writer to get on. False: not before the deadline. The lock is held. */
static bool await_advance_locked(pp_logger *logger, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / PP_NS_PER_S,
                             .tv_nsec = deadline_ns % PP_NS_PER_S};

    return pthread_cond_timedwait(&logger->advanced, &logger->lock, &until) != ETIMEDOUT;
}

bool pp_logger_flush(pp_logger *logger, unsigned ms)
{
    int64_t deadline_ns = pp_clock_mono_ns() + ms * PP_NS_PER_MS;
    bool done;
    uint64_t goal;

    (void)pthread_mutex_lock(&logger->lock);
    goal = logger->accepted;
    while (logger->finished < goal && await_advance_locked(logger, deadline_ns))
        continue;
    done = logger->finished >= goal;
    (void)pthread_mutex_unlock(&logger->lock);
    return done;
}

/* --- life --------------------------------------------------------------------------------- */

static void destroy(pp_logger *logger)
{
    pp_log_sink_close(logger->sink);
    pp_log_sink_close(logger->next);
    pp_log_ring_fini(&logger->ring);
    if (logger->attention_fd >= 0)
        (void)close(logger->attention_fd);
    (void)pthread_cond_destroy(&logger->filled);
    (void)pthread_cond_destroy(&logger->advanced);
    (void)pthread_mutex_destroy(&logger->lock);
    pp_free(logger);
}

pipit_err pp_logger_new(pp_logger **out_logger, const pp_logger_options *options, char *error,
                        size_t error_bytes)
{
    pp_logger *logger = pp_alloc(sizeof(*logger));
    pthread_condattr_t monotonic;
    pipit_err err = PIPIT_ENOMEM;

    (void)snprintf(error, error_bytes, "out of memory");
    if (!logger)
        return PIPIT_ENOMEM;
    memset(logger, 0, offsetof(pp_logger, text));
    (void)pthread_mutex_init(&logger->lock, NULL);
    (void)pthread_cond_init(&logger->filled, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&logger->advanced, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    logger->attention_fd = pp_fault("eventfd") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (logger->attention_fd < 0) {
        (void)snprintf(error, error_bytes, "no descriptor for the log");
        err = PIPIT_ELIMIT;
        goto out;
    }
    err = pp_log_ring_init(&logger->ring, RING_BYTES);
    if (err)
        goto out;
    err = pp_log_sink_open(&logger->sink, options, logger->attention_fd, error, error_bytes);
    if (err)
        goto out;
    if (pp_fault("thread") || pthread_create(&logger->thread, NULL, run_writer, logger) != 0) {
        (void)snprintf(error, error_bytes, "no thread for the log");
        err = PIPIT_ELIMIT;
        goto out;
    }
    *out_logger = logger;
    return PIPIT_OK;
out:
    destroy(logger);
    return err;
}

void pp_logger_free(pp_logger *logger)
{
    int64_t deadline_ns;
    bool ended;

    if (!logger)
        return;
    (void)pp_logger_flush(logger, FLUSH_MS);
    (void)pthread_mutex_lock(&logger->lock);
    logger->stop = true;
    call_writer_locked(logger);
    deadline_ns = pp_clock_mono_ns() + END_MS * PP_NS_PER_MS;
    while (!logger->ended && await_advance_locked(logger, deadline_ns))
        continue;
    ended = logger->ended;
    (void)pthread_mutex_unlock(&logger->lock);
    /* A writer that hangs in the kernel, on a dead disk, keeps what it uses: the process is about
     * to end, and must. */
    if (!ended) {
        (void)pthread_detach(logger->thread);
        return;
    }
    (void)pthread_join(logger->thread, NULL);
    destroy(logger);
}
