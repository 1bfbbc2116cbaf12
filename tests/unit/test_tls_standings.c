/* What is kept of what authorities say: limits, and the file. */
#include "tls/standings.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

/* cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64], store[96], file[128];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    assert_int_equal(pp_openssl_load(NULL), PIPIT_OK);
    (void)snprintf(place->dir, sizeof(place->dir), "/tmp/pipit-standings-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->store, sizeof(place->store), "%s/store", place->dir);
    (void)snprintf(place->file, sizeof(place->file), "%s/standings", place->store);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    (void)unlink(place->file);
    (void)rmdir(place->store);
    assert_int_equal(rmdir(place->dir), 0);
    free(place);
    return 0;
}

static pp_tls_standings *make(const char *dir, bool preserves, pipit_err expected)
{
    const pp_tls_standings_spec spec = {
        .on = true, .dir = dir, .preserves_revoked = preserves, .save_ns = PP_NS_PER_S};
    pp_tls_standings *standings;
    pp_buf error;

    pp_buf_init(&error, 4096);
    assert_int_equal(pp_tls_standings_new(&standings), PIPIT_OK);
    assert_int_equal(pp_tls_standings_keep(standings, &spec, &error), expected);
    assert_int_equal(error.len != 0, expected != PIPIT_OK);
    pp_buf_fini(&error);
    return standings;
}

static pp_tls_standing_key key_of(uint32_t n)
{
    pp_tls_standing_key key = {{0}};

    memcpy(key.bytes, &n, sizeof(n));
    return key;
}

static void put(pp_tls_standings *standings, uint32_t n, pp_tls_standing standing, size_t len)
{
    const pp_tls_finding finding = {.standing = standing, .from_s = n + 1, .until_s = n + 2};
    pp_tls_standing_key key = key_of(n);
    char *answer = calloc(1, len + 1);

    (void)snprintf(answer, len + 1, "answer %u", n);
    pp_tls_standings_put(standings, &key, &finding, (pp_str){answer, len});
    free(answer);
}

static bool has(pp_tls_standings *standings, uint32_t n, pp_tls_known *out)
{
    pp_tls_standing_key key = key_of(n);

    return pp_tls_standings_find(standings, &key, out, NULL);
}

static pp_tls_standings_stats look(pp_tls_standings *standings)
{
    pp_tls_standings_stats stats;

    pp_tls_standings_look(standings, &stats);
    return stats;
}

static void test_standings_are_limited(void **state)
{
    pp_tls_standings *standings = make(NULL, true, PIPIT_OK);
    pp_tls_known known;

    (void)state;
    put(standings, 0, PP_TLS_REVOKED, 20);
    for (uint32_t n = 1; n < PP_TLS_STANDINGS_MAX + 10; n++)
        put(standings, n, PP_TLS_GOOD, 20);
    assert_int_equal(look(standings).count, PP_TLS_STANDINGS_MAX);
    assert_true(has(standings, 0, &known)); /* the oldest, but preserved */
    assert_false(has(standings, 10, &known));
    assert_true(has(standings, 11, &known));
    assert_int_equal(known.finding.standing, PP_TLS_GOOD);
    assert_int_equal(known.finding.until_s, 13);
    /* And by their bytes. */
    for (uint32_t n = 0; n < PP_TLS_STANDINGS_BYTES_MAX / PP_TLS_OCSP_ANSWER_MAX + 2; n++)
        put(standings, 100000 + n, PP_TLS_REVOKED, PP_TLS_OCSP_ANSWER_MAX);
    assert_int_equal(look(standings).count, PP_TLS_STANDINGS_BYTES_MAX / PP_TLS_OCSP_ANSWER_MAX);
    assert_int_equal(look(standings).good, 0);
    assert_false(has(standings, 100001, &known));
    assert_true(has(standings, 100002, &known));
    pp_tls_standings_free(standings);
}

static void test_standing_takes_the_place_of_the_one_before(void **state)
{
    pp_tls_standings *standings = make(NULL, false, PIPIT_OK);
    pp_tls_standing_key key = key_of(1);
    pp_tls_known known;
    pp_buf answer;

    (void)state;
    put(standings, 1, PP_TLS_GOOD, 20);
    put(standings, 1, PP_TLS_REVOKED, 30);
    assert_int_equal(look(standings).count, 1);
    assert_int_equal(look(standings).good, 0);
    assert_int_equal(look(standings).revoked, 1);
    pp_buf_init(&answer, PP_TLS_OCSP_ANSWER_MAX);
    assert_true(pp_tls_standings_find(standings, &key, &known, &answer));
    assert_int_equal(answer.len, 30);
    pp_buf_fini(&answer);
    pp_tls_standings_drop(standings, &key, true);
    assert_int_equal(look(standings).count, 0);
    assert_int_equal(look(standings).revoked, 0);
    pp_tls_standings_free(standings);
}

static void test_standing_that_is_over_is_preserved_if_revoked(void **state)
{
    pp_tls_standings *standings = make(NULL, true, PIPIT_OK);
    pp_tls_standing_key good = key_of(1), revoked = key_of(2);

    (void)state;
    put(standings, 1, PP_TLS_GOOD, 20);
    put(standings, 2, PP_TLS_REVOKED, 20);
    pp_tls_standings_drop(standings, &good, true);
    pp_tls_standings_drop(standings, &revoked, true);
    assert_int_equal(look(standings).count, 1);
    pp_tls_standings_drop(standings, &revoked, false); /* it never was one */
    assert_int_equal(look(standings).count, 0);
    pp_tls_standings_free(standings);
}

static void save(pp_tls_standings *standings, pipit_err expected)
{
    pp_buf error;

    pp_buf_init(&error, 4096);
    assert_true(pp_tls_standings_due(standings) < INT64_MAX);
    assert_int_equal(pp_tls_standings_save(standings, &error), expected);
    assert_int_equal(error.len != 0, expected != PIPIT_OK);
    assert_int_equal(pp_tls_standings_due(standings) == INT64_MAX, expected == PIPIT_OK);
    pp_buf_fini(&error);
}

static void test_file_has_what_was_known(void **state)
{
    struct place *place = *state;
    pp_tls_standings *standings = make(place->store, false, PIPIT_OK);
    pp_tls_known known;

    put(standings, 1, PP_TLS_GOOD, 20);
    put(standings, 2, PP_TLS_REVOKED, 30);
    put(standings, 3, PP_TLS_UNKNOWN, 1);
    save(standings, PIPIT_OK);
    put(standings, 4, PP_TLS_GOOD, 20);
    pp_fault_arm("standings.write", 1);
    save(standings, PIPIT_EIO); /* and it will be tried again */
    assert_true(pp_fault_disarm());
    pp_tls_standings_free(standings);

    standings = make(place->store, false, PIPIT_OK);
    assert_int_equal(look(standings).count, 3);
    assert_int_equal(look(standings).unknown, 1);
    assert_true(has(standings, 2, &known));
    assert_false(known.checked);
    assert_int_equal(known.finding.standing, PP_TLS_REVOKED);
    assert_int_equal(known.finding.from_s, 3);
    pp_tls_standings_free(standings);
}

static void keep(pp_tls_standings *standings, const char *dir, int64_t save_ns)
{
    const pp_tls_standings_spec spec = {.on = true, .dir = dir, .save_ns = save_ns};

    assert_int_equal(pp_tls_standings_keep(standings, &spec, NULL), PIPIT_OK);
}

/* An old file somewhere else may still say that all is good. */
static void test_file_does_not_undo_what_is_known(void **state)
{
    struct place *place = *state;
    pp_tls_standings *standings = make(place->store, false, PIPIT_OK);
    pp_tls_known known;

    put(standings, 1, PP_TLS_GOOD, 20);
    put(standings, 2, PP_TLS_GOOD, 20);
    save(standings, PIPIT_OK);
    pp_tls_standings_free(standings);

    standings = make(NULL, false, PIPIT_OK);
    put(standings, 1, PP_TLS_REVOKED, 20);
    keep(standings, place->store, PP_NS_PER_S);
    assert_int_equal(look(standings).count, 2);
    assert_true(has(standings, 1, &known));
    assert_int_equal(known.finding.standing, PP_TLS_REVOKED);
    assert_true(known.checked);
    assert_true(has(standings, 2, &known));
    assert_false(known.checked);
    pp_tls_standings_free(standings);
}

static void test_file_that_may_wait_for_ever(void **state)
{
    struct place *place = *state;
    pp_tls_standings *standings = make(place->store, false, PIPIT_OK);

    keep(standings, place->store, INT64_MAX);
    put(standings, 1, PP_TLS_GOOD, 20);
    assert_true(pp_tls_standings_due(standings) > pp_clock_mono_ns());
    assert_true(pp_tls_standings_due(standings) < INT64_MAX);
    pp_tls_standings_free(standings);
}

static size_t read_file(const char *path, char *out, size_t cap)
{
    FILE *file = fopen(path, "rb");
    size_t len;

    assert_non_null(file);
    len = fread(out, 1, cap, file);
    (void)fclose(file);
    return len;
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    (void)fclose(file);
}

static void test_file_is_whole_or_nothing(void **state)
{
    struct place *place = *state;
    pp_tls_standings *standings = make(place->store, false, PIPIT_OK);
    char text[1024];
    size_t len;

    put(standings, 1, PP_TLS_GOOD, 20);
    put(standings, 2, PP_TLS_REVOKED, 30);
    save(standings, PIPIT_OK);
    pp_tls_standings_free(standings);
    len = read_file(place->file, text, sizeof(text));
    assert_int_equal(len, 16 + 2 * 56 + 50 + 32);
    for (size_t cut = 0; cut < len; cut++) {
        write_file(place->file, text, cut);
        standings = make(place->store, false, PIPIT_EIO);
        assert_int_equal(look(standings).count, 0);
        pp_tls_standings_free(standings);
        text[cut] ^= 1;
        write_file(place->file, text, len);
        text[cut] ^= 1;
        standings = make(place->store, false, PIPIT_EIO);
        assert_int_equal(look(standings).count, 0);
        pp_tls_standings_free(standings);
    }
}

/* With the right hash: by somebody who wants us to stumble. */
static void test_records_that_are_none_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint32_t value;
    } cases[] = {{48, 0}, {48, 4}, {48, UINT32_MAX}, {52, 21}, {52, UINT32_MAX}, {52, 19}, {52, 0}};
    struct place *place = *state;
    pp_tls_standings *standings = make(place->store, false, PIPIT_OK);
    char text[1024], changed[1024];
    size_t len;

    put(standings, 1, PP_TLS_GOOD, 20);
    save(standings, PIPIT_OK);
    pp_tls_standings_free(standings);
    len = read_file(place->file, text, sizeof(text));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(changed, text, len);
        memcpy(changed + 16 + cases[i].at, &cases[i].value, sizeof(uint32_t));
        assert_true(EVP_Digest(changed, len - 32, (unsigned char *)changed + len - 32, NULL,
                               EVP_sha256(), NULL));
        write_file(place->file, changed, len);
        pp_tls_standings_free(make(place->store, false, PIPIT_EIO));
    }
}

static void test_finding_holds_for_its_time(void **state)
{
    const pp_tls_finding ends = {.from_s = 100, .until_s = 200}, endless = {.from_s = 100};

    (void)state;
    assert_true(pp_tls_finding_holds(&ends, 100, 0, 0));
    assert_true(pp_tls_finding_holds(&ends, 200, 0, 0));
    assert_false(pp_tls_finding_holds(&ends, 99, 0, 0));
    assert_false(pp_tls_finding_holds(&ends, 201, 0, 0));
    assert_true(pp_tls_finding_holds(&ends, 70, 30, 0));
    assert_true(pp_tls_finding_holds(&ends, 230, 30, 0));
    assert_false(pp_tls_finding_holds(&ends, 231, 30, 1000));
    assert_true(pp_tls_finding_holds(&endless, 150, 0, 50));
    assert_false(pp_tls_finding_holds(&endless, 151, 0, 50));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standings_are_limited),
        cmocka_unit_test(test_standing_takes_the_place_of_the_one_before),
        cmocka_unit_test(test_standing_that_is_over_is_preserved_if_revoked),
        cmocka_unit_test_setup_teardown(test_file_has_what_was_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_does_not_undo_what_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_that_may_wait_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_is_whole_or_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_that_are_none_are_refused, set_up, tear_down),
        cmocka_unit_test(test_finding_holds_for_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
