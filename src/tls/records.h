/* tls/records.h -- the records of a TLS 1.3 connection that is open, sealed and opened with what a
 * handshake has agreed on.
 *
 * OpenSSL's object keeps 13 KiB for a connection, nearly all of it for handshakes, and there is no
 * way to ask for less. So it goes when the handshake has ended, and this takes its place: two keys
 * and two counters. Ciphers and the derivation of keys are OpenSSL's; what is done here is framing,
 * counting, and changing keys. Whoever has done it wrong hears an alert and the connection ends.
 *
 * Pure: bytes in, bytes out. A context of the cipher belongs to the loop that uses it, not to a
 * connection; giving it another key costs less than a send.
 * Source: RFC 8446, sections 4.6.3, 5, 6 and 7. */
#ifndef PP_TLS_RECORDS_H
#define PP_TLS_RECORDS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evp_cipher_ctx_st;

enum {
    PP_TLS_HEAD_BYTES = 5, /* of a record: its kind, a version, how long the rest is */
    PP_TLS_SECRET_MAX = 48,
    PP_TLS_KEY_MAX = 32,
    PP_TLS_TAG_BYTES = 16,
    PP_TLS_SEALED_MAX = 16384 + 256, /* of a record, without its head */
    PP_TLS_SEAL_EXTRA = 64,          /* more than sealing adds, with a change of keys before it */
    PP_TLS_FRUITLESS_MAX = 32,       /* records in a row that bring nothing */
};

/* Records of one key; then comes another, well before AES-GCM's limit of 2^24.5. A build for tests
 * may have fewer (tests/tls/kernel). */
#ifndef PIPIT_TLS_RECORDS_OF_KEY
#define PIPIT_TLS_RECORDS_OF_KEY (UINT64_C(1) << 23)
#endif
static const uint64_t pp_tls_records_of_key = PIPIT_TLS_RECORDS_OF_KEY;

typedef enum pp_tls_kind {
    PP_TLS_ALERT = 21,
    PP_TLS_HANDSHAKE = 22,
    PP_TLS_DATA = 23,
} pp_tls_kind;

struct pp_tls_suite;

/* A cipher of a loop's, with the key that it was given last. */
typedef struct pp_tls_cipher_context {
    struct evp_cipher_ctx_st *context; /* NULL: not used yet */
    const struct pp_tls_suite *suite;
    uint8_t key[PP_TLS_KEY_MAX];
} pp_tls_cipher_context;

void pp_tls_cipher_context_fini(pp_tls_cipher_context *cipher);

typedef struct pp_tls_keys {
    uint64_t count; /* of records */
    uint8_t secret[PP_TLS_SECRET_MAX];
    uint8_t key[PP_TLS_KEY_MAX];
    uint8_t iv[12];
} pp_tls_keys;

typedef struct pp_tls_records {
    const struct pp_tls_suite *suite;
    pp_tls_keys in, out;
    uint8_t heard[5]; /* of a handshake message */
    uint8_t heard_len;
    uint8_t fruitless;
    bool asked;        /* the peer wants to have other keys from us, too */
    bool ended;        /* it has said that it ends */
    uint8_t alert;     /* what to tell the peer about what is wrong; 0: nothing */
    const char *wrong; /* NULL: nothing is */
} pp_tls_records;

/**
 * Begin with the first application traffic secrets of both sides.
 *
 * suite: number of a cipher suite; sealed: records of ours that have been sealed already.
 *
 * Errors: PIPIT_EINVAL the suite is not known here, or secrets are not as long as it has them;
 * PIPIT_ENOMEM.
 */
pipit_err pp_tls_records_new(pp_tls_records **out, unsigned suite, pp_str in_secret,
                             pp_str out_secret, uint64_t sealed);
void pp_tls_records_free(pp_tls_records *records);

/* Is a whole record in front of it? Its length with the head; 0: more must come. One that is too
 * long counts as whole, and is not opened. */
size_t pp_tls_records_whole(pp_str window);

/* Seal up to 16 KiB as one record, with a change of keys before it if it is time for one. to has
 * room for PP_TLS_SEAL_EXTRA bytes more, and does not overlap. Returns what was written; 0: it
 * cannot be done, and nothing may be sealed any more. */
size_t pp_tls_records_seal(pp_tls_records *records, pp_tls_cipher_context *cipher, pp_tls_kind kind,
                           pp_str bytes, char *to);

/**
 * Open one whole record.
 *
 * to has room for all behind its head, and may be that itself. *out_len: bytes for above; 0 if it
 * was about the connection itself: then asked and ended tell what is to be done.
 *
 * Errors: PIPIT_EPROTO: alert and wrong say why; PIPIT_ENOMEM.
 */
pipit_err pp_tls_records_open(pp_tls_records *records, pp_tls_cipher_context *cipher, pp_str record,
                              char *to, size_t *out_len);

/* The number of the suite. */
unsigned pp_tls_records_suite(const pp_tls_records *records);

/* What is said of a change of keys, for who seals it elsewhere: a handshake message. When it has
 * gone the next keys hold, and count begins anew. False: it cannot be done. */
extern const char pp_tls_key_update[5];
bool pp_tls_records_next_keys(pp_tls_records *records);

/* Do what the peer has asked for: say that our keys change, and change them. to has room for
 * PP_TLS_SEAL_EXTRA bytes. Returns what was written; 0: it cannot be done. */
size_t pp_tls_records_renew(pp_tls_records *records, pp_tls_cipher_context *cipher, char *to);

#endif
