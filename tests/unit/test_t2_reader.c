/* Tests of t2/reader.h and t2/writer.h: the samples of the protocol, every other way in which a
 * message may be put, and what does not decode. */
#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "seed.h"
#include "t2/data.h"
#include "t2/reader.h"
#include "t2/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* "a2 62 69": returns its length. */
static size_t from_hex(const char *hex, char *out)
{
    size_t len = 0;

    for (const char *at = hex; *at;) {
        char *end;
        unsigned long byte = strtoul(at, &end, 16);

        if (end == at)
            break;
        out[len++] = (char)byte;
        at = end;
    }
    return len;
}

static bool same_payload(const pp_t2_payload *a, const pp_t2_payload *b)
{
    char left[256], right[256];
    size_t n = a->data.len, m = b->data.len;

    if (a->is_array)
        n = pp_t2_data_decode(a->data, left);
    else if (n)
        memcpy(left, a->data.ptr, n);
    if (b->is_array)
        m = pp_t2_data_decode(b->data, right);
    else if (m)
        memcpy(right, b->data.ptr, m);
    return n == m && memcmp(left, right, n) == 0 && a->is_compressed == b->is_compressed;
}

static bool same(const pp_t2_message *a, const pp_t2_message *b)
{
    return a->id == b->id && a->kind == b->kind && pp_str_eq(a->topic, b->topic) &&
           same_payload(&a->payload, &b->payload) && a->req_id == b->req_id &&
           a->timed_out == b->timed_out && a->msg_id == b->msg_id &&
           a->error.code == b->error.code && a->error.number == b->error.number &&
           pp_str_eq(a->error.text, b->error.text) && pp_str_eq(a->error.other, b->error.other) &&
           a->has_recipients == b->has_recipients && a->recipients == b->recipients;
}

/* --- the samples -------------------------------------------------------------------------- */

/* Source: t2_bus 0.1.0, as it was seen on the wire. */
static const struct sample {
    const char *hex;
    pp_t2_message message;
} samples[] = {
    {"00 00 00 17 a2 62 69 64 01 67 63 6f 6e 74 65 6e 74 69 4b 65 65 70 41 6c 69 76 65",
     {.id = 1, .kind = PP_T2_KEEP_ALIVE}},
    {"00 00 00 30 a2 62 69 64 00 67 63 6f 6e 74 65 6e 74 a1 63 41 63 6b a3 66 6d 73 67 5f 69 64 01 "
     "63 65 72 72 f6 6e 6e 75 6d 5f 72 65 63 69 70 69 65 6e 74 73 f6",
     {.id = 0, .kind = PP_T2_ACK, .msg_id = 1}},
    {"00 00 00 25 a2 62 69 64 02 67 63 6f 6e 74 65 6e 74 a1 63 53 75 62 a1 65 74 6f 70 69 63 6b 68 "
     "65 6c 6c 6f 2f 61 6c 69 63 65",
     {.id = 2, .kind = PP_T2_SUB, .topic = {"hello/alice", 11}}},
    {"00 00 00 49 a2 62 69 64 02 67 63 6f 6e 74 65 6e 74 a1 63 50 75 62 a2 65 74 6f 70 69 63 6b 68 "
     "65 6c 6c 6f 2f 61 6c 69 63 65 67 70 61 79 6c 6f 61 64 a2 64 64 61 74 61 83 18 62 18 48 18 69 "
     "6d 69 73 5f 63 6f 6d 70 72 65 73 73 65 64 f4",
     {.id = 2,
      .kind = PP_T2_PUB,
      .topic = {"hello/alice", 11},
      .payload = {.data = {"\x62Hi", 3}}}},
    {"00 00 00 30 a2 62 69 64 04 67 63 6f 6e 74 65 6e 74 a1 63 41 63 6b a3 66 6d 73 67 5f 69 64 02 "
     "63 65 72 72 f6 6e 6e 75 6d 5f 72 65 63 69 70 69 65 6e 74 73 01",
     {.id = 4, .kind = PP_T2_ACK, .msg_id = 2, .has_recipients = true, .recipients = 1}},
    {"00 00 00 49 a2 62 69 64 03 67 63 6f 6e 74 65 6e 74 a1 63 52 73 70 a3 66 72 65 71 5f 69 64 07 "
     "66 73 74 61 74 75 73 62 4f 6b 67 70 61 79 6c 6f 61 64 a2 64 64 61 74 61 83 18 62 18 59 18 6f "
     "6d 69 73 5f 63 6f 6d 70 72 65 73 73 65 64 f4",
     {.id = 3, .kind = PP_T2_RSP, .req_id = 7, .payload = {.data = {"\x62Yo", 3}}}},
    {"00 00 00 48 a2 62 69 64 09 67 63 6f 6e 74 65 6e 74 a1 63 52 73 70 a3 66 72 65 71 5f 69 64 03 "
     "66 73 74 61 74 75 73 67 54 69 6d 65 6f 75 74 67 70 61 79 6c 6f 61 64 a2 64 64 61 74 61 80 6d "
     "69 73 5f 63 6f 6d 70 72 65 73 73 65 64 f4",
     {.id = 9, .kind = PP_T2_RSP, .req_id = 3, .timed_out = true}},
    {"00 00 00 46 a2 62 69 64 09 67 63 6f 6e 74 65 6e 74 a1 63 41 63 6b a3 66 6d 73 67 5f 69 64 03 "
     "63 65 72 72 a1 6f 53 65 72 76 69 63 65 4e 6f 74 46 6f 75 6e 64 65 68 65 6c 6c 6f 6e 6e 75 6d "
     "5f 72 65 63 69 70 69 65 6e 74 73 f6",
     {.id = 9,
      .kind = PP_T2_ACK,
      .msg_id = 3,
      .error = {.code = PP_T2_SERVICE_NOT_FOUND, .text = {"hello", 5}}}},
    {"00 00 00 43 a2 62 69 64 05 67 63 6f 6e 74 65 6e 74 a1 63 41 63 6b a3 66 6d 73 67 5f 69 64 02 "
     "63 65 72 72 73 54 6f 70 69 63 41 6c 72 65 61 64 79 43 6c 61 69 6d 65 64 6e 6e 75 6d 5f 72 65 "
     "63 69 70 69 65 6e 74 73 f6",
     {.id = 5, .kind = PP_T2_ACK, .msg_id = 2, .error = {.code = PP_T2_TOPIC_ALREADY_CLAIMED}}},
    {"00 00 00 12 a2 62 69 64 03 67 63 6f 6e 74 65 6e 74 64 53 74 6f 70",
     {.id = 3, .kind = PP_T2_STOP}},
};

/* Each is written like that, and read in either way, however it is cut. */
static void test_t2_samples(void **state)
{
    pp_t2_reader reader = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char wire[256], written[512];
        size_t len = from_hex(samples[i].hex, wire), used;
        pp_t2_message message;

        assert_int_equal(pp_t2_write_frame(&samples[i].message, written), len);
        assert_memory_equal(written, wire, len);
        assert_in_range(len, 0, pp_t2_frame_max(&samples[i].message));
        for (size_t n = 0; n < len; n++) {
            assert_int_equal(
                pp_t2_read(&reader, (pp_str){wire, n}, PP_T2_FRAME_MAX, &message, &used),
                PIPIT_EAGAIN);
            assert_int_equal(used, n < PP_T2_LENGTH_BYTES ? 0 : len);
        }
        assert_int_equal(pp_t2_read(&reader, (pp_str){wire, len}, PP_T2_FRAME_MAX, &message, &used),
                         PIPIT_OK);
        assert_int_equal(used, len);
        assert_true(same(&message, &samples[i].message));
        assert_int_equal(pp_t2_read_items(&reader, (pp_str){wire + 4, len - 4}, &message),
                         PIPIT_OK);
        assert_true(same(&message, &samples[i].message));
        /* Cut short, the items do not decode, whatever the length says. */
        for (size_t n = 0; n < len - 4; n++)
            assert_int_equal(pp_t2_read_items(&reader, (pp_str){wire + 4, n}, &message),
                             PIPIT_EPROTO);
        assert_int_equal(pp_t2_read(&reader, (pp_str){wire, len}, len - 5, &message, &used),
                         PIPIT_ETOOBIG);
    }
    pp_t2_reader_fini(&reader);
}

/* What is recognised as it stands is what would be read item by item. */
static void test_t2_both_readers_agree(void **state)
{
    uint64_t random = test_seed(__func__);
    pp_t2_reader reader = {0};
    unsigned canonical = 0;

    (void)state;
    for (int round = 0; round < 200000; round++) {
        const struct sample *sample = &samples[pp_random_below(&random, COUNT_OF(samples))];
        char wire[256];
        size_t len = from_hex(sample->hex, wire) - 4;
        pp_t2_message quick, slow;
        char *frame = wire + 4;

        if (round % 4) {
            char *at = &frame[pp_random_below(&random, (uint32_t)len)];

            *at = (char)(round % 4 == 1 ? *at + 1 : (int)pp_random_below(&random, 256));
        }
        if (!pp_t2_read_canonical((pp_str){frame, len}, &quick))
            continue;
        canonical++;
        assert_int_equal(pp_t2_read_items(&reader, (pp_str){frame, len}, &slow), PIPIT_OK);
        assert_true(same(&quick, &slow));
        assert_int_equal(pp_t2_content_max(&quick), quick.wire.len);
    }
    assert_true(canonical > 20000);
    pp_t2_reader_fini(&reader);
}

/* --- other forms -------------------------------------------------------------------------- */

#define ID "a2 62 69 64 02 67 63 6f 6e 74 65 6e 74 "
#define TOPIC "65 74 6f 70 69 63 "
#define DATA "64 64 61 74 61 "
#define COMPRESSED "6d 69 73 5f 63 6f 6d 70 72 65 73 73 65 64 "
#define PAYLOAD "67 70 61 79 6c 6f 61 64 "
#define PUB ID "a1 63 50 75 62 a2 " TOPIC "61 61 " PAYLOAD

static const struct form {
    const char *name, *hex;
    pipit_err err;
} forms[] = {
    /* All of these are the same publish of the bytes 1, 24 on topic "a". */
    {"as written", PUB "a2 " DATA "82 01 18 18 " COMPRESSED "f4", PIPIT_OK},
    {"wide numbers", PUB "a2 " DATA "82 18 01 19 00 18 " COMPRESSED "f4", PIPIT_OK},
    {"very wide numbers", PUB "a2 " DATA "82 1a 0 0 0 01 1b 0 0 0 0 0 0 0 18 " COMPRESSED "f4",
     PIPIT_OK},
    {"bignum", PUB "a2 " DATA "82 c2 41 01 c2 43 0 0 18 " COMPRESSED "f4", PIPIT_OK},
    {"chunked bignum", PUB "a2 " DATA "82 c2 5f 41 0 41 1 ff 18 18 " COMPRESSED "f4", PIPIT_OK},
    {"open array", PUB "a2 " DATA "9f 01 18 18 ff " COMPRESSED "f4", PIPIT_OK},
    {"byte string", PUB "a2 " DATA "42 01 18 " COMPRESSED "f4", PIPIT_OK},
    {"chunked bytes", PUB "a2 " DATA "5f 41 01 40 41 18 ff " COMPRESSED "f4", PIPIT_OK},
    {"tags", PUB "c0 a2 " DATA "d8 40 82 01 c1 c1 18 18 " COMPRESSED "c9 f4", PIPIT_OK},
    {"wide length", PUB "a2 " DATA "98 02 01 18 18 " COMPRESSED "f4", PIPIT_OK},
    {"fields turned round", PUB "a2 " COMPRESSED "f4 " DATA "82 01 18 18", PIPIT_OK},
    {"unknown field", PUB "a3 61 78 83 01 a1 02 03 f6 " DATA "82 01 18 18 " COMPRESSED "f4",
     PIPIT_OK},
    {"key of bytes", PUB "a2 44 64 61 74 61 82 01 18 18 " COMPRESSED "f4", PIPIT_OK},
    {"open map", PUB "bf " DATA "82 01 18 18 " COMPRESSED "f4 ff", PIPIT_OK},
    {"chunked topic",
     ID "a1 63 50 75 62 a2 " TOPIC "7f 60 61 61 ff " PAYLOAD "a2 " DATA "82 01 18 18 " COMPRESSED
        "f4",
     PIPIT_OK},
    {"something behind it", PUB "a2 " DATA "82 01 18 18 " COMPRESSED "f4 ff ff", PIPIT_OK},
    {"wide id",
     "a2 62 69 64 1b 0 0 0 0 0 0 0 2 67 63 6f 6e 74 65 6e 74 a1 63 50 75 62 a2 " TOPIC
     "61 61 " PAYLOAD "a2 " DATA "82 01 18 18 " COMPRESSED "f4",
     PIPIT_OK},
    /* And these are nothing. */
    {"id out of range", "a2 62 69 64 1b 0 0 0 1 0 0 0 0 67 63 6f 6e 74 65 6e 74 64 53 74 6f 70",
     PIPIT_EPROTO},
    {"byte out of range", PUB "a2 " DATA "82 01 19 01 00 " COMPRESSED "f4", PIPIT_EPROTO},
    {"negative", PUB "a2 " DATA "82 01 20 " COMPRESSED "f4", PIPIT_EPROTO},
    {"text for data", PUB "a2 " DATA "62 61 61 " COMPRESSED "f4", PIPIT_EPROTO},
    {"more claimed than there is", PUB "a2 " DATA "9b ff ff ff ff ff ff ff ff 01", PIPIT_EPROTO},
    {"long bytes claimed", PUB "a2 " DATA "5b 7f ff ff ff ff ff ff ff 01", PIPIT_EPROTO},
    {"field missing", PUB "a1 " DATA "82 01 18 18", PIPIT_EPROTO},
    {"field twice", PUB "a3 " DATA "80 " DATA "82 01 18 18 " COMPRESSED "f4", PIPIT_EPROTO},
    {"number for bool", PUB "a2 " DATA "82 01 18 18 " COMPRESSED "00", PIPIT_EPROTO},
    {"key of a number", PUB "a3 01 02 " DATA "82 01 18 18 " COMPRESSED "f4", PIPIT_EPROTO},
    {"chunked key", PUB "a3 7f 61 61 ff 02 " DATA "82 01 18 18 " COMPRESSED "f4", PIPIT_EPROTO},
    {"unknown simple value", PUB "a3 61 78 e0 " DATA "82 01 18 18 " COMPRESSED "f4", PIPIT_EPROTO},
    {"topic is no UTF-8",
     ID "a1 63 50 75 62 a2 " TOPIC "62 ff ff " PAYLOAD "a2 " DATA "82 01 18 18 " COMPRESSED "f4",
     PIPIT_EPROTO},
    {"unknown message", ID "a1 63 51 75 62 a1 " TOPIC "61 61", PIPIT_EPROTO},
    {"case matters", ID "64 73 74 6f 70", PIPIT_EPROTO},
    {"two variants", ID "a2 64 53 74 6f 70 f6 64 53 74 6f 70 f6", PIPIT_EPROTO},
    {"open variant", ID "bf 64 53 74 6f 70 f6 ff", PIPIT_EPROTO},
    {"no content", "a1 62 69 64 02", PIPIT_EPROTO},
    {"break where none can be", "a2 62 69 64 02 67 63 6f 6e 74 65 6e 74 ff", PIPIT_EPROTO},
    {"an array", "82 01 02", PIPIT_EPROTO},
    {"a zero", "00", PIPIT_EPROTO},
    {"nothing", "", PIPIT_EPROTO},
};

static void test_t2_other_forms(void **state)
{
    static const pp_t2_message expected = {
        .id = 2, .kind = PP_T2_PUB, .topic = {"a", 1}, .payload = {.data = {"\x01\x18", 2}}};
    int64_t live = pp_alloc_live();
    pp_t2_reader reader = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        char wire[256], written[512];
        size_t len = from_hex(forms[i].hex, wire);
        pp_t2_message message;
        pipit_err err = pp_t2_read_items(&reader, (pp_str){wire, len}, &message);

        if (err != forms[i].err)
            fail_msg("%s: %d", forms[i].name, (int)err);
        if (err)
            continue;
        if (!same(&message, &expected))
            fail_msg("%s: read otherwise", forms[i].name);
        /* However it came, it is written in the one form. */
        assert_int_equal(from_hex(forms[0].hex, wire),
                         pp_t2_write_frame(&message, written) - PP_T2_LENGTH_BYTES);
        assert_memory_equal(written + PP_T2_LENGTH_BYTES, wire, from_hex(forms[0].hex, wire));
    }
    pp_t2_reader_fini(&reader);
    assert_int_equal(pp_alloc_live(), live);
}

/* Unit variants may be maps, too. */
static void test_t2_unit_variants(void **state)
{
    static const char *const good[] = {ID "64 53 74 6f 70", ID "a1 64 53 74 6f 70 f6",
                                       ID "a1 64 53 74 6f 70 f7", ID "a1 64 53 74 6f 70 a0"};
    pp_t2_reader reader = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char wire[64];
        size_t len = from_hex(good[i], wire);
        pp_t2_message message;

        assert_int_equal(pp_t2_read_items(&reader, (pp_str){wire, len}, &message), PIPIT_OK);
        assert_int_equal(message.kind, PP_T2_STOP);
    }
    pp_t2_reader_fini(&reader);
}

/* An unknown field may nest, but only so deep. */
static void test_t2_nesting(void **state)
{
    pp_t2_reader reader = {0};

    (void)state;
    for (int depth = 62; depth <= 20000; depth = depth < 66 ? depth + 1 : depth * 10) {
        char *wire = malloc((size_t)depth + 64);
        size_t len;
        pp_t2_message message;

        assert_non_null(wire);
        len = from_hex("a3 61 78 ", wire);
        memset(wire + len, 0x81, (size_t)depth);
        len += (size_t)depth;
        wire[len++] = 0;
        len += from_hex("62 69 64 02 67 63 6f 6e 74 65 6e 74 64 53 74 6f 70", wire + len);
        assert_int_equal(pp_t2_read_items(&reader, (pp_str){wire, len}, &message),
                         depth <= 64 ? PIPIT_OK : PIPIT_EPROTO);
        free(wire);
    }
    pp_t2_reader_fini(&reader);
}

/* Every error there is, written and read again. */
static void test_t2_errors(void **state)
{
    pp_t2_reader reader = {0};
    char text[128];

    (void)state;
    for (unsigned code = 1; code < PP_T2_ERROR_COUNT; code++) {
        pp_t2_message ack = {.id = UINT32_MAX, .kind = PP_T2_ACK, .msg_id = UINT32_MAX}, read;
        char wire[512];
        size_t len, used;

        ack.error.code = code;
        if (pp_t2_error_forms[code].cargo != PP_T2_CARRIES_NOTHING &&
            pp_t2_error_forms[code].cargo != PP_T2_CARRIES_NUMBER)
            ack.error.text = PP_STR("text");
        if (pp_t2_error_forms[code].cargo == PP_T2_CARRIES_TWO_TEXTS)
            ack.error.other = PP_STR("other");
        if (pp_t2_error_forms[code].cargo == PP_T2_CARRIES_NUMBER ||
            pp_t2_error_forms[code].cargo == PP_T2_CARRIES_NUMBER_AND_TEXT)
            ack.error.number = UINT32_MAX;
        len = pp_t2_write_frame(&ack, wire);
        assert_in_range(len, 1, pp_t2_frame_max(&ack));
        assert_int_equal(pp_t2_read(&reader, (pp_str){wire, len}, PP_T2_FRAME_MAX, &read, &used),
                         PIPIT_OK);
        assert_true(same(&ack, &read));
        pp_t2_error_text(&read.error, text, sizeof(text));
        assert_true(strlen(text) > 10);
    }
    pp_t2_error_text(&(pp_t2_error){.code = PP_T2_DELIVERY_FAILED, .number = 7, .text = {"x", 1}},
                     text, sizeof(text));
    assert_string_equal(text, "Message delivery failed: Client #7: x");
    pp_t2_error_text(
        &(pp_t2_error){.code = PP_T2_MALFORMED_MESSAGE, .text = {"a", 1}, .other = {"b", 1}}, text,
        40);
    assert_string_equal(text, "Deserialize message failed. Protocol: a");
    pp_t2_reader_fini(&reader);
}

/* --- data --------------------------------------------------------------------------------- */

static void test_t2_data_random(void **state)
{
    uint64_t random = test_seed(__func__);

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char bytes[80], elements[160], again[80];
        size_t count = pp_random_below(&random, sizeof(bytes)), len, checked;
        unsigned kind = (unsigned)round % 3;

        for (size_t i = 0; i < count; i++)
            bytes[i] = (char)(kind == 0   ? pp_random_below(&random, 256)
                              : kind == 1 ? 24 + pp_random_below(&random, 232)
                                          : pp_random_below(&random, 28));
        len = pp_t2_data_encode((pp_str){bytes, count}, elements);
        assert_int_equal(len, pp_t2_data_encoded_len((pp_str){bytes, count}));
        assert_true(pp_t2_data_check((pp_str){elements, len}, count, &checked));
        assert_int_equal(checked, len);
        assert_int_equal(pp_t2_data_decode((pp_str){elements, len}, again), count);
        assert_memory_equal(again, bytes, count);
        if (count)
            assert_false(pp_t2_data_check((pp_str){elements, len - 1}, count, &checked));
        for (size_t i = 0; i < len; i++) {
            char before = elements[i];
            size_t all = 0;
            bool valid = true;

            elements[i] = (char)pp_random_below(&random, 256);
            for (size_t n = 0; n < count && valid; n++) { /* one after another */
                unsigned char c = all < len ? (unsigned char)elements[all] : 0xff;

                valid =
                    c < 24 || (c == 24 && all + 1 < len && (unsigned char)elements[all + 1] >= 24);
                all += c < 24 ? 1 : 2;
            }
            assert_int_equal(pp_t2_data_check((pp_str){elements, len}, count, &checked), valid);
            elements[i] = before;
        }
    }
}

/* Every allocation fails once. */
static void test_t2_reader_without_memory(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        for (uint64_t nth = 1;; nth++) {
            pp_t2_reader reader = {0};
            pp_t2_message message;
            char wire[256];
            pipit_err err;

            pp_fault_arm("alloc", nth);
            err = pp_t2_read_items(&reader, (pp_str){wire, from_hex(forms[i].hex, wire)}, &message);
            if (!pp_fault_disarm()) {
                assert_int_equal(err, forms[i].err);
                pp_t2_reader_fini(&reader);
                break;
            }
            assert_int_equal(err, PIPIT_ENOMEM);
            pp_t2_reader_fini(&reader);
            assert_int_equal(pp_alloc_live(), live);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_t2_samples),     cmocka_unit_test(test_t2_both_readers_agree),
        cmocka_unit_test(test_t2_other_forms), cmocka_unit_test(test_t2_unit_variants),
        cmocka_unit_test(test_t2_nesting),     cmocka_unit_test(test_t2_errors),
        cmocka_unit_test(test_t2_data_random), cmocka_unit_test(test_t2_reader_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
