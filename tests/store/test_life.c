/* A store on the real disk, written by the threads of a pool: what was settled is there afterwards.
 */
#include "folder.h"

#include "store/identity.h"
#include "store/store.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { MESSAGES = 5000 };

static void on_progress(void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static pp_store *open_in(const char *name, pp_store_pool *pool, int64_t sync_interval_ns,
                         atomic_int *told)
{
    struct pp_store_options options = {.pool = pool,
                                       .segment_bytes = 256 * 1024,
                                       .sync_interval_ns = sync_interval_ns,
                                       .on_progress = on_progress,
                                       .ctx = told};

    return folder_open(name, &options);
}

/* Append, and when too much waits for the disk, wait for it. */
static void append(pp_store *store, uint64_t n)
{
    char payload[300];
    struct pp_store_message message = {.time_ns = (int64_t)n, .subject = PP_STR("life.test")};
    pipit_err err;

    memset(payload, (int)n, sizeof(payload));
    message.payload = (pp_str){payload, sizeof(payload)};
    while ((err = pp_store_append(store, &message, PP_STORE_ANY, NULL)) == PIPIT_EAGAIN)
        (void)usleep(1); /* the pool makes room */
    assert_int_equal(err, PIPIT_OK);
}

static void check_all(pp_store *store)
{
    struct pp_store_message message;
    char payload[300];

    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        assert_int_equal(pp_store_read(store, seq, &message), PIPIT_OK);
        memset(payload, (int)seq, sizeof(payload));
        assert_int_equal(message.time_ns, (int64_t)seq);
        assert_int_equal(message.payload.len, sizeof(payload));
        assert_memory_equal(message.payload.ptr, payload, sizeof(payload));
    }
}

static void play(const char *name, int64_t sync_interval_ns)
{
    int64_t live = pp_alloc_live();
    struct pp_store_progress progress;
    struct pp_store_state store_state;
    atomic_int told = 0;
    pp_store_pool *pool;
    pp_store *store;

    assert_int_equal(pp_store_pool_new(2, &pool), PIPIT_OK);
    store = open_in(name, pool, sync_interval_ns, &told);
    for (uint64_t n = 1; n <= MESSAGES; n++)
        append(store, n);
    check_all(store); /* also what is not written yet */
    assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
    pp_store_progress(store, &progress);
    assert_int_equal(progress.seq, MESSAGES);
    assert_true(atomic_load(&told) > 0);
    pp_store_close(store);

    store = open_in(name, pool, sync_interval_ns, &told);
    check_all(store);
    pp_store_state(store, &store_state);
    assert_true(store_state.segments > 2);
    assert_true(store_state.index_bytes <= 8 * MESSAGES + 16 * 1024);
    pp_store_close(store);
    pp_store_pool_free(pool);
    assert_int_equal(pp_alloc_live(), live);
}

static void test_what_was_settled_is_there(void **state)
{
    (void)state;
    play("synced", 0);
}

static void test_lazy_store_is_there_when_closed(void **state)
{
    (void)state;
    play("lazy", 50 * PP_NS_PER_MS);
}

/* Blocks of the files that messages are in. */
static uint64_t usage_of(const char *name)
{
    char dir[FOLDER_PATH_BYTES], command[3 * FOLDER_PATH_BYTES], line[64] = "";
    FILE *du;

    folder_path(name, dir);
    (void)snprintf(command, sizeof(command), "du -c -B1 %s/*.seg %s/spare 2>/dev/null | tail -1",
                   dir, dir);
    du = popen(command, "r");
    assert_non_null(du);
    assert_non_null(fgets(line, sizeof(line), du));
    (void)pclose(du);
    return strtoull(line, NULL, 10);
}

static void test_what_it_says_it_takes_is_what_it_takes(void **state)
{
    enum { BLOCK = 4096 };
    struct pp_store_state told;
    atomic_int ignored = 0;
    pp_store_pool *pool;
    pp_store *store;
    uint64_t count;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &pool), PIPIT_OK);
    store = open_in("usage", pool, 0, &ignored);
    for (uint64_t turn = 0; turn < 4; turn++) {
        for (uint64_t n = 1; n <= MESSAGES; n++)
            append(store, turn * MESSAGES + n);
        for (uint64_t seq = turn * MESSAGES + 1; turn < 2 && seq < turn * MESSAGES + 1000; seq++)
            assert_int_not_equal(pp_store_delete(store, seq, false), PIPIT_ENOTFOUND);
        if (turn == 2)
            assert_int_equal(pp_store_purge(store, PP_STR(">"), 2 * MESSAGES, 0, &count), PIPIT_OK);
        assert_int_equal(pp_store_wait(store, pp_store_issued(store)), PIPIT_OK);
        pp_store_close(store); /* then nothing is under way */
        store = open_in("usage", pool, 0, &ignored);
        pp_store_state(store, &told);
        assert_true(told.disk_bytes <= usage_of("usage") + BLOCK);
        assert_true(told.disk_bytes + BLOCK >= usage_of("usage"));
    }
    pp_store_close(store);
    pp_store_pool_free(pool);
}

/* Each subject has two messages and may have one; the records that say so do not all find room
 * among what waits to be written. The rest goes when it is asked for again. */
static void test_what_subjects_have_too_much_goes_later(void **state)
{
    enum { SUBJECTS = 2000 };
    const struct pp_store_limits limits = {.per_subject = 1};
    const struct pp_store_options options = {.pending_max = 8 * 1024};
    pp_store *store = folder_open("subjects", &options);
    struct pp_store_state told;
    char subject[32];
    bool more;

    (void)state;
    for (unsigned i = 0; i < 4 * SUBJECTS; i++) {
        int len =
            snprintf(subject, sizeof(subject), "life.%u", i % 2 ? SUBJECTS : i / 2 % SUBJECTS);
        const struct pp_store_message message = {.subject = {subject, (size_t)len}};

        pipit_err err;

        while ((err = pp_store_append(store, &message, PP_STORE_ANY, NULL)) == PIPIT_EAGAIN)
            pp_store_run(store);
        assert_int_equal(err, PIPIT_OK);
    }
    pp_store_run(store);
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_EAGAIN);
    pp_store_state(store, &told);
    assert_true(told.messages > SUBJECTS + 1);
    pp_store_run(store);
    while (pp_store_evict(store, &more) == PIPIT_EAGAIN)
        pp_store_run(store);
    pp_store_state(store, &told);
    assert_int_equal(told.messages, SUBJECTS + 1);
    pp_store_close(store);
}

static void test_one_process_has_it_open(void **state)
{
    struct pp_store_options options = {.create = true};
    char dir[FOLDER_PATH_BYTES], why[PP_STORE_WHY_BYTES];
    pp_store *first = folder_open("locked", &options), *second;

    (void)state;
    folder_path("locked", dir);
    options.dir = dir;
    assert_int_equal(pp_store_open(&options, &second, why), PIPIT_EINUSE);
    pp_store_close(first);
    pp_store_close(folder_open("locked", &options));
}

static void test_another_format_is_refused_untouched(void **state)
{
    struct pp_store_options options = {.create = true};
    char dir[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES], why[PP_STORE_WHY_BYTES];
    pp_store *store;
    FILE *file;

    (void)state;
    pp_store_close(folder_open("foreign", &options));
    folder_path("foreign", dir);
    folder_path("foreign/manifest", path);
    options.dir = dir;
    {
        struct pp_identity id;

        file = fopen(path, "r+");
        assert_non_null(file);
        assert_int_equal(fread(&id, sizeof(id), 1, file), 1);
        id.version = 2;
        pp_identity_seal(&id);
        rewind(file);
        assert_int_equal(fwrite(&id, sizeof(id), 1, file), 1);
        (void)fclose(file);
    }
    assert_int_equal(pp_store_open(&options, &store, why), PIPIT_EPROTO);
    assert_non_null(strstr(why, "format 2"));
}

/* The descriptors that a process may have are fewer than a large store's files. */
static void test_more_files_than_may_be_open(void **state)
{
    enum { FILES = 16 };
    struct pp_store_options options = {.segment_bytes = 64 * 1024};
    struct pp_store_state store_state;
    struct rlimit before, few;
    pp_store *store = folder_open("many", &options);

    (void)state;
    for (uint64_t seq = 1; seq <= MESSAGES; seq++)
        append(store, seq);
    pp_store_state(store, &store_state);
    assert_true(store_state.segments > FILES);
    pp_store_close(store);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)dup(STDIN_FILENO);
    assert_int_equal(close((int)few.rlim_cur), 0);
    few.rlim_cur += FILES;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    store = folder_open("many", &options);
    check_all(store);
    pp_store_close(store);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_settled_is_there),
        cmocka_unit_test(test_lazy_store_is_there_when_closed),
        cmocka_unit_test(test_what_it_says_it_takes_is_what_it_takes),
        cmocka_unit_test(test_what_subjects_have_too_much_goes_later),
        cmocka_unit_test(test_more_files_than_may_be_open),
        cmocka_unit_test(test_one_process_has_it_open),
        cmocka_unit_test(test_another_format_is_refused_untouched),
    };

    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
