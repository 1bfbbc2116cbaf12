#include "auth/gate.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { MANY = 10000 };

struct world {
    pp_user_key key;
    pp_account *global, *orders;
    pp_permissions *narrow, *narrow_too, *wide;
    pp_views views;
};

static pp_permissions *only(const char *subject)
{
    const pp_permission_rule rule = {.subject = pp_str_of(subject)};
    const pp_permission_rules publish = {.has_allow = true, .allow = &rule, .allow_count = 1};
    const pp_permission_rules subscribe = {0};
    pp_permissions *permissions;

    assert_int_equal(pp_permissions_new(&permissions, &publish, &subscribe), PIPIT_OK);
    return permissions;
}

static int world_init(void **state)
{
    static struct world w;

    assert_int_equal(pp_user_key_new(&w.key), PIPIT_OK);
    assert_int_equal(pp_account_new(&w.global, "$G", 1), PIPIT_OK);
    assert_int_equal(pp_account_new(&w.orders, "ORDERS", 1), PIPIT_OK);
    pp_views_init(&w.views);
    w.narrow = only("a");
    w.narrow_too = only("a");
    w.wide = only(">");
    *state = &w;
    return 0;
}

static int world_fini(void **state)
{
    struct world *w = *state;

    pp_permissions_free(w->narrow);
    pp_permissions_free(w->narrow_too);
    pp_permissions_free(w->wide);
    pp_views_fini(&w->views);
    pp_account_free(w->global);
    pp_account_free(w->orders);
    return 0;
}

#define USER(user_name, password, its_account, its_permissions)                                    \
    {                                                                                              \
        .name = (user_name), .pass = (password), .account = (its_account),                         \
        .permissions = (its_permissions)                                                           \
    }

static pp_users *make(struct world *w, const pp_user_entry *users, size_t count, const char *token,
                      const char *no_auth_user)
{
    const pp_users_setup setup = {
        .key = &w->key,
        .views = &w->views,
        .users = users,
        .user_count = count,
        .entrances[PP_ENTRANCE_CLIENTS] = {.token = token, .no_auth_user = no_auth_user},
        .anybody.account = w->global,
    };
    pp_users *table;

    assert_int_equal(pp_users_new(&table, &setup), PIPIT_OK);
    return table;
}

/* Whom a gate over them lets in. */
static const pp_user *check(const pp_users *users, const char *name, const char *pass,
                            const char *token)
{
    const pp_gate_setup setup = {.users = users};
    pp_login login = {
        .shown = {.connection_type = PP_USER_STANDARD,
                  .user = pp_str_of(name),
                  .pass = pp_str_of(pass),
                  .token = pp_str_of(token)},
    };
    const pp_user *user;
    pp_gate *gate;

    assert_int_equal(pp_gate_new(&gate, &setup), PIPIT_OK);
    assert_int_equal(pp_gate_ask(gate, &login), PIPIT_OK);
    user = login.verdict.user;
    pp_gate_drop(&login);
    pp_gate_free(gate);
    return user;
}

static const pp_user *anybody(const pp_users *users)
{
    return pp_users_required(users, PP_ENTRANCE_CLIENTS)
               ? pp_users_no_auth(users, PP_ENTRANCE_CLIENTS)
               : pp_users_nameless(users, PP_ENTRANCE_CLIENTS);
}

static bool required(const pp_users *users)
{
    return pp_users_required(users, PP_ENTRANCE_CLIENTS);
}

static bool announced(const pp_users *users)
{
    return pp_users_announced(users, PP_ENTRANCE_CLIENTS);
}

static void test_users_none_lets_everybody_in(void **state)
{
    struct world *w = *state;
    pp_users *users = make(w, NULL, 0, NULL, NULL);

    assert_false(required(users));
    assert_false(announced(users));
    assert_non_null(anybody(users));
    assert_ptr_equal(check(users, "x", "y", "z"), anybody(users));
    assert_ptr_equal(anybody(users)->scope.account, w->global);
    pp_users_free(users);
}

static void test_users_token(void **state)
{
    struct world *w = *state;
    pp_users *users = make(w, NULL, 0, "s3cret", NULL);

    assert_true(required(users));
    assert_null(anybody(users));
    assert_non_null(check(users, "", "", "s3cret"));
    assert_null(check(users, "", "", "s3cre"));
    assert_null(check(users, "", "", ""));
    assert_null(check(users, "s3cret", "s3cret", ""));
    pp_users_free(users);
}

static void test_users_by_name_and_password(void **state)
{
    struct world *w = *state;
    const pp_user_entry entries[] = {
        USER("ann", "one", w->global, w->narrow),
        {.name = "bob", .pass = "", .account = w->orders, .slow_policy = 2}};
    pp_users *users = make(w, entries, 2, NULL, NULL);
    const pp_user *ann = check(users, "ann", "one", "");

    assert_non_null(ann);
    assert_string_equal(ann->name, "ann");
    assert_true(pp_permissions_equal(ann->scope.permissions, w->narrow));
    assert_null(check(users, "ann", "two", ""));
    assert_null(check(users, "ann", "", ""));
    assert_null(check(users, "cyd", "", ""));
    assert_null(check(users, "", "", ""));
    assert_ptr_equal(check(users, "bob", "", "")->scope.account, w->orders);
    assert_int_equal(check(users, "bob", "", "")->slow_policy, 2);
    assert_true(announced(users));
    pp_users_free(users);
}

static void test_users_no_auth_user(void **state)
{
    struct world *w = *state;
    const pp_user_entry entries[] = {USER("ann", "one", w->orders, NULL)};
    pp_users *users = make(w, entries, 1, NULL, "ann");

    assert_true(required(users));
    assert_false(announced(users));
    assert_string_equal(anybody(users)->name, "ann");
    assert_ptr_equal(check(users, "", "", ""), anybody(users));
    assert_null(check(users, "ann", "", "")); /* who names itself shows its password */
    pp_users_free(users);
}

static void test_users_share_views(void **state)
{
    struct world *w = *state;
    const pp_user_entry entries[] = {
        USER("a", "", w->global, NULL),      USER("b", "", w->global, NULL),
        USER("c", "", w->global, w->narrow), USER("d", "", w->global, w->narrow_too),
        USER("e", "", w->global, w->wide),   USER("f", "", w->orders, w->narrow),
    };
    pp_users *users = make(w, entries, 6, NULL, NULL);
    uint32_t view[6];

    for (int i = 0; i < 6; i++)
        view[i] = check(users, entries[i].name, "", "")->scope.view;
    assert_int_equal(view[0], view[1]);
    assert_int_equal(view[2], view[3]);
    assert_int_not_equal(view[0], view[2]);
    assert_int_not_equal(view[2], view[4]);
    assert_int_not_equal(view[2], view[5]);
    pp_users_free(users);
}

/* A user after a reload: the same, of another password, of another account, gone. */
static void test_users_renewed(void **state)
{
    struct world *w = *state;
    const pp_user_entry before[] = {
        USER("same", "p", w->global, NULL), USER("pass", "p", w->global, NULL),
        USER("moved", "p", w->global, NULL), USER("gone", "p", w->global, NULL)};
    const pp_user_entry after[] = {USER("same", "p", w->global, w->narrow),
                                   USER("pass", "q", w->global, NULL),
                                   USER("moved", "p", w->orders, NULL)};
    pp_users *old = make(w, before, 4, NULL, NULL), *fresh = make(w, after, 3, NULL, NULL);
    bool gone;

    assert_ptr_equal(pp_users_renew(fresh, check(old, "same", "p", ""), &gone),
                     check(fresh, "same", "p", ""));
    assert_null(pp_users_renew(fresh, check(old, "pass", "p", ""), &gone));
    assert_false(gone);
    assert_null(pp_users_renew(fresh, check(old, "moved", "p", ""), &gone));
    assert_true(gone);
    assert_null(pp_users_renew(fresh, check(old, "gone", "p", ""), &gone));
    assert_true(gone);
    pp_users_free(old);
    pp_users_free(fresh);
}

static void test_users_renewed_without_names(void **state)
{
    struct world *w = *state;
    const pp_user_entry entry = USER("ann", "p", w->global, NULL);
    pp_users *open = make(w, NULL, 0, NULL, NULL), *token = make(w, NULL, 0, "t", NULL);
    pp_users *same = make(w, NULL, 0, "t", NULL), *other = make(w, NULL, 0, "u", NULL);
    pp_users *ann = make(w, &entry, 1, NULL, NULL), *any_ann = make(w, &entry, 1, NULL, "ann");
    const pp_user *came_open = anybody(open), *came_token = check(token, "", "", "t");
    bool gone;

    assert_non_null(pp_users_renew(open, came_token, &gone));
    assert_non_null(pp_users_renew(same, came_token, &gone));
    assert_null(pp_users_renew(other, came_token, &gone));
    assert_null(pp_users_renew(token, came_open, &gone));
    assert_null(pp_users_renew(ann, came_open, &gone));
    assert_string_equal(pp_users_renew(any_ann, came_open, &gone)->name, "ann");
    assert_null(pp_users_renew(ann, anybody(any_ann), &gone));
    pp_users_free(open);
    pp_users_free(token);
    pp_users_free(same);
    pp_users_free(other);
    pp_users_free(ann);
    pp_users_free(any_ann);
}

static void test_users_counts_holders(void **state)
{
    struct world *w = *state;
    pp_users *users = make(w, NULL, 0, NULL, NULL);

    assert_false(pp_users_held(users));
    pp_user_hold(anybody(users));
    assert_true(pp_users_held(users));
    pp_user_let_go(anybody(users));
    assert_false(pp_users_held(users));
    pp_users_free(users);
}

static void test_users_refuses(void **state)
{
    struct world *w = *state;
    pp_users_setup setup = {.key = &w->key, .views = &w->views, .anybody.account = w->global};
    pp_users *users;

    setup.entrances[PP_ENTRANCE_MQTT].no_auth_user = "cyd";
    assert_int_equal(pp_users_new(&users, &setup), PIPIT_ENOTFOUND);
}

static void test_users_many(void **state)
{
    struct world *w = *state;
    static char names[MANY][16];
    static pp_user_entry entries[MANY];
    pp_users *users;

    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "user-%d", i);
        entries[i] = (pp_user_entry)USER(names[i], names[i], w->global, NULL);
    }
    users = make(w, entries, MANY, NULL, NULL);
    for (int i = 0; i < MANY; i += 97) {
        assert_string_equal(check(users, names[i], names[i], "")->name, names[i]);
        assert_null(check(users, names[i], "user", ""));
    }
    pp_users_free(users);
}

static void test_users_fault_sweep(void **state)
{
    struct world *w = *state;
    const pp_user_entry entry = USER("ann", "one", w->global, NULL);
    const pp_users_setup setup = {.key = &w->key,
                                  .views = &w->views,
                                  .users = &entry,
                                  .user_count = 1,
                                  .anybody.account = w->global};
    int64_t live = pp_alloc_live();

    for (unsigned nth = 1;; nth++) {
        pp_users *users = NULL;
        pipit_err err;

        pp_fault_arm("*", nth);
        err = pp_users_new(&users, &setup);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_users_free(users);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_none_lets_everybody_in),
        cmocka_unit_test(test_users_token),
        cmocka_unit_test(test_users_by_name_and_password),
        cmocka_unit_test(test_users_no_auth_user),
        cmocka_unit_test(test_users_share_views),
        cmocka_unit_test(test_users_renewed),
        cmocka_unit_test(test_users_renewed_without_names),
        cmocka_unit_test(test_users_counts_holders),
        cmocka_unit_test(test_users_refuses),
        cmocka_unit_test(test_users_many),
        cmocka_unit_test(test_users_fault_sweep),
    };

    return cmocka_run_group_tests(tests, world_init, world_fini);
}
