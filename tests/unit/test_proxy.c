#include "net/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define INET_BODY "\x01\x02\x03\x04\x05\x06\x07\x08\x03\xE8\x10\x7E" /* 1.2.3.4:1000 */
#define INET6_BODY                                                                                 \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x03\xE8\x10\x7E"
#define MAPPED_BODY                                                                                \
    "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x01\x02\x03\x04"                                                 \
    "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\x05\x06\x07\x08\0\x09\0\x0A"
#define TEN "xxxxxxxxxx"
#define WIRE(literal) literal, sizeof(literal) - 1

static const struct row {
    const char *name;
    const char *wire;
    size_t len;
    pipit_err err;
    const char *source; /* "address port", "" for none */
    size_t used;
    size_t skip;
    bool local;
} rows[] = {
    /* version 1 */
    {"IPv4", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 1000 4222\r\n"), PIPIT_OK, "1.2.3.4 1000", 38, 0, 0},
    {"the client's bytes stay", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nPING\r\n"), PIPIT_OK,
     "1.2.3.4 1", 32, 0, 0},
    {"runs of blanks", WIRE("PROXY  TCP4\t1.2.3.4   5.6.7.8 1000\t4222 \r\n"), PIPIT_OK,
     "1.2.3.4 1000", 42, 0, 0},
    {"IPv6", WIRE("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"), PIPIT_OK, "2001:db8::1 65535", 36, 0,
     0},
    {"IPv4 in IPv6", WIRE("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"), PIPIT_OK, "1.2.3.4 1", 35, 0,
     0},
    {"unknown", WIRE("PROXY UNKNOWN\r\n"), PIPIT_OK, "", 15, 0, 0},
    {"unknown with anything", WIRE("PROXY UNKNOWN ff ::1 \n \0 x\r\nPUB"), PIPIT_OK, "", 28, 0, 0},
    {"leading zeros of a port", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 0 00002\r\n"), PIPIT_OK,
     "1.2.3.4 0", 36, 0, 0},
    {"longest line", WIRE("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "x\r\n"), PIPIT_OK,
     "", 107, 0, 0},
    {"a byte longer", WIRE("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "xx\r\n"),
     PIPIT_EPROTO, "", 0, 0, 0},
    {"no end", WIRE("PROXY TCP4 " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN), PIPIT_EPROTO, "", 0,
     0, 0},
    {"no protocol", WIRE("PROXY \r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"longer word", WIRE("PROXY UNKNOWNX\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"lower case", WIRE("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"datagrams", WIRE("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"IPv6 called IPv4", WIRE("PROXY TCP4 ::1 ::1 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"IPv4 called IPv6", WIRE("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"bad source", WIRE("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"bad destination", WIRE("PROXY TCP4 1.2.3.4 5.6.7.256 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"octal address", WIRE("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"scope", WIRE("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"NUL in address", WIRE("PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"long address",
     WIRE("PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:0000:0000 ::1 1 2\r\n"), PIPIT_EPROTO,
     "", 0, 0, 0},
    {"port over range", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"signed port", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"bad destination port", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"a port missing", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), PIPIT_EPROTO, "", 0, 0, 0},
    {"a field too many", WIRE("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), PIPIT_EPROTO, "", 0, 0, 0},

    /* version 2 */
    {"v2 IPv4", WIRE(SIGNATURE "\x21\x11\0\x0C" INET_BODY), PIPIT_OK, "1.2.3.4 1000", 28, 0, 0},
    {"v2 the client's bytes stay", WIRE(SIGNATURE "\x21\x11\0\x0C" INET_BODY "PING\r\n"), PIPIT_OK,
     "1.2.3.4 1000", 28, 0, 0},
    {"v2 extensions are left to skip", WIRE(SIGNATURE "\x21\x11\0\x10" INET_BODY "\x04\0\x01x"),
     PIPIT_OK, "1.2.3.4 1000", 28, 4, 0},
    {"v2 longest", WIRE(SIGNATURE "\x21\x11\xFF\xFF" INET_BODY), PIPIT_OK, "1.2.3.4 1000", 28,
     65523, 0},
    {"v2 IPv6", WIRE(SIGNATURE "\x21\x21\0\x24" INET6_BODY), PIPIT_OK, "2001:db8::1 1000", 52, 0,
     0},
    {"v2 IPv6 with extensions", WIRE(SIGNATURE "\x21\x21\x01\x24" INET6_BODY), PIPIT_OK,
     "2001:db8::1 1000", 52, 256, 0},
    {"v2 IPv4 in IPv6", WIRE(SIGNATURE "\x21\x21\0\x24" MAPPED_BODY), PIPIT_OK, "1.2.3.4 9", 52, 0,
     0},
    {"v2 local", WIRE(SIGNATURE "\x20\0\0\0"), PIPIT_OK, "", 16, 0, 1},
    {"v2 local with an address", WIRE(SIGNATURE "\x20\x11\0\x0C" INET_BODY), PIPIT_OK, "", 16, 12,
     1},
    {"v2 local of any family", WIRE(SIGNATURE "\x20\x31\0\xD8"), PIPIT_OK, "", 16, 216, 1},
    {"v2 unspecified", WIRE(SIGNATURE "\x21\0\0\0"), PIPIT_OK, "", 16, 0, 0},
    {"v2 unspecified stream",
     WIRE(SIGNATURE "\x21\x01\0\x03"
                    "abc"),
     PIPIT_OK, "", 16, 3, 0},
    {"v2 short IPv4", WIRE(SIGNATURE "\x21\x11\0\x0B" INET_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 short IPv6", WIRE(SIGNATURE "\x21\x21\0\x23" INET6_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 datagrams", WIRE(SIGNATURE "\x21\x12\0\x0C" INET_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 unspecified protocol", WIRE(SIGNATURE "\x21\x20\0\x24" INET6_BODY), PIPIT_EPROTO, "", 0, 0,
     0},
    {"v2 Unix socket", WIRE(SIGNATURE "\x21\x31\0\xD8" TEN), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 unknown family", WIRE(SIGNATURE "\x21\x41\0\x24" INET6_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 unknown command", WIRE(SIGNATURE "\x22\x11\0\x0C" INET_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 of version 1", WIRE(SIGNATURE "\x11\x11\0\x0C" INET_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 of version 3", WIRE(SIGNATURE "\x31\x11\0\x0C" INET_BODY), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 signature that goes wrong", WIRE("\r\n\r\n\0\rXXXXXXXXXX"), PIPIT_EPROTO, "", 0, 0, 0},
    {"v2 signature, last byte", WIRE("\r\n\r\n\0\r\nQUITx\x21\x11\0\x0C"), PIPIT_EPROTO, "", 0, 0,
     0},

    /* the client itself */
    {"CONNECT", WIRE("CONNECT {}\r\n"), PIPIT_ENOTFOUND, "", 0, 0, 0},
    {"PUB", WIRE("PUB a 0\r\n\r\n"), PIPIT_ENOTFOUND, "", 0, 0, 0},
    {"PING", WIRE("PING\r\n"), PIPIT_ENOTFOUND, "", 0, 0, 0},
    {"proxy in lower case", WIRE("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), PIPIT_ENOTFOUND, "", 0, 0,
     0},
    {"PROXY without blank", WIRE("PROXY\r\n"), PIPIT_ENOTFOUND, "", 0, 0, 0},
    {"empty lines", WIRE("\r\n\r\n\r\n"), PIPIT_ENOTFOUND, "", 0, 0, 0},
    {"sixth byte of v2", WIRE("\r\n\r\n\0\n"), PIPIT_ENOTFOUND, "", 0, 0, 0},
    {"a TLS hello", WIRE("\x16\x03\x01\x02\0\x01"), PIPIT_ENOTFOUND, "", 0, 0, 0},
};

static void describe(const struct pp_proxy_header *header, char out[80])
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&header->src;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&header->src;
    char address[INET6_ADDRSTRLEN];

    out[0] = '\0';
    if (!header->has_address) {
        assert_int_equal(header->src.ss_family, AF_UNSPEC);
    } else if (header->src.ss_family == AF_INET) {
        assert_non_null(inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address)));
        (void)snprintf(out, 80, "%s %u", address, ntohs(in->sin_port));
    } else {
        assert_int_equal(header->src.ss_family, AF_INET6);
        assert_non_null(inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address)));
        (void)snprintf(out, 80, "%s %u", address, ntohs(in6->sin6_port));
    }
}

/* Read the first len bytes of a row, from memory that ends there. */
static pipit_err read_front(const struct row *row, size_t len, struct pp_proxy_header *header,
                            size_t *used)
{
    char *front = malloc(len ? len : 1);
    pipit_err err;

    memcpy(front, row->wire, len);
    err = pp_proxy_read((pp_str){front, len}, header, used);
    free(front);
    return err;
}

/* However the input is split, more input is asked for until the verdict, and the verdict stays. */
static void check_row(const struct row *row)
{
    bool decided = false;

    for (size_t len = 0; len <= row->len; len++) {
        struct pp_proxy_header header = {.skip_bytes = 77};
        size_t used = 77;
        pipit_err err = read_front(row, len, &header, &used);
        char source[80];

        if (err == PIPIT_EAGAIN && !decided && len < row->len && len < PP_PROXY_WINDOW_MAX) {
            assert_int_equal(used, 77);
            continue;
        }
        decided = true;
        if (err != row->err)
            fail_msg("%s: %zu bytes: %s", row->name, len, pipit_strerror(err));
        if (err) {
            assert_int_equal(used, 77); /* results on success only */
            assert_int_equal(header.skip_bytes, 77);
            continue;
        }
        describe(&header, source);
        assert_string_equal(source, row->source);
        assert_int_equal(used, row->used);
        assert_int_equal(header.skip_bytes, row->skip);
        assert_int_equal(header.local, row->local);
    }
    assert_true(decided);
}

static void test_proxy_rows_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&rows[i]);
}

static void test_proxy_no_bytes(void **state)
{
    struct pp_proxy_header header;
    size_t used;

    (void)state;
    assert_int_equal(pp_proxy_read((pp_str){0}, &header, &used), PIPIT_EAGAIN);
}

/* The client's own first byte is told from a header at once, so that "PING" need not wait. */
static void test_proxy_decides_on_the_first_wrong_byte(void **state)
{
    static const char *const fronts[] = {"C", "PU", "PI", "S", "\n", "\r\r", "PROXY1", "\r\n\r\nx"};
    struct pp_proxy_header header;
    size_t used;

    (void)state;
    for (size_t i = 0; i < sizeof(fronts) / sizeof(fronts[0]); i++)
        assert_int_equal(pp_proxy_read(pp_str_of(fronts[i]), &header, &used), PIPIT_ENOTFOUND);
}

/* A window of the stated size is enough for every verdict, whatever the bytes. */
static void test_proxy_needs_no_more_than_it_says(void **state)
{
    char window[PP_PROXY_WINDOW_MAX];
    struct pp_proxy_header header;
    size_t used;

    (void)state;
    for (unsigned family = 0; family < 256; family++) {
        for (unsigned command = 0; command < 256; command++) {
            memset(window, 'x', sizeof(window));
            memcpy(window, SIGNATURE, 12);
            window[12] = (char)command;
            window[13] = (char)family;
            assert_int_not_equal(pp_proxy_read((pp_str){window, sizeof(window)}, &header, &used),
                                 PIPIT_EAGAIN);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_rows_at_every_split),
        cmocka_unit_test(test_proxy_no_bytes),
        cmocka_unit_test(test_proxy_decides_on_the_first_wrong_byte),
        cmocka_unit_test(test_proxy_needs_no_more_than_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
