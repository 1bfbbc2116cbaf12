/* An index is made again, and what messages of the segment are deleted stands in files of which the
 * disk does not give all, or which are about to go. */
#include "bad_disk.h"
#include "folder.h"
#include "holey.h"

#include "store/footer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECTOR_BYTES = 4096 }; /* of a disk */

/* A file, and where in it lie the deletes that were made behind a message. */
struct deletes {
    struct stat about;
    struct pp_footer footer;
    size_t at, end;
};

/* False: that message is not in it. */
static bool find_deletes(const char *path, unsigned n, struct deletes *out)
{
    int fd = open(path, O_RDONLY);
    char *bytes = holey_read_whole(fd, &out->about);
    size_t len = (size_t)out->about.st_size;
    bool found = holey_find_between(bytes, len, n, &out->at, &out->end);

    memcpy(&out->footer, bytes + len - sizeof(out->footer), sizeof(out->footer));
    assert_true(!found || out->footer.magic == PP_FOOTER_MAGIC);
    free(bytes);
    (void)close(fd);
    return found;
}

static void lose(unsigned part, const struct deletes *in, uint64_t at, uint64_t end)
{
    bad_disk()->parts[part] = (struct bad_disk_part){in->about.st_ino, at, end};
}

static void lose_nothing(void)
{
    memset(bad_disk()->parts, 0, sizeof(bad_disk()->parts));
}

/* The file where the first deletes stand: neither they nor its footer can be read. */
static void hide_deletes(void *ctx, const char *path)
{
    struct deletes deletes;

    (void)ctx;
    if (!find_deletes(path, HOLEY_MESSAGES / 2, &deletes))
        return;
    lose(0, &deletes, deletes.at, deletes.end);
    lose(1, &deletes, deletes.footer.at, (uint64_t)deletes.about.st_size);
}

/* What the disk gives of a later segment is not all that it deletes. It is not taken for that, and
 * when the disk gives the rest all is known. */
static void test_deletes_that_cannot_be_read_are_waited_for(void **state)
{
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    pp_store *store = holey_make("hidden");

    (void)state;
    pp_store_close(store);
    store = holey_open("hidden");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    folder_path("hidden/0000000001.seg", path);
    holey_damage_file(path, HOLEY_INDEX);
    folder_each_segment("hidden", hide_deletes, NULL);
    assert_true(bad_disk()->parts[0].file);
    assert_int_equal(pp_store_read(store, HOLEY_STEP, &message), PIPIT_EIO);
    lose_nothing();
    holey_await(store, HOLEY_STEP);
    holey_read_all(store);
    pp_store_close(store);
}

/* The same file: but for its footer all of it can be read. What it has behind the sector where its
 * records end is the footer, and nothing else. */
static void hide_footer(void *ctx, const char *path)
{
    struct deletes deletes;
    uint64_t at;

    (void)ctx;
    if (!find_deletes(path, HOLEY_MESSAGES / 2, &deletes))
        return;
    at = deletes.footer.at / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES;
    assert_true(at < (uint64_t)deletes.about.st_size);
    lose(0, &deletes, at, (uint64_t)deletes.about.st_size);
}

static void test_deletes_are_known_if_only_a_footer_cannot_be_read(void **state)
{
    char path[FOLDER_PATH_BYTES];
    pp_store *store = holey_make("footer");

    (void)state;
    pp_store_close(store);
    store = holey_open("footer");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    folder_path("footer/0000000001.seg", path);
    holey_damage_file(path, HOLEY_INDEX);
    folder_each_segment("footer", hide_footer, NULL);
    assert_true(bad_disk()->parts[0].file);
    holey_read_all(store);
    assert_int_equal(holey_messages_of(store), holey_count_left());
    lose_nothing();
    pp_store_close(store);
}

/* What a truncation takes out deletes messages of segments whose indexes have to be made again when
 * that is to be said again. */
static void test_deletes_are_known_that_are_cut_off(void **state)
{
    enum { LEFT = HOLEY_MESSAGES - 250 };
    pp_store *store = holey_make("cut");
    struct pp_store_message message;
    uint64_t left = 0;

    (void)state;
    pp_store_close(store);
    store = holey_open("cut");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    holey_damage("cut", HOLEY_INDEX);
    assert_int_equal(pp_store_truncate(store, LEFT * HOLEY_STEP), PIPIT_OK);
    pp_store_run(store);
    for (unsigned n = 1; n <= LEFT; n++) {
        pipit_err err = pp_store_read(store, n * HOLEY_STEP, &message);

        left += !holey_is_deleted(n);
        if (n != HOLEY_BODY_LOST && n != HOLEY_HEAD_LOST)
            assert_int_equal(err, holey_is_deleted(n) ? PIPIT_ENOTFOUND : PIPIT_OK);
    }
    assert_int_equal(holey_messages_of(store), left);
    pp_store_close(store);
}

/* The record of a message in the file that has it, which is newer than those that were cut off, and
 * the footer there. */
static void damage_again(void *ctx, const char *path)
{
    enum { DAMAGED = 510, OLD_FILES = 6 };
    static const char zeros[16];
    unsigned *damaged = ctx;
    size_t at, end;
    struct stat about;
    bool found;
    char *bytes;
    int fd;

    if (strtoul(strrchr(path, '/') + 1, NULL, 10) <= OLD_FILES)
        return;
    fd = open(path, O_RDWR);
    bytes = holey_read_whole(fd, &about);
    found = holey_find_between(bytes, (size_t)about.st_size, DAMAGED - 1, &at, &end);
    if (found)
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), (off_t)end), sizeof(zeros));
    free(bytes);
    (void)close(fd);
    if (found)
        holey_damage_file(path, HOLEY_FRONT);
    *damaged += found;
}

/* What a truncation has taken out deletes a message whose sequence comes again. It does not delete
 * that one, even while it cannot be said again what it deletes of older ones. */
static void test_deletes_that_are_cut_off_are_of_older_ones(void **state)
{
    enum { OLD = 10, WHOLE = 250, CUT = 450, DELETED = 500, LAST = 900 };
    pp_store *store = holey_open("newer");
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    unsigned damaged = 0;
    struct stat about;

    (void)state;
    for (unsigned n = 1; n <= LAST; n++)
        holey_append(store, n);
    assert_int_equal(pp_store_delete(store, OLD * HOLEY_STEP, false), PIPIT_OK);
    assert_int_equal(pp_store_delete(store, DELETED * HOLEY_STEP, false), PIPIT_OK);
    pp_store_close(store);
    store = holey_open("newer");
    assert_int_equal(pp_store_read(store, WHOLE * HOLEY_STEP, &message), PIPIT_OK);
    assert_int_equal(pp_store_read(store, CUT * HOLEY_STEP, &message), PIPIT_OK);
    folder_path("newer/0000000001.seg", path);
    assert_int_equal(stat(path, &about), 0);
    bad_disk()->files[0] = about.st_ino;
    assert_int_equal(pp_store_truncate(store, CUT * HOLEY_STEP), PIPIT_OK);
    for (unsigned n = CUT + 1; n <= LAST; n++)
        holey_append(store, n);
    pp_store_run(store);
    assert_int_equal(pp_store_read(store, WHOLE * HOLEY_STEP, &message), PIPIT_OK); /* others go */
    folder_each_segment("newer", damage_again, &damaged);
    assert_int_equal(damaged, 1);
    assert_int_equal(pp_store_read(store, DELETED * HOLEY_STEP, &message), PIPIT_OK);
    assert_int_equal(message.time_ns, DELETED);
    bad_disk()->files[0] = 0;
    pp_store_close(store);
}

/* Messages that the disk does not give, and those among them that are gone, are as many as what is
 * missing: that does not mean that none of the others is. A segment of which it is not known what
 * it deletes itself is served when that is. */
static void test_a_segment_says_itself_what_is_dead(void **state)
{
    enum { GONE = 50, EARLY_SECTOR = 2, FIRST = 100, LAST = 105, SAID = 150 };
    struct pp_store_message message;
    char path[FOLDER_PATH_BYTES];
    pp_store *store = holey_open("own");
    struct deletes deletes;
    uint64_t count;

    (void)state;
    for (unsigned n = 1; n <= HOLEY_MESSAGES; n++) {
        holey_append(store, n);
        for (unsigned gone = FIRST; n == SAID && gone <= LAST; gone++)
            assert_int_equal(pp_store_delete(store, gone * HOLEY_STEP, false), PIPIT_OK);
    }
    assert_int_equal(pp_store_purge(store, PP_STR(">"), GONE * HOLEY_STEP, 0, &count), PIPIT_OK);
    pp_store_close(store);
    store = holey_open("own");
    holey_let_indexes_go(store, HOLEY_MESSAGES / 2);
    folder_path("own/0000000001.seg", path);
    assert_true(find_deletes(path, SAID, &deletes));
    holey_damage_file(path, HOLEY_INDEX);
    lose(0, &deletes, deletes.at, deletes.end);
    lose(1, &deletes, EARLY_SECTOR * SECTOR_BYTES, (EARLY_SECTOR + 1) * SECTOR_BYTES);
    for (unsigned n = FIRST - 1; n <= LAST + 1; n++)
        assert_int_equal(pp_store_read(store, n * HOLEY_STEP, &message), PIPIT_EIO);
    lose_nothing();
    holey_await(store, FIRST * HOLEY_STEP);
    for (unsigned n = FIRST - 1; n <= LAST + 1; n++)
        assert_int_equal(pp_store_read(store, n * HOLEY_STEP, &message),
                         n >= FIRST && n <= LAST ? PIPIT_ENOTFOUND : PIPIT_OK);
    pp_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deletes_that_cannot_be_read_are_waited_for),
        cmocka_unit_test(test_deletes_are_known_if_only_a_footer_cannot_be_read),
        cmocka_unit_test(test_deletes_are_known_that_are_cut_off),
        cmocka_unit_test(test_deletes_that_are_cut_off_are_of_older_ones),
        cmocka_unit_test(test_a_segment_says_itself_what_is_dead),
    };

    return cmocka_run_group_tests(tests, bad_disk_make, folder_remove);
}
