/* What a client of message-broker says, as a whole and cut at every byte; its lists; what it is
 * told. */
#include "proto/message_broker/reader.h"
#include "proto/message_broker/writer.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIT(text) (text), sizeof(text) - 1
#define LIST_A "\0\0\0\5[\"a\"]"

enum { DATA_MAX = 64, SAID_MAX = 4096 };

/* Operations as text, one behind the other. */
static const struct {
    const char *name;
    const char *bytes;
    size_t len;
    const char *said;
} cases[] = {
    {"subscribe, current", LIT("\0\1" LIST_A "\0\1"), "sub[a]1 "},
    {"subscribe, beginning", LIT("\0\1" LIST_A "\0\0"), "sub[a]0 "},
    {"subscribe, from", LIT("\0\1" LIST_A "\0\2\1\3"), "sub[a]2@259 "},
    {"unsubscribe comes first", LIT("\0\2" LIST_A "\0\4"), "unsub[a] answer4 "},
    {"requests in a row", LIT("\0\1" LIST_A "\0\1\0\2" LIST_A "\0\1" LIST_A "\0\2\0\0"),
     "sub[a]1 unsub[a] sub[a]2@0 "},
    {"answers", LIT("\0\1" LIST_A "\0\1\0\4\0\5\0\3\0\0\xff\xff"),
     "sub[a]1 answer4 answer5 answer3 answer0 answer65535 "},
    {"unknown first action", LIT("\0\x63\0\1" LIST_A), "over:unknown action "},
    {"ack first", LIT("\0\4"), "over:unknown action "},
    {"nack first", LIT("\0\5"), "over:unknown action "},
    {"nothing first", LIT("\0\0"), "over:unknown action "},
    {"no topics at all", LIT("\0\1\0\0\0\0\0\1\0\4"), "bad:data length of topics is 0 answer4 "},
    {"none, with an offset", LIT("\0\1\0\0\0\0\0\2\0\7\0\4"),
     "bad:data length of topics is 0 answer4 "},
    {"unsubscribe from none", LIT("\0\2\0\0\0\0\0\4"), "bad:data length of topics is 0 answer4 "},
    {"bad list", LIT("\0\1\0\0\0\3[1]\0\2\0\7\0\4"), "bad:invalid topic data provided answer4 "},
    {"bad list to leave", LIT("\0\2\0\0\0\3[1]\0\4"), "bad:invalid topic data provided answer4 "},
    {"bad start", LIT("\0\1" LIST_A "\0\3\0\4"), "bad:invalid start up type provided answer4 "},
    {"list too long", LIT("\0\1\0\1\0\1[]"), "over:invalid data length of topics provided "},
    {"publish", LIT("\0\3\0\7topic:a\0\0\0\2hi"), "pub a=hi "},
    {"length of four bytes", LIT("\0\3\0\0\0\7topic:a\0\0\0\2hi\0\0\0\0\0\7topic:b\0\0\0\1x"),
     "pub a=hi pub b=x "},
    {"padding only", LIT("\0\3\0\0\0\0\0\0"), ""},
    {"the nameless topic", LIT("\0\3\0\6topic:\0\0\0\1x"), "pub =x "},
    {"no data is no message", LIT("\0\3\0\7topic:a\0\0\0\0\0\7topic:b\0\0\0\1x"), "pub b=x "},
    {"no prefix", LIT("\0\3\0\7topic a\0\0\0\2hi\0\7topic:b\0\0\0\1x"),
     "bad:topic data does not contain 'topic:' prefix pub b=x "},
    {"prefix cut", LIT("\0\3\0\5topic\0\0\0\2hi\0\7topic:b\0\0\0\1x"),
     "bad:topic data does not contain 'topic:' prefix pub b=x "},
    {"no prefix, no data", LIT("\0\3\0\1t\0\0\0\0\0\7topic:b\0\0\0\1x"),
     "bad:topic data does not contain 'topic:' prefix pub b=x "},
    {"data too long", LIT("\0\3\0\7topic:a\0\0\0\x41"),
     "over:invalid data length of data provided "},
    {"data promised", LIT("\0\3\0\7topic:a\xff\xff\xff\xff"),
     "over:invalid data length of data provided "},
    {"no prefix, too long", LIT("\0\3\0\1t\xff\xff\xff\xff"),
     "bad:topic data does not contain 'topic:' prefix over:invalid data length of data provided "},
};

static void say(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char *out, const char *format, ...)
{
    size_t len = strlen(out);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(out + len, SAID_MAX - len, format, args);
    va_end(args);
}

static void say_list(char *out, const pp_mb_list *list)
{
    size_t at = 0;
    pp_str name;

    say(out, "[");
    for (bool first = true; pp_mb_list_next(list, &at, &name); first = false)
        say(out, "%s%.*s", first ? "" : ",", PP_STR_ARGS(name));
    say(out, "]");
}

static void say_op(char *out, const pp_mb_reader *reader, const pp_mb_op *op)
{
    switch (op->kind) {
    case PP_MB_OP_SUBSCRIBE:
        say(out, "sub");
        say_list(out, &reader->list);
        say(out, op->start == PP_MB_FROM ? "%d@%u " : "%d ", (int)op->start, op->offset);
        break;
    case PP_MB_OP_UNSUBSCRIBE:
        say(out, "unsub");
        say_list(out, &reader->list);
        say(out, " ");
        break;
    case PP_MB_OP_PUBLISH:
        say(out, "pub %.*s=%.*s ", PP_STR_ARGS(op->topic), PP_STR_ARGS(op->data));
        break;
    case PP_MB_OP_ANSWER:
        say(out, "answer%u ", op->action);
        break;
    case PP_MB_OP_BAD:
        say(out, "%s:%s ", op->over ? "over" : "bad", op->error);
        break;
    }
}

/* As a connection does it: what was not taken comes again with more behind it, and never more than
 * was wanted when something was. The pieces are so long. */
static void read_in_pieces(size_t i, size_t piece, char *said)
{
    pp_mb_reader reader = {.data_max = DATA_MAX};
    size_t taken = 0, got = 0;

    said[0] = '\0';
    while (got < cases[i].len || taken == 0) {
        size_t used, want = 0;
        pp_mb_op op;
        pipit_err err = PIPIT_OK;

        got = got + piece < cases[i].len ? got + piece : cases[i].len;
        while (!err) {
            /* A copy of just that, so that a sanitizer sees what is read behind it. */
            size_t len = got - taken;
            char *window = malloc(len + 1);

            assert_non_null(window);
            memcpy(window, cases[i].bytes + taken, len);
            err = pp_mb_read(&reader, (pp_str){window, len}, &op, &used, &want);
            assert_true(used <= len);
            if (!err)
                say_op(said, &reader, &op);
            taken += used;
            free(window);
        }
        assert_int_equal(err, PIPIT_EAGAIN);
        assert_true(taken == got || want > got - taken);
    }
    pp_mb_reader_fini(&reader);
}

static void test_reader_says_what_was_meant_however_it_is_cut(void **state)
{
    char said[SAID_MAX];
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece <= cases[i].len; piece++) {
            read_in_pieces(i, piece, said);
            if (strcmp(said, cases[i].said) != 0)
                fail_msg("%s in pieces of %zu: %s", cases[i].name, piece, said);
        }
    }
    assert_int_equal(pp_alloc_live(), live);
}

/* A frame that needs memory of its own is asked for to its last byte, and taken as a whole then. */
static void test_reader_takes_all_of_what_it_wants(void **state)
{
    static char frame[2 + 2 + 60000];
    pp_mb_reader reader = {.data_max = 1 << 20};
    size_t used, want;
    pp_mb_op op;

    (void)state;
    memcpy(frame, "\0\3\xea\x60topic:", 10);
    memset(frame + 10, 'x', sizeof(frame) - 10);
    assert_int_equal(pp_mb_read(&reader, (pp_str){frame, 100}, &op, &used, &want), PIPIT_EAGAIN);
    assert_int_equal(used, 2);
    assert_int_equal(want, 60002);
    assert_int_equal(pp_mb_read(&reader, (pp_str){frame + 2, want}, &op, &used, &want),
                     PIPIT_EAGAIN);
    assert_int_equal(used, 60002);
    assert_int_equal(pp_mb_read(&reader, PP_STR("\0\0\x80\0x"), &op, &used, &want), PIPIT_EAGAIN);
    assert_int_equal(used, 0);
    assert_int_equal(want, 4 + 0x8000);
    pp_mb_reader_fini(&reader);
}

static void test_reader_knows_when_a_frame_is_open(void **state)
{
    pp_mb_reader reader = {.data_max = DATA_MAX};
    size_t used, want;
    pp_mb_op op;

    (void)state;
    (void)pp_mb_read(&reader, PP_STR(""), &op, &used, &want);
    assert_true(reader.in_frame); /* the first action */
    assert_int_equal(pp_mb_read(&reader, PP_STR("\0\1" LIST_A), &op, &used, &want), PIPIT_EAGAIN);
    assert_true(reader.in_frame);
    assert_int_equal(pp_mb_read(&reader, PP_STR("\0\1"), &op, &used, &want), PIPIT_OK);
    assert_false(reader.in_frame);
    assert_int_equal(pp_mb_read(&reader, PP_STR("\0"), &op, &used, &want), PIPIT_EAGAIN);
    assert_true(reader.in_frame);
    assert_int_equal(pp_mb_read(&reader, PP_STR("\0\4"), &op, &used, &want), PIPIT_OK);
    assert_false(reader.in_frame);
    pp_mb_reader_fini(&reader);
}

static void test_reader_survives_each_allocation_failing(void **state)
{
    static const char bytes[] = "\0\1\0\0\0\x0b[\"aa\",\"bb\"]\0\1";
    int64_t live = pp_alloc_live();
    bool fired = true;

    (void)state;
    for (uint64_t nth = 1; fired; nth++) {
        pp_mb_reader reader = {.data_max = DATA_MAX};
        size_t used, want;
        pp_mb_op op;
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = pp_mb_read(&reader, (pp_str){bytes, sizeof(bytes) - 1}, &op, &used, &want);
        fired = pp_fault_disarm();
        assert_int_equal(err, fired ? PIPIT_ENOMEM : PIPIT_OK);
        pp_mb_reader_fini(&reader);
    }
    assert_int_equal(pp_alloc_live(), live);
}

/* --- lists -------------------------------------------------------------------------------- */

/* NULL: it is none. Source: encoding/json of Go 1.26 reading into []string. */
static const struct {
    const char *json;
    const char *names;
} lists[] = {
    {"[]", "[]"},
    {" \t\r\n[ ] ", "[]"},
    {"null", "[]"},
    {"[null,\"a\",null]", "[,a,]"},
    {"[\"\"]", "[]"},
    {"[ \"a\" , \"b\" ]", "[a,b]"},
    {"[\"a\\n\\t\\\\\\/\\\"\\b\\f\\r\"]", "[a\n\t\\/\"\b\f\r]"},
    {"[\"\\u0041\\u00e9\\u20AC\"]", "[A\xc3\xa9\xe2\x82\xac]"},
    {"[\"\\ud83d\\ude00\"]", "[\xf0\x9f\x98\x80]"},
    {"[\"\\ud83d\"]", "[\xef\xbf\xbd]"},
    {"[\"\\ude00x\"]", "[\xef\xbf\xbdx]"},
    {"[\"\\ud83d\\u0041\"]", "[\xef\xbf\xbd"
                             "A]"},
    {"[\"\\ud83d\\ud83d\\ude00\"]", "[\xef\xbf\xbd\xf0\x9f\x98\x80]"},
    {"[\"\xff"
     "a\xc3\"]",
     "[\xef\xbf\xbd"
     "a\xef\xbf\xbd]"},
    {"[\"\xed\xa0\x80\"]", "[\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd]"},
    {"[\"\x7f\"]", "[\x7f]"},
    {"", NULL},
    {"[", NULL},
    {"[\"a\"", NULL},
    {"[\"a\",]", NULL},
    {"[,]", NULL},
    {"[\"a\" \"b\"]", NULL},
    {"[\"a\"]x", NULL},
    {"[\"a\"][]", NULL},
    {"[1]", NULL},
    {"[true]", NULL},
    {"[[\"a\"]]", NULL},
    {"[{}]", NULL},
    {"{}", NULL},
    {"\"a\"", NULL},
    {"[\"a\n\"]", NULL},
    {"[\"\\x\"]", NULL},
    {"[\"\\u12g4\"]", NULL},
    {"[\"\\u12\"]", NULL},
    {"[\"\\", NULL},
    {"[nul]", NULL},
    {"nulls", NULL},
    {"[\"a]", NULL},
    {"\f[]", NULL},
};

static void test_list_is_what_go_makes_of_it(void **state)
{
    pp_mb_list list = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        char said[SAID_MAX] = "";
        pipit_err err = pp_mb_list_read(&list, pp_str_of(lists[i].json));

        if (err != (lists[i].names ? PIPIT_OK : PIPIT_EPROTO))
            fail_msg("%s: %s", lists[i].json, pipit_strerror(err));
        say_list(said, &list);
        if (lists[i].names && strcmp(said, lists[i].names) != 0)
            fail_msg("%s: %s", lists[i].json, said);
    }
    pp_mb_list_fini(&list);
}

static void test_list_of_the_longest_request_is_read(void **state)
{
    static char json[PP_MB_LIST_BYTES_MAX];
    pp_mb_list list = {0};
    size_t len = 0;

    (void)state;
    json[len++] = '[';
    while (len + 4 < sizeof(json)) {
        memcpy(json + len, "\"\",", 3);
        len += 3;
    }
    memcpy(json + len, "\"\"]", 3);
    assert_int_equal(pp_mb_list_read(&list, (pp_str){json, len + 3}), PIPIT_OK);
    assert_int_equal(list.count, (len - 1) / 3 + 1);
    pp_mb_list_fini(&list);
}

/* --- what it is told ---------------------------------------------------------------------- */

/* Source: message-broker, section 10. */
static void test_writer_writes_what_clients_know(void **state)
{
    static const char error[] = "\0\3\0\x0eunknown action";
    static const char head[] = "\0\7topic-a\0\0\0\0\0\0\0\x09";
    char out[PP_MB_ERROR_BYTES];

    (void)state;
    assert_int_equal(pp_mb_write_error("unknown action", out), sizeof(error) - 1);
    assert_memory_equal(out, error, sizeof(error) - 1);
    assert_int_equal(pp_mb_write_head(PP_STR("topic-a"), 9, out), sizeof(head) - 1);
    assert_memory_equal(out, head, sizeof(head) - 1);
    assert_int_equal(pp_mb_write_head(PP_STR(""), 0x0102030405060708, out), PP_MB_HEAD_BYTES(0));
    assert_memory_equal(out, "\0\0\1\2\3\4\5\6\7\x08", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_says_what_was_meant_however_it_is_cut),
        cmocka_unit_test(test_reader_takes_all_of_what_it_wants),
        cmocka_unit_test(test_reader_knows_when_a_frame_is_open),
        cmocka_unit_test(test_reader_survives_each_allocation_failing),
        cmocka_unit_test(test_list_is_what_go_makes_of_it),
        cmocka_unit_test(test_list_of_the_longest_request_is_read),
        cmocka_unit_test(test_writer_writes_what_clients_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
