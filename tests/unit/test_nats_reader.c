/* Bytes to operations: rows for every rule, each at every split. */
#include "proto/nats/reader.h"

#include "nats_reader_feed.h"

/* --- rows ----------------------------------------------------------------------------------- */

enum { NO_HEADERS = 1, NO_PAYLOAD_LIMIT = 2 };

static const struct row {
    const char *name;
    const char *wire;
    size_t len;
    const char *log; /* ...N: more is needed, N bytes in one piece (0: not known yet) */
    unsigned flags;
} rows[] = {
    /* PUB */
    {"pub", WIRE("PUB a.b 2\r\nhi\r\n"), "PUB(a.b,,hi)w;", 0},
    {"pub with a reply", WIRE("PUB a r.1 2\r\nhi\r\n"), "PUB(a,r.1,hi)w;", 0},
    {"reply of digits", WIRE("PUB a 12 2\r\nhi\r\n"), "PUB(a,12,hi)w;", 0},
    {"reply of many digits", WIRE("PUB a 1234567890 2\r\nhi\r\n"), "PUB(a,1234567890,hi)w;", 0},
    {"reply that begins with digits", WIRE("PUB a 5x 2\r\nhi\r\n"), "PUB(a,5x,hi)w;", 0},
    {"empty payload", WIRE("PUB a 0\r\n\r\n"), "PUB(a,,)w;", 0},
    {"empty payload and a reply", WIRE("PUB a bbbbb 0\r\n\r\n"), "PUB(a,bbbbb,)w;", 0},
    {"payload holds CR LF", WIRE("PUB a 4\r\n\r\n\r\n\r\n"), "PUB(a,,\\r\\n\\r\\n)w;", 0},
    {"payload looks like operations", WIRE("PUB a 11\r\nPUB b 0\r\n\r\n\r\nPING\r\n"),
     "PUB(a,,PUB b 0\\r\\n\\r\\n)w;PING;", 0},
    {"zeros in front of the size", WIRE("PUB a 0002\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"nine digits", WIRE("PUB abc 000000002\r\nhi\r\n"), "PUB(abc,,hi)w;", 0},
    {"nine digits that are many", WIRE("PUB a 999999999\r\nhi\r\n"), "...1000000018",
     NO_PAYLOAD_LIMIT},
    {"subject like wildcards", WIRE("PUB a.*.> 0\r\n\r\n"), "PUB(a.*.>,,)w;", 0},
    {"subject of any bytes", WIRE("PUB \x01\xff\0$ 0\r\n\r\n"), "PUB(\\x01\\xff\\x00$,,)w;", 0},
    {"lower case", WIRE("pub A 2\r\nhi\r\n"), "PUB(A,,hi)w;", 0},
    {"mixed case", WIRE("PuB a 2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"tab behind the verb", WIRE("PUB\ta 2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"blanks behind the verb", WIRE("PUB \t  a 2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"blanks between arguments", WIRE("PUB a  \t2\r\nhi\r\n"), "PUB(a,,hi)w;", 0},
    {"a tab between arguments", WIRE("PUB a\tr 2\r\nhi\r\n"), "PUB(a,r,hi)w;", 0},
    {"a tab in the wire form", WIRE("PUB a r\t2\r\nhi\r\n"), "PUB(a,r,hi);", 0},
    {"blanks behind the size", WIRE("PUB a 2 \t\r\nhi\r\n"), "PUB(a,,hi);", 0},
    {"LF alone", WIRE("PUB a r 2\nhi\r\n"), "PUB(a,r,hi);", 0},
    {"longest line", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2\r\nhi\r\n"),
     "PUB(aaaaaaaaaabbbbbbbbbbccccccccccdddddddd,,hi)w;", 0},
    {"a byte longer", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccddddddddd 2\r\nhi\r\n"), "!ELIMIT",
     0},
    {"longest line, LF alone", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2\nhi\r\n"),
     "PUB(aaaaaaaaaabbbbbbbbbbccccccccccdddddddd,,hi);", 0},
    {"a byte longer, LF alone", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccddddddddd 2\nhi\r\n"),
     "!ELIMIT", 0},
    {"blanks before the arguments are free",
     WIRE("PUB                 aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2\r\nhi\r\n"),
     "PUB(aaaaaaaaaabbbbbbbbbbccccccccccdddddddd,,hi)w;", 0},
    {"blanks behind them are not", WIRE("PUB aaaaaaaaaabbbbbbbbbbccccccccccdddddddd 2 \r\nhi\r\n"),
     "!ELIMIT", 0},
    {"largest payload",
     WIRE("PUB a 90\r\n012345678901234567890123456789012345678901234567890123456789"
          "012345678901234567890123456789\r\n"),
     "PUB(a,,012345678901234567890123456789012345678901234567890123456789"
     "012345678901234567890123456789)w;",
     0},
    {"a byte too large", WIRE("PUB a 91\r\n"), "!ETOOBIG", 0},
    {"much too large", WIRE("PUB a 999999999\r\n"), "!ETOOBIG", 0},
    {"too large with a reply", WIRE("PUB a r 91\r\n"), "!ETOOBIG", 0},
    {"no limit", WIRE("PUB a 91\r\n"), "...103", NO_PAYLOAD_LIMIT},
    {"payload a byte too short", WIRE("PUB a 3\r\nhi\r\n"), "!EPROTO", 0},
    {"payload to come", WIRE("PUB a 4\r\nhi\r\n"), "...15", 0},
    {"payload too long", WIRE("PUB a 1\r\nhi\r\n"), "!EPROTO", 0},
    {"payload of zero is not", WIRE("PUB a 0\r\nhi\r\n"), "!EPROTO", 0},
    {"LF alone behind the payload", WIRE("PUB a 2\r\nhi\nPING\r\n"), "!EPROTO", 0},
    {"CR without LF behind the payload", WIRE("PUB a 2\r\nhi\rPING\r\n"), "!EPROTO", 0},
    {"LF CR behind the payload", WIRE("PUB a 2\r\nhi\n\r"), "!EPROTO", 0},
    {"nothing behind the payload", WIRE("PUB a 2\r\nhiPING\r\n"), "!EPROTO", 0},
    {"no arguments", WIRE("PUB \r\n"), "!EINVAL", 0},
    {"one argument", WIRE("PUB a\r\n"), "!EINVAL", 0},
    {"one that is a size", WIRE("PUB 5\r\n"), "!EINVAL", 0},
    {"four arguments", WIRE("PUB a b c 2\r\nhi\r\n"), "!EINVAL", 0},
    {"very many arguments", WIRE("PUB a b c d e f g 2\r\nhi\r\n"), "!EINVAL", 0},
    {"no size", WIRE("PUB a x\r\n"), "!EINVAL", 0},
    {"no size behind a reply", WIRE("PUB a r x\r\n"), "!EINVAL", 0},
    {"negative size", WIRE("PUB a -1\r\n"), "!EINVAL", 0},
    {"signed size", WIRE("PUB a +1\r\n"), "!EINVAL", 0},
    {"hexadecimal size", WIRE("PUB a 0x2\r\n"), "!EINVAL", 0},
    {"ten digits", WIRE("PUB a 0000000002\r\nhi\r\n"), "!EINVAL", 0},
    {"ten digits and a reply", WIRE("PUB a r 0000000002\r\nhi\r\n"), "!EINVAL", 0},
    {"very many digits", WIRE("PUB a 18446744073709551618\r\nhi\r\n"), "!EINVAL", 0},
    {"CR in the subject", WIRE("PUB a\rb 0\r\n\r\n"), "!EPROTO", 0},
    {"CR before the size", WIRE("PUB a \r0\r\n\r\n"), "!EPROTO", 0},
    {"two CR", WIRE("PUB a 0\r\r\n\r\n"), "!EPROTO", 0},
    {"no blank", WIRE("PUB\r\n"), "!EPROTO", 0},
    {"a letter behind", WIRE("PUBS a 0\r\n"), "!EPROTO", 0},

    /* HPUB */
    {"hpub", WIRE("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), "HPUB(a,,NATS/1.0\\r\\n\\r\\n,hi)w;",
     0},
    {"hpub with a reply", WIRE("HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
     "HPUB(a,r,NATS/1.0\\r\\n\\r\\n,hi)w;", 0},
    {"headers alone", WIRE("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
     "HPUB(a,,NATS/1.0\\r\\n\\r\\n,)w;", 0},
    {"no headers at all", WIRE("HPUB a 0 2\r\nhi\r\n"), "HPUB(a,,,hi);", 0},
    {"nothing at all", WIRE("HPUB a 0 0\r\n\r\n"), "HPUB(a,,,);", 0},
    {"headers are not looked at", WIRE("HPUB a 3 5\r\nxyzhi\r\n"), "HPUB(a,,xyz,hi)w;", 0},
    {"zeros in front of both", WIRE("HPUB a 003 05\r\nxyzhi\r\n"), "HPUB(a,,xyz,hi)w;", 0},
    {"hpub in lower case", WIRE("hPub a 3 5\r\nxyzhi\r\n"), "HPUB(a,,xyz,hi)w;", 0},
    {"hpub with blanks", WIRE("HPUB  a\t r  3 \t5 \nxyzhi\r\n"), "HPUB(a,r,xyz,hi);", 0},
    {"headers beyond the whole", WIRE("HPUB a 3 2\r\n"), "!EINVAL", 0},
    {"hpub one size", WIRE("HPUB a 3\r\n"), "!EINVAL", 0},
    {"hpub no arguments", WIRE("HPUB \r\n"), "!EINVAL", 0},
    {"hpub five arguments", WIRE("HPUB a r x 1 2\r\n"), "!EINVAL", 0},
    {"hpub bad header size", WIRE("HPUB a r x 2\r\n"), "!EINVAL", 0},
    {"hpub bad size", WIRE("HPUB a 1 x\r\n"), "!EINVAL", 0},
    {"hpub long header size", WIRE("HPUB a 0000000001 2\r\n"), "!EINVAL", 0},
    {"hpub too large", WIRE("HPUB a 1 91\r\n"), "!ETOOBIG", 0},
    {"hpub not negotiated", WIRE("HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), "!EDENIED", NO_HEADERS},
    {"hpub, wrong sizes", WIRE("HPUB a 16 18\r\nNATS/1.0\r\nA: b\r\n\r\nok\r\n"), "!EPROTO", 0},
    {"hpub needs a blank", WIRE("HPUBa 0 0\r\n"), "!EPROTO", 0},
    {"hpub with a CR inside", WIRE("HPUB a\r 0 0\r\n"), "!EPROTO", 0},

    /* SUB */
    {"sub", WIRE("SUB a.* 1\r\n"), "SUB(a.*,,1);", 0},
    {"sub in a queue", WIRE("SUB a.* workers 1\r\n"), "SUB(a.*,workers,1);", 0},
    {"sub with blanks", WIRE("sub\t a \t q  x-1 \t\r\n"), "SUB(a,q,x-1);", 0},
    {"sub, LF alone", WIRE("SUB a 1\n"), "SUB(a,,1);", 0},
    {"subjects are not looked at", WIRE("SUB a..>.b 1\r\n"), "SUB(a..>.b,,1);", 0},
    {"sub without blank", WIRE("SUB\n"), "!EPROTO", 0},
    {"sub goes on", WIRE("SUBZZZ"), "!EPROTO", 0},
    {"sub no arguments", WIRE("SUB  \r\n"), "!EINVAL", 0},
    {"sub one argument", WIRE("SUB a\r\n"), "!EINVAL", 0},
    {"sub four arguments", WIRE("SUB a b c d\r\n"), "!EINVAL", 0},
    {"sub with a CR inside", WIRE("SUB a\r 1\r\n"), "!EPROTO", 0},

    /* UNSUB */
    {"unsub", WIRE("UNSUB 1\r\n"), "UNSUB(1,0);", 0},
    {"unsub with a max", WIRE("UNSUB 1 10\r\n"), "UNSUB(1,10);", 0},
    {"unsub, largest max", WIRE("UNSUB 1 999999999\r\n"), "UNSUB(1,999999999);", 0},
    {"unsub, max of ten digits is none", WIRE("UNSUB 1 1000000000\r\n"), "UNSUB(1,0);", 0},
    {"unsub, max that is no number", WIRE("UNSUB 1 x\r\n"), "UNSUB(1,0);", 0},
    {"unsub, max of zero", WIRE("UNSUB 1 0\r\n"), "UNSUB(1,0);", 0},
    {"unsub with blanks", WIRE("unsub\t\t1  2 \n"), "UNSUB(1,2);", 0},
    {"unsub no arguments", WIRE("UNSUB \r\n"), "!EINVAL", 0},
    {"unsub three arguments", WIRE("UNSUB 1 2 3\r\n"), "!EINVAL", 0},
    {"unsub without blank", WIRE("UNSUB\r\n"), "!EPROTO", 0},
    {"unsub with a CR inside", WIRE("UNSUB 1\r2\r\n"), "!EPROTO", 0},

    /* CONNECT, INFO, -ERR */
    {"connect", WIRE("CONNECT {\"a\":1}\r\n"), "CONNECT({\"a\":1});", 0},
    {"connect without blank", WIRE("CONNECT{}\r\n"), "CONNECT({});", 0},
    {"connect with blanks", WIRE("connect \t {} \t\r\n"), "CONNECT({} \\t);", 0},
    {"connect, LF alone", WIRE("CONNECT {}\n"), "CONNECT({});", 0},
    {"connect, nothing", WIRE("CONNECT\r\n"), "CONNECT();", 0},
    {"connect, a byte too long", WIRE("CONNECT {012345678901234567890123456789012345678}\r\n"),
     "!ELIMIT", 0},
    {"connect, longest", WIRE("CONNECT {01234567890123456789012345678901234567}\r\n"),
     "CONNECT({01234567890123456789012345678901234567});", 0},
    {"info", WIRE("INFO {}\r\n"), "INFO({});", 0},
    {"info without blank", WIRE("INFO{}\r\n"), "INFO({});", 0},
    {"err", WIRE("-ERR 'x y'\r\n"), "-ERR('x y');", 0},
    {"err in lower case", WIRE("-err\tx\r\n"), "-ERR(x);", 0},
    {"err with blank alone", WIRE("-ERR \r\n"), "-ERR();", 0},

    /* PING, PONG, +OK skip what follows on their line */
    {"ping", WIRE("PING\r\n"), "PING;", 0},
    {"ping in lower case", WIRE("ping\r\n"), "PING;", 0},
    {"ping, LF alone", WIRE("PING\n"), "PING;", 0},
    {"ping foo", WIRE("PING foo\r\nPING\r\n"), "PING;PING;", 0},
    {"pingfoo", WIRE("PINGfoo\r\nPING\r\n"), "PING;PING;", 0},
    {"ping with a CR inside", WIRE("PING\ra\r\nPING\r\n"), "PING;PING;", 0},
    {"ping with more than any line",
     WIRE("PING ................................................................................"
          "................................................................................\r\n"
          "PING\r\n"),
     "PING;PING;", 0},
    {"ping, unfinished", WIRE("PING"), "...0", 0},
    {"ping, unfinished behind another", WIRE("PING\r\nPONG\rPUB a 0\r"), "PING;...0", 0},
    {"pong", WIRE("PONG\r\n"), "PONG;", 0},
    {"pong bar", WIRE("pONG bar\n"), "PONG;", 0},
    {"ok", WIRE("+OK\r\n"), "+OK;", 0},
    {"okay", WIRE("+okay\r\n"), "+OK;", 0},

    /* what is no operation */
    {"nobody's verb", WIRE("ZZZ"), "!EPROTO", 0},
    {"blank in front", WIRE(" PING\r\n"), "!EPROTO", 0},
    {"tab in front", WIRE("\tPING\r\n"), "!EPROTO", 0},
    {"empty line", WIRE("\r\n"), "!EPROTO", 0},
    {"LF", WIRE("\nPING\r\n"), "!EPROTO", 0},
    {"empty line between", WIRE("PING\r\n\r\nPING\r\n"), "PING;!EPROTO", 0},
    {"blank between", WIRE("PING\r\n PING\r\n"), "PING;!EPROTO", 0},
    {"NUL", WIRE("\0"), "!EPROTO", 0},
    {"the server's own MSG", WIRE("MSG a 1 0\r\n\r\n"), "!EPROTO", 0},
    {"the server's own HMSG", WIRE("HMSG a 1 0 0\r\n\r\n"), "!EPROTO", 0},
    {"between servers", WIRE("RS+ $G a\r\n"), "!EPROTO", 0},
    {"letters that differ in one bit",
     WIRE("P\x15"
          "B a 0\r\n"),
     "!EPROTO", 0},
    {"plus alone", WIRE("+K"), "!EPROTO", 0},
    {"a verb that is cut", WIRE("PUB"), "...0", 0},
    {"an unfinished line", WIRE("SUB a 1"), "...0", 0},
    {"a line without LF", WIRE("SUB a 1\r"), "...0", 0},
    {"nothing", WIRE(""), "", 0},

    /* lines that are never ended */
    {"unfinished, longest", WIRE("SUB 0123456789012345678901234567890123456789"), "...0", 0},
    {"unfinished, perhaps longest", WIRE("SUB 0123456789012345678901234567890123456789\r"), "...0",
     0},
    {"unfinished, too long", WIRE("SUB 0123456789012345678901234567890123456789x"), "!ELIMIT", 0},
    {"unfinished, its CR is not the end", WIRE("SUB 0123456789012345678901234567890123456789\rx"),
     "!ELIMIT", 0},
    {"unfinished blanks",
     WIRE("SUB "
          "                                                                                "
          "                                                                                "),
     "!ELIMIT", 0},

    /* one after another */
    {"all of them",
     WIRE("CONNECT {}\r\nSUB a 1\r\nSUB b q 2\r\nPUB a 2\r\nhi\r\nPUB a 2\r\nho\r\nPUB a 2\r\nhu"
          "\r\nHPUB a 3 5\r\nxyzhi\r\nPUB a 2\r\nha\r\nPING\r\nPONG\r\nUNSUB 1\r\n+OK\r\n"),
     "CONNECT({});SUB(a,,1);SUB(b,q,2);PUB(a,,hi)w;PUB(a,,ho)w;PUB(a,,hu)w;HPUB(a,,xyz,hi)w;"
     "PUB(a,,ha)w;PING;PONG;UNSUB(1,0);+OK;",
     0},
    {"an error ends it", WIRE("PUB a 2\r\nhi\r\nPUB a 2\r\nhixPUB a 2\r\nhi\r\n"),
     "PUB(a,,hi)w;!EPROTO", 0},
    {"the same line, another size",
     WIRE("PUB a r 1\r\nx\r\nPUB a r 12\r\n012345678901\r\nPUB a r 1\r\ny\r\n"),
     "PUB(a,r,x)w;PUB(a,r,012345678901)w;PUB(a,r,y)w;", 0},
    {"a PUB that only ends like one",
     WIRE(
         "PUB aaaa 1\r\nx\r\nPUB aaaa 1\r\nxy\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\nPING\r\n"),
     "PUB(aaaa,,x)w;!EPROTO", 0},
};

static pp_nats_reader reader_of(const struct row *row)
{
    pp_nats_reader reader = fresh_reader;

    if (row->flags & NO_HEADERS)
        reader.headers = false;
    if (row->flags & NO_PAYLOAD_LIMIT)
        reader.payload_max = -1;
    return reader;
}

static void check_log(const struct row *row, const pp_buf *log, const char *how, size_t cut)
{
    if (strcmp(log->ptr, row->log) != 0)
        fail_msg("%s, %s %zu:\n    %s\nexpected:\n    %s", row->name, how, cut, log->ptr, row->log);
}

static void check_row(const struct row *row, read_fn *read, pp_buf *log)
{
    pp_nats_reader reader = reader_of(row);
    struct feed f;

    for (size_t cut = 0; cut <= row->len; cut++) {
        feed_start(&f, &reader, read, row->wire, log);
        feed_window(&f, cut);
        feed_window(&f, row->len);
        feed_end(&f, row->len);
        check_log(row, log, "cut at", cut);
    }
    for (size_t step = 1; step < 4; step++) {
        feed_start(&f, &reader, read, row->wire, log);
        for (size_t end = step; end < row->len; end += step)
            feed_window(&f, end);
        feed_window(&f, row->len);
        feed_end(&f, row->len);
        check_log(row, log, "in steps of", step);
    }
}

static void test_reader_rows_at_every_split(void **state)
{
    pp_buf log;

    (void)state;
    pp_buf_init(&log, LOG_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_row(&rows[i], read_any_or_plain, &log);
    pp_buf_fini(&log);
}

static void test_reader_careful_rows_at_every_split(void **state)
{
    pp_buf log;

    (void)state;
    pp_buf_init(&log, LOG_MAX);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_row(&rows[i], pp_nats_read_any, &log);
    pp_buf_fini(&log);
}

/* --- when an error is seen ------------------------------------------------------------------ */

/* What no verb begins with, and a payload that ends wrongly, are refused on their first bad byte:
 * the peer may be waiting for an answer and send no more. */
static void test_reader_refuses_on_the_first_bad_byte(void **state)
{
    static const struct {
        const char *wire; /* its last byte is the bad one */
        pipit_err err;
    } fronts[] = {
        {"Z", PIPIT_EPROTO},
        {" ", PIPIT_EPROTO},
        {"PX", PIPIT_EPROTO},
        {"PI ", PIPIT_EPROTO},
        {"PUB\r", PIPIT_EPROTO},
        {"PUBS", PIPIT_EPROTO},
        {"SUBZ", PIPIT_EPROTO},
        {"UNSUBx", PIPIT_EPROTO},
        {"HPUB{", PIPIT_EPROTO},
        {"HM", PIPIT_EPROTO},
        {"CONNEX", PIPIT_EPROTO},
        {"PUB a 0\r\nx", PIPIT_EPROTO},
        {"PUB a 2\r\nhi\n", PIPIT_EPROTO},
        {"PUB a 2\r\nhi\rx", PIPIT_EPROTO},
        {"HPUB a 1 2\r\nhix", PIPIT_EPROTO},
        {"PUB a 91\r\n", PIPIT_ETOOBIG},
        {"PUB a x\r\n", PIPIT_EINVAL},
        {"SUB 0123456789012345678901234567890123456789x", PIPIT_ELIMIT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fronts); i++) {
        pp_nats_reader reader = fresh_reader;
        size_t len = strlen(fronts[i].wire), used;
        pp_nats_op op;

        for (size_t n = 0; n < len; n++) {
            char *copy = malloc(n ? n : 1); /* ends where the window does */

            memcpy(copy, fronts[i].wire, n);
            if (pp_nats_read(&reader, (pp_str){copy, n}, &op, &used) != PIPIT_EAGAIN)
                fail_msg("row %zu: decided after %zu bytes", i, n);
            free(copy);
        }
        if (pp_nats_read(&reader, (pp_str){fronts[i].wire, len}, &op, &used) != fronts[i].err)
            fail_msg("row %zu: not %s", i, pipit_strerror(fronts[i].err));
    }
}

/* What stands behind a PING is passed over, however long: it is not kept until its end comes, and
 * nobody answers before. */
static void test_reader_passes_over_long_tails(void **state)
{
    enum { LEN = 3000 };
    static char wire[LEN + 32];
    static const char *const verbs[] = {"PING", "PONG", "+OK"};
    pp_buf log;

    (void)state;
    pp_buf_init(&log, LOG_MAX);
    for (size_t v = 0; v < COUNT_OF(verbs); v++) {
        char expected[32];
        size_t len;

        memset(wire, '.', LEN);
        memcpy(wire, verbs[v], strlen(verbs[v]));
        len = LEN + (size_t)snprintf(wire + LEN, 32, "\r\nPUB a 2\r\nhi\r\n");
        (void)snprintf(expected, sizeof(expected), "%s;PUB(a,,hi)w;", verbs[v]);
        for (size_t piece = 1; piece < len; piece = piece * 3 + 1) {
            struct feed f;

            feed_start(&f, &fresh_reader, read_any_or_plain, wire, &log);
            for (size_t end = piece; end < len; end += piece) {
                feed_window(&f, end);
                assert_true(end >= LEN || end - f.at <= 1024);
            }
            feed_window(&f, len);
            feed_end(&f, len);
            assert_string_equal(log.ptr, expected);
        }
    }
    pp_buf_fini(&log);
}

/* Only CONNECT and INFO may do without a blank (observed in nats-server 2.15.2 too). */
static void test_reader_err_needs_a_blank(void **state)
{
    static const char *const wires[] = {"-ERR'x'\r\n", "-ERR\r\n", "-errx"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wires); i++) {
        pp_nats_reader reader = fresh_reader;
        pp_nats_op op;
        size_t used;

        assert_int_equal(pp_nats_read(&reader, pp_str_of(wires[i]), &op, &used), PIPIT_EPROTO);
    }
}

/* Ids are stored with 16 bits of length; nothing longer comes through, whatever the line limit. */
static void test_reader_limits_ids(void **state)
{
    enum { LONG = 70000 };
    static char wire[3 * LONG];
    pp_nats_reader reader = {.line_max = 1 << 20, .payload_max = -1};
    pp_nats_op op;
    size_t used;

    (void)state;
    for (size_t len = UINT16_MAX; len <= UINT16_MAX + 1; len++) {
        size_t n = 0;

        memcpy(wire, "SUB a ", 6);
        memset(wire + 6, 'x', len);
        n = 6 + len;
        memcpy(wire + n, "\r\n", 3);
        assert_int_equal(pp_nats_read(&reader, pp_str_of(wire), &op, &used),
                         len <= UINT16_MAX ? PIPIT_OK : PIPIT_ELIMIT);
        memcpy(wire + n, " 1\r\n", 5);
        assert_int_equal(pp_nats_read(&reader, pp_str_of(wire), &op, &used),
                         len <= UINT16_MAX ? PIPIT_OK : PIPIT_ELIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_rows_at_every_split),
        cmocka_unit_test(test_reader_careful_rows_at_every_split),
        cmocka_unit_test(test_reader_refuses_on_the_first_bad_byte),
        cmocka_unit_test(test_reader_passes_over_long_tails),
        cmocka_unit_test(test_reader_err_needs_a_blank),
        cmocka_unit_test(test_reader_limits_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
