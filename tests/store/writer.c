/* store_writer -- a process that writes to a store and says what was acknowledged, to be killed at
 * any moment.
 *
 *   store_writer DIR [--count N] [--segment BYTES] [--in-flight N] [--deletes] [--verify]
 *                    [--sealed] [--acked SEQ] [--gone SEQ]
 *
 * First all there is is read: what was acknowledged up to --acked is there, what was deleted up to
 * --gone is not. Then, unless --verify is given, messages are written: "ack SEQ" says that all up
 * to SEQ is settled, "gone SEQ" the same of deletions.
 *
 * What a message holds follows from its sequence. */
#include "store/store.h"

#include "base/assert.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAYLOAD_MAX = 20000, DELETE_EACH = 5, DELETE_BACK = 40, CODE_WRONG = 4 };

struct settings {
    const char *dir;
    uint64_t count;
    uint64_t segment;
    uint64_t in_flight;
    bool deletes;
    bool verify;
    bool sealed;    /* encrypted and compressed */
    uint64_t acked; /* all up to this must be there */
    uint64_t gone;  /* and deletions of all up to this must have been done */
};

static size_t payload_of(uint64_t seq, char *out)
{
    size_t len = seq % 97 == 0 ? PAYLOAD_MAX : 10 + seq * 7919 % 500;

    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (seq + i * (1 + seq % 5)) % 26);
    return len;
}

static void subject_of(uint64_t seq, char out[32])
{
    (void)snprintf(out, 32, "kill.%" PRIu64, seq % 11);
}

static bool is_deleted(uint64_t seq)
{
    return seq % DELETE_EACH == 0;
}

static void wrong(uint64_t seq, const char *what)
{
    (void)fprintf(stderr, "message %" PRIu64 " %s\n", seq, what);
    exit(CODE_WRONG);
}

static void check_message(const struct pp_store_message *message)
{
    char payload[PAYLOAD_MAX], subject[32];
    size_t len = payload_of(message->seq, payload);

    subject_of(message->seq, subject);
    if (message->time_ns != (int64_t)message->seq ||
        !pp_str_eq(message->subject, pp_str_of(subject)) ||
        !pp_str_eq(message->payload, (pp_str){payload, len}))
        wrong(message->seq, "is not what was written");
}

/* All that was acknowledged is there, in order, and nothing is there that was not written. */
static void verify(pp_store *store, const struct settings *settings)
{
    struct pp_store_message message;
    struct pp_store_state state;
    uint64_t expected = 1;
    pipit_err err;

    pp_store_state(store, &state);
    if (state.lost)
        wrong(0, "or more are lost");
    if (state.last_seq < settings->acked)
        wrong(state.last_seq + 1, "was acknowledged and is not there");
    while ((err = pp_store_next(store, PP_STR(">"), expected, &message)) == PIPIT_OK) {
        for (; expected < message.seq; expected++)
            if (!settings->deletes || !is_deleted(expected))
                wrong(expected, "is missing");
        check_message(&message);
        if (settings->deletes && is_deleted(message.seq) && message.seq <= settings->gone)
            wrong(message.seq, "was deleted and is back");
        expected = message.seq + 1;
    }
    if (err != PIPIT_ENOTFOUND)
        wrong(expected, pipit_strerror(err));
}

static void say(const char *what, uint64_t seq)
{
    char line[64];
    int len = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, seq);

    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        exit(1);
}

/* Wait until all is settled, and say so. */
static void settle(pp_store *store, uint64_t last, uint64_t gone)
{
    pipit_err err = pp_store_wait(store, pp_store_issued(store));

    if (err) {
        (void)fprintf(stderr, "wait: %s\n", pipit_strerror(err));
        exit(1);
    }
    say("ack", last);
    if (gone)
        say("gone", gone);
}

static uint64_t append(pp_store *store, uint64_t seq)
{
    char payload[PAYLOAD_MAX], subject[32];
    struct pp_store_message message = {.time_ns = (int64_t)seq};
    pipit_err err;

    subject_of(seq, subject);
    message.subject = pp_str_of(subject);
    message.payload = (pp_str){payload, payload_of(seq, payload)};
    while ((err = pp_store_append(store, &message, seq - 1, &seq)) == PIPIT_EAGAIN)
        (void)usleep(1); /* the pool makes room */
    if (err) {
        (void)fprintf(stderr, "append of %" PRIu64 ": %s\n", seq, pipit_strerror(err));
        exit(1);
    }
    return seq;
}

static uint64_t delete_old(pp_store *store, uint64_t seq)
{
    uint64_t old = seq > DELETE_BACK ? seq - DELETE_BACK : 0;
    pipit_err err;

    if (!old || !is_deleted(old))
        return 0;
    while ((err = pp_store_delete(store, old, old % 3 == 0)) == PIPIT_EAGAIN)
        (void)usleep(1); /* the pool makes room */
    PP_ASSERT(err == PIPIT_OK || err == PIPIT_ENOTFOUND);
    return old;
}

static void write_all(pp_store *store, const struct settings *settings)
{
    struct pp_store_state state;
    uint64_t gone = 0;

    pp_store_state(store, &state);
    /* Those that the process before did not get to. */
    for (uint64_t seq = settings->gone + 1; settings->deletes && seq <= state.last_seq; seq++)
        (void)delete_old(store, seq);
    for (uint64_t n = 1, seq = state.last_seq + 1; n <= settings->count; n++, seq++) {
        (void)append(store, seq);
        if (settings->deletes) {
            uint64_t old = delete_old(store, seq);

            gone = old ? old : gone;
        }
        if (n % settings->in_flight == 0 || n == settings->count)
            settle(store, seq, gone);
    }
}

static uint64_t number(const char *text)
{
    uint64_t value;

    PP_ASSERT(pp_str_parse_u64(pp_str_of(text), UINT64_MAX / 2, &value));
    return value;
}

static void take_options(struct settings *settings, int argc, char **argv)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'},
        {"segment", required_argument, NULL, 's'},
        {"in-flight", required_argument, NULL, 'i'},
        {"deletes", no_argument, NULL, 'd'},
        {"verify", no_argument, NULL, 'v'},
        {"sealed", no_argument, NULL, 'e'},
        {"acked", required_argument, NULL, 'a'},
        {"gone", required_argument, NULL, 'g'},
        {0},
    };
    int code;

    while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (code) {
        case 'c':
            settings->count = number(optarg);
            break;
        case 's':
            settings->segment = number(optarg);
            break;
        case 'i':
            settings->in_flight = number(optarg);
            break;
        case 'd':
            settings->deletes = true;
            break;
        case 'v':
            settings->verify = true;
            break;
        case 'e':
            settings->sealed = true;
            break;
        case 'a':
            settings->acked = number(optarg);
            break;
        case 'g':
            settings->gone = number(optarg);
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind != 1 || settings->in_flight == 0)
        exit(2);
    settings->dir = argv[optind];
}

int main(int argc, char **argv)
{
    static const struct pp_store_keys keys = {1, {[0] = {[0 ... 31] = 0x11}}};
    struct settings settings = {.count = UINT64_MAX, .in_flight = 10};
    struct pp_store_options options = {.create = true};
    char why[PP_STORE_WHY_BYTES];
    pp_store_pool *pool;
    pp_store *store;

    take_options(&settings, argc, argv);
    options.compress = settings.sealed;
    options.keys = settings.sealed ? &keys : NULL;
    if (pp_store_pool_new(1, &pool))
        return 1;
    options.dir = settings.dir;
    options.pool = pool;
    options.segment_bytes = settings.segment;
    if (pp_store_open(&options, &store, why)) {
        (void)fprintf(stderr, "open: %s\n", why);
        return 1;
    }
    verify(store, &settings);
    if (!settings.verify) {
        say("open", 0);
        write_all(store, &settings);
    }
    pp_store_close(store);
    pp_store_pool_free(pool);
    return 0;
}
