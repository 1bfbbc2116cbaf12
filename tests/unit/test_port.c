/* A port and its writers: what is written comes in order and as it was, through chunks that go
 * round between the two; each writer has a turn; and the end of a port while a writer is about to
 * wake its reader. */
#include "client/port.h"

#include "base/alloc.h"
#include "support/check.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int fd; /* writing there takes its time */
    atomic_bool begun, closed, too_late;
} watch = {.fd = -1};

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);

/* Linked in the place of write: a thread that is stopped here for a while. */
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    if (fd == watch.fd) {
        atomic_store(&watch.begun, true);
        for (int i = 0; i < 100 && !atomic_load(&watch.closed); i++)
            (void)check_poll(-1, 1);
        if (atomic_load(&watch.closed))
            atomic_store(&watch.too_late, true);
    }
    return __real_write(fd, bytes, len);
}

static void *write_one(void *lane)
{
    const pp_record record = {.subject = PP_STR("a"), .data = PP_STR("b")};

    if (pp_lane_write(lane, &record))
        atomic_store(&watch.too_late, true);
    return NULL;
}

static bool has_begun(void *arg)
{
    (void)arg;
    return atomic_load(&watch.begun);
}

static void test_port_closed_leaves_the_descriptor(void **state)
{
    int64_t live = pp_alloc_live();
    pthread_t writer;
    pp_port *port;
    pp_lane *lane;

    (void)state;
    watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(pp_port_new(&port, watch.fd, 1 << 20), PIPIT_OK);
    lane = pp_lane_new(port);
    assert_non_null(lane);
    assert_true(pp_port_sleep(port));
    assert_int_equal(pthread_create(&writer, NULL, write_one, lane), 0);
    check_until(has_begun, NULL, "a writer that wakes the reader");
    pp_port_close(port);
    atomic_store(&watch.closed, true); /* the number may be another file's now */
    (void)pthread_join(writer, NULL);
    assert_false(atomic_load(&watch.too_late));
    pp_lane_leave(lane);
    (void)close(watch.fd);
    assert_int_equal(pp_alloc_live(), live);
}

/* --- order -------------------------------------------------------------------------------- */

enum {
    NUMBERS = 200000,
    SEVEN_BITS = 127,
    LONG_EVERY = 5000,
    LONG_BYTES = 40000, /* it has a chunk of its own */
    READER_STOPS = 4096,
};

static struct {
    pp_lane *lane;
    uint64_t next; /* the reader's */
    bool wrong;
    char data[LONG_BYTES];
} flow;

/* The number is the sid; how long the data is follows from it. */
static size_t data_bytes(uint64_t number)
{
    return number % LONG_EVERY == LONG_EVERY - 1 ? LONG_BYTES : number & SEVEN_BITS;
}

static void *write_numbers(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < NUMBERS; i++) {
        const pp_str subject = {"subjects.are.of.many.lengths", 1 + i % 28};
        const pp_record record = {
            .subject = subject,
            .reply = {"reply", i % 6},
            .data = {flow.data, data_bytes(i)},
            .sid = i,
        };
        pipit_err err;

        do
            err = i % 6 ? pp_lane_write(flow.lane, &record)
                        : pp_lane_write_plain(flow.lane, i, subject, record.data);
        while (err == PIPIT_EAGAIN);
        if (err)
            break;
    }
    return NULL;
}

static void take_number(void *context, const pp_record *record)
{
    uint64_t i = flow.next++;

    (void)context;
    flow.wrong |=
        record->sid != i || record->data.len != data_bytes(i) ||
        memcmp(record->data.ptr, flow.data, record->data.len) != 0 ||
        !pp_str_eq(record->subject, (pp_str){"subjects.are.of.many.lengths", 1 + i % 28}) ||
        !pp_str_eq(record->reply, (pp_str){"reply", i % 6});
}

/* The reader is behind for a while, then it keeps up, and so on: chunks are made, kept and freed.
 */
static void test_port_keeps_order_through_chunks(void **state)
{
    int64_t live = pp_alloc_live();
    pthread_t writer;
    pp_port *port;

    (void)state;
    memset(&flow, 0, sizeof(flow));
    for (size_t i = 0; i < sizeof(flow.data); i++)
        flow.data[i] = (char)(i * 7);
    assert_int_equal(pp_port_new(&port, -1, 1 << 20), PIPIT_OK);
    flow.lane = pp_lane_new(port);
    assert_non_null(flow.lane);
    assert_int_equal(pthread_create(&writer, NULL, write_numbers, NULL), 0);
    while (flow.next < NUMBERS && !flow.wrong) {
        uint64_t before = flow.next;

        (void)pp_port_take(port, 1 + flow.next % READER_STOPS, take_number, NULL);
        if (flow.next % 3 == 0 && flow.next != before)
            (void)check_poll(-1, 1); /* now the writer is ahead */
    }
    assert_false(flow.wrong);
    (void)pthread_join(writer, NULL);
    assert_true(pp_lane_settled(flow.lane));
    pp_lane_leave(flow.lane);
    pp_port_close(port);
    assert_int_equal(pp_alloc_live(), live);
}

/* Who asks once is given all that was there, however many chunks it lies in. */
static void test_port_takes_all_that_is_there(void **state)
{
    int64_t live = pp_alloc_live();
    pp_port *port;

    (void)state;
    memset(&flow, 0, sizeof(flow));
    assert_int_equal(pp_port_new(&port, -1, 8 << 20), PIPIT_OK);
    flow.lane = pp_lane_new(port);
    assert_non_null(flow.lane);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(pp_lane_write_plain(flow.lane, i, PP_STR("a"), (pp_str){flow.data, 100}),
                         PIPIT_OK);
    assert_int_equal(pp_port_take(port, SIZE_MAX, take_number, NULL), 5000);
    assert_int_equal(pp_port_take(port, SIZE_MAX, take_number, NULL), 0);
    pp_lane_leave(flow.lane);
    pp_port_close(port);
    assert_int_equal(pp_alloc_live(), live);
}

/* --- turns -------------------------------------------------------------------------------- */

enum { BUSY = 40, AHEAD = 600, MOST = 4096 };

static void note_quiet(void *heard, const pp_record *record)
{
    *(bool *)heard |= record->sid == BUSY;
}

static void write_times(pp_lane *lane, uint64_t sid, unsigned times)
{
    while (times--)
        assert_int_equal(pp_lane_write_plain(lane, sid, PP_STR("a"), PP_STR("b")), PIPIT_OK);
}

/* However many others always have more, each is heard when all have had a turn. */
static void test_port_gives_each_writer_a_turn(void **state)
{
    int64_t live = pp_alloc_live();
    pp_lane *lanes[BUSY + 1];
    bool heard = false;
    pp_port *port;
    unsigned takes;

    (void)state;
    assert_int_equal(pp_port_new(&port, -1, 8 << 20), PIPIT_OK);
    for (unsigned i = 0; i <= BUSY; i++) {
        lanes[i] = pp_lane_new(port);
        assert_non_null(lanes[i]);
        write_times(lanes[i], i, i < BUSY ? AHEAD : 1);
    }
    for (takes = 0; !heard && takes < BUSY; takes++) {
        assert_int_equal(pp_port_take(port, MOST, note_quiet, &heard), MOST);
        for (unsigned i = 0; i < BUSY; i++)
            write_times(lanes[i], i, MOST / BUSY + 1);
    }
    assert_true(heard);
    assert_in_range(takes, 1, 3); /* 40 turns of 256 records, and one more */
    for (unsigned i = 0; i <= BUSY; i++)
        pp_lane_leave(lanes[i]);
    pp_port_close(port);
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_keeps_order_through_chunks),
        cmocka_unit_test(test_port_takes_all_that_is_there),
        cmocka_unit_test(test_port_gives_each_writer_a_turn),
        cmocka_unit_test(test_port_closed_leaves_the_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
