#include "config/key.h"

#include "config/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_key_rows_are_whole(void **state)
{
    const pp_key_block *block;

    (void)state;
    for (size_t b = 0; (block = pp_key_block_at(b)) != NULL; b++) {
        assert_ptr_equal(pp_key_block_find(block->name), block); /* so names are unique, too */
        for (size_t i = 0; i < block->count; i++) {
            const pp_key *key = &block->keys[i];
            bool served = !key->feature && !block->feature;

            if (!key->help || !*key->help || strlen(key->help) > 90)
                fail_msg("%s.%s: help", block->name, key->names);
            if (served && key->type == PP_KEY_OTHER && !key->read)
                fail_msg("%s.%s: nothing reads it", block->name, key->names);
            if (served && key->type != PP_KEY_OTHER && key->offset == PP_KEY_NO_FIELD &&
                !key->read && !(key->flags & PP_KEY_NO_EFFECT))
                fail_msg("%s.%s: goes nowhere, and nothing says so", block->name, key->names);
            if (key->block && !pp_key_block_find(key->block))
                fail_msg("%s.%s: no block %s", block->name, key->names, key->block);
            if (key->type == PP_KEY_WORD)
                assert_non_null(key->words);
            if (key->type == PP_KEY_PORT)
                assert_non_null(key->initial);
        }
    }
}

static void test_key_names_are_unique_in_their_block(void **state)
{
    const pp_key_block *block;

    (void)state;
    for (size_t b = 0; (block = pp_key_block_at(b)) != NULL; b++) {
        for (size_t i = 0; i < block->count; i++) {
            for (const char *names = block->keys[i].names; *names;) {
                pp_str name = pp_key_next_name(&names);

                assert_in_range(name.len, 1, 32);
                if (pp_key_find(block, name) != &block->keys[i])
                    fail_msg("%s.%.*s is there twice", block->name, PP_STR_ARGS(name));
            }
        }
    }
}

/* What the table says is the default is what options are without a file. */
static void test_key_defaults_are_those_of_options(void **state)
{
    const pp_key_block *block;
    pp_options o;
    size_t seen = 0;

    (void)state;
    assert_int_equal(pp_options_init(&o), PIPIT_OK);
    for (size_t b = 0; (block = pp_key_block_at(b)) != NULL; b++) {
        for (size_t i = 0; block->in_options && i < block->count; i++) {
            const pp_key *key = &block->keys[i];
            pp_buf text;

            if (key->type == PP_KEY_OTHER || key->offset == PP_KEY_NO_FIELD)
                continue;
            pp_buf_init(&text, 4096);
            assert_int_equal(pp_key_format(key, &o, &text), PIPIT_OK);
            if (!pp_str_eq(pp_buf_str(&text), pp_str_of(key->initial)))
                fail_msg("%s: %.*s, not %s", key->names, PP_STR_ARGS(pp_buf_str(&text)),
                         key->initial);
            pp_buf_fini(&text);
            seen++;
        }
    }
    assert_true(seen > 50);
    pp_options_fini(&o);
}

static void test_key_nearest(void **state)
{
    static const struct {
        const char *block, *typed, *name, *found_in;
    } cases[] = {
        {"", "prot", "port", ""},
        {"", "max_paylod", "max_payload", ""},
        {"", "MAX_PAYLOADS", "max_payload", ""},
        {"user", "pasword", "password", "user"},
        {"", "default_permissions", "default_permissions", "authorization"},
        {"account", "max_payload", "max_payload", ""},
        {"", "zzzzzzzz", "", NULL},
        {"", "", "", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const pp_key_block *found = NULL;
        pp_str name =
            pp_key_nearest(pp_key_block_find(cases[i].block), pp_str_of(cases[i].typed), &found);

        if (!pp_str_eq(name, pp_str_of(cases[i].name)))
            fail_msg("%s: %.*s", cases[i].typed, PP_STR_ARGS(name));
        if (cases[i].found_in)
            assert_string_equal(found->name, cases[i].found_in);
    }
}

/* Every name stands in both forms of the reference, and both fit. */
static void test_key_reference_names_all(void **state)
{
    const pp_key_block *block;
    pp_buf text, markdown;

    (void)state;
    pp_buf_init(&text, PP_REFERENCE_BYTES_MAX);
    pp_buf_init(&markdown, PP_REFERENCE_BYTES_MAX);
    assert_int_equal(pp_reference_format(&text, PP_REFERENCE_TEXT), PIPIT_OK);
    assert_int_equal(pp_reference_format(&markdown, PP_REFERENCE_MARKDOWN), PIPIT_OK);
    for (size_t b = 0; (block = pp_key_block_at(b)) != NULL; b++) {
        for (size_t i = 0; i < block->count; i++) {
            for (const char *names = block->keys[i].names; *names;) {
                pp_str name = pp_key_next_name(&names);
                char quoted[64];
                int len = snprintf(quoted, sizeof(quoted), "`%.*s`", PP_STR_ARGS(name));

                assert_non_null(memmem(text.ptr, text.len, name.ptr, name.len));
                assert_non_null(memmem(markdown.ptr, markdown.len, quoted, (size_t)len));
            }
        }
    }
    pp_buf_fini(&text);
    pp_buf_fini(&markdown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_rows_are_whole),
        cmocka_unit_test(test_key_names_are_unique_in_their_block),
        cmocka_unit_test(test_key_defaults_are_those_of_options),
        cmocka_unit_test(test_key_nearest),
        cmocka_unit_test(test_key_reference_names_all),
    };

    return cmocka_run_group_tests_name("config_key", tests, NULL, NULL);
}
