/* Topics: their names, their streams, who is told what. The owner is the test; it is woken through
 * a condition. */
#include "topic/name.h"
#include "topic/topic.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_S = 60 };

/* --- names -------------------------------------------------------------------------------- */

static void test_name_has_one_subject_and_one_place(void **state)
{
    static const struct {
        const char *name, *subject, *file;
    } cases[] = {
        {"topic-a", "mb.topic-a", "topic-topic-a"},
        {"", "mb.%", "topic-"},
        {"%", "mb.%25", "topic-%25"},
        {"a b.c*d>", "mb.a%20b%2Ec%2Ad%3E", "topic-a%20b%2Ec%2Ad%3E"},
        {"../x/", "mb.%2E%2E/x/", "topic-%2E%2E%-x%-"},
        {"\xc3\xa9", "mb.%C3%A9", "topic-%C3%A9"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char subject[256], file[PP_TOPIC_FILE_BYTES], back[PP_TOPIC_FILE_BYTES];
        pp_str name = pp_str_of(cases[i].name);
        size_t len = pp_topic_subject(name, subject);

        assert_true(pp_str_eq((pp_str){subject, len}, pp_str_of(cases[i].subject)));
        assert_true(pp_topic_of_subject((pp_str){subject, len}, back, &len));
        assert_true(pp_str_eq((pp_str){back, len}, name));
        assert_false(pp_topic_file(name, file));
        assert_string_equal(file, cases[i].file);
        assert_true(pp_topic_of_file(pp_str_of(file), back, &len));
        assert_true(pp_str_eq((pp_str){back, len}, name));
    }
}

static void test_name_of_nothing_else_is_taken(void **state)
{
    static const char *const subjects[] = {"mb.",    "mb",     "mc.a",   "mb.a.b", "mb.%4",
                                           "mb.%4G", "mb.%41", "mb.%2f", "mb.a b", "mb.%%"};
    char out[64];
    size_t len;

    (void)state;
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
        assert_false(pp_topic_of_subject(pp_str_of(subjects[i]), out, &len));
}

static void test_name_too_long_for_a_file_has_a_hash(void **state)
{
    char name[300], file[PP_TOPIC_FILE_BYTES], back[PP_TOPIC_FILE_BYTES];

    (void)state;
    memset(name, 'x', sizeof(name));
    for (size_t len = 200; len < sizeof(name); len++) {
        size_t back_len;
        bool is_long = pp_topic_file((pp_str){name, len}, file);

        assert_true(strlen(file) < PP_TOPIC_FILE_BYTES);
        assert_int_equal(is_long, !pp_topic_of_file(pp_str_of(file), back, &back_len));
        if (!is_long)
            assert_true(pp_str_eq((pp_str){back, back_len}, (pp_str){name, len}));
    }
    assert_true(pp_topic_file((pp_str){name, sizeof(name)}, file));
}

/* --- an owner ----------------------------------------------------------------------------- */

struct owner {
    pp_topics *topics;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken;
    atomic_uint wakes;
    unsigned grown;         /* how often it was told so */
    unsigned grown_in_vain; /* of these, when it asked to be told again */
    char told[4096];        /* what it was told, in words */
    pp_log log;
    atomic_uint kept, freed; /* lines of the log: messages cannot go, and can again */
};

static const struct pp_topics_limits wide = {.topics = 100, .backlog_bytes = 1 << 20};

static void tell(struct owner *owner, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(struct owner *owner, const char *format, ...)
{
    size_t len = strlen(owner->told);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(owner->told + len, sizeof(owner->told) - len, format, args);
    va_end(args);
}

static void wake(void *ctx)
{
    struct owner *owner = ctx;

    (void)pthread_mutex_lock(&owner->lock);
    owner->woken = true;
    atomic_fetch_add(&owner->wakes, 1);
    (void)pthread_cond_signal(&owner->changed);
    (void)pthread_mutex_unlock(&owner->lock);
}

static void on_ready(void *ctx, pp_topic *topic)
{
    (void)ctx;
    (void)topic;
}

static void on_settled(void *ctx, pp_topic *topic, uint64_t publisher, uint64_t first,
                       uint64_t last)
{
    (void)topic;
    for (uint64_t seq = first; seq <= last; seq++)
        tell(ctx, "%d:%d ", (int)publisher, (int)seq);
}

static bool on_read(void *ctx, pp_topic *topic)
{
    (void)ctx;
    (void)topic;
    return true;
}

static bool on_grown(void *ctx, pp_topic *topic)
{
    struct owner *owner = ctx;

    (void)topic;
    owner->grown++;
    return owner->grown > owner->grown_in_vain;
}

static void on_lost(void *ctx, pp_topic *topic, uint64_t publisher)
{
    (void)topic;
    tell(ctx, "lost:%d ", (int)publisher);
}

static void turn(struct owner *owner)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    (void)pthread_mutex_lock(&owner->lock);
    while (!owner->woken)
        assert_int_equal(pthread_cond_timedwait(&owner->changed, &owner->lock, &until), 0);
    owner->woken = false;
    (void)pthread_mutex_unlock(&owner->lock);
    pp_topics_turn(owner->topics);
}

static void count_line(void *context, pp_log_level level, const char *text)
{
    struct owner *owner = context;

    (void)level;
    if (strstr(text, "messages of a topic cannot go"))
        atomic_fetch_add(&owner->kept, 1);
    if (strstr(text, "messages of a topic can go again"))
        atomic_fetch_add(&owner->freed, 1);
}

static pipit_err open_owner_on(struct owner *owner, const char *dir,
                               const struct pp_topics_limits *limits, pp_disk *disk)
{
    static const struct pp_topics_files plain;
    const struct pp_topics_host host = {
        .log = &owner->log,
        .ctx = owner,
        .wake = wake,
        .on_ready = on_ready,
        .on_settled = on_settled,
        .on_read = on_read,
        .on_grown = on_grown,
        .on_lost = on_lost,
    };
    pipit_err err;

    *owner = (struct owner){.log = {.sink = count_line, .context = owner}};
    (void)pthread_mutex_init(&owner->lock, NULL);
    (void)pthread_cond_init(&owner->changed, NULL);
    err = pp_topics_new(&owner->topics, &host, dir, &plain, limits, disk);
    return err ? err : pp_topics_start(owner->topics);
}

static pipit_err open_owner(struct owner *owner, const char *dir,
                            const struct pp_topics_limits *limits)
{
    return open_owner_on(owner, dir, limits, NULL);
}

static void close_owner(struct owner *owner)
{
    pp_topics_free(owner->topics);
    (void)pthread_cond_destroy(&owner->changed);
    (void)pthread_mutex_destroy(&owner->lock);
}

static pp_topic *open_topic(struct owner *owner, pp_str name)
{
    pp_topic *topic;

    assert_int_equal(pp_topics_get(owner->topics, name, 0, &topic), PIPIT_OK);
    while (topic->state == PP_TOPIC_OPENING)
        turn(owner);
    return topic;
}

static void settle(struct owner *owner, pp_topic *topic)
{
    while (topic->settled_seq < topic->last_seq || !pp_list_empty(&topic->backlog))
        turn(owner);
}

static void expect_message(pp_topic *topic, uint64_t seq, const char *data)
{
    struct pp_store_message message;

    assert_int_equal(pp_topic_next(topic, seq, &message), PIPIT_OK);
    assert_true(pp_str_eq(message.payload, pp_str_of(data)));
    assert_true(pp_str_eq(message.subject, topic->subject));
}

/* --- folders ------------------------------------------------------------------------------ */

static void make_folder(char *out)
{
    strcpy(out, "/tmp/pipit-topic-XXXXXX");
    assert_non_null(mkdtemp(out));
}

static void remove_folder(const char *path)
{
    char below[1024];
    struct dirent *entry;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
        if (unlink(below) < 0)
            remove_folder(below);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

/* --- topics ------------------------------------------------------------------------------- */

static void publish_some(struct owner *owner, pp_topic *topic)
{
    pipit_err err;

    /* Before it is open, too. */
    err = pp_topic_publish(topic, 1, PP_STR("one"), 10);
    assert_true(err == PIPIT_OK || err == PIPIT_EAGAIN);
    err = pp_topic_publish(topic, 1, PP_STR("two"), 20);
    assert_true(err == PIPIT_OK || err == PIPIT_EAGAIN);
    err = pp_topic_publish(topic, 2, PP_STR("three"), 30);
    assert_true(err == PIPIT_OK || err == PIPIT_EAGAIN);
    settle(owner, topic);
    assert_string_equal(owner->told, "1:1 1:2 2:3 ");
    expect_message(topic, 0, "one");
    expect_message(topic, 3, "three");
}

static void check_kind(const char *dir)
{
    struct pp_store_message message;
    struct owner owner;
    pp_topic *topic;

    assert_int_equal(open_owner(&owner, dir, &wide), PIPIT_OK);
    assert_int_equal(pp_topics_get(owner.topics, PP_STR("a"), 0, &topic), PIPIT_OK);
    publish_some(&owner, topic);
    assert_int_equal(pp_topic_next(topic, 4, &message), PIPIT_ENOTFOUND);
    assert_ptr_equal(open_topic(&owner, PP_STR("a")), topic);
    assert_ptr_not_equal(open_topic(&owner, PP_STR("A")), topic);
    assert_int_equal(pp_topics_count(owner.topics), 2);
    close_owner(&owner);
}

static void test_topics_tell_what_is_settled(void **state)
{
    char dir[64];

    (void)state;
    check_kind(NULL);
    make_folder(dir);
    check_kind(dir);
    remove_folder(dir);
}

/* What an owner cannot do in one turn it is asked for again, though nothing is published. */
static void test_topics_tell_again_who_is_not_through(void **state)
{
    struct owner owner;
    pp_topic *topic;

    (void)state;
    assert_int_equal(open_owner(&owner, NULL, &wide), PIPIT_OK);
    owner.grown_in_vain = 3;
    topic = open_topic(&owner, PP_STR("a"));
    assert_int_equal(pp_topic_publish(topic, 1, PP_STR("x"), 10), PIPIT_OK);
    while (owner.grown < 4)
        turn(&owner);
    assert_string_equal(owner.told, "1:1 ");
    assert_false(owner.woken);
    close_owner(&owner);
}

/* What was accepted before the topic was open is there after the end. */
static void test_topics_store_what_waits_when_they_stop(void **state)
{
    enum { TOPICS = 5 };
    static const char *const names[TOPICS] = {"a", "b", "c", "d", "e"};
    struct owner owner;
    pp_topic *topic;
    char dir[64];

    (void)state;
    make_folder(dir);
    assert_int_equal(open_owner(&owner, dir, &wide), PIPIT_OK);
    for (size_t i = 0; i < TOPICS; i++) {
        assert_int_equal(pp_topics_get(owner.topics, pp_str_of(names[i]), 0, &topic), PIPIT_OK);
        assert_int_equal(pp_topic_publish(topic, 1, PP_STR("first"), 10), PIPIT_EAGAIN);
        assert_int_equal(pp_topic_publish(topic, 1, PP_STR("second"), 10), PIPIT_EAGAIN);
    }
    close_owner(&owner);
    assert_string_equal(owner.told, "");
    assert_int_equal(open_owner(&owner, dir, &wide), PIPIT_OK);
    for (size_t i = 0; i < TOPICS; i++) {
        topic = open_topic(&owner, pp_str_of(names[i]));
        assert_int_equal(topic->settled_seq, 2);
        expect_message(topic, 1, "first");
        expect_message(topic, 2, "second");
    }
    close_owner(&owner);
    remove_folder(dir);
}

static void test_topics_are_there_again(void **state)
{
    char dir[64], below[128], long_name[1000];
    pp_str names[] = {PP_STR("a/b c"), PP_STR(""), {long_name, sizeof(long_name)}};
    struct owner owner;

    (void)state;
    memset(long_name, 'n', sizeof(long_name));
    make_folder(dir);
    (void)snprintf(below, sizeof(below), "%s/not/there/yet", dir);
    assert_int_equal(open_owner(&owner, below, &wide), PIPIT_OK);
    for (size_t i = 0; i < 3; i++) {
        pp_topic *topic = open_topic(&owner, names[i]);

        assert_int_equal(pp_topic_publish(topic, 1, PP_STR("kept"), 10), PIPIT_OK);
        assert_int_equal(pp_topic_publish(topic, 1, PP_STR("too"), 10), PIPIT_OK);
    }
    close_owner(&owner); /* what has not been settled is, now */
    assert_int_equal(open_owner(&owner, below, &wide), PIPIT_OK);
    assert_int_equal(pp_topics_count(owner.topics), 3);
    for (size_t i = 0; i < 3; i++) {
        pp_topic *topic = open_topic(&owner, names[i]);

        assert_int_equal(topic->last_seq, 2);
        assert_int_equal(topic->settled_seq, 2);
        expect_message(topic, 1, "kept");
        expect_message(topic, 2, "too");
    }
    assert_string_equal(owner.told, ""); /* nothing that is old is told */
    close_owner(&owner);
    remove_folder(dir);
}

static void test_topics_have_limits(void **state)
{
    struct pp_topics_limits narrow = {.topics = 2, .backlog_bytes = 100};
    struct owner owner;
    pp_topic *topic;

    (void)state;
    narrow.stream.messages = 3;
    assert_int_equal(open_owner(&owner, NULL, &narrow), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    (void)open_topic(&owner, PP_STR("b"));
    assert_int_equal(pp_topics_get(owner.topics, PP_STR("c"), 0, &topic), PIPIT_ELIMIT);
    topic = open_topic(&owner, PP_STR("a"));
    for (int i = 0; i < 5; i++)
        assert_int_equal(pp_topic_publish(topic, 1, i == 2 ? PP_STR("third") : PP_STR("x"), 10),
                         PIPIT_OK);
    settle(&owner, topic);
    expect_message(topic, 1, "third"); /* the oldest have gone, and offsets go on counting */
    assert_int_equal(topic->last_seq, 5);
    narrow.stream.messages = 1;
    pp_topics_limit(owner.topics, &narrow);
    expect_message(topic, 1, "x");
    close_owner(&owner);
}

static void test_topics_forget_what_is_too_old(void **state)
{
    struct pp_topics_limits aged = wide;
    struct pp_store_message message;
    struct owner owner;
    pp_topic *topic;

    (void)state;
    aged.stream.age_ns = PP_NS_PER_S;
    assert_int_equal(open_owner(&owner, NULL, &aged), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    assert_int_equal(pp_topic_publish(topic, 1, PP_STR("old"), 10), PIPIT_OK);
    assert_int_equal(pp_topic_publish(topic, 1, PP_STR("new"), PP_NS_PER_S), PIPIT_OK);
    settle(&owner, topic);
    assert_false(pp_topics_expire(owner.topics, PP_NS_PER_S));
    expect_message(topic, 1, "old");
    assert_false(pp_topics_expire(owner.topics, PP_NS_PER_S + 11));
    expect_message(topic, 1, "new");
    assert_false(pp_topics_expire(owner.topics, 2 * PP_NS_PER_S + 1));
    assert_int_equal(pp_topic_next(topic, 1, &message), PIPIT_ENOTFOUND);
    close_owner(&owner);
}

/* The folder of a topic is a file: it cannot be opened, and whoever waits is told. */
static void test_topics_that_cannot_be_opened_say_so(void **state)
{
    char dir[64], path[128];
    struct owner owner;
    pp_topic *topic;
    FILE *file;

    (void)state;
    make_folder(dir);
    assert_int_equal(open_owner(&owner, dir, &wide), PIPIT_OK);
    (void)snprintf(path, sizeof(path), "%s/topic-a", dir);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(pp_topics_get(owner.topics, PP_STR("a"), 0, &topic), PIPIT_OK);
    assert_int_equal(pp_topic_publish(topic, 7, PP_STR("x"), 10), PIPIT_EAGAIN);
    topic = open_topic(&owner, PP_STR("a"));
    while (topic->state == PP_TOPIC_OPENING)
        turn(&owner);
    assert_int_equal(topic->state, PP_TOPIC_FAILED);
    assert_string_equal(owner.told, "lost:7 ");
    assert_int_not_equal(pp_topic_publish(topic, 7, PP_STR("x"), 10), PIPIT_OK);
    /* When the way is free, it is opened; but not at once. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(pp_topics_get(owner.topics, PP_STR("a"), PP_NS_PER_S, &topic), PIPIT_OK);
    while (topic->state == PP_TOPIC_OPENING)
        turn(&owner);
    assert_int_equal(topic->state, PP_TOPIC_OPEN);
    close_owner(&owner);
    remove_folder(dir);
}

/* --- a disk that fails -------------------------------------------------------------------- */

/* The real one, until it is told what to answer to writes, or that there is no room. */
struct failing_disk {
    pp_disk disk;
    struct pp_disk_ops ops;
    atomic_int write_answer;   /* 0: what the real one answers */
    atomic_int reserve_answer; /* the same */
    atomic_int read_answer;
    _Atomic ino_t read_file; /* of which alone that holds; 0: of all */
};

static struct failing_disk failing;

static ssize_t write_or_fail(pp_disk *disk, int fd, const void *from, size_t bytes, uint64_t at)
{
    int answer = atomic_load(&failing.write_answer);

    (void)disk;
    return answer ? answer : pp_disk_real()->ops->write(pp_disk_real(), fd, from, bytes, at);
}

static int reserve_or_fail(pp_disk *disk, int fd, uint64_t bytes)
{
    int answer = atomic_load(&failing.reserve_answer);

    (void)disk;
    return answer ? answer : pp_disk_real()->ops->reserve(pp_disk_real(), fd, bytes);
}

static ssize_t read_or_fail(pp_disk *disk, int fd, void *out, size_t bytes, uint64_t at)
{
    int answer = atomic_load(&failing.read_answer);
    ino_t file = atomic_load(&failing.read_file);
    struct stat about;

    (void)disk;
    if (answer && file && fstat(fd, &about) == 0 && about.st_ino != file)
        answer = 0;
    return answer ? answer : pp_disk_real()->ops->read(pp_disk_real(), fd, out, bytes, at);
}

static pp_disk *make_failing(void)
{
    failing.ops = *pp_disk_real()->ops;
    failing.ops.write = write_or_fail;
    failing.ops.reserve = reserve_or_fail;
    failing.ops.read = read_or_fail;
    failing.disk.ops = &failing.ops;
    atomic_store(&failing.write_answer, 0);
    atomic_store(&failing.reserve_answer, 0);
    atomic_store(&failing.read_answer, 0);
    atomic_store(&failing.read_file, 0);
    return &failing.disk;
}

/* Nothing that has not been settled is seen, and who published it is told. */
static void test_topics_whose_disk_fails_say_so(void **state)
{
    struct pp_store_message message;
    struct owner owner;
    pp_topic *topic;
    char dir[64];
    pipit_err err;

    (void)state;
    make_folder(dir);
    assert_int_equal(open_owner_on(&owner, dir, &wide, make_failing()), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    assert_int_equal(pp_topic_publish(topic, 1, PP_STR("kept"), 10), PIPIT_OK);
    settle(&owner, topic);
    atomic_store(&failing.write_answer, -EIO);
    assert_int_equal(pp_topic_publish(topic, 2, PP_STR("lost"), 10), PIPIT_OK);
    err = pp_topic_publish(topic, 3, PP_STR("lost"), 10); /* the first may have failed by now */
    while (!topic->frozen)
        turn(&owner);
    assert_string_equal(owner.told, err ? "1:1 lost:2 " : "1:1 lost:2 lost:3 ");
    assert_int_equal(topic->settled_seq, 1);
    expect_message(topic, 1, "kept");
    assert_int_equal(pp_topic_next(topic, 2, &message), PIPIT_ENOTFOUND);
    assert_int_equal(pp_topic_publish(topic, 2, PP_STR("refused"), 10), PIPIT_EIO);
    close_owner(&owner);
    assert_int_equal(open_owner(&owner, dir, &wide), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    assert_int_equal(topic->last_seq, 1);
    assert_int_equal(pp_topic_publish(topic, 2, PP_STR("again"), 10), PIPIT_OK);
    settle(&owner, topic);
    expect_message(topic, 2, "again");
    close_owner(&owner);
    remove_folder(dir);
}

/* A full disk refuses, and takes messages again when there is room; none that was accepted is
 * missing. */
static void test_topics_on_a_full_disk_recover(void **state)
{
    static char data[64 * 1024];
    struct owner owner;
    pp_topic *topic;
    char dir[64];
    uint64_t accepted = 0;
    int64_t until_ns = pp_clock_mono_ns() + WAIT_S * PP_NS_PER_S;
    pipit_err err = PIPIT_OK;

    (void)state;
    make_folder(dir);
    assert_int_equal(open_owner_on(&owner, dir, &wide, make_failing()), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    atomic_store(&failing.reserve_answer, -ENOSPC);
    while (err != PIPIT_ENOSPC) {
        assert_true(accepted < 1000);
        err = pp_topic_publish(topic, 1, (pp_str){data, sizeof(data)}, 10);
        assert_true(err == PIPIT_OK || err == PIPIT_EAGAIN || err == PIPIT_ENOSPC);
        accepted += err != PIPIT_ENOSPC;
        if (!err || !pp_list_empty(&topic->backlog))
            settle(&owner, topic);
        /* What was accepted and then did not fit is told. */
        if (strstr(owner.told, "lost:1 "))
            err = PIPIT_ENOSPC;
    }
    assert_false(topic->frozen);
    accepted -= strstr(owner.told, "lost:1 ") != NULL;
    assert_int_equal(topic->settled_seq, accepted);
    atomic_store(&failing.reserve_answer, 0);
    do {
        assert_true(pp_clock_mono_ns() < until_ns);
        owner.told[0] = '\0';
        err = pp_topic_publish(topic, 2, PP_STR("room again"), 10);
        if (err == PIPIT_EAGAIN)
            settle(&owner, topic);
    } while (err == PIPIT_ENOSPC || strstr(owner.told, "lost:2"));
    settle(&owner, topic);
    expect_message(topic, topic->last_seq, "room again");
    assert_int_equal(topic->last_seq, accepted + 1);
    close_owner(&owner);
    remove_folder(dir);
}

/* Messages of 64 KiB; nobody has the topic open afterwards. */
static void fill_topic(const char *dir, unsigned messages)
{
    static char data[64 * 1024];
    struct owner owner;
    pp_topic *topic;

    assert_int_equal(open_owner(&owner, dir, &wide), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    for (unsigned i = 0; i < messages; i++) {
        assert_int_not_equal(pp_topic_publish(topic, 1, (pp_str){data, sizeof(data)}, 10),
                             PIPIT_ELIMIT);
        settle(&owner, topic);
    }
    close_owner(&owner);
}

/* Messages that wake the topic, until what is over its limits has gone. */
static void publish_until_freed(struct owner *owner, pp_topic *topic)
{
    int64_t until_ns = pp_clock_mono_ns() + WAIT_S * PP_NS_PER_S;

    while (atomic_load(&owner->freed) == 0) {
        assert_true(pp_clock_mono_ns() < until_ns);
        (void)pp_topic_publish(topic, 1, PP_STR("x"), 10);
        settle(owner, topic);
    }
}

/* Nobody can tell which message is the oldest: it stays, and that is told, once. */
static void test_topics_that_cannot_shrink_say_so(void **state)
{
    enum { MESSAGES = 60, KEPT = 55, MORE = 5 }; /* less than the first segment has */
    struct pp_topics_limits narrow = wide;
    struct owner owner;
    pp_topic *topic;
    char dir[64];

    (void)state;
    make_folder(dir);
    fill_topic(dir, MESSAGES);
    assert_int_equal(open_owner_on(&owner, dir, &wide, make_failing()), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    assert_int_equal(topic->last_seq, MESSAGES);
    narrow.stream.messages = KEPT;
    atomic_store(&failing.read_answer, -EIO);
    pp_topics_limit(owner.topics, &narrow);
    while (atomic_load(&owner.kept) == 0)
        turn(&owner);
    for (unsigned i = 0; i < MORE; i++) {
        (void)pp_topic_publish(topic, 1, PP_STR("x"), 10);
        settle(&owner, topic);
    }
    assert_int_equal(atomic_load(&owner.kept), 1);
    assert_int_equal(atomic_load(&owner.freed), 0);
    atomic_store(&failing.read_answer, 0);
    publish_until_freed(&owner, topic);
    assert_int_equal(atomic_load(&owner.kept), 1);
    close_owner(&owner);
    remove_folder(dir);
}

static void publish_old(struct owner *owner, pp_topic *topic, unsigned messages)
{
    for (unsigned i = 0; i < messages; i++) {
        (void)pp_topic_publish(topic, 1, PP_STR("x"), 10);
        settle(owner, topic);
    }
}

/* A file cannot be read, and more messages of others age than go with one call: that those cannot
 * go is told, once, and not with each sweep that the others can. */
static void test_topics_that_cannot_age_say_so(void **state)
{
    enum { MESSAGES = 60, AT_ONCE = 64, ROUNDS = 3 };
    int64_t until_ns = pp_clock_mono_ns() + WAIT_S * PP_NS_PER_S;
    struct pp_topics_limits aged = wide;
    char dir[64], path[128];
    struct stat about;
    struct owner owner;
    pp_topic *topic;

    (void)state;
    aged.stream.age_ns = PP_NS_PER_S;
    make_folder(dir);
    fill_topic(dir, MESSAGES);
    (void)snprintf(path, sizeof(path), "%s/topic-a/0000000001.seg", dir);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(open_owner_on(&owner, dir, &aged, make_failing()), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    atomic_store(&failing.read_file, about.st_ino);
    atomic_store(&failing.read_answer, -EIO);
    while (atomic_load(&owner.kept) == 0) {
        assert_true(pp_clock_mono_ns() < until_ns);
        (void)pp_topics_expire(owner.topics, 2 * PP_NS_PER_S);
        publish_old(&owner, topic, 1);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        publish_old(&owner, topic, 2 * AT_ONCE);
        while (pp_topics_expire(owner.topics, 2 * PP_NS_PER_S))
            assert_true(pp_clock_mono_ns() < until_ns);
    }
    assert_int_equal(atomic_load(&owner.kept), 1);
    assert_int_equal(atomic_load(&owner.freed), 0);
    close_owner(&owner);
    remove_folder(dir);
}

/* --- a disk that is slow for who opens -------------------------------------------------------- */

static struct slow_disk {
    pp_disk disk;
    struct pp_disk_ops ops;
    pthread_t opener; /* who locks a store */
    atomic_bool opening;
    struct owner *owner;
} slow;

static int lock_and_note(pp_disk *disk, int fd)
{
    (void)disk;
    slow.opener = pthread_self();
    atomic_store(&slow.opening, true);
    return pp_disk_real()->ops->lock(pp_disk_real(), fd);
}

/* Whoever writes is given the time to tell of it. */
static void close_later(pp_disk *disk, int fd)
{
    const struct timespec a_little = {.tv_nsec = 1000000};

    (void)disk;
    if (atomic_load(&slow.opening) && pthread_equal(slow.opener, pthread_self()))
        for (int i = 0; i < 100 && !atomic_load(&slow.owner->wakes); i++)
            (void)nanosleep(&a_little, NULL);
    pp_disk_real()->ops->close(pp_disk_real(), fd);
}

static pp_disk *make_slow(struct owner *owner)
{
    slow.ops = *pp_disk_real()->ops;
    slow.ops.lock = lock_and_note;
    slow.ops.close = close_later;
    slow.disk.ops = &slow.ops;
    slow.owner = owner;
    return &slow.disk;
}

/* What is over a limit that is new goes while the topic is opened, and is told of before that it is
 * open. */
static void test_topics_shrink_while_they_are_opened(void **state)
{
    const struct pp_topics_limits narrow = {
        .topics = 100, .backlog_bytes = 1 << 20, .stream = {.messages = 1}};
    struct owner owner;
    pp_topic *topic;
    char dir[64];

    (void)state;
    make_folder(dir);
    fill_topic(dir, 100);
    assert_int_equal(open_owner_on(&owner, dir, &narrow, make_slow(&owner)), PIPIT_OK);
    topic = open_topic(&owner, PP_STR("a"));
    assert_int_equal(topic->state, PP_TOPIC_OPEN);
    assert_int_equal(topic->last_seq, 100);
    assert_int_equal(pp_topic_publish(topic, 1, PP_STR("x"), 10), PIPIT_OK);
    settle(&owner, topic);
    expect_message(topic, 1, "x");
    close_owner(&owner);
    remove_folder(dir);
}

static void sweep_once(const char *dir, uint64_t nth, bool *fired)
{
    struct owner owner;
    pp_topic *topic;

    pp_fault_arm("alloc", nth);
    if (open_owner(&owner, dir, &wide) == PIPIT_OK &&
        pp_topics_get(owner.topics, PP_STR("a"), 0, &topic) == PIPIT_OK) {
        bool accepted[3] = {false};

        for (size_t i = 0; i < 3; i++) {
            pipit_err err = pp_topic_publish(topic, i + 1, PP_STR("data"), 10);

            accepted[i] = err == PIPIT_OK || err == PIPIT_EAGAIN;
        }
        while (topic->state == PP_TOPIC_OPENING)
            turn(&owner);
        if (topic->state == PP_TOPIC_OPEN)
            settle(&owner, topic);
        for (size_t i = 0; i < 3; i++) { /* what was accepted is settled, or said to be lost */
            char lost[16], settled[16];

            (void)snprintf(lost, sizeof(lost), "lost:%zu ", i + 1);
            (void)snprintf(settled, sizeof(settled), "%zu:", i + 1);
            assert_int_equal(accepted[i], strstr(owner.told, lost) || strstr(owner.told, settled));
        }
    }
    *fired = pp_fault_disarm();
    close_owner(&owner);
}

static void test_topics_survive_each_allocation_failing(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        bool fired = true;

        for (uint64_t nth = 1; fired; nth++) {
            char dir[64];

            make_folder(dir);
            sweep_once(kind ? dir : NULL, nth, &fired);
            remove_folder(dir);
            assert_int_equal(pp_alloc_live(), live);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_has_one_subject_and_one_place),
        cmocka_unit_test(test_name_of_nothing_else_is_taken),
        cmocka_unit_test(test_name_too_long_for_a_file_has_a_hash),
        cmocka_unit_test(test_topics_tell_what_is_settled),
        cmocka_unit_test(test_topics_tell_again_who_is_not_through),
        cmocka_unit_test(test_topics_store_what_waits_when_they_stop),
        cmocka_unit_test(test_topics_are_there_again),
        cmocka_unit_test(test_topics_have_limits),
        cmocka_unit_test(test_topics_forget_what_is_too_old),
        cmocka_unit_test(test_topics_that_cannot_be_opened_say_so),
        cmocka_unit_test(test_topics_whose_disk_fails_say_so),
        cmocka_unit_test(test_topics_on_a_full_disk_recover),
        cmocka_unit_test(test_topics_that_cannot_shrink_say_so),
        cmocka_unit_test(test_topics_that_cannot_age_say_so),
        cmocka_unit_test(test_topics_shrink_while_they_are_opened),
        cmocka_unit_test(test_topics_survive_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
