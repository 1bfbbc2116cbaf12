#include "auth/hasher.h"
#include "auth/secret.h"

#include "base/alloc.h"
#include "base/list.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* --- plain secrets ------------------------------------------------------------------------ */

static void test_secret_plain(void **state)
{
    pp_user_key key, other;
    pp_secret secret, same, else_;

    (void)state;
    assert_int_equal(pp_user_key_new(&key), PIPIT_OK);
    assert_int_equal(pp_user_key_new(&other), PIPIT_OK);
    secret = pp_secret_of(&key, PP_STR("hush"));
    same = pp_secret_of(&key, PP_STR("hush"));
    else_ = pp_secret_of(&key, PP_STR("hus"));
    assert_true(pp_secret_fits(&secret, &key, PP_STR("hush")));
    assert_false(pp_secret_fits(&secret, &key, PP_STR("hush ")));
    assert_false(pp_secret_fits(&secret, &key, PP_STR("")));
    assert_false(pp_secret_fits(&secret, &other, PP_STR("hush")));
    assert_true(pp_secret_equal(&secret, &same));
    assert_false(pp_secret_equal(&secret, &else_));
    assert_null(secret.bcrypt);
}

/* Source: NATS authentication, section 2. */
static void test_secret_knows_hashes(void **state)
{
    static const struct {
        const char *text;
        bool hashed;
    } cases[] = {
        {"$2a$11$x", true},  {"$2b$04$", true},   {"$2x$99$y", true}, {"$2y$00$", true},
        {"$2c$11$x", false}, {"$2$11$x", false},  {"$2a$1$x", false}, {"$2a$111$", false},
        {"$2a$11", false},   {"x$2a$11$", false}, {"", false},        {"$1$abc$", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pp_secret_is_hashed(pp_str_of(cases[i].text)), cases[i].hashed);
}

/* --- bcrypt ------------------------------------------------------------------------------- */

/* The first three by the OpenBSD tests and crypt_blowfish's; "U*U" and the like are theirs. */
static void test_secret_bcrypt_vectors(void **state)
{
    static const struct {
        const char *hash, *password;
        bool fits;
    } cases[] = {
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*", true},
        {"$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U", true},
        {"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
        {"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*V", false},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "", false},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", "U*U", false},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW", "U*U", false},
        {"$2a$05$", "", false},
        {"$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", false},
        {"$2a$05$\x01\x02", "U*U", false},
    };
    void *scratch = pp_alloc(pp_bcrypt_scratch_bytes());

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pp_bcrypt_fits(cases[i].hash, pp_str_of(cases[i].password), scratch),
                         cases[i].fits);
    assert_false(pp_bcrypt_fits(cases[0].hash, (pp_str){"U*U\0x", 5}, scratch));
    pp_free(scratch);
}

/* Bytes behind the 72nd do not count. Made by crypt_blowfish's test vectors. */
static void test_secret_bcrypt_72_bytes(void **state)
{
    static const char hash[] = "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui";
    static const char password[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789chars after 72 are ignored";
    void *scratch = pp_alloc(pp_bcrypt_scratch_bytes());
    static char endless[4096];

    (void)state;
    memset(endless, 'x', sizeof(endless));
    memcpy(endless, password, 72);
    assert_true(pp_bcrypt_fits(hash, pp_str_of(password), scratch));
    assert_true(pp_bcrypt_fits(hash, (pp_str){password, 72}, scratch));
    assert_true(pp_bcrypt_fits(hash, (pp_str){endless, sizeof(endless)}, scratch));
    assert_false(pp_bcrypt_fits(hash, (pp_str){password, 71}, scratch));
    pp_free(scratch);
}

static void test_secret_bcrypt_dummy(void **state)
{
    char dummy[PP_BCRYPT_SETTING_BYTES];
    void *scratch = pp_alloc(pp_bcrypt_scratch_bytes());

    (void)state;
    pp_bcrypt_dummy(5, dummy);
    assert_int_equal(strlen(dummy), PP_BCRYPT_SETTING_BYTES - 1);
    assert_int_equal(pp_bcrypt_cost(dummy), 5);
    assert_false(pp_bcrypt_fits(dummy, PP_STR("anything"), scratch));
    pp_bcrypt_dummy(0, dummy);
    assert_int_equal(pp_bcrypt_cost(dummy), 4);
    pp_bcrypt_dummy(99, dummy);
    assert_int_equal(pp_bcrypt_cost(dummy), 31);
    pp_free(scratch);
}

/* --- the threads -------------------------------------------------------------------------- */

enum { JOBS = 40 };

struct counted {
    pp_hash_job job;
    struct tally *tally;
};

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned done, fitting;
};

static void on_done(pp_hash_job *job)
{
    struct counted *counted = PP_CONTAINER(job, struct counted, job);
    struct tally *tally = counted->tally;

    (void)pthread_mutex_lock(&tally->lock);
    tally->done++;
    tally->fitting += job->fits;
    (void)pthread_cond_signal(&tally->changed);
    (void)pthread_mutex_unlock(&tally->lock);
}

static void tally_init(struct tally *tally)
{
    *tally = (struct tally){0};
    (void)pthread_mutex_init(&tally->lock, NULL);
    (void)pthread_cond_init(&tally->changed, NULL);
}

static void wait_for(struct tally *tally, unsigned count)
{
    (void)pthread_mutex_lock(&tally->lock);
    while (tally->done < count)
        (void)pthread_cond_wait(&tally->changed, &tally->lock);
    (void)pthread_mutex_unlock(&tally->lock);
}

static struct counted job_of(struct tally *tally, const char *password)
{
    return (struct counted){
        .job = {.hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                .shown = pp_str_of(password),
                .done = on_done},
        .tally = tally,
    };
}

static void test_hasher_answers_all(void **state)
{
    static struct counted jobs[JOBS];
    struct tally tally;
    pp_hasher *hasher;

    (void)state;
    tally_init(&tally);
    assert_int_equal(pp_hasher_new(&hasher, 3, JOBS), PIPIT_OK);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = job_of(&tally, i % 4 ? "U*U" : "no");
        assert_int_equal(pp_hasher_submit(hasher, &jobs[i].job), PIPIT_OK);
    }
    wait_for(&tally, JOBS);
    assert_int_equal(tally.fitting, JOBS / 4 * 3);
    pp_hasher_free(hasher);
}

static void test_hasher_is_bounded_and_stops(void **state)
{
    static struct counted jobs[JOBS];
    struct tally tally;
    pp_hasher *hasher;
    unsigned taken = 0;

    (void)state;
    tally_init(&tally);
    assert_int_equal(pp_hasher_new(&hasher, 1, 4), PIPIT_OK);
    for (int i = 0; i < JOBS; i++) {
        pipit_err err;

        jobs[i] = job_of(&tally, "U*U");
        err = pp_hasher_submit(hasher, &jobs[i].job);
        assert_true(err == PIPIT_OK || err == PIPIT_ELIMIT);
        taken += err == PIPIT_OK;
    }
    assert_in_range(taken, 4, JOBS - 1); /* a thread cannot do most of them meanwhile */
    pp_hasher_stop(hasher);
    assert_int_equal(tally.done, taken); /* all were answered, whatever with */
    assert_int_equal(pp_hasher_submit(hasher, &jobs[0].job), PIPIT_ECLOSED);
    pp_hasher_free(hasher);
}

static void test_hasher_hurries_past_the_abandoned(void **state)
{
    static struct counted jobs[JOBS];
    static const atomic_bool abandoned = true;
    struct tally tally;
    pp_hasher *hasher;

    (void)state;
    tally_init(&tally);
    assert_int_equal(pp_hasher_new(&hasher, 1, JOBS), PIPIT_OK);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = job_of(&tally, "U*U");
        jobs[i].job.abandoned = &abandoned;
        assert_int_equal(pp_hasher_submit(hasher, &jobs[i].job), PIPIT_OK);
    }
    wait_for(&tally, JOBS);
    assert_int_equal(tally.fitting, 0);
    pp_hasher_free(hasher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_plain),
        cmocka_unit_test(test_secret_knows_hashes),
        cmocka_unit_test(test_secret_bcrypt_vectors),
        cmocka_unit_test(test_secret_bcrypt_72_bytes),
        cmocka_unit_test(test_secret_bcrypt_dummy),
        cmocka_unit_test(test_hasher_answers_all),
        cmocka_unit_test(test_hasher_is_bounded_and_stops),
        cmocka_unit_test(test_hasher_hurries_past_the_abandoned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
