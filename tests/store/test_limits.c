/* Limits hold where a segment cannot be read: it goes whole, and its subjects are counted right
 * afterwards. Where subjects cannot shrink at once they do later. */
#include "bad_disk.h"
#include "folder.h"
#include "holey.h"
#include "still_clock.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { EARLY = 20, KEPT = 10 };

/* Longer than any pause is. */
static const int64_t pause_ns = 60 * PP_NS_PER_S;

/* --- messages ------------------------------------------------------------------------------- */

/* Two subjects take turns; a third one has only the first messages. */
static void fill_with_subjects(const char *name)
{
    static const char payload[HOLEY_PAYLOAD_BYTES];
    pp_store *store = holey_open(name);

    for (unsigned n = 1; n <= HOLEY_MESSAGES; n++) {
        struct pp_store_message message = {.seq = n * HOLEY_STEP,
                                           .time_ns = n,
                                           .subject = n % 2 ? PP_STR("odd") : PP_STR("even"),
                                           .payload = {payload, sizeof(payload)}};

        if (n <= EARLY)
            message.subject = PP_STR("early");
        assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, NULL), PIPIT_OK);
        if (n % 100 == 0)
            pp_store_run(store);
    }
    pp_store_close(store);
}

/* It has HOLEY_MESSAGES / 2 messages, all but the first ones. */
static void check_half(pp_store *store)
{
    struct pp_store_subject told;
    struct pp_store_state state;

    pp_store_state(store, &state);
    assert_int_equal(state.messages, HOLEY_MESSAGES / 2);
    assert_int_equal(state.first_seq, (HOLEY_MESSAGES / 2 + 1) * HOLEY_STEP);
    assert_int_equal(pp_store_subject(store, PP_STR("early"), &told), PIPIT_ENOTFOUND);
    assert_int_equal(pp_store_subject(store, PP_STR("odd"), &told), PIPIT_OK);
    assert_int_equal(told.messages, HOLEY_MESSAGES / 4);
    assert_int_equal(told.first_seq, (HOLEY_MESSAGES / 2 + 1) * HOLEY_STEP);
    assert_int_equal(pp_store_subject(store, PP_STR("even"), &told), PIPIT_OK);
    assert_int_equal(told.messages, HOLEY_MESSAGES / 4);
    assert_int_equal(told.last_seq, HOLEY_MESSAGES * HOLEY_STEP);
}

static ino_t inode_of(const char *name)
{
    char path[FOLDER_PATH_BYTES];
    struct stat about;

    folder_path(name, path);
    assert_int_equal(stat(path, &about), 0);
    return about.st_ino;
}

/* A file cannot be read: nobody knows which of its messages is the first. It goes when all of it
 * has to, and not before; and no subject loses more than that. */
static void test_a_segment_that_cannot_be_read_goes_whole(void **state)
{
    const struct pp_store_limits few = {.messages = HOLEY_MESSAGES - 100},
                                 half = {.messages = HOLEY_MESSAGES / 2},
                                 each = {.per_subject = HOLEY_MESSAGES / 4};
    char path[FOLDER_PATH_BYTES];
    struct stat about;
    struct pp_store_state before, after;
    pp_store *store;

    (void)state;
    fill_with_subjects("unread");
    folder_path("unread/0000000001.seg", path);
    store = holey_open("unread");
    bad_disk()->files[0] = inode_of("unread/0000000001.seg");
    assert_int_equal(pp_store_limit(store, &few), PIPIT_EIO);
    assert_int_equal(holey_messages_of(store), HOLEY_MESSAGES);
    assert_int_equal(pp_store_limit(store, &half), PIPIT_OK);
    pp_store_run(store);
    assert_int_equal(pp_store_limit(store, &each), PIPIT_OK);
    check_half(store);
    pp_store_state(store, &before);
    pp_store_close(store);
    bad_disk()->files[0] = 0;
    assert_int_equal(stat(path, &about), -1); /* its room was given back */
    store = holey_open("unread");
    check_half(store);
    pp_store_state(store, &after);
    assert_int_equal(after.bytes, before.bytes);
    pp_store_close(store);
}

/* Whyever a file cannot be read: what it has is not served, and does not keep limits from what is
 * left. Somebody has taken it away, too. */
static void lose_first_file(const char *name, int why)
{
    const struct pp_store_limits half = {.messages = HOLEY_MESSAGES / 2};
    struct pp_store_message message;
    char file[FOLDER_PATH_BYTES], path[FOLDER_PATH_BYTES];
    pp_store *store;

    fill_with_subjects(name);
    (void)snprintf(file, sizeof(file), "%s/0000000001.seg", name);
    store = holey_open(name);
    bad_disk()->files[0] = inode_of(file);
    bad_disk()->why = why;
    folder_path(file, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pp_store_read(store, HOLEY_STEP, &message), PIPIT_EIO);
    assert_int_equal(pp_store_limit(store, &half), PIPIT_OK);
    pp_store_run(store);
    check_half(store);
    bad_disk()->files[0] = 0;
    bad_disk()->why = EIO;
    pp_store_close(store);
    store = holey_open(name);
    check_half(store);
    pp_store_close(store);
}

static void test_a_segment_goes_whole_whyever_it_cannot_be_read(void **state)
{
    (void)state;
    lose_first_file("gone", ENOENT);
    lose_first_file("denied", EACCES);
    lose_first_file("late", ETIMEDOUT);
}

/* A segment is deleted of which a truncation takes what tells of it: that is to be said again, but
 * the disk does not give what there is to say. When all of it is dead nobody has to know. */
static void test_what_is_all_dead_need_not_be_read(void **state)
{
    enum { FIRST = 300, MIDDLE = 425, LAST = 600, DELETED = 20, FEW = 1000 };
    const struct pp_store_limits few = {.messages = FEW};
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    struct stat about;
    pp_store *store;

    (void)state;
    fill_with_subjects("dead");
    store = holey_open("dead");
    for (unsigned n = HOLEY_MESSAGES + 1; n <= HOLEY_MESSAGES + 400; n++) {
        holey_append(store, n);
        if (n == HOLEY_MESSAGES + 200)
            assert_int_equal(pp_store_delete(store, DELETED * HOLEY_STEP, false), PIPIT_OK);
    }
    pp_store_close(store);
    store = holey_open("dead");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    bad_disk()->files[0] = inode_of("dead/0000000001.seg");
    assert_int_equal(pp_store_truncate(store, HOLEY_MESSAGES * HOLEY_STEP), PIPIT_OK);
    for (unsigned n = FIRST; n <= LAST; n++)
        assert_int_equal(pp_store_delete(store, n * HOLEY_STEP, false), PIPIT_OK);
    pp_store_run(store);
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    bad_disk()->files[1] = inode_of("dead/0000000003.seg");
    assert_int_equal(pp_store_read(store, MIDDLE * HOLEY_STEP, &message), PIPIT_ENOTFOUND);
    bad_disk()->files[1] = 0;
    assert_int_equal(pp_store_limit(store, &few), PIPIT_OK);
    pp_store_run(store);
    folder_path("dead/0000000001.seg", path);
    assert_int_equal(stat(path, &about), -1);
    bad_disk()->files[0] = 0;
    pp_store_close(store);
    store = holey_open("dead");
    assert_int_equal(holey_messages_of(store), FEW);
    pp_store_close(store);
}

/* --- what subjects have --------------------------------------------------------------------- */

static uint64_t append_to(pp_store *store, pp_str subject)
{
    const struct pp_store_message message = {.subject = subject, .payload = PP_STR("x")};
    uint64_t seq;

    assert_int_equal(pp_store_append(store, &message, PP_STORE_ANY, &seq), PIPIT_OK);
    return seq;
}

static uint64_t messages_on(pp_store *store, pp_str subject)
{
    struct pp_store_subject told;

    assert_int_equal(pp_store_subject(store, subject, &told), PIPIT_OK);
    return told.messages;
}

static void take_messages(void *ctx, pp_str subject, uint64_t messages)
{
    (void)subject;
    *(uint64_t *)ctx = messages;
}

/* As far as it could be counted: which is the first is not known then. */
static uint64_t messages_counted(pp_store *store, pp_str subject)
{
    uint64_t messages = 0;

    pp_store_subjects(store, subject, take_messages, &messages);
    return messages;
}

static void append_and_delete(pp_store *store, pp_str subject, unsigned count)
{
    uint64_t seqs[8];

    for (unsigned i = 0; i < count; i++)
        seqs[i] = append_to(store, subject);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pp_store_delete(store, seqs[i], false), PIPIT_OK);
    pp_store_run(store);
}

/* Two files cannot be read, and the first of them goes. */
static pp_store *lose_two(const char *name)
{
    struct pp_store_limits limits = {.messages = HOLEY_MESSAGES};
    char path[FOLDER_PATH_BYTES];
    pp_store *store;

    fill_with_subjects(name);
    store = holey_open(name);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/000000000%u.seg", name, i + 1);
        bad_disk()->files[i] = inode_of(path);
    }
    do
        limits.messages--;
    while (pp_store_limit(store, &limits) == PIPIT_EIO);
    assert_int_equal(holey_messages_of(store), limits.messages);
    assert_true(limits.messages > HOLEY_MESSAGES * 3 / 4);
    return store;
}

/* Messages are not held up by counting, as long as it does not matter. */
static void test_subjects_are_counted_when_it_matters(void **state)
{
    struct pp_store_limits limits = {.messages = HOLEY_MESSAGES / 2, .per_subject = HOLEY_MESSAGES};
    pp_store *store;

    (void)state;
    fill_with_subjects("counted");
    store = holey_open("counted");
    bad_disk()->files[0] = inode_of("counted/0000000001.seg");
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_OK);
    bad_disk()->files[0] = 0;
    assert_int_equal(pp_store_delete(store, HOLEY_MESSAGES * HOLEY_STEP, false), PIPIT_OK);
    bad_disk()->reads = 0;
    (void)append_to(store, PP_STR("odd"));
    assert_int_equal(bad_disk()->reads, 0);
    assert_int_equal(messages_counted(store, PP_STR("odd")), HOLEY_MESSAGES / 4 + 1);
    limits.per_subject = HOLEY_MESSAGES / 4;
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_OK);
    assert_int_equal(messages_on(store, PP_STR("odd")), HOLEY_MESSAGES / 4);
    assert_int_equal(messages_on(store, PP_STR("even")), HOLEY_MESSAGES / 4 - 1);
    pp_store_close(store);
}

/* What of a subject could not be counted is no matter of subjects that came later. */
static void test_later_subjects_are_counted(void **state)
{
    enum { UNIQUE = 1000 };
    const struct pp_store_limits one = {.per_subject = 1}, three = {.per_subject = 3};
    struct pp_store_state before, after;
    char subject[16];
    pp_store *store = lose_two("later");

    (void)state;
    assert_int_equal(pp_store_limit(store, &one), PIPIT_EIO); /* some has more in the second one */
    append_and_delete(store, PP_STR("new"), 1);
    (void)append_to(store, PP_STR("new"));
    pp_store_state(store, &before);
    for (unsigned i = 0; i < UNIQUE; i++) {
        int len = snprintf(subject, sizeof(subject), "u%u", i);

        append_and_delete(store, (pp_str){subject, (size_t)len}, 1);
    }
    pp_store_state(store, &after);
    assert_int_equal(after.subjects, before.subjects);
    assert_int_equal(pp_store_limit(store, &three), PIPIT_EIO);
    append_and_delete(store, PP_STR("three"), 3);
    for (unsigned i = 0; i < 3; i++)
        (void)append_to(store, PP_STR("three"));
    assert_int_equal(messages_on(store, PP_STR("three")), 3);
    assert_int_equal(messages_on(store, PP_STR("new")), 1);
    pp_store_close(store);
    bad_disk()->files[0] = bad_disk()->files[1] = 0;
}

/* When the disk gives it again it is counted, and what is over a limit goes. */
static void test_what_could_not_be_counted_is_counted_later(void **state)
{
    struct pp_store_limits each = {.per_subject = HOLEY_MESSAGES};
    pp_store *store = lose_two("healed");
    uint64_t few, all;
    bool more;

    (void)state;
    assert_int_equal(pp_store_limit(store, &each), PIPIT_OK);
    few = messages_counted(store, PP_STR("odd"));
    each.per_subject = (uint32_t)few;
    assert_int_equal(pp_store_limit(store, &each), PIPIT_OK);
    bad_disk()->files[0] = bad_disk()->files[1] = 0;
    still_clock_forward(pause_ns);
    (void)messages_on(store, PP_STR("even"));
    all = messages_on(store, PP_STR("odd"));
    assert_true(all > few + HOLEY_MESSAGES / 40);
    assert_int_equal(messages_on(store, PP_STR("even")) + all, holey_messages_of(store));
    assert_int_equal(pp_store_evict(store, &more), PIPIT_OK);
    assert_int_equal(messages_on(store, PP_STR("odd")), few);
    pp_store_close(store);
}

/* --- later ---------------------------------------------------------------------------------- */

/* All that can go now. */
static pipit_err evict_all(pp_store *store)
{
    struct pp_store_progress progress;
    pipit_err err;
    bool more;

    do {
        pp_store_progress(store, &progress);
        err = pp_store_evict(store, &more);
        if (err == PIPIT_EAGAIN)
            bad_disk_await_read(store, progress.reads);
    } while (err == PIPIT_EAGAIN || more);
    return err;
}

/* One subject is known, of the others the disk does not give the first messages: they are passed
 * over, and shrink when it does, without anybody setting limits again. */
static void shrink_later(const char *name, pp_store_pool *readers)
{
    const struct pp_store_limits few = {.per_subject = KEPT};
    const struct pp_store_options options = {.disk = &bad_disk()->disk,
                                             .segment_bytes = 64 * 1024,
                                             .readers = readers,
                                             .on_progress = bad_disk_on_progress};
    char path[FOLDER_PATH_BYTES];
    pp_store *store;

    fill_with_subjects(name);
    store = folder_open(name, &options);
    for (unsigned i = 0; i < HOLEY_MESSAGES / 2; i++) /* more than go with one call */
        (void)append_to(store, PP_STR("late"));
    (void)snprintf(path, sizeof(path), "%s/0000000001.seg", name);
    bad_disk_lose(0, inode_of(path));
    assert_int_equal(pp_store_limit(store, &few), readers ? PIPIT_OK : PIPIT_EIO);
    assert_int_equal(evict_all(store), PIPIT_EIO);
    assert_int_equal(messages_on(store, PP_STR("late")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("early")), EARLY);
    assert_int_equal(evict_all(store), PIPIT_EIO); /* it is not forgotten */
    bad_disk_lose(0, 0);
    assert_int_equal(evict_all(store), PIPIT_EIO); /* not before the pause is over */
    still_clock_forward(pause_ns);
    assert_int_equal(evict_all(store), PIPIT_OK);
    assert_int_equal(messages_on(store, PP_STR("early")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("odd")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("even")), KEPT);
    assert_int_equal(holey_messages_of(store), 4 * KEPT);
    pp_store_close(store);
}

static void test_subjects_that_were_passed_over_shrink_later(void **state)
{
    pp_store_pool *readers;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    shrink_later("passed", NULL);
    shrink_later("passed-hurried", readers);
    pp_store_pool_free(readers);
}

/* Some are looked at again with more calls than one, and are still kept by another file: whoever
 * asks is not told in between that all can go. */
static void test_a_pass_that_is_not_over_does_not_forget_the_last_one(void **state)
{
    const struct pp_store_limits few = {.per_subject = KEPT};
    struct pp_store_options options = {
        .disk = &bad_disk()->disk, .segment_bytes = 64 * 1024, .on_progress = bad_disk_on_progress};
    struct pp_store_progress progress;
    char path[FOLDER_PATH_BYTES];
    struct pp_store_state told;
    bool more = true;
    pipit_err err;
    pp_store *store;

    (void)state;
    fill_with_subjects("passes");
    store = folder_open("passes", &options);
    pp_store_state(store, &told);
    for (unsigned i = 0; i < HOLEY_MESSAGES; i++)
        (void)append_to(store, PP_STR("late"));
    pp_store_close(store);
    assert_int_equal(pp_store_pool_new(1, &options.readers), PIPIT_OK);
    store = folder_open("passes", &options);
    bad_disk_lose(0, inode_of("passes/0000000001.seg"));
    (void)snprintf(path, sizeof(path), "passes/%010u.seg", told.segments);
    bad_disk_lose(1, inode_of(path));
    assert_int_equal(pp_store_limit(store, &few), PIPIT_OK);
    assert_int_equal(evict_all(store), PIPIT_EIO);
    bad_disk_lose(1, 0);
    still_clock_forward(pause_ns);
    while (more) {
        pp_store_progress(store, &progress);
        err = pp_store_evict(store, &more);
        assert_true(err == PIPIT_EIO || err == PIPIT_EAGAIN);
        if (err == PIPIT_EAGAIN)
            bad_disk_await_read(store, progress.reads);
        more |= err == PIPIT_EAGAIN;
    }
    assert_int_equal(messages_on(store, PP_STR("late")), KEPT);
    bad_disk_lose(0, 0);
    still_clock_forward(pause_ns);
    assert_int_equal(evict_all(store), PIPIT_OK);
    assert_int_equal(holey_messages_of(store), 4 * KEPT);
    pp_store_close(store);
    pp_store_pool_free(options.readers);
}

/* Which messages the first segment has will never be known. When it has gone whole its subject is
 * within its limit, and nothing is passed over any more. */
static void test_what_goes_whole_is_not_passed_over(void **state)
{
    const unsigned first = 60, left = holey_count_left();
    const struct pp_store_limits limits = {.messages = left, .per_subject = left - first};
    pp_store *store = holey_make("lost");
    struct pp_store_state told;

    (void)state;
    pp_store_close(store);
    store = holey_open("lost");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    holey_damage("lost", HOLEY_FRONT_AND_DELETES);
    assert_int_equal(pp_store_limit(store, &limits), PIPIT_EIO);
    assert_int_equal(evict_all(store), PIPIT_EIO);
    do {
        (void)append_to(store, PP_STR("other"));
        pp_store_state(store, &told);
    } while (told.first_seq == HOLEY_STEP && told.messages < 2 * left);
    assert_int_equal(told.messages, left);
    assert_int_equal(evict_all(store), PIPIT_OK);
    assert_true(messages_on(store, PP_STR("holes.test")) <= left - first);
    pp_store_close(store);
}

/* What subjects have too much cannot go, since there is no room to say so. When there is it goes.
 */
static void shrink_on_a_full_disk(const char *name, pp_store_pool *readers)
{
    const struct pp_store_limits few = {.per_subject = KEPT};
    const struct pp_store_options options = {.disk = &bad_disk()->disk,
                                             .segment_bytes = 64 * 1024,
                                             .readers = readers,
                                             .on_progress = bad_disk_on_progress};
    unsigned n = HOLEY_MESSAGES + 1;
    pp_store *store;
    pipit_err err;

    fill_with_subjects(name);
    store = folder_open(name, &options);
    bad_disk_fill(true);
    while ((err = holey_try_append(store, n)) == PIPIT_OK)
        n++;
    assert_int_equal(err, PIPIT_ENOSPC);
    err = pp_store_limit(store, &few);
    assert_true(err == PIPIT_ENOSPC || readers);
    assert_int_equal(evict_all(store), PIPIT_ENOSPC);
    bad_disk_fill(false);
    assert_int_equal(evict_all(store), PIPIT_OK);
    pp_store_run(store);
    assert_int_equal(messages_on(store, PP_STR("odd")), KEPT);
    assert_int_equal(messages_on(store, PP_STR("even")), KEPT);
    pp_store_close(store);
}

static void test_subjects_shrink_when_a_disk_has_room_again(void **state)
{
    pp_store_pool *readers;

    (void)state;
    assert_int_equal(pp_store_pool_new(1, &readers), PIPIT_OK);
    shrink_on_a_full_disk("full", NULL);
    shrink_on_a_full_disk("full-hurried", readers);
    pp_store_pool_free(readers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_that_cannot_be_read_goes_whole),
        cmocka_unit_test(test_a_segment_goes_whole_whyever_it_cannot_be_read),
        cmocka_unit_test(test_what_is_all_dead_need_not_be_read),
        cmocka_unit_test(test_subjects_are_counted_when_it_matters),
        cmocka_unit_test(test_later_subjects_are_counted),
        cmocka_unit_test(test_what_could_not_be_counted_is_counted_later),
        cmocka_unit_test(test_subjects_that_were_passed_over_shrink_later),
        cmocka_unit_test(test_a_pass_that_is_not_over_does_not_forget_the_last_one),
        cmocka_unit_test(test_what_goes_whole_is_not_passed_over),
        cmocka_unit_test(test_subjects_shrink_when_a_disk_has_room_again),
    };

    return cmocka_run_group_tests(tests, bad_disk_make, folder_remove);
}
