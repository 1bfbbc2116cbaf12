#include "server/system/encoding.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static void test_encoding_what_is_asked_for(void **state)
{
    static const struct {
        const char *header;
        pp_encoding encoding;
    } cases[] = {
        {"", PP_ENCODING_UNASKED},
        {"NATS/1.0\r\n\r\n", PP_ENCODING_UNASKED},
        {"NATS/1.0\r\nX: gzip\r\n\r\n", PP_ENCODING_UNASKED},
        {"NATS/1.0\r\nAccept-Encoding: gzip\r\n\r\n", PP_ENCODING_GZIP},
        {"NATS/1.0\r\nX: y\r\naccept-encoding:GZIP\r\n\r\n", PP_ENCODING_GZIP},
        {"NATS/1.0\r\nAccept-Encoding: br, gzip;q=1\r\n\r\n", PP_ENCODING_GZIP},
        {"NATS/1.0\r\nAccept-Encoding: br\r\n\r\n", PP_ENCODING_IDENTITY},
        {"NATS/1.0\r\nAccept-Encoding: snappy\r\n\r\n", PP_ENCODING_IDENTITY},
        {"NATS/1.0\r\nAccept-Encoding: gzi\r\n\r\n", PP_ENCODING_IDENTITY},
        {"NATS/1.0\r\nAccept-Encoding", PP_ENCODING_UNASKED},
        {"Accept-Encoding:", PP_ENCODING_UNASKED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(pp_encoding_wanted(pp_str_of(cases[i].header)), cases[i].encoding);
}

static void require(pp_encoding encoding, pp_str text, const char *header)
{
    char *back = malloc(text.len + 1);
    pp_body *body;
    size_t len, header_len;

    assert_non_null(back);
    assert_int_equal(pp_encoding_apply(encoding, text, &body, &len, &header_len), PIPIT_OK);
    assert_int_equal(header_len, strlen(header));
    assert_memory_equal(body->bytes, header, header_len);
    assert_memory_equal(body->bytes + len, "\r\n", 2);
    assert_true(body->len >= len + 2);
    if (encoding == PP_ENCODING_GZIP) {
        z_stream stream = {.next_in = (Bytef *)body->bytes + header_len,
                           .avail_in = (uInt)(len - header_len),
                           .next_out = (Bytef *)back,
                           .avail_out = (uInt)text.len + 1};

        assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.total_out, text.len);
        (void)inflateEnd(&stream);
        assert_memory_equal(back, text.ptr, text.len);
    } else {
        assert_int_equal(len - header_len, text.len);
        assert_memory_equal(body->bytes + header_len, text.ptr, text.len);
    }
    pp_body_unref(body);
    free(back);
}

static void test_encoding_comes_back_as_it_was(void **state)
{
    static char bytes[100000];
    static const size_t lens[] = {0, 1, 2000, 2048, sizeof(bytes)};
    uint32_t random = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        random = random * 1664525 + 1013904223;
        bytes[i] = (char)(random >> 24); /* which does not shrink */
    }
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        pp_str text = {bytes, lens[i]};

        require(PP_ENCODING_UNASKED, text, "");
        require(PP_ENCODING_IDENTITY, text, "NATS/1.0\r\nContent-Encoding: identity\r\n\r\n");
        require(PP_ENCODING_GZIP, text, "NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n");
    }
}

static void test_encoding_without_memory(void **state)
{
    int64_t live = pp_alloc_live();

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        pp_body *body;
        size_t len, header_len;
        pipit_err err;

        pp_fault_arm("alloc", nth);
        err = pp_encoding_apply(PP_ENCODING_GZIP, PP_STR("text"), &body, &len, &header_len);
        if (!pp_fault_disarm()) {
            assert_int_equal(err, PIPIT_OK);
            pp_body_unref(body);
            break;
        }
        assert_int_equal(err, PIPIT_ENOMEM);
        assert_int_equal(pp_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_what_is_asked_for),
        cmocka_unit_test(test_encoding_comes_back_as_it_was),
        cmocka_unit_test(test_encoding_without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
