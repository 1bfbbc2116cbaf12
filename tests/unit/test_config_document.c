#include "config/document.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const pp_document_limits defaults = {.bytes_max = 0};

/* Read a text that must be good. */
static pp_document *read_good(const char *text)
{
    pp_document *document = NULL;
    pp_diagnostics d;

    pp_diagnostics_init(&d);
    if (pp_document_read_text(&document, pp_str_of(text), "t.conf", NULL, &d))
        fail_msg("%s", d.errors.kept ? d.errors.lines[0] : "no reason");
    assert_int_equal(pp_diagnostics_error_count(&d), 0);
    pp_diagnostics_fini(&d);
    return document;
}

/* Read a text that must be refused for this reason. */
static void assert_refused(const char *text, const pp_document_limits *limits, pipit_err expected,
                           const char *line)
{
    int64_t live = pp_alloc_live();
    pp_document *document = NULL;
    pp_diagnostics d;

    pp_diagnostics_init(&d);
    assert_int_equal(
        pp_document_read_text_within(&document, pp_str_of(text), "t.conf", NULL, limits, &d),
        expected);
    assert_null(document);
    assert_int_equal(pp_diagnostics_error_count(&d), 1);
    assert_string_equal(d.errors.lines[0], line);
    pp_diagnostics_fini(&d);
    assert_int_equal(pp_alloc_live(), live);
}

static const pp_value *find(const pp_document *document, const char *key)
{
    const pp_value *value = pp_value_find(pp_document_root(document), key);

    assert_non_null(value);
    return value;
}

static void assert_at(const pp_value *value, uint32_t line, uint32_t column)
{
    assert_string_equal(value->at.file, "t.conf");
    assert_int_equal(value->at.line, line);
    assert_int_equal(value->at.column, column);
}

static void test_document_values(void **state)
{
    pp_document *document = read_good("port: -1\nsize: 2kb\nratio: 1.50\nname: \"a\\x00b\"\n"
                                      "on: yes\noff: off\nsince: 2016-05-04T18:53:41Z\n"
                                      "list [ 1 ]\n");
    const pp_value *name = find(document, "name");

    (void)state;
    assert_int_equal(find(document, "PORT")->integer, -1);
    assert_int_equal(find(document, "size")->integer, 2048);
    assert_string_equal(find(document, "size")->text.ptr, "2kb");
    assert_true(find(document, "ratio")->real == 1.5);
    assert_string_equal(find(document, "ratio")->text.ptr, "1.50");
    assert_int_equal(name->string.len, 3);
    assert_memory_equal(name->string.ptr, "a\0b\0", 4);
    assert_true(find(document, "on")->boolean);
    assert_false(find(document, "off")->boolean);
    assert_int_equal(find(document, "since")->date_s, 1462388021);
    assert_int_equal(find(document, "list")->array.count, 1);
    assert_int_equal(find(document, "list")->array.items[0]->integer, 1);
    assert_int_equal(pp_document_root(document)->map.count, 8);
    assert_string_equal(pp_document_root(document)->map.entries[2].key.ptr, "ratio");
    pp_document_free(document);
}

static void test_document_positions_are_those_of_keys(void **state)
{
    pp_document *document =
        read_good("a: 1\n  b\n  : { c: 2, \"d\": 3\n}\nl: [ x\n  { y: 1 }, $a\n]\n"
                  "v: $b\n");
    const pp_value *b = find(document, "b"), *l = find(document, "l"), *v = find(document, "v");

    (void)state;
    assert_at(find(document, "a"), 1, 1);
    assert_at(b, 2, 3);
    assert_at(pp_value_find(b, "c"), 3, 7);
    assert_at(pp_value_find(b, "d"), 3, 14); /* behind the quote */
    assert_at(l, 5, 1);
    assert_at(l->array.items[0], 5, 6);
    assert_at(l->array.items[1], 6, 3);
    assert_at(l->array.items[2], 6, 13);
    assert_true(l->array.items[2]->from_variable);
    assert_false(l->array.items[1]->from_variable);
    assert_at(v, 8, 1);
    assert_true(v->from_variable);
    assert_at(pp_value_find(v, "c"), 3, 7);
    pp_document_free(document);
}

static void test_document_marks_what_variables_use(void **state)
{
    pp_document *document = read_good("a: 1\nb: 2\nm { c: 3, d: $c, e: $a }\n");
    const pp_entry *entries = pp_document_root(document)->map.entries;
    const pp_value *m = find(document, "m");

    (void)state;
    assert_true(entries[0].used_as_variable);
    assert_false(entries[1].used_as_variable);
    assert_false(entries[2].used_as_variable);
    assert_true(m->map.entries[0].used_as_variable);
    assert_false(m->map.entries[1].used_as_variable);
    assert_int_equal(pp_value_find(m, "d")->integer, 3);
    assert_int_equal(pp_value_find(m, "e")->integer, 1);
    pp_document_free(document);
}

static void test_document_digest(void **state)
{
    static const char *const same[] = {
        "foo = bar",          "foo bar\n",        "{ foo: \"bar\" }",
        "foo: x\nfoo: bar\n", "# c\n'foo' 'bar'", "foo: b\\x61r;\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        pp_document *document = read_good(same[i]);

        assert_string_equal(
            pp_document_digest(document),
            "sha256:226e49e13d16e5e8aa0d62e58cd63361bf097d3e2b2444aa3044334628a2e8de");
        pp_document_free(document);
    }
}

static void test_document_without_values_is_warned_of(void **state)
{
    pp_document *document;
    pp_diagnostics d;

    (void)state;
    pp_diagnostics_init(&d);
    assert_int_equal(pp_document_read_text(&document, PP_STR("# x"), "t.conf", NULL, &d), PIPIT_OK);
    assert_int_equal(pp_diagnostics_warning_count(&d), 1);
    assert_string_equal(d.warnings.lines[0], "t.conf: config has no values or is empty");
    pp_document_free(document);
    pp_diagnostics_fini(&d);
}

static void test_document_refuses_includes_without_a_folder(void **state)
{
    (void)state;
    assert_refused("a: 1\n include x.conf\n", &defaults, PIPIT_EINVAL,
                   "t.conf:2:2: nothing can be included here");
}

static void test_document_does_not_include_from_the_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("PIPIT_TEST_LINES", "1\ninclude /etc/passwd\n", 1), 0);
    assert_refused("a: $PIPIT_TEST_LINES", &defaults, PIPIT_EINVAL,
                   "t.conf:1:4: variable reference for 'PIPIT_TEST_LINES' on line 1 could not be "
                   "parsed: $PIPIT_TEST_LINES:2:1: nothing can be included here");
    (void)unsetenv("PIPIT_TEST_LINES");
}

/* No message quotes what may be a secret. */
static void test_document_messages_hold_no_secrets(void **state)
{
    static const char *const texts[] = {
        "password: hunter22 hunter22\n",
        "password: $hunter22\n",
        "x: $hunter22!\n",
        "password: \"hunter22\n",
        "password: hunter22\\q\n",
        "tokens [ $hunter22 ]\n",
        "hunter22 : \"", /* a key alone */
        "password: $PIPIT_HUNTER\n",
        "l: [ hunter22 hunter22 ]\n",
    };

    (void)state;
    assert_int_equal(setenv("PIPIT_HUNTER", "hunter22 hunter22", 1), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        pp_document *document;
        pp_diagnostics d;

        pp_diagnostics_init(&d);
        assert_int_equal(pp_document_read_text(&document, pp_str_of(texts[i]), "t.conf", NULL, &d),
                         PIPIT_EINVAL);
        assert_null(strstr(d.errors.lines[0], "unter"));
        pp_diagnostics_fini(&d);
    }
    (void)unsetenv("PIPIT_HUNTER");
}

static void test_document_is_not_too_deep(void **state)
{
    static const pp_document_limits few = {.depth_max = 4};
    char deep[1000], *at = deep;

    (void)state;
    pp_document_free(read_good("a: [[[[ ]]]]\n"));
    assert_refused("a: [[[[[ ]]]]]\n", &few, PIPIT_ETOOBIG,
                   "t.conf:1:8: more than 4 maps and arrays inside each other");
    assert_refused("{{{{{ a: 1 }}}}}\n", &few, PIPIT_ETOOBIG,
                   "t.conf:1:5: more than 4 maps and arrays inside each other");
    assert_refused("a: [[ ]]\nb: [[$a ]]\nc: [$b ]\n", &few, PIPIT_ETOOBIG,
                   "t.conf:3:5: more than 4 maps and arrays inside each other");
    memset(deep, '[', sizeof(deep));
    memcpy(deep, "a:", 2);
    at[sizeof(deep) - 1] = '\0';
    assert_refused(deep, &defaults, PIPIT_ETOOBIG,
                   "t.conf:1:103: more than 100 maps and arrays inside each other");
}

static void test_document_is_not_too_large(void **state)
{
    static const pp_document_limits small = {.bytes_max = 20000};
    char *large = malloc(30000);

    (void)state;
    assert_non_null(large);
    memset(large, 'x', 30000);
    memcpy(large, "a: ", 3);
    large[29999] = '\0';
    assert_refused(large, &small, PIPIT_ETOOBIG, "t.conf: too big");
    for (size_t i = 0; i + 2 < 19000; i += 2)
        memcpy(large + i, "a\n", 2);
    large[18998] = '\0';
    {
        pp_document *document;
        pp_diagnostics d;

        pp_diagnostics_init(&d);
        assert_int_equal(
            pp_document_read_text_within(&document, pp_str_of(large), "t.conf", NULL, &small, &d),
            PIPIT_ETOOBIG);
        assert_non_null(strstr(d.errors.lines[0], "the configuration is larger than 20000 bytes"));
        pp_diagnostics_fini(&d);
    }
    free(large);
}

/* "a: [x,x] b: [$a,$a] ...": small as it is written, huge for whoever walks it. */
static void test_document_does_not_explode(void **state)
{
    char text[4000];
    size_t len = (size_t)snprintf(text, sizeof(text), "v0: [ x, x ]\n");
    pp_document *document;
    pp_diagnostics d;

    (void)state;
    for (int i = 1; i < 60; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "v%d: [ $v%d, $v%d ]\n", i, i - 1,
                                i - 1);
    pp_diagnostics_init(&d);
    assert_int_equal(pp_document_read_text(&document, (pp_str){text, len}, "t.conf", NULL, &d),
                     PIPIT_ETOOBIG);
    assert_non_null(strstr(d.errors.lines[0], "the configuration is larger than"));
    pp_diagnostics_fini(&d);
}

/* Many lines, of which each refers to the last, then sets its key again; and the same on one line.
 */
static void test_document_of_many_lines_is_read_in_linear_time(void **state)
{
    enum { LINES = 50000 };
    size_t cap = LINES * 80, len;
    char *text = malloc(cap);
    clock_t begin = clock();

    (void)state;
    assert_non_null(text);
    for (int one_line = 0; one_line < 2; one_line++) {
        char separator = one_line ? ';' : '\n';
        pp_document *document;

        len = (size_t)snprintf(text, cap, "k0: \"x\"%c", separator);
        for (int i = 1; i < LINES; i++)
            len +=
                (size_t)snprintf(text + len, cap - len, "k%d: $k%d%ck%d: [ %d, $k%d ]%c", i,
                                 (i - 1) / 2 * 2, separator, i | 1, i, (i - 1) / 2 * 2, separator);
        document = read_good(text);
        pp_document_free(document);
    }
    free(text);
    /* far more than it takes with sanitizers, far less than a quadratic walk would */
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 20);
}

/* -- files ----------------------------------------------------------------------------------- */

static char folder[] = "/tmp/pipit-document-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || mkdir(path_of("sub"), 0700))
        return -1;
    write_file("main.conf", "include sub/part.conf\na: $inner\n"
                            "m { include \"sub/part.conf\", own: $PIPIT_TEST_VARIABLE }\n"
                            "list [ 1, 2 , { x: y } ]\nlong (\ntext\n)\nf: 1.5\n");
    write_file("sub/part.conf", "include more.conf\ninner: \"\\x41\"\nd: 2016-05-04T18:53:41Z\n");
    write_file("sub/more.conf", "k1: 1; k2: 2; k3: 3; k4: 4; k5: 5; k6: 6; k7: 7; k8: 8; k9: 9\n");
    write_file("chain.conf", "include chain.conf\n");
    return setenv("PIPIT_TEST_VARIABLE", "{ e: $PIPIT_TEST_OTHER }", 1) ||
           setenv("PIPIT_TEST_OTHER", "[ 1, 2 ]", 1);
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"main.conf", "sub/part.conf", "sub/more.conf",
                                        "chain.conf"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlink(path_of(names[i]));
    return rmdir(path_of("sub")) || rmdir(folder);
}

static void test_document_of_files(void **state)
{
    char part[200];
    pp_document *document;
    pp_diagnostics d;
    const pp_value *m, *own;

    (void)state;
    pp_diagnostics_init(&d);
    if (pp_document_read_file(&document, path_of("main.conf"), &d))
        fail_msg("%s", d.errors.kept ? d.errors.lines[0] : "no reason");
    assert_int_equal(find(document, "k9")->integer, 9);
    assert_string_equal(find(document, "a")->string.ptr, "A");
    m = find(document, "m");
    assert_string_equal(pp_value_find(m, "inner")->string.ptr, "A");
    (void)snprintf(part, sizeof(part), "%s", path_of("sub/part.conf"));
    assert_string_equal(pp_value_find(m, "inner")->at.file, part);
    assert_int_equal(pp_value_find(m, "inner")->at.line, 2);
    own = pp_value_find(m, "own");
    assert_true(own->from_variable);
    assert_string_equal(own->at.file, path_of("main.conf"));
    assert_string_equal(own->map.entries[0].value->at.file, "$PIPIT_TEST_VARIABLE");
    assert_int_equal(own->map.entries[0].value->array.count, 2);
    pp_document_free(document);
    pp_diagnostics_fini(&d);
}

static void test_document_that_cannot_be_opened(void **state)
{
    pp_document *document;
    char line[300];
    pp_diagnostics d;

    (void)state;
    pp_diagnostics_init(&d);
    assert_int_equal(pp_document_read_file(&document, path_of("none"), &d), PIPIT_ENOTFOUND);
    (void)snprintf(line, sizeof(line), "open %s: no such file or directory", path_of("none"));
    assert_string_equal(d.errors.lines[0], line);
    pp_diagnostics_fini(&d);
}

static void test_document_limits_includes(void **state)
{
    static const pp_document_limits none_inside = {.include_depth_max = 1};
    static const pp_document_limits small = {.bytes_max = 300};
    pp_document *document;
    pp_diagnostics d;

    (void)state;
    pp_diagnostics_init(&d);
    assert_int_equal(pp_document_read_file(&document, path_of("chain.conf"), &d), PIPIT_EINVAL);
    assert_non_null(strstr(d.errors.lines[0], "this file includes itself"));
    assert_int_equal(
        pp_document_read_file_within(&document, path_of("main.conf"), &none_inside, &d),
        PIPIT_EINVAL);
    assert_non_null(strstr(d.errors.lines[1], "more than 1 files including each other"));
    assert_int_equal(pp_document_read_file_within(&document, path_of("main.conf"), &small, &d),
                     PIPIT_ETOOBIG);
    pp_diagnostics_fini(&d);
}

static void test_document_survives_failed_allocations(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_document *document = NULL;
        pp_diagnostics d;
        pipit_err err;

        pp_diagnostics_init(&d);
        pp_fault_arm("*", nth);
        err = pp_document_read_file(&document, path_of("main.conf"), &d);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            assert_true(nth > 10);
            pp_document_free(document);
            pp_diagnostics_fini(&d);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_null(document);
        assert_int_equal(pp_diagnostics_error_count(&d), 1);
        assert_non_null(strstr(d.errors.lines[0], "out of memory"));
        pp_diagnostics_fini(&d);
        assert_int_equal(pp_alloc_live(), live);
    }
    assert_int_equal(pp_alloc_live(), live);
}

/* Any beginning of a document is read or refused; nothing behind its end is looked at. */
static void test_document_cut_anywhere(void **state)
{
    static const char text[] =
        "{ a: [1, \"x\\x41\", { b: $a } ] # c\n k (\n)\n)\n d 2016-05-04T18:53:41Z;"
        "'q' : 1.5, include x\n 1.2.3.4: 10kb, m { include 'y' } // z\n}";
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t len = 0; len < sizeof(text); len++) {
        char *cut = malloc(len + !len);
        pp_document *document = NULL;
        pp_diagnostics d;
        pipit_err err;

        memcpy(cut, text, len);
        pp_diagnostics_init(&d);
        err = pp_document_read_text(&document, (pp_str){cut, len}, "t.conf", NULL, &d);
        assert_int_equal(pp_diagnostics_error_count(&d), err ? 1 : 0);
        free(cut); /* the document keeps nothing of it */
        if (!err)
            assert_non_null(pp_document_root(document));
        pp_document_free(document);
        pp_diagnostics_fini(&d);
    }
    assert_int_equal(pp_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_values),
        cmocka_unit_test(test_document_positions_are_those_of_keys),
        cmocka_unit_test(test_document_marks_what_variables_use),
        cmocka_unit_test(test_document_digest),
        cmocka_unit_test(test_document_without_values_is_warned_of),
        cmocka_unit_test(test_document_refuses_includes_without_a_folder),
        cmocka_unit_test(test_document_does_not_include_from_the_environment),
        cmocka_unit_test(test_document_messages_hold_no_secrets),
        cmocka_unit_test(test_document_is_not_too_deep),
        cmocka_unit_test(test_document_is_not_too_large),
        cmocka_unit_test(test_document_does_not_explode),
        cmocka_unit_test(test_document_of_many_lines_is_read_in_linear_time),
        cmocka_unit_test(test_document_of_files),
        cmocka_unit_test(test_document_that_cannot_be_opened),
        cmocka_unit_test(test_document_limits_includes),
        cmocka_unit_test(test_document_survives_failed_allocations),
        cmocka_unit_test(test_document_cut_anywhere),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
