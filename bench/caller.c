/* caller.c -- see caller.h. A call is four steps, each of them a send and what is received then. */
#include "caller.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fatal.h"
#include "tls_keys.h"

enum {
    KEY_BYTES = 32,
    RANDOM_AT = 11, /* of the hello, in its record */
    SESSION_AT = RANDOM_AT + 32 + 1,
    RECEIVED_MAX = 64 * 1024,
    CHANGE = 20, /* kinds of records */
    ALERT = 21,
    HANDSHAKE = 22,
    DATA = 23,
    SERVER_HELLO = 2, /* messages of a handshake */
    FINISHED = 20,
    GROUP_X25519 = 29,
    EXTENSION_KEY_SHARE = 51,
    MESSAGE_HEAD = 4,
};

struct bench_caller {
    bench_target target;
    uint8_t private_key[KEY_BYTES];
    uint8_t hello[512];
    size_t hello_bytes;
    EVP_CIPHER_CTX *sealer, *opener;
    uint64_t tickets;
    uint8_t derived_early[BENCH_TLS_HASH_BYTES];
    uint8_t empty_hash[BENCH_TLS_HASH_BYTES];
    /* Of the call under way: */
    int fd;
    crypto_hash_sha256_state transcript;
    bench_tls_keys in, out;
    uint8_t received[RECEIVED_MAX];
    size_t start, end; /* what is received and not yet used lies between them */
};

/* --- hello -------------------------------------------------------------------------------- */

static void make_hello(bench_caller *caller, const uint8_t public_key[KEY_BYTES],
                       bool asks_for_tickets)
{
    static const uint8_t head[] = {HANDSHAKE, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3};
    static const uint8_t rest[] = {
        0, 2,  0x13, 0x01,               /* TLS_AES_128_GCM_SHA256 */
        1, 0,                            /* no compression */
        0, 0,                            /* how long what follows is: below */
        0, 43, 0,    3,    2, 3,  4,     /* supported versions: TLS 1.3 */
        0, 10, 0,    6,    0, 4,  0, 29, /* groups: X25519 */
        0, 23,                           /* and P-256 */
        0, 13, 0,    12,   0, 10,        /* signatures: */
        4, 3,  8,    7,    8, 4,  8, 5,  /* P-256, Ed25519, RSA-PSS twice */
        8, 6,                            /* and once more */
        0, 51, 0,    38,   0, 36, 0, 29, /* a share of X25519, which follows */
        0, 32,
    };
    static const uint8_t modes[] = {0, 45, 0, 2, 1, 1}; /* resumes with a new share */
    size_t at = sizeof head, extensions_at, len;

    memcpy(caller->hello, head, sizeof head);
    at += 32; /* random */
    caller->hello[at++] = 32;
    at += 32; /* the session's name */
    memcpy(caller->hello + at, rest, sizeof rest);
    extensions_at = at + 8;
    at += sizeof rest;
    memcpy(caller->hello + at, public_key, KEY_BYTES);
    at += KEY_BYTES;
    if (asks_for_tickets) {
        memcpy(caller->hello + at, modes, sizeof modes);
        at += sizeof modes;
    }
    len = at - extensions_at;
    caller->hello[extensions_at - 2] = (uint8_t)(len >> 8);
    caller->hello[extensions_at - 1] = (uint8_t)len;
    len = at - BENCH_TLS_HEAD_BYTES;
    caller->hello[3] = (uint8_t)(len >> 8);
    caller->hello[4] = (uint8_t)len;
    len -= MESSAGE_HEAD;
    caller->hello[7] = (uint8_t)(len >> 8);
    caller->hello[8] = (uint8_t)len;
    caller->hello_bytes = at;
}

bench_caller *bench_caller_new(const bench_target *target, bool asks_for_tickets)
{
    static const uint8_t zero[BENCH_TLS_HASH_BYTES];
    bench_caller *caller = bench_alloc(1, sizeof *caller);
    uint8_t public_key[KEY_BYTES], early[BENCH_TLS_HASH_BYTES];

    if (sodium_init() < 0)
        bench_fatal("no cryptography");
    caller->target = *target;
    randombytes_buf(caller->private_key, sizeof caller->private_key);
    (void)crypto_scalarmult_base(public_key, caller->private_key); /* it always succeeds */
    make_hello(caller, public_key, asks_for_tickets);
    caller->sealer = bench_tls_sealer_new();
    caller->opener = bench_tls_opener_new();
    (void)crypto_hash_sha256(caller->empty_hash, NULL, 0); /* as well */
    bench_tls_mac(zero, zero, sizeof zero, early);
    bench_tls_expand(early, "derived", caller->empty_hash, caller->derived_early,
                     sizeof caller->derived_early);
    return caller;
}

void bench_caller_free(bench_caller *caller)
{
    if (!caller)
        return;
    EVP_CIPHER_CTX_free(caller->sealer);
    EVP_CIPHER_CTX_free(caller->opener);
    free(caller);
}

/* --- bytes -------------------------------------------------------------------------------- */

static void send_all(bench_caller *caller, const void *bytes, size_t len)
{
    ssize_t sent = send(caller->fd, bytes, len, MSG_NOSIGNAL);

    if (sent != (ssize_t)len) /* a few hundred bytes on a new connection */
        bench_fatal("send: %s", sent < 0 ? strerror(errno) : "the server does not read");
}

static void receive_more(bench_caller *caller)
{
    ssize_t got;

    if (caller->start) {
        memmove(caller->received, caller->received + caller->start, caller->end - caller->start);
        caller->end -= caller->start;
        caller->start = 0;
    }
    if (caller->end == sizeof caller->received)
        bench_fatal("the server says too much");
    got =
        recv(caller->fd, caller->received + caller->end, sizeof caller->received - caller->end, 0);
    if (got <= 0)
        bench_fatal("the handshake ends: %s", got ? strerror(errno) : "the server has closed");
    caller->end += (size_t)got;
}

/* The next record, whole; it is used when the next one is asked for. */
static uint8_t *next_record(bench_caller *caller, size_t *out_bytes)
{
    for (;;) {
        uint8_t *at = caller->received + caller->start;
        size_t held = caller->end - caller->start;

        if (held >= BENCH_TLS_HEAD_BYTES) {
            size_t bytes = BENCH_TLS_HEAD_BYTES + (size_t)(at[3] << 8 | at[4]);

            if (held >= bytes) {
                caller->start += bytes;
                if (at[0] == ALERT)
                    bench_fatal("the server refuses the handshake: alert %u", at[6]);
                *out_bytes = bytes;
                return at;
            }
        }
        receive_more(caller);
    }
}

/* The line before the handshake. */
static void read_info(bench_caller *caller)
{
    uint8_t *line_end;

    caller->start = caller->end = 0;
    do
        receive_more(caller);
    while (!(line_end = memchr(caller->received, '\n', caller->end)));
    caller->start = (size_t)(line_end + 1 - caller->received);
}

/* --- handshake ---------------------------------------------------------------------------- */

static void add_to_transcript(bench_caller *caller, const uint8_t *bytes, size_t len)
{
    (void)crypto_hash_sha256_update(&caller->transcript, bytes, len); /* it always succeeds */
}

/* Its hash so far; it goes on. */
static void hash_transcript(const bench_caller *caller, uint8_t out[BENCH_TLS_HASH_BYTES])
{
    crypto_hash_sha256_state copy = caller->transcript;

    (void)crypto_hash_sha256_final(&copy, out); /* as well */
}

static void say_hello(bench_caller *caller)
{
    randombytes_buf(caller->hello + RANDOM_AT, 32);
    randombytes_buf(caller->hello + SESSION_AT, 32);
    (void)crypto_hash_sha256_init(&caller->transcript); /* as well */
    add_to_transcript(caller, caller->hello + BENCH_TLS_HEAD_BYTES,
                      caller->hello_bytes - BENCH_TLS_HEAD_BYTES);
    send_all(caller, caller->hello, caller->hello_bytes);
}

/* The server's public key in its hello: what lies behind the head of the record. */
static const uint8_t *find_share(const uint8_t *message, size_t bytes)
{
    size_t at = MESSAGE_HEAD + 2 + 32 + 1 + 32 + 2 + 1 + 2; /* the first extension */

    if (bytes < at || message[0] != SERVER_HELLO)
        bench_fatal("the server does not say hello");
    while (at + 4 <= bytes) {
        unsigned kind = (unsigned)(message[at] << 8 | message[at + 1]);
        size_t len = (size_t)(message[at + 2] << 8 | message[at + 3]);

        at += 4;
        if (kind == EXTENSION_KEY_SHARE && len == 4 + KEY_BYTES && at + len <= bytes &&
            message[at + 1] == GROUP_X25519)
            return message + at + 4;
        at += len;
    }
    bench_fatal("the server wants another group than X25519");
}

static void hear_hello(bench_caller *caller, uint8_t out_secret[BENCH_TLS_HASH_BYTES])
{
    uint8_t shared[KEY_BYTES], hash[BENCH_TLS_HASH_BYTES];
    size_t bytes;
    const uint8_t *record = next_record(caller, &bytes);

    if (record[0] != HANDSHAKE)
        bench_fatal("the server does not shake hands");
    record += BENCH_TLS_HEAD_BYTES;
    bytes -= BENCH_TLS_HEAD_BYTES;
    add_to_transcript(caller, record, bytes);
    if (crypto_scalarmult(shared, caller->private_key, find_share(record, bytes)) != 0)
        bench_fatal("the server has a bad key");
    bench_tls_mac(caller->derived_early, shared, sizeof shared, out_secret);
    hash_transcript(caller, hash);
    bench_tls_keys_derive(&caller->in, out_secret, "s hs traffic", hash);
    bench_tls_keys_derive(&caller->out, out_secret, "c hs traffic", hash);
}

/* Take the messages in len bytes up to Finished, if that is there. Returns how many were whole. */
static size_t take_messages(bench_caller *caller, const uint8_t *bytes, size_t len, bool *out_done)
{
    size_t at = 0;

    while (!*out_done && len - at >= MESSAGE_HEAD) {
        const uint8_t *message = bytes + at;
        size_t whole = MESSAGE_HEAD + (size_t)(message[1] << 16 | message[2] << 8 | message[3]);

        if (whole > len - at)
            break;
        if (message[0] == FINISHED) {
            uint8_t hash[BENCH_TLS_HASH_BYTES], expected[BENCH_TLS_HASH_BYTES];

            hash_transcript(caller, hash);
            bench_tls_finished(&caller->in, hash, expected);
            if (whole != MESSAGE_HEAD + sizeof expected ||
                memcmp(message + MESSAGE_HEAD, expected, sizeof expected) != 0)
                bench_fatal("the server's Finished is wrong");
            *out_done = true;
        }
        add_to_transcript(caller, message, whole);
        at += whole;
    }
    return at;
}

/* Certificate and all, to the server's Finished. */
static void hear_flight(bench_caller *caller)
{
    uint8_t messages[32 * 1024];
    size_t len = 0;
    bool done = false;

    while (!done) {
        size_t bytes, used;
        uint8_t *record = next_record(caller, &bytes), kind;

        if (record[0] == CHANGE)
            continue;
        bytes = bench_tls_open(caller->opener, &caller->in, record, bytes, &kind);
        if (kind != HANDSHAKE || bytes > sizeof messages - len)
            bench_fatal("the server breaks off the handshake");
        memcpy(messages + len, record + BENCH_TLS_HEAD_BYTES, bytes);
        len += bytes;
        used = take_messages(caller, messages, len, &done);
        memmove(messages, messages + used, len - used);
        len -= used;
    }
}

/* The client's Finished; and what it says then, by the keys of what follows. */
static void finish_and_greet(bench_caller *caller, const uint8_t secret[BENCH_TLS_HASH_BYTES])
{
    static const uint8_t change[] = {CHANGE, 3, 3, 0, 1, 1}, zero[BENCH_TLS_HASH_BYTES];
    uint8_t hash[BENCH_TLS_HASH_BYTES], derived[BENCH_TLS_HASH_BYTES], master[BENCH_TLS_HASH_BYTES];
    uint8_t finished[MESSAGE_HEAD + BENCH_TLS_HASH_BYTES] = {FINISHED, 0, 0, BENCH_TLS_HASH_BYTES};
    uint8_t said[1024];
    char words[512];
    size_t at = sizeof change, hello_len = strlen(bench_client_hello);

    hash_transcript(caller, hash);
    bench_tls_finished(&caller->out, hash, finished + MESSAGE_HEAD);
    memcpy(said, change, sizeof change);
    at += bench_tls_seal(caller->sealer, &caller->out, HANDSHAKE, finished, sizeof finished,
                         said + at);
    bench_tls_expand(secret, "derived", caller->empty_hash, derived, sizeof derived);
    bench_tls_mac(derived, zero, sizeof zero, master);
    bench_tls_keys_derive(&caller->in, master, "s ap traffic", hash);
    bench_tls_keys_derive(&caller->out, master, "c ap traffic", hash);
    if (hello_len + 6 > sizeof words)
        bench_fatal("the greeting is too long");
    memcpy(words, bench_client_hello, hello_len);
    memcpy(words + hello_len, "PING\r\n", 6);
    at += bench_tls_seal(caller->sealer, &caller->out, DATA, words, hello_len + 6, said + at);
    send_all(caller, said, at);
}

/* INFO may come once more, and tickets. */
static void await_pong(bench_caller *caller)
{
    for (;;) {
        size_t bytes;
        uint8_t *record = next_record(caller, &bytes), kind;

        if (record[0] == CHANGE)
            continue;
        bytes = bench_tls_open(caller->opener, &caller->in, record, bytes, &kind);
        if (kind == ALERT)
            bench_fatal("the server closes with an alert");
        caller->tickets += kind == HANDSHAKE;
        if (kind != DATA)
            continue;
        if (memmem(record + BENCH_TLS_HEAD_BYTES, bytes, "PONG\r\n", 6))
            return;
        if (memmem(record + BENCH_TLS_HEAD_BYTES, bytes, "-ERR", 4))
            bench_fatal("no PONG: %.*s", (int)bytes, (char *)record + BENCH_TLS_HEAD_BYTES);
    }
}

void bench_caller_call(bench_caller *caller)
{
    const struct timeval limit = {.tv_sec = BENCH_CLIENT_TIMEOUT_S};
    uint8_t secret[BENCH_TLS_HASH_BYTES];

    caller->fd = bench_client_dial(&caller->target, false);
    if (setsockopt(caller->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        bench_fatal("setsockopt: %s", strerror(errno));
    read_info(caller);
    say_hello(caller);
    hear_hello(caller, secret);
    hear_flight(caller);
    finish_and_greet(caller, secret);
    await_pong(caller);
    (void)close(caller->fd); /* nothing waits to be written */
}

uint64_t bench_caller_tickets(const bench_caller *caller)
{
    return caller->tickets;
}
