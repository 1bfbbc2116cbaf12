/* fuzz_connect -- the JSON of CONNECT: any bytes give a sound state or leave the old one. */
#include "base/assert.h"
#include "base/str.h"
#include "proto/nats/connect.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_secret(unsigned which)
{
    return which == PP_CONNECT_AUTH_TOKEN || which == PP_CONNECT_PASS || which == PP_CONNECT_JWT ||
           which == PP_CONNECT_SIG || which == PP_CONNECT_PROXY_SIG;
}

static void check_texts(const struct pp_nats_connect *c, size_t size)
{
    size_t total = 0;

    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++) {
        pp_str text = pp_nats_connect_text(c, which);

        total += text.len;
        while (text.len) {
            size_t len = pp_str_utf8_len(text);

            PP_ASSERT(len > 0);
            text.ptr += len;
            text.len -= len;
        }
    }
    PP_ASSERT(total <= 3 * size); /* at worst each byte became U+FFFD */
}

static void check_same(const struct pp_nats_connect *a, const struct pp_nats_connect *b,
                       bool secrets_too)
{
    PP_ASSERT(a->protocol == b->protocol);
    PP_ASSERT(a->verbose == b->verbose && a->pedantic == b->pedantic && a->echo == b->echo);
    PP_ASSERT(a->tls_required == b->tls_required && a->headers == b->headers);
    PP_ASSERT(a->no_responders == b->no_responders && a->new_account == b->new_account);
    for (unsigned which = 0; which < PP_CONNECT_TEXT_COUNT; which++) {
        if (secrets_too || !is_secret(which))
            PP_ASSERT(pp_str_eq(pp_nats_connect_text(a, which), pp_nats_connect_text(b, which)));
        else
            PP_ASSERT(pp_nats_connect_text(b, which).len == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pp_str json = {(const char *)data, size};
    struct pp_nats_connect once, twice, initial;
    pipit_err err;

    pp_nats_connect_init(&initial);
    pp_nats_connect_init(&once);
    pp_nats_connect_init(&twice);
    err = pp_nats_connect_parse(json, &once);
    PP_ASSERT(err == PIPIT_OK || err == PIPIT_EPROTO);
    if (err) {
        check_same(&once, &initial, true);
    } else {
        check_texts(&once, size);
        /* The same again changes nothing, and without its secrets the rest stays. */
        PP_ASSERT(pp_nats_connect_parse(json, &twice) == PIPIT_OK);
        PP_ASSERT(pp_nats_connect_parse(json, &twice) == PIPIT_OK);
        check_same(&once, &twice, true);
        pp_nats_connect_forget_secrets(&twice);
        check_same(&once, &twice, false);
        PP_ASSERT(pp_nats_connect_parse(json, &twice) == PIPIT_OK);
        check_same(&once, &twice, true);
    }
    pp_nats_connect_fini(&once);
    pp_nats_connect_fini(&twice);
    return 0;
}
