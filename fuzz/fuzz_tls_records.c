/* What a client may say by TLS once it has shaken hands: it has the keys, and need not keep to any
 * rule. Bytes are read as what it does: seals this as a record of that kind, changes its keys, says
 * something that it has not sealed. */
#include "base/assert.h"
#include "base/openssl.h"
#include "tls/records.h"

#include <stdint.h>
#include <string.h>

enum { SEALED_MAX = 16384 + PP_TLS_SEAL_EXTRA };

static struct {
    pp_tls_records *client, *server;
    pp_tls_cipher_context sealing, opening, answering;
    char sealed[SEALED_MAX], opened[SEALED_MAX], answer[PP_TLS_SEAL_EXTRA];
} it;

/* The server hears a record. False: the connection has ended. */
static bool hear(size_t len)
{
    pp_str window = {it.sealed, len};

    while (window.len) {
        size_t whole = pp_tls_records_whole(window), got = 0;

        PP_ASSERT(whole <= window.len);
        if (!whole)
            return true;
        if (pp_tls_records_open(it.server, &it.opening, (pp_str){window.ptr, whole}, it.opened,
                                &got)) {
            PP_ASSERT(it.server->wrong && got == 0);
            return false;
        }
        PP_ASSERT(got <= 16384 && !it.server->wrong);
        if (it.server->asked)
            PP_ASSERT(pp_tls_records_renew(it.server, &it.answering, it.answer));
        window.ptr += whole;
        window.len -= whole;
    }
    return !it.server->ended;
}

static void talk(const uint8_t *data, size_t size)
{
    size_t n;

    while (size >= 3) {
        unsigned kind = data[0], want = data[1] << 8 | data[2];

        data += 3;
        size -= 3;
        n = want % 16385 < size ? want % 16385 : size;
        if (kind & 0x80) { /* as it is */
            memcpy(it.sealed, data, n);
        } else if (kind & 0x40) {
            n = 0;
            if (!hear(pp_tls_records_renew(it.client, &it.sealing, it.sealed)))
                return;
        } else {
            data += n;
            size -= n;
            n = pp_tls_records_seal(it.client, &it.sealing, (pp_tls_kind)(kind & 0x3f),
                                    (pp_str){(const char *)data - n, n}, it.sealed);
            PP_ASSERT(n);
            if (!hear(n))
                return;
            continue;
        }
        data += n;
        size -= n;
        if (n && !hear(n))
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char secrets[2][48] = {"of the client", "of the server"};
    static const unsigned suites[] = {0x1301, 0x1302, 0x1303};
    unsigned suite;
    size_t len;

    if (!size || pp_openssl_load(NULL))
        return 0;
    suite = suites[data[0] % 3];
    len = suite == 0x1302 ? 48 : 32;
    PP_ASSERT(!pp_tls_records_new(&it.client, suite, (pp_str){secrets[1], len},
                                  (pp_str){secrets[0], len}, 0));
    PP_ASSERT(!pp_tls_records_new(&it.server, suite, (pp_str){secrets[0], len},
                                  (pp_str){secrets[1], len}, 0));
    talk(data + 1, size - 1);
    pp_tls_records_free(it.client);
    pp_tls_records_free(it.server);
    return 0;
}
