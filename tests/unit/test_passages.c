/* Whether exports and imports fit together, and what their settings come to, with every allocation
 * failing once. What is refused, and where, is told by the files of config.keys. */
#include "server/passages.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "core/import.h"
#include "server/account_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"I"};
static const pp_export_option exports[] = {
    {.subject = "s.*", .is_service = true, .latency_subject = "lat", .latency_sampling = 5},
    {.subject = "a.>", .is_private = true, .accounts = names, .account_count = 1},
    {.subject = "t.*", .account_token_position = 2},
};
static const pp_import_option imports[] = {
    {.account = "E", .subject = "s.*", .is_service = true, .local = "my.$1", .share = true},
    {.account = "E", .subject = "a.>", .prefix = "p"},
    {.account = "E", .subject = "t.I"},
};
static const pp_import_option wrong[] = {
    {.account = "E", .subject = "nothing"},
    {.account = "nobody", .subject = "a.b"},
    {.account = "E", .subject = "a.*", .local = "b"},
};

static void make(pp_options *options, pp_account_options accounts[3], const pp_import_option *taken)
{
    accounts[0] = pp_account_options_none("$G");
    accounts[1] = pp_account_options_none("E");
    accounts[1].exports = exports;
    accounts[1].export_count = 3;
    accounts[2] = pp_account_options_none("I");
    accounts[2].imports = taken;
    accounts[2].import_count = 3;
    *options = (pp_options){.accounts = accounts, .account_count = 3};
}

static size_t check(const pp_import_option *taken, pipit_err *out_err)
{
    pp_account_options accounts[3];
    pp_diagnostics diagnostics;
    pp_options options;
    size_t count;

    make(&options, accounts, taken);
    pp_diagnostics_init(&diagnostics);
    *out_err = pp_passages_check(&options, &diagnostics);
    count = pp_diagnostics_error_count(&diagnostics);
    pp_diagnostics_fini(&diagnostics);
    return count;
}

static void test_passages_fit(void **state)
{
    pipit_err err;

    (void)state;
    assert_int_equal(check(imports, &err), 0);
    assert_int_equal(err, PIPIT_OK);
    assert_int_equal(check(wrong, &err), 3); /* each of them, in one go */
    assert_int_equal(err, PIPIT_OK);
}

static void test_passages_without_memory(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (unsigned nth = 1;; nth++) { /* of what is wrong something may be said, or nothing */
        pipit_err err;

        pp_fault_arm("*", nth);
        (void)check(wrong, &err);
        assert_int_equal(pp_alloc_live(), live);
        if (!pp_fault_disarm())
            break;
    }
    for (unsigned nth = 1;; nth++) {
        pipit_err err;

        pp_fault_arm("*", nth);
        (void)check(imports, &err);
        assert_int_equal(pp_alloc_live(), live);
        if (!pp_fault_disarm())
            break;
        assert_int_equal(err, PIPIT_ENOMEM);
    }
}

static pipit_err give(pp_accounts *accounts, const pp_account_options *options)
{
    pp_account_settings *settings;
    pp_account *account;
    pipit_err err = pp_accounts_take(accounts, options->name, false, &account);

    if (!err)
        err = pp_account_settings_new(&settings, accounts, account, options, NULL);
    if (err)
        return err;
    (void)pthread_mutex_lock(&accounts->lock);
    pp_accounts_list_locked(accounts, account);
    pp_account_settings_free(pp_account_settings_give_locked(accounts, account, settings));
    (void)pthread_mutex_unlock(&accounts->lock);
    return PIPIT_OK;
}

/* Is what I imports linked with what E exports? */
static bool is_linked(pp_accounts *accounts)
{
    const pp_imports *made = atomic_load(&pp_accounts_find(accounts, PP_STR("I"))->imports);

    for (size_t i = 0; i < made->count; i++) {
        if (!atomic_load(&made->items[i].export))
            return false;
    }
    return true;
}

static void test_passages_link_in_any_order(void **state)
{
    pp_account_options options[3];
    pp_account_options empty;
    pp_accounts accounts;
    pp_options unused;

    (void)state;
    make(&unused, options, imports);
    pp_accounts_init(&accounts, 1);
    assert_int_equal(give(&accounts, &options[2]), PIPIT_OK); /* the importer first */
    assert_false(is_linked(&accounts));
    assert_int_equal(give(&accounts, &options[1]), PIPIT_OK);
    assert_true(is_linked(&accounts));
    empty = pp_account_options_none("E");
    assert_int_equal(give(&accounts, &empty), PIPIT_OK); /* what it exported is gone */
    assert_false(is_linked(&accounts));
    assert_int_equal(give(&accounts, &options[1]), PIPIT_OK);
    assert_int_equal(give(&accounts, &options[2]), PIPIT_OK);
    assert_true(is_linked(&accounts));
    pp_accounts_fini(&accounts);
}

static void test_passages_settings_without_memory(void **state)
{
    int64_t live = pp_alloc_live();
    bool fired = true;

    (void)state;
    for (unsigned nth = 1; fired; nth++) {
        pp_account_options options[3];
        pp_accounts accounts;
        pp_options unused;

        make(&unused, options, imports);
        pp_fault_arm("*", nth);
        pp_accounts_init(&accounts, 1);
        if (!give(&accounts, &options[2]))
            (void)give(&accounts, &options[1]);
        fired = pp_fault_disarm();
        pp_accounts_fini(&accounts);
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passages_fit),
        cmocka_unit_test(test_passages_without_memory),
        cmocka_unit_test(test_passages_link_in_any_order),
        cmocka_unit_test(test_passages_settings_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
