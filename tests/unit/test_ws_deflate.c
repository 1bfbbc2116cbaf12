/* Compressed messages: whatever pieces they come in and go out by, what was put in comes out, and
 * never more than allowed. */
#include "base/alloc.h"
#include "base/fault.h"
#include "seed.h"
#include "websocket/deflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 200000 };

static char plain[MAX], packed[MAX + 1000], out[MAX + 1000];

/* Inflate by pieces of `step` bytes into pieces of `room`. */
static pipit_err inflate_by(pp_ws_inflater *inflater, const char *bytes, size_t len, size_t step,
                            size_t room, size_t max, size_t *total)
{
    size_t at = 0;

    *total = 0;
    pp_ws_inflater_begin(inflater, max);
    do {
        pp_str in = {bytes + at, len - at < step ? len - at : step};
        bool last = at + in.len == len;
        pipit_err err;

        at += in.len;
        do {
            size_t n = 0;

            err = pp_ws_inflate(inflater, &in, last, out + *total, room, &n);
            if (err && err != PIPIT_EAGAIN)
                return err;
            assert_true(n <= room);
            *total += n;
        } while (err == PIPIT_EAGAIN);
        assert_int_equal(in.len, 0);
    } while (at < len);
    return PIPIT_OK;
}

static void fill(uint64_t *seed, size_t len, unsigned letters)
{
    for (size_t i = 0; i < len; i++)
        plain[i] = (char)('a' + pp_random_below(seed, letters));
}

static size_t pack(pp_ws_deflater *deflater, size_t len, size_t pieces)
{
    struct iovec iov[8];
    size_t at = 0;

    for (size_t i = 0; i < pieces; i++) {
        size_t n = i + 1 < pieces ? len / pieces : len - at;

        iov[i] = (struct iovec){plain + at, n};
        at += n;
    }
    return pp_ws_deflate(deflater, iov, pieces, packed, sizeof(packed));
}

static void test_deflate_round_trip(void **state)
{
    uint64_t seed = test_seed("test_ws_deflate");
    int64_t live = pp_alloc_live();
    pp_ws_deflater *deflater;
    pp_ws_inflater *inflater;

    (void)state;
    assert_int_equal(pp_ws_deflater_new(&deflater), PIPIT_OK);
    assert_int_equal(pp_ws_inflater_new(&inflater), PIPIT_OK);
    for (unsigned round = 0; round < 400; round++) {
        size_t len = 1 + pp_random_below(&seed, round % 4 ? 2000 : MAX - 1), n, total;

        fill(&seed, len, 1 + pp_random_below(&seed, 60));
        n = pack(deflater, len, 1 + pp_random_below(&seed, 8));
        assert_true(n > 0);
        assert_int_equal(inflate_by(inflater, packed, n, 1 + pp_random_below(&seed, 3000),
                                    1 + pp_random_below(&seed, 70), len, &total),
                         PIPIT_OK);
        assert_int_equal(total, len);
        assert_memory_equal(out, plain, len);
    }
    pp_ws_deflater_free(deflater);
    pp_ws_inflater_free(inflater);
    assert_int_equal(pp_alloc_live(), live);
}

/* Vectors of RFC 7692, section 7.2.3. */
static void test_deflate_vectors(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
        pipit_err err;
    } rows[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello", PIPIT_OK},
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello", PIPIT_OK},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello", PIPIT_OK}, /* a last block */
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello", PIPIT_OK},
        {"\x00", 1, "", PIPIT_OK},
        {"", 0, NULL, PIPIT_EPROTO},                 /* not even nothing */
        {"\xf2\x48\xcd\xc9", 4, NULL, PIPIT_EPROTO}, /* cut */
        {"\xff\xff\xff\xff", 4, NULL, PIPIT_EPROTO},
    };
    pp_ws_inflater *inflater;

    (void)state;
    assert_int_equal(pp_ws_inflater_new(&inflater), PIPIT_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t step = 1; step < 14; step++) {
            size_t total;

            if (inflate_by(inflater, rows[i].bytes, rows[i].len, step, 3, 100, &total) !=
                rows[i].err)
                fail_msg("row %zu by %zu", i, step);
            if (!rows[i].err) {
                assert_int_equal(total, strlen(rows[i].text));
                assert_memory_equal(out, rows[i].text, total);
            }
        }
    }
    pp_ws_inflater_free(inflater);
}

static void test_deflate_bounds(void **state)
{
    pp_ws_deflater *deflater;
    pp_ws_inflater *inflater;
    size_t n, total;

    (void)state;
    assert_int_equal(pp_ws_deflater_new(&deflater), PIPIT_OK);
    assert_int_equal(pp_ws_inflater_new(&inflater), PIPIT_OK);
    memset(plain, 'x', MAX);
    n = pack(deflater, MAX, 1);
    assert_true(n > 0 && n < 2000);
    for (size_t room = 1; room < MAX; room = room * 7 + 1) {
        assert_int_equal(inflate_by(inflater, packed, n, 100, room, MAX - 1, &total),
                         PIPIT_ETOOBIG);
        assert_true(total < MAX);
        assert_int_equal(inflate_by(inflater, packed, n, 100, room, MAX, &total), PIPIT_OK);
        assert_int_equal(total, MAX);
    }
    assert_int_equal(inflate_by(inflater, packed, n, 100, 10, 0, &total), PIPIT_ETOOBIG);
    assert_int_equal(pp_ws_deflate(deflater, &(struct iovec){plain, MAX}, 1, packed, 20), 0);
    pp_ws_deflater_free(deflater);
    pp_ws_inflater_free(inflater);
}

static void test_deflate_without_memory(void **state)
{
    int64_t live = pp_alloc_live();
    pp_ws_deflater *deflater;
    pp_ws_inflater *inflater;
    pipit_err err = PIPIT_ENOMEM;

    (void)state;
    for (uint64_t nth = 1; err; nth++) {
        pp_fault_arm("alloc", nth);
        err = pp_ws_deflater_new(&deflater);
        (void)pp_fault_disarm();
        assert_true(err == PIPIT_OK || pp_alloc_live() == live);
    }
    assert_int_equal(pack(deflater, 10, 1) > 0, 1);
    pp_ws_deflater_free(deflater);
    err = PIPIT_ENOMEM;
    for (uint64_t nth = 1; err; nth++) {
        pp_fault_arm("alloc", nth);
        err = pp_ws_inflater_new(&inflater);
        if (!err) {
            size_t total;

            err = inflate_by(inflater, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 3, 2, 10, &total);
            pp_ws_inflater_free(inflater);
        }
        assert_true(err == PIPIT_OK || err == PIPIT_ENOMEM);
        (void)pp_fault_disarm();
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deflate_round_trip),
        cmocka_unit_test(test_deflate_vectors),
        cmocka_unit_test(test_deflate_bounds),
        cmocka_unit_test(test_deflate_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
