/* Random conversations, whose reading must not depend on how they were cut, on the memo, or on
 * what was read before. */
#include "proto/nats/reader.h"

#include "nats_reader_feed.h"
#include "seed.h"

enum { OPS_MAX = 60, STREAM_MAX = 64 * 1024 };

struct writer {
    uint64_t random;
    char bytes[STREAM_MAX];
    size_t len;
    char line[128]; /* a PUB line that comes again and again */
    unsigned line_size;
};

static unsigned below(struct writer *w, unsigned bound)
{
    return pp_random_below(&w->random, bound);
}

static void put(struct writer *w, const char *text)
{
    size_t len = strlen(text);

    memcpy(w->bytes + w->len, text, len);
    w->len += len;
}

/* Mostly bytes that mean something to a parser. */
static void put_payload(struct writer *w, unsigned size)
{
    static const char some[] = "\r\n\r\nPUB a 0 \tx9";

    for (unsigned i = 0; i < size; i++)
        w->bytes[w->len++] = below(w, 3) ? some[below(w, sizeof(some))] : (char)below(w, 256);
    put(w, "\r\n");
}

static const char *choose(struct writer *w, const char *const *texts, unsigned count)
{
    return texts[below(w, count)];
}

static void put_blank(struct writer *w)
{
    static const char *const blanks[] = {" ", " ", " ", " ", " ", " ", "\t", "  ", " \t "};

    put(w, choose(w, blanks, COUNT_OF(blanks)));
}

static const char *const words[] = {"a", "b.c", "1",  "42",   "a.*.>",      "x\x01y",
                                    "0", "r.1", "$S", "\xff", "1234567890", "foo.bar.baz"};
static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\r\n", "\n", " \r\n"};

static void put_word(struct writer *w)
{
    put_blank(w);
    put(w, choose(w, words, COUNT_OF(words)));
}

static void put_publish(struct writer *w, bool headers)
{
    static const char *const pubs[] = {"PUB", "PUB", "PUB", "pub", "pUb"};
    static const char *const hpubs[] = {"HPUB", "hpub"};
    unsigned size = below(w, 4) ? below(w, 20) : below(w, PAYLOAD_MAX + 3), at = (unsigned)w->len;
    char text[48];

    put(w, headers ? choose(w, hpubs, 2) : choose(w, pubs, COUNT_OF(pubs)));
    put_word(w);
    if (below(w, 3) == 0)
        put_word(w);
    if (headers) {
        put_blank(w);
        (void)snprintf(text, sizeof(text), "%u", below(w, size + (below(w, 8) ? 1 : 3)));
        put(w, text);
    }
    put_blank(w);
    (void)snprintf(text, sizeof(text), "%0*u", below(w, 8) ? 1 : (int)below(w, 11), size);
    put(w, text);
    put(w, choose(w, ends, COUNT_OF(ends)));
    if (!headers && w->len - at < sizeof(w->line) && below(w, 2)) {
        memcpy(w->line, w->bytes + at, w->len - at);
        w->line[w->len - at] = '\0';
        w->line_size = size;
    }
    put_payload(w, size);
}

static void put_again(struct writer *w)
{
    put(w, w->line);
    put_payload(w, w->line_size);
}

static void put_other(struct writer *w)
{
    static const char *const others[] = {"PING\r\n",
                                         "PONG\r\n",
                                         "ping\n",
                                         "+OK\r\n",
                                         "SUB a 1\r\n",
                                         "SUB b q 2\r\n",
                                         "sub c 3\n",
                                         "UNSUB 1\r\n",
                                         "UNSUB 1 5\r\n",
                                         "CONNECT {}\r\n",
                                         "CONNECT{\"a\":\"b\"}\r\n",
                                         "INFO {}\r\n",
                                         "-ERR 'x'\r\n",
                                         "PING x\r\n"};

    put(w, choose(w, others, COUNT_OF(others)));
}

static void mutate(struct writer *w)
{
    size_t at = below(w, (unsigned)w->len);
    char byte = below(w, 2) ? " \r\n\t09Pp"[below(w, 8)] : (char)below(w, 256);

    switch (below(w, 3)) {
    case 0:
        w->bytes[at] = byte;
        break;
    case 1:
        memmove(w->bytes + at, w->bytes + at + 1, w->len - at - 1);
        w->len--;
        break;
    default:
        memmove(w->bytes + at + 1, w->bytes + at, w->len - at);
        w->bytes[at] = byte;
        w->len++;
        break;
    }
}

static void write_stream(struct writer *w)
{
    unsigned ops = 1 + below(w, OPS_MAX);

    w->len = 0;
    (void)snprintf(w->line, sizeof(w->line), "PUB a 5\r\n");
    w->line_size = 5;
    for (unsigned i = 0; i < ops; i++) {
        switch (below(w, 8)) {
        case 0:
            put_other(w);
            break;
        case 1:
            put_publish(w, true);
            break;
        case 2:
        case 3:
            put_publish(w, false);
            break;
        default:
            put_again(w);
        }
    }
    if (below(w, 2) == 0)
        mutate(w);
    if (below(w, 4) == 0)
        w->len = below(w, (unsigned)w->len + 1);
}

static void feed_in_pieces(struct feed *f, struct writer *w, unsigned piece_max)
{
    for (size_t end = 0; end < w->len;) {
        end += 1 + below(w, piece_max);
        if (end > w->len)
            end = w->len;
        feed_window(f, end);
    }
    feed_end(f, w->len);
}

static void test_reader_reads_the_same_however_it_comes(void **state)
{
    static struct writer w;
    uint64_t seed = test_seed("nats_reader");
    pp_buf expected, log;
    unsigned errors = 0, clean = 0, repeats = 0;

    (void)state;
    w.random = seed;
    pp_buf_init(&expected, LOG_MAX);
    pp_buf_init(&log, LOG_MAX);
    for (unsigned round = 0; round < 3000; round++) {
        pp_nats_reader reader = fresh_reader;
        struct feed f;

        reader.headers = below(&w, 8) != 0;
        reader.payload_max = below(&w, 4) ? PAYLOAD_MAX : -1;
        write_stream(&w);
        feed_start(&f, &reader, read_fresh, w.bytes, &expected);
        feed_window(&f, w.len);
        feed_end(&f, w.len);
        errors += f.err != PIPIT_OK;
        clean += f.err == PIPIT_OK;
        repeats += strstr(expected.ptr, "w;PUB(") != NULL;
        for (unsigned way = 0; way < 5; way++) {
            static const unsigned pieces[] = {STREAM_MAX, 1, 3, 20, 200};

            feed_start(&f, &reader, read_any_or_plain, w.bytes, &log);
            feed_in_pieces(&f, &w, pieces[way]);
            if (strcmp(log.ptr, expected.ptr) != 0)
                fail_msg("round %u, pieces up to %u:\n    %s\nread carefully:\n    %s", round,
                         pieces[way], log.ptr, expected.ptr);
        }
    }
    /* Both kinds were there, or this has shown little. */
    assert_true(errors > 100 && clean > 100 && repeats > 100);
    pp_buf_fini(&expected);
    pp_buf_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_reads_the_same_however_it_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
