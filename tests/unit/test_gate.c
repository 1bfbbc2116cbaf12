#include "auth/gate.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "base/list.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* An authority that answers as it is told, at once or later. */
struct clerk {
    pp_authority authority;
    pp_login *waiting; /* for its answer; NULL: nobody */
    bool later;
    bool admits;
    unsigned asked;
    pp_views *views;
    pp_account *account;
};

struct world {
    pp_user_key key;
    pp_views views;
    pp_account *global;
    pp_users *users;
    struct clerk operators, callout;
    unsigned woken;
};

static struct world world;

static void answer(struct clerk *clerk, pp_login *login)
{
    pp_guest_setup setup = pp_guest_setup_none(clerk->views, clerk->account);
    pp_user *user;

    if (login->verdict.user)
        pp_user_let_go(login->verdict.user);
    setup.name = "guest";
    if (!clerk->admits)
        pp_login_refuse(login, PP_LOGIN_DENIED, "the clerk says no");
    else if (!pp_guest_new(&setup, &user))
        pp_login_admit(login, user);
    else
        pp_login_refuse(login, PP_LOGIN_NO_MEMORY, NULL);
}

static pipit_err ask_clerk(pp_authority *authority, pp_login *login)
{
    struct clerk *clerk = PP_CONTAINER(authority, struct clerk, authority);

    clerk->asked++;
    if (!clerk->later) {
        answer(clerk, login);
        return PIPIT_OK;
    }
    clerk->waiting = login;
    return PIPIT_EAGAIN;
}

static void finish(struct clerk *clerk)
{
    pp_login *login = clerk->waiting;

    clerk->waiting = NULL;
    answer(clerk, login);
    pp_login_wake(login);
}

static const pp_user *renew_by_clerk(pp_authority *authority, const pp_user *old,
                                     pp_departure *out_why)
{
    struct clerk *clerk = PP_CONTAINER(authority, struct clerk, authority);

    *out_why = clerk->admits ? PP_DEPARTURE_DENIED : PP_DEPARTURE_GONE;
    if (!clerk->admits)
        return NULL;
    pp_user_hold(old);
    return old;
}

static void clerk_init(struct clerk *clerk)
{
    *clerk = (struct clerk){
        .authority = {ask_clerk, renew_by_clerk},
        .admits = true,
        .views = &world.views,
        .account = world.global,
    };
}

static int world_init(void **state)
{
    pp_user_entry entries[] = {{.name = "ann", .pass = "one"}};
    pp_users_setup setup = {.key = &world.key, .views = &world.views, .users = entries};

    assert_int_equal(pp_user_key_new(&world.key), PIPIT_OK);
    assert_int_equal(pp_account_new(&world.global, "$G", 1), PIPIT_OK);
    pp_views_init(&world.views);
    entries[0].account = world.global;
    setup.user_count = 1;
    setup.anybody.account = world.global;
    assert_int_equal(pp_users_new(&world.users, &setup), PIPIT_OK);
    *state = &world;
    return 0;
}

static int world_fini(void **state)
{
    struct world *w = *state;

    assert_false(pp_users_held(w->users));
    pp_users_free(w->users);
    pp_views_fini(&w->views);
    pp_account_free(w->global);
    return 0;
}

static void on_wake(pp_login *login)
{
    (void)login;
    world.woken++;
}

static pp_login shown(const char *user, const char *pass)
{
    return (pp_login){
        .shown = {.connection_type = PP_USER_STANDARD,
                  .user = pp_str_of(user),
                  .pass = pp_str_of(pass)},
        .wake = on_wake,
    };
}

static pp_gate *gate_of(struct world *w, bool operators, bool callout)
{
    const pp_gate_setup setup = {
        .users = w->users,
        .operators = operators ? &w->operators.authority : NULL,
        .callout = callout ? &w->callout.authority : NULL,
    };
    pp_gate *gate;

    clerk_init(&w->operators);
    clerk_init(&w->callout);
    w->woken = 0;
    assert_int_equal(pp_gate_new(&gate, &setup), PIPIT_OK);
    return gate;
}

static void test_gate_asks_the_table(void **state)
{
    struct world *w = *state;
    pp_gate *gate = gate_of(w, false, false);
    pp_login right = shown("ann", "one"), wrong = shown("ann", "two");

    assert_int_equal(pp_gate_ask(gate, &right), PIPIT_OK);
    assert_string_equal(right.verdict.user->name, "ann");
    assert_true(pp_users_held(w->users));
    pp_gate_drop(&right);
    assert_false(pp_users_held(w->users));
    assert_int_equal(pp_gate_ask(gate, &wrong), PIPIT_OK);
    assert_null(wrong.verdict.user);
    pp_gate_free(gate);
}

static void test_gate_waits_for_operators_and_callout(void **state)
{
    struct world *w = *state;
    pp_gate *gate = gate_of(w, true, true);
    pp_login login = shown("", "");
    const pp_user *user;

    w->operators.later = w->callout.later = true;
    assert_int_equal(pp_gate_ask(gate, &login), PIPIT_EAGAIN);
    assert_false(pp_gate_idle(gate));
    finish(&w->operators);
    assert_int_equal(w->woken, 1);
    assert_int_equal(pp_gate_go_on(&login), PIPIT_EAGAIN);
    finish(&w->callout);
    assert_int_equal(pp_gate_go_on(&login), PIPIT_OK);
    assert_true(pp_gate_idle(gate));
    user = login.verdict.user;
    assert_string_equal(user->name, "guest");
    assert_ptr_equal(user->scope.account, w->global);
    pp_gate_drop(&login);
    assert_true(pp_gate_idle(gate));
    assert_int_equal(w->views.count, 1); /* that of the table */
    pp_gate_free(gate);
}

static void test_gate_callout_may_refuse_and_admit(void **state)
{
    struct world *w = *state;
    pp_gate *gate = gate_of(w, false, true);
    pp_login right = shown("ann", "one"), wrong = shown("ann", "two");

    w->callout.admits = false;
    assert_int_equal(pp_gate_ask(gate, &right), PIPIT_OK);
    assert_null(right.verdict.user);
    assert_false(pp_users_held(w->users));
    w->callout.admits = true;
    assert_int_equal(pp_gate_ask(gate, &wrong), PIPIT_OK);
    assert_string_equal(wrong.verdict.user->name, "guest");
    pp_gate_drop(&wrong);
    assert_null(pp_gate_anybody(gate, &wrong.shown));
    pp_gate_free(gate);
}

static void test_gate_client_goes_while_it_waits(void **state)
{
    struct world *w = *state;
    pp_gate *gate = gate_of(w, true, false);
    pp_login login = shown("", "");

    w->operators.later = true;
    assert_int_equal(pp_gate_ask(gate, &login), PIPIT_EAGAIN);
    atomic_store(&login.abandoned, true);
    assert_true(pp_login_is_abandoned(w->operators.waiting));
    finish(&w->operators);
    pp_gate_drop(&login);
    assert_true(pp_gate_idle(gate));
    pp_gate_free(gate);
}

static void test_gate_renews_guests_by_their_authority(void **state)
{
    struct world *w = *state;
    pp_gate *gate = gate_of(w, true, false), *plain;
    pp_login login = shown("", "");
    const pp_user *user;
    pp_departure why;

    assert_int_equal(pp_gate_ask(gate, &login), PIPIT_OK);
    user = pp_gate_renew(gate, login.verdict.user, PP_USER_STANDARD, false, &why);
    assert_ptr_equal(user, login.verdict.user);
    pp_user_let_go(user);
    w->operators.admits = false;
    assert_null(pp_gate_renew(gate, login.verdict.user, PP_USER_STANDARD, false, &why));
    assert_int_equal(why, PP_DEPARTURE_GONE);
    plain = gate_of(w, false, false);
    assert_null(pp_gate_renew(plain, login.verdict.user, PP_USER_STANDARD, false, &why));
    pp_gate_drop(&login);
    pp_gate_free(gate);
    pp_gate_free(plain);
}

/* --- passwords that take long ------------------------------------------------------------- */

#define BCRYPT_UXU "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" /* of "U*U" */

static pthread_mutex_t wake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake_changed = PTHREAD_COND_INITIALIZER;
static unsigned wakes;

static void on_late_wake(pp_login *login)
{
    (void)login;
    (void)pthread_mutex_lock(&wake_lock);
    wakes++;
    (void)pthread_cond_signal(&wake_changed);
    (void)pthread_mutex_unlock(&wake_lock);
}

static void wait_for_wake(void)
{
    (void)pthread_mutex_lock(&wake_lock);
    while (!wakes)
        (void)pthread_cond_wait(&wake_changed, &wake_lock);
    wakes--;
    (void)pthread_mutex_unlock(&wake_lock);
}

/* "hashed" has a hash, "plain" has none. */
static pp_users *mixed_users(struct world *w)
{
    pp_user_entry entries[] = {
        {.name = "hashed", .pass = BCRYPT_UXU, .account = w->global},
        {.name = "plain", .pass = "one", .account = w->global},
        {.name = "else",
         .pass = "one",
         .account = w->global,
         .connection_types = PP_USER_WEBSOCKET},
    };
    pp_users_setup setup = {.key = &w->key,
                            .views = &w->views,
                            .users = entries,
                            .user_count = 3,
                            .anybody.account = w->global};
    pp_users *users;

    assert_int_equal(pp_users_new(&users, &setup), PIPIT_OK);
    return users;
}

/* Whoever is refused waits as long as if its password had been compared, whatever was wrong. */
static void test_gate_refuses_all_alike(void **state)
{
    static const struct {
        const char *user, *pass;
        bool waits, comes_in;
    } cases[] = {
        {"plain", "one", false, true},  {"plain", "two", true, false},
        {"hashed", "U*U", true, true},  {"hashed", "U*V", true, false},
        {"nobody", "U*U", true, false}, {"else", "one", true, false},
        {"", "", true, false},
    };
    struct world *w = *state;
    pp_users *users = mixed_users(w);
    pp_hasher *hasher;
    pp_gate *gate;

    assert_int_equal(pp_hasher_new(&hasher, 2, 8), PIPIT_OK);
    assert_int_equal(pp_gate_new(&gate, &(pp_gate_setup){.users = users, .hasher = hasher}),
                     PIPIT_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pp_login login = shown(cases[i].user, cases[i].pass);
        pipit_err err;

        login.wake = on_late_wake;
        err = pp_gate_ask(gate, &login);
        assert_int_equal(err, cases[i].waits ? PIPIT_EAGAIN : PIPIT_OK);
        if (err) {
            assert_true(login.hashing);
            wait_for_wake();
            assert_int_equal(pp_gate_go_on(&login), PIPIT_OK);
        }
        assert_int_equal(login.verdict.user != NULL, cases[i].comes_in);
        pp_gate_drop(&login);
    }
    pp_hasher_stop(hasher); /* what comes now is refused, and waits for nobody */
    for (int i = 0; i < 2; i++) {
        pp_login login = shown("hashed", "U*U");

        assert_int_equal(pp_gate_ask(gate, &login), PIPIT_OK);
        assert_int_equal(login.verdict.fault, PP_LOGIN_BUSY);
    }
    pp_gate_free(gate);
    pp_hasher_free(hasher);
    assert_false(pp_users_held(users));
    pp_users_free(users);
}

static void test_gate_login_fault_sweep(void **state)
{
    struct world *w = *state;
    pp_users *users = mixed_users(w);
    int64_t live = pp_alloc_live();
    pp_hasher *hasher;
    pp_gate *gate;

    for (unsigned nth = 1;; nth++) {
        pp_login login = shown("hashed", "U*U");
        bool fired, came_in;

        assert_int_equal(pp_hasher_new(&hasher, 1, 8), PIPIT_OK);
        assert_int_equal(pp_gate_new(&gate, &(pp_gate_setup){.users = users, .hasher = hasher}),
                         PIPIT_OK);
        login.wake = on_late_wake;
        pp_fault_arm("*", nth);
        if (pp_gate_ask(gate, &login) == PIPIT_EAGAIN) {
            wait_for_wake();
            assert_int_equal(pp_gate_go_on(&login), PIPIT_OK);
        }
        fired = pp_fault_disarm();
        came_in = login.verdict.user != NULL;
        pp_gate_drop(&login);
        pp_gate_free(gate);
        pp_hasher_free(hasher);
        assert_int_equal(pp_alloc_live(), live);
        assert_true(came_in || fired);
        if (!fired)
            break;
    }
    pp_users_free(users);
}

static void test_guest_fault_sweep(void **state)
{
    struct world *w = *state;
    pp_guest_setup setup = pp_guest_setup_none(&w->views, w->global);
    int64_t live = pp_alloc_live();

    setup.name = "n";
    setup.nkey = "U";
    for (unsigned nth = 1;; nth++) {
        pp_user *user = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_guest_new(&setup, &user);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            assert_string_equal(user->name, "n");
            assert_string_equal(user->nkey, "U");
            pp_user_let_go(user);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_asks_the_table),
        cmocka_unit_test(test_gate_waits_for_operators_and_callout),
        cmocka_unit_test(test_gate_callout_may_refuse_and_admit),
        cmocka_unit_test(test_gate_client_goes_while_it_waits),
        cmocka_unit_test(test_gate_renews_guests_by_their_authority),
        cmocka_unit_test(test_gate_refuses_all_alike),
        cmocka_unit_test(test_gate_login_fault_sweep),
        cmocka_unit_test(test_guest_fault_sweep),
    };

    return cmocka_run_group_tests(tests, world_init, world_fini);
}
