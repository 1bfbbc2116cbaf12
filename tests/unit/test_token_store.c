#include "auth/jwt.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "server/operators/store.h"
#include "token.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { KEYS = 6 };

static char dir[64];
static test_key keys[KEYS], operator_key;

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/pipit-tokens-XXXXXX");
    assert_non_null(mkdtemp(dir));
    test_key_make(&operator_key, 'O', 1);
    for (unsigned i = 0; i < KEYS; i++)
        test_key_make(&keys[i], 'A', (uint8_t)(10 + i));
    return 0;
}

static int remove_dir(void **state)
{
    DIR *open = opendir(dir);
    struct dirent *entry;

    (void)state;
    assert_non_null(open);
    while ((entry = readdir(open)))
        (void)unlinkat(dirfd(open), entry->d_name, 0);
    (void)closedir(open);
    return rmdir(dir);
}

static char *token_of(unsigned key, int64_t issued_s, int64_t expires_s, const char *id)
{
    char json[1024];

    (void)snprintf(json, sizeof(json),
                   "{\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld,\"jti\":\"%s\","
                   "\"nats\":{\"type\":\"account\",\"version\":2}}",
                   keys[key].text, (long long)issued_s, (long long)expires_s, id);
    return test_token_of(json, &operator_key);
}

static pp_token_store *open_with(pp_token_store_setup setup, size_t *out_strange)
{
    pp_token_store *store = NULL;
    size_t strange;
    pp_buf error;

    setup.dir = dir;
    pp_buf_init(&error, 1000);
    assert_int_equal(pp_token_store_open(&store, &setup, 1000, &strange, &error), PIPIT_OK);
    pp_buf_fini(&error);
    if (out_strange)
        *out_strange = strange;
    return store;
}

static pp_token_store *open_store(void)
{
    return open_with((pp_token_store_setup){0}, NULL);
}

static pipit_err save(pp_token_store *store, const char *token, bool only_newer, bool *out_kept)
{
    char reason[PP_JWT_REASON_BYTES];
    pipit_err err;
    pp_jwt jwt;

    pp_fault_exempt_thread(true);
    assert_int_equal(pp_jwt_decode(&jwt, pp_str_of(token), reason), PIPIT_OK);
    pp_fault_exempt_thread(false);
    err = pp_token_store_save(store, pp_str_of(token), &jwt, 1000, only_newer, out_kept);
    pp_jwt_fini(&jwt);
    return err;
}

/* What a store that is opened anew has of a key: 1 or 2 for these tokens, 0 for none. */
static int reopened(unsigned key, const char *first, const char *second)
{
    pp_token_store *store = open_store();
    pp_buf text;
    int found = 0;

    pp_buf_init(&text, PP_JWT_BYTES_MAX);
    if (!pp_token_store_load(store, pp_str_of(keys[key].text), 1000, &text)) {
        found = pp_str_eq(pp_buf_str(&text), pp_str_of(first))    ? 1
                : pp_str_eq(pp_buf_str(&text), pp_str_of(second)) ? 2
                                                                  : -1;
    }
    pp_buf_fini(&text);
    pp_token_store_close(store);
    return found;
}

static void test_token_store_keeps_what_it_is_given(void **state)
{
    char *first = token_of(0, 100, 0, "a"), *second = token_of(0, 200, 0, "b");
    pp_token_store *store = open_store();
    bool kept;

    (void)state;
    assert_int_equal(save(store, first, false, &kept), PIPIT_OK);
    assert_true(kept);
    assert_int_equal(pp_token_store_count(store), 1);
    assert_int_equal(reopened(0, first, second), 1);
    assert_int_equal(save(store, second, true, &kept), PIPIT_OK);
    assert_true(kept);
    assert_int_equal(save(store, first, true, &kept), PIPIT_OK); /* older */
    assert_false(kept);
    assert_int_equal(reopened(0, first, second), 2);
    assert_int_equal(save(store, first, false, &kept), PIPIT_OK);
    assert_int_equal(reopened(0, first, second), 1);
    assert_int_equal(pp_token_store_delete(store, pp_str_of(keys[0].text)), PIPIT_OK);
    assert_int_equal(pp_token_store_delete(store, pp_str_of(keys[0].text)), PIPIT_ENOTFOUND);
    assert_int_equal(reopened(0, first, second), 0);
    pp_token_store_close(store);
    free(first);
    free(second);
}

/* Whatever fails, there is the old token or the new one, and the store knows which. */
static void test_token_store_fails_whole(void **state)
{
    static const char *const points[] = {"token.write", "token.write.short", "token.sync",
                                         "token.rename", "alloc"};
    char *first = token_of(1, 100, 0, "a"), *second = token_of(1, 200, 0, "b");
    bool kept;

    (void)state;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        for (uint64_t nth = 1;; nth++) {
            pp_token_store *store = open_store();
            pipit_err err;
            int found;

            assert_int_equal(save(store, first, false, &kept), PIPIT_OK);
            pp_fault_arm(points[i], nth);
            err = save(store, second, false, &kept);
            if (!pp_fault_disarm()) {
                pp_token_store_close(store);
                break;
            }
            found = reopened(1, first, second);
            assert_int_equal(found, kept ? 2 : 1);
            assert_true(!err || !kept || strcmp(points[i], "token.sync") == 0);
            pp_token_store_close(store);
        }
    }
    free(first);
    free(second);
}

/* A power cut in the middle of writing: any beginning of the file, under its own name. */
static void test_token_store_survives_a_power_cut(void **state)
{
    char *first = token_of(2, 100, 0, "a"), *second = token_of(2, 200, 0, "b"), path[160];
    pp_token_store *store = open_store();
    bool kept;

    (void)state;
    assert_int_equal(save(store, first, false, &kept), PIPIT_OK);
    pp_token_store_close(store);
    (void)snprintf(path, sizeof(path), "%s/%s.jwt.new", dir, keys[2].text);
    for (size_t len = 0; len <= strlen(second); len += 7) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, second, len), len);
        (void)close(fd);
        assert_int_equal(reopened(2, first, second), 1);
        assert_int_equal(access(path, F_OK), -1);
    }
    /* One that was cut all the same, by somebody else, is not served, and the others are. */
    (void)snprintf(path, sizeof(path), "%s/%s.jwt", dir, keys[2].text);
    for (size_t len = 1; len < strlen(first); len += 7) {
        size_t strange;

        assert_int_equal(truncate(path, (off_t)(strlen(first) - len)), 0);
        store = open_with((pp_token_store_setup){0}, &strange);
        assert_int_equal(strange, 1);
        pp_token_store_close(store);
        assert_int_equal(reopened(2, first, second), 0);
    }
    assert_int_equal(unlink(path), 0);
    free(first);
    free(second);
}

/* While it is open, too: what is there is not what was written. */
static void test_token_store_serves_what_was_written_alone(void **state)
{
    char *first = token_of(3, 100, 0, "a"), *other = token_of(4, 100, 0, "a"), path[160];
    pp_token_store *store = open_store();
    pp_buf text;
    bool kept;
    int fd;

    (void)state;
    assert_int_equal(save(store, first, false, &kept), PIPIT_OK);
    (void)snprintf(path, sizeof(path), "%s/%s.jwt", dir, keys[3].text);
    fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, other, strlen(other)), strlen(other));
    (void)close(fd);
    pp_buf_init(&text, PP_JWT_BYTES_MAX);
    assert_int_equal(pp_token_store_load(store, pp_str_of(keys[3].text), 1000, &text),
                     PIPIT_EINVAL);
    assert_int_equal(text.len, 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0); /* nor is a link followed */
    assert_int_not_equal(pp_token_store_load(store, pp_str_of(keys[3].text), 1000, &text),
                         PIPIT_OK);
    pp_buf_fini(&text);
    pp_token_store_close(store);
    free(first);
    free(other);
}

static void test_token_store_takes_keys_alone(void **state)
{
    static const char *const names[] = {"",
                                        ".",
                                        "..",
                                        "../x",
                                        "/etc/passwd",
                                        "a/b",
                                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"};
    pp_token_store *store = open_store();
    char lower[57];
    pp_buf text;

    (void)state;
    pp_buf_init(&text, 100000);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pp_str name = pp_str_of(names[i]);

        assert_int_equal(pp_token_store_load(store, name, 1000, &text), PIPIT_EINVAL);
        assert_int_equal(pp_token_store_delete(store, name), PIPIT_EINVAL);
    }
    for (unsigned i = 0; i < 57; i++)
        lower[i] = (char)(keys[0].text[i] | (keys[0].text[i] >= 'A' ? 0x20 : 0));
    assert_int_equal(pp_token_store_load(store, pp_str_of(lower), 1000, &text), PIPIT_EINVAL);
    pp_buf_fini(&text);
    pp_token_store_close(store);
}

static void test_token_store_has_a_limit(void **state)
{
    pp_token_store *store = open_with((pp_token_store_setup){.limit = 2}, NULL);
    char *tokens[KEYS];
    bool kept;

    (void)state;
    for (unsigned i = 0; i < KEYS; i++) {
        tokens[i] = token_of(i, 100, 0, "a");
        assert_int_equal(save(store, tokens[i], false, &kept), i < 2 ? PIPIT_OK : PIPIT_ELIMIT);
    }
    assert_int_equal(save(store, tokens[1], false, &kept), PIPIT_OK);
    pp_token_store_close(store);
    store = open_with((pp_token_store_setup){.limit = 2, .evicts = true}, NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        assert_int_equal(save(store, tokens[i], false, &kept), PIPIT_OK);
        assert_int_equal(pp_token_store_count(store), 2);
        free(tokens[i]);
    }
    pp_token_store_close(store);
}

static void count_one(const char *key, void *arg)
{
    (void)key;
    (*(unsigned *)arg)++;
}

static void test_token_store_forgets_what_expires(void **state)
{
    pp_token_store *store = open_store();
    char *soon = token_of(0, 100, 1500, "a"), *later = token_of(1, 100, 3000, "a"),
         *never = token_of(2, 100, 0, "a");
    unsigned gone = 0;
    bool kept;

    (void)state;
    assert_int_equal(save(store, soon, false, &kept), PIPIT_OK);
    assert_int_equal(save(store, later, false, &kept), PIPIT_OK);
    assert_int_equal(save(store, never, false, &kept), PIPIT_OK);
    assert_int_equal(pp_token_store_expire(store, 1499, count_one, &gone), 1500);
    assert_int_equal(gone, 0);
    assert_int_equal(pp_token_store_expire(store, 1500, count_one, &gone), 3000);
    assert_int_equal(gone, 1);
    assert_int_equal(pp_token_store_expire(store, 9999, count_one, &gone), 0);
    assert_int_equal(gone, 2);
    assert_int_equal(reopened(2, never, soon), 1);
    assert_int_equal(reopened(0, soon, later), 0);
    pp_token_store_close(store);
    free(soon);
    free(later);
    free(never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token_store_keeps_what_it_is_given, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(test_token_store_fails_whole, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_token_store_survives_a_power_cut, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(test_token_store_serves_what_was_written_alone, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(test_token_store_takes_keys_alone, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_token_store_has_a_limit, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_token_store_forgets_what_expires, make_dir,
                                        remove_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
