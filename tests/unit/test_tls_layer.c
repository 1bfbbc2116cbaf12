/* TLS as a layer, against a client of OpenSSL's own on the other end of the socket.
 *
 * All of it is sealed here, and once more as much as can be by the kernel, where it does that
 * (tests/tls/kernel/run.sh has one that does). */
#include "tls/layer.h"

#include "loops.h"
#include "tls/inside.h"
#include "tls/kernel.h"
#include "tls/tickets.h"
#include "tls_peer.h"

#include <signal.h>
#include <string.h>

static struct tls_files files;
static unsigned kernel_suites; /* not 0: by TCP, and the kernel seals as soon as it is asked */

struct world {
    struct loops l;
    struct watch w;
    pp_tls_places places;
    pp_tls_tickets *tickets;
    pp_tls_context *context;
    SSL_CTX *client;
    SSL *peer;
    size_t staged;
    pp_buf heard;
    unsigned readies;
    bool ended; /* the peer has got close_notify */
};

static void on_layer(void *session, pp_layer *layer)
{
    struct world *x = watch_of(session)->context;

    assert_true(pp_layer_is_tls(layer));
    x->readies++;
    if (kernel_suites && ((pp_tls_layer *)layer)->records)
        ((pp_tls_layer *)layer)->kernel_in = 0;
}

static pp_proto_ops tls_proto;

static pp_tls_spec spec_of(pp_tls_pair *pair)
{
    *pair = (pp_tls_pair){files.cert, files.key};
    return (pp_tls_spec){
        .pairs = pair, .pair_count = 1, .min_version = 12, .kernel_suites = kernel_suites};
}

static pp_tls_context *context_new(const pp_tls_spec *spec, pp_tls_tickets *tickets)
{
    pp_tls_context *context;
    pp_buf error;

    pp_buf_init(&error, 4096);
    if (pp_tls_context_new(&context, spec, tickets, &error))
        fail_msg("%.*s", (int)error.len, error.ptr);
    pp_buf_fini(&error);
    return context;
}

static void world_init(struct world *x, unsigned loops, const pp_tls_spec *spec)
{
    pp_tls_pair pair;
    pp_tls_spec usual = spec_of(&pair);

    *x = (struct world){.staged = 0};
    tls_proto = watch_proto;
    tls_proto.on_layer = on_layer;
    pp_buf_init(&x->heard, 64 << 20);
    loops_init(&x->l, loops);
    assert_int_equal(pp_tls_places_init(&x->places, loops), PIPIT_OK);
    assert_int_equal(pp_tls_tickets_new(&x->tickets), PIPIT_OK);
    x->context = context_new(spec ? spec : &usual, x->tickets);
    x->client = SSL_CTX_new(TLS_client_method());
}

static void connect_to(struct world *x, const struct tls_peer_how *how,
                       const pp_conn_limits *limits, int send_bytes)
{
    pp_layer *layer;

    watch_init(&x->w, &x->l, NULL);
    x->w.context = x;
    x->w.by_tcp = kernel_suites != 0;
    watch_connect(&x->w, 0, limits, send_bytes);
    x->w.door.proto = &tls_proto;
    assert_int_equal(pp_tls_layer_new(&layer, x->context, &x->places), PIPIT_OK);
    assert_int_equal(pp_conn_push_layer(x->w.conn, layer, PP_STR("")), PIPIT_OK);
    if (how != (void *)-1)
        x->peer = tls_peer_new(x->client, x->w.peer, how);
}

static void world_fini(struct world *x)
{
    loops_fini(&x->l);
    SSL_free(x->peer);
    watch_fini(&x->w);
    SSL_CTX_free(x->client);
    pp_tls_context_unref(x->context);
    pp_tls_tickets_free(x->tickets);
    pp_tls_places_fini(&x->places);
    pp_buf_fini(&x->heard);
    loops_check_memory(&x->l);
}

static void stage(struct world *x, pp_outlet *outlet, size_t len)
{
    char *bytes = malloc(len + 1);

    fill_stream(bytes, x->staged, len);
    assert_true(pp_outlet_write(outlet, (pp_str){bytes, len}));
    free(bytes);
    x->staged += len;
}

/* The client reads what there is. False: it cannot any more. */
static bool hear(struct world *x)
{
    char bytes[40000];

    for (;;) {
        int n = SSL_read(x->peer, bytes, sizeof(bytes)), why;

        if (n > 0) {
            assert_int_equal(pp_buf_add(&x->heard, bytes, (size_t)n), PIPIT_OK);
            continue;
        }
        why = SSL_get_error(x->peer, n);
        ERR_clear_error();
        x->ended |= why == SSL_ERROR_ZERO_RETURN;
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    }
}

/* TCP has threads of its own: something may come yet. */
static void wait_a_little(const struct world *x)
{
    struct pollfd fds[] = {{.fd = x->w.peer, .events = POLLIN},
                           {.fd = x->l.at[0].epoll_fd, .events = POLLIN}};

    if (kernel_suites)
        (void)poll(fds, COUNT_OF(fds), 50);
}

/* Both sides go on until nothing moves. */
static bool exchange(struct world *x)
{
    for (unsigned still = 0; still < 3; still++) {
        uint64_t before = BIO_number_read(SSL_get_rbio(x->peer));

        settle(&x->l, 0);
        wait_a_little(x);
        if (!hear(x))
            return false;
        if (BIO_number_read(SSL_get_rbio(x->peer)) != before)
            still = 0;
    }
    return true;
}

static void say(struct world *x, size_t at, size_t len)
{
    char *bytes = malloc(len + 1);
    size_t said = 0;

    fill_stream(bytes, at, len);
    while (said < len) {
        int n = SSL_write(x->peer, bytes + said, (int)(len - said));

        if (n > 0) {
            said += (size_t)n;
        } else {
            assert_int_equal(SSL_get_error(x->peer, n), SSL_ERROR_WANT_WRITE);
            settle(&x->l, 0);
        }
    }
    free(bytes);
}

static pp_tls_layer *layer_of(const struct world *x)
{
    return (pp_tls_layer *)x->w.conn->layer;
}

/* --- tests -------------------------------------------------------------------------------- */

static void test_tls_layer_carries_both_ways(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t lens[] = {1, 16384, 16385, 100000, 3000000};

    (void)state;
    for (size_t v = 0; v < COUNT_OF(versions); v++) {
        struct tls_peer_how how = {.max_version = versions[v]};
        size_t got = 0;
        struct world x;

        world_init(&x, 1, NULL);
        connect_to(&x, &how, &roomy_limits, 0);
        assert_string_equal(pp_tls_layer_version(x.w.conn->layer), "");
        assert_true(exchange(&x));
        assert_int_equal(x.readies, 1);
        assert_string_equal(pp_tls_layer_version(x.w.conn->layer), v ? "1.3" : "1.2");
        assert_string_equal(pp_tls_layer_cipher(x.w.conn->layer),
                            v ? "TLS_AES_128_GCM_SHA256"
                              : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        for (size_t i = 0; i < COUNT_OF(lens); i++) {
            say(&x, got, lens[i]);
            got += lens[i];
            stage(&x, &x.w.conn->own, lens[i]);
            assert_true(exchange(&x));
            assert_int_equal(x.w.got.len, got);
            assert_int_equal(x.heard.len, got);
        }
        check_stream(x.w.got.ptr, 0, got);
        check_stream(x.heard.ptr, 0, got);
        world_fini(&x);
    }
}

/* Whatever is agreed on, by records of ours or, where the client wants short ones, by OpenSSL. */
static void test_tls_layer_carries_by_every_cipher(void **state)
{
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(suites); i++) {
        const char *suite = suites[i / 2];
        struct world x;

        world_init(&x, 1, NULL);
        assert_int_equal(SSL_CTX_set_ciphersuites(x.client, suite), 1);
        if (i % 2)
            SSL_CTX_set_tlsext_max_fragment_length(x.client, TLSEXT_max_fragment_length_512);
        connect_to(&x, NULL, &roomy_limits, 0);
        assert_true(exchange(&x));
        assert_string_equal(pp_tls_layer_cipher(x.w.conn->layer), suite);
        for (unsigned turn = 0; turn < 3; turn++) {
            assert_int_equal(SSL_key_update(x.peer, SSL_KEY_UPDATE_REQUESTED), 1);
            say(&x, 50000 * turn, 50000);
            stage(&x, &x.w.conn->own, 50000);
            assert_true(exchange(&x));
        }
        assert_int_equal(x.w.got.len, 150000);
        check_stream(x.w.got.ptr, 0, 150000);
        assert_int_equal(x.heard.len, 150000);
        check_stream(x.heard.ptr, 0, 150000);
        assert_int_equal(layer_of(&x)->by_kernel, i % 2 == 0 && (kernel_suites & 1U << i / 2));
        world_fini(&x);
    }
}

/* What is no record of the connection's ends it, and nothing of it is heard. */
static void test_tls_layer_refuses_what_is_changed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const char noise[] = "\x17\x03\x03\x00\x20 this is not what the key seals..";

    (void)state;
    for (size_t v = 0; v < COUNT_OF(versions); v++) {
        struct tls_peer_how how = {.max_version = versions[v]};
        struct world x;

        world_init(&x, 1, NULL);
        connect_to(&x, &how, &roomy_limits, 0);
        assert_true(exchange(&x));
        say(&x, 0, 100);
        assert_int_equal(send(x.w.peer, noise, sizeof(noise) - 1, 0), sizeof(noise) - 1);
        assert_false(exchange(&x));
        assert_int_equal(x.w.closed, 1);
        assert_int_equal(x.w.reason, PP_CLOSE_READ_ERROR);
        assert_int_equal(x.w.got.len, 100);
        world_fini(&x);
    }
}

/* A read of a few bytes leaves the rest of a record, and nothing is forgotten. */
static void take_little(struct watch *w, pp_str window, size_t *used, size_t *want)
{
    assert_int_equal(pp_buf_add(&w->got, window.ptr, window.len), PIPIT_OK);
    *used = window.len;
    *want = 0;
    w->conn->large = true; /* the next read is for 2 KiB */
}

static void test_tls_layer_gives_what_is_asked_for(void **state)
{
    static const struct watch_hooks hooks = {.on_bytes = take_little};
    struct world x;

    (void)state;
    world_init(&x, 1, NULL);
    connect_to(&x, NULL, &roomy_limits, 0);
    x.w.hooks = &hooks;
    assert_true(exchange(&x));
    say(&x, 0, 300000);
    assert_true(exchange(&x));
    assert_int_equal(x.w.got.len, 300000);
    check_stream(x.w.got.ptr, 0, 300000);
    world_fini(&x);
}

static void test_tls_layer_holds_back(void **state)
{
    struct world x;

    (void)state;
    for (unsigned nth = 1; nth < 30; nth++) {
        world_init(&x, 1, NULL);
        connect_to(&x, NULL, &roomy_limits, 4096);
        pp_fault_arm("send_short", nth);
        assert_true(exchange(&x));
        for (unsigned i = 0; i < 20; i++) {
            stage(&x, &x.w.conn->own, 10007);
            pp_loop_flush(&x.l.at[0]);
        }
        assert_true(exchange(&x));
        (void)pp_fault_disarm();
        assert_int_equal(x.heard.len, x.staged);
        check_stream(x.heard.ptr, 0, x.staged);
        assert_int_equal(pp_layers_held(x.w.conn->layer), 0);
        assert_false(x.w.conn->box.armed);
        world_fini(&x);
    }
}

static void test_tls_layer_says_goodbye(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, NULL);
    connect_to(&x, NULL, &roomy_limits, 0);
    assert_true(exchange(&x));
    stage(&x, &x.w.conn->own, 50000);
    pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, true);
    assert_false(exchange(&x));
    assert_true(x.ended);
    assert_int_equal(x.heard.len, 50000);
    world_fini(&x);
}

static void test_tls_layer_hears_goodbye(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, NULL);
    connect_to(&x, NULL, &roomy_limits, 0);
    assert_true(exchange(&x));
    say(&x, 0, 5000);
    (void)SSL_shutdown(x.peer);
    settle(&x.l, 0);
    assert_int_equal(x.w.got.len, 5000);
    assert_int_equal(x.w.reason, PP_CLOSE_CLIENT);
    world_fini(&x);
}

/* What is no handshake ends it, and does not reach the door. */
static void test_tls_layer_refuses_what_is_not_tls(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"CONNECT {}\r\nPING\r\n", 18},    {"\0", 1},
        {"\x15\x03\x01\0\x02\x02\x28", 7}, {"\x16PUB a 1\r\nx\r\n", 13},
        {"\x16\x03\x01\xff\xff", 5},       {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9},
        {"\x16\x03\x01\x00\x00", 5},       {"\x17\x03\x03\x00\x10", 5},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world x;

        world_init(&x, 1, NULL);
        connect_to(&x, (void *)-1, &roomy_limits, 0);
        assert_int_equal(send(x.w.peer, cases[i].bytes, cases[i].len, MSG_NOSIGNAL), cases[i].len);
        settle(&x.l, 0);
        if (!x.w.closed) /* it may be the beginning of one */
            (void)shutdown(x.w.peer, SHUT_WR);
        settle(&x.l, 0);
        assert_int_equal(x.w.reason, PP_CLOSE_TLS);
        assert_int_equal(x.w.got.len, 0);
        assert_int_equal(x.readies, 0);
        world_fini(&x);
    }
}

/* The client's bytes, each alone. */
static void test_tls_layer_takes_bytes_one_by_one(void **state)
{
    BIO *out = BIO_new(BIO_s_mem()), *in = BIO_new(BIO_s_mem());
    struct world x;
    SSL *ssl;

    (void)state;
    world_init(&x, 1, NULL);
    connect_to(&x, (void *)-1, &roomy_limits, 0);
    ssl = SSL_new(x.client);
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    for (unsigned round = 0; round < 10 && x.w.got.len == 0; round++) {
        char bytes[4096];
        ssize_t n;

        if (SSL_do_handshake(ssl) == 1)
            assert_int_equal(SSL_write(ssl, "hello", 5), 5);
        for (int m; (m = BIO_read(out, bytes, 1)) == 1;) {
            assert_int_equal(send(x.w.peer, bytes, 1, MSG_NOSIGNAL), 1);
            turn(&x.l, 0);
        }
        settle(&x.l, 0);
        while ((n = recv(x.w.peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            BIO_write(in, bytes, (int)n);
    }
    assert_int_equal(x.w.got.len, 5);
    SSL_free(ssl);
    world_fini(&x);
}

static void test_tls_layer_resumes(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t v = 0; v < COUNT_OF(versions); v++) {
        struct tls_peer_how how = {.max_version = versions[v]};
        SSL_SESSION *session;
        pp_tls_spec strict;
        pp_tls_pair pair;
        struct world x;

        world_init(&x, 1, NULL);
        connect_to(&x, &how, &roomy_limits, 0);
        assert_true(exchange(&x));
        assert_false(pp_tls_layer_resumed(x.w.conn->layer));
        session = SSL_get1_session(x.peer);
        assert_true(SSL_SESSION_is_resumable(session));
        for (unsigned i = 0; i < 2; i++) {
            pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, false);
            settle(&x.l, 0);
            SSL_set_shutdown(x.peer, SSL_SENT_SHUTDOWN); /* so that the session stays good */
            SSL_free(x.peer);
            watch_fini(&x.w);
            if (i == 1) { /* whoever is not looked at does not get around that by a ticket */
                strict = spec_of(&pair);
                strict.verify = true;
                strict.ca_file = files.ca;
                pp_tls_context_unref(x.context);
                x.context = context_new(&strict, x.tickets);
            }
            how.resumes = session;
            connect_to(&x, &how, &roomy_limits, 0);
            assert_int_equal(exchange(&x), i == 0);
            if (i == 0)
                assert_true(pp_tls_layer_resumed(x.w.conn->layer));
            else
                assert_int_equal(x.w.reason, PP_CLOSE_TLS);
        }
        SSL_SESSION_free(session);
        world_fini(&x);
    }
}

static void test_tls_layer_looks_at_certificates(void **state)
{
    static const char other[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char pin[65] = "";
    const char *pins[] = {other, pin};
    static const struct {
        bool shows, pinned_other, pinned;
        bool good;
    } cases[] = {
        {false, false, false, false},
        {true, false, false, true},
        {true, true, false, false},
        {true, true, true, true},
    };
    uint8_t hash[32];
    unsigned len;
    X509 *cert;
    FILE *file = fopen(files.client_cert, "r");

    (void)state;
    cert = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    {
        unsigned char *der = NULL;
        int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

        assert_true(EVP_Digest(der, (size_t)n, hash, &len, EVP_sha256(), NULL));
        for (unsigned i = 0; i < 32; i++)
            (void)snprintf(pin + 2 * i, 3, "%02X", hash[i]);
        OPENSSL_free(der);
    }
    X509_free(cert);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tls_peer_how how = {.shows = cases[i].shows ? &files : NULL};
        pp_tls_pair pair;
        pp_tls_spec spec = spec_of(&pair);
        struct world x;
        size_t der_len;
        void *der;

        spec.verify = true;
        spec.ca_file = files.ca;
        spec.pinned = pins;
        spec.pinned_count = cases[i].pinned ? 2 : cases[i].pinned_other ? 1 : 0;
        world_init(&x, 1, &spec);
        connect_to(&x, &how, &roomy_limits, 0);
        assert_int_equal(exchange(&x), cases[i].good);
        if (cases[i].good) {
            der = pp_tls_layer_peer_der(x.w.conn->layer, 0, &der_len);
            assert_non_null(der);
            pp_free(der);
            assert_int_equal(pp_tls_layer_peer_count(x.w.conn->layer), 1);
            assert_null(pp_tls_layer_peer_der(x.w.conn->layer, 1, &der_len));
        } else {
            assert_int_equal(x.w.reason, PP_CLOSE_TLS);
            assert_int_equal(x.readies, 0);
        }
        world_fini(&x);
    }
}

/* A client that asks for new keys all the time, or for a new handshake. */
static void test_tls_layer_changes_keys(void **state)
{
    size_t got = 0;
    struct world x;

    (void)state;
    world_init(&x, 1, NULL);
    connect_to(&x, NULL, &roomy_limits, 0);
    assert_true(exchange(&x));
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(SSL_key_update(x.peer, SSL_KEY_UPDATE_REQUESTED), 1);
        say(&x, got, 1000);
        got += 1000;
        stage(&x, &x.w.conn->own, 1000);
        assert_true(exchange(&x));
    }
    assert_int_equal(x.w.got.len, got);
    check_stream(x.heard.ptr, 0, got);
    world_fini(&x);
}

static void test_tls_layer_does_not_renegotiate(void **state)
{
    struct tls_peer_how how = {.max_version = TLS1_2_VERSION};
    struct world x;

    (void)state;
    world_init(&x, 1, NULL);
    SSL_CTX_clear_options(x.client, SSL_OP_NO_RENEGOTIATION);
    connect_to(&x, &how, &roomy_limits, 0);
    assert_true(exchange(&x));
    assert_int_equal(SSL_renegotiate(x.peer), 1);
    (void)SSL_do_handshake(x.peer);
    settle(&x.l, 0);
    assert_true(SSL_do_handshake(x.peer) <= 0); /* it was told no */
    assert_int_equal(x.readies, 1);
    world_fini(&x);
}

/* --- the kernel seals --------------------------------------------------------------------- */

/* It does not for a socket that is none of TCP: what has begun goes on, and it is not asked again.
 */
static void test_tls_layer_goes_on_without_the_kernel(void **state)
{
    pp_tls_pair pair;
    pp_tls_spec spec = spec_of(&pair);
    struct world x;

    (void)state;
    spec.kernel_suites = ~0U;
    world_init(&x, 1, &spec);
    connect_to(&x, NULL, &roomy_limits, 0);
    assert_true(exchange(&x));
    assert_int_equal(layer_of(&x)->kernel_in, PIPIT_TLS_KERNEL_AFTER);
    for (unsigned i = 0; i < 3; i++) {
        stage(&x, &x.w.conn->own, PIPIT_TLS_KERNEL_AFTER / 2 + 1);
        assert_true(exchange(&x));
    }
    assert_int_equal(layer_of(&x)->kernel_in, PP_TLS_KERNEL_NEVER);
    assert_false(layer_of(&x)->by_kernel);
    assert_int_equal(x.heard.len, x.staged);
    check_stream(x.heard.ptr, 0, x.staged);
    world_fini(&x);
}

/* A kernel that seals nothing, so that the other side sees what is given to it. */
static void begin_plain(struct world *x, const pp_conn_limits *limits, int send_bytes)
{
    world_init(x, 1, NULL);
    connect_to(x, NULL, limits, send_bytes);
    assert_true(exchange(x));
    layer_of(x)->by_kernel = true;
    stage(x, &x->w.conn->own, 300000);
    settle(&x->l, 0);
    pp_buf_fini(&x->heard);
}

static void read_plain(struct world *x)
{
    size_t before;

    do {
        before = x->heard.len;
        if (peer_read(x->w.peer, &x->heard, SIZE_MAX))
            x->ended = true;
        settle(&x->l, 0);
    } while (x->heard.len > before && !x->ended);
}

/* Its last word comes behind all that was to be sent, and it does not go before there is room. */
static void test_tls_layer_says_goodbye_to_the_kernel(void **state)
{
    static const char last[] = {1, 0};
    struct world x;

    (void)state;
    begin_plain(&x, &roomy_limits, 4096);
    pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, true);
    settle(&x.l, 0);
    assert_int_equal(x.w.freed, 0);
    read_plain(&x);
    assert_true(x.ended);
    assert_int_equal(x.w.freed, 1);
    assert_int_equal(x.heard.len, 300000 + sizeof(last));
    check_stream(x.heard.ptr, 0, 300000);
    assert_memory_equal(x.heard.ptr + 300000, last, sizeof(last));
    world_fini(&x);
}

/* A change of keys goes as a word, too, at once or when there is room, and one however often it is
 * asked for; this kernel takes no others, which ends the connection. */
static void test_tls_layer_tells_the_kernel_of_keys(void **state)
{
    struct world x;

    (void)state;
    for (unsigned asked = 0; asked < 2; asked++) {
        begin_plain(&x, &roomy_limits, 4096);
        if (asked) {
            for (unsigned i = 0; i < 20; i++) {
                assert_int_equal(SSL_key_update(x.peer, SSL_KEY_UPDATE_REQUESTED), 1);
                say(&x, 1000 * i, 1000);
                settle(&x.l, 0);
            }
            assert_int_equal(layer_of(&x)->layer.held_bytes, 2 + sizeof(pp_tls_key_update));
        } else {
            layer_of(&x)->records->out.count = pp_tls_records_of_key;
        }
        assert_int_equal(x.w.closed, 0);
        read_plain(&x);
        assert_int_equal(x.w.closed, 1);
        assert_true(x.heard.len < 300000);
        assert_memory_equal(x.heard.ptr + x.heard.len - sizeof(pp_tls_key_update),
                            pp_tls_key_update, sizeof(pp_tls_key_update));
        check_stream(x.heard.ptr, 0, x.heard.len - sizeof(pp_tls_key_update));
        world_fini(&x);
    }
}

/* What follows is with one that does. */
static void test_tls_layer_goes_over_to_the_kernel(void **state)
{
    struct world x;

    (void)state;
    world_init(&x, 1, NULL);
    connect_to(&x, NULL, &roomy_limits, 0);
    assert_true(exchange(&x));
    for (unsigned i = 0; i < 100; i++) {
        pp_tls_keys *keys = &layer_of(&x)->records->out, before = *keys;
        bool used_up = i % 3 == 2;

        stage(&x, &x.w.conn->own, 5000 * i + 1);
        if (used_up)
            keys->count = pp_tls_records_of_key;
        assert_true(exchange(&x));
        assert_true(layer_of(&x)->by_kernel);
        assert_int_equal(x.heard.len, x.staged);
        assert_int_equal(memcmp(keys->key, before.key, sizeof(before.key)) != 0, used_up);
    }
    check_stream(x.heard.ptr, 0, x.staged);
    world_fini(&x);
}

/* All of it comes, and the end of it, although the buffer is full when the connection is to end, or
 * has a little room, since the client reads a little. */
static void test_tls_layer_ends_in_the_kernel(void **state)
{
    struct world x;

    (void)state;
    for (unsigned i = 0; i < 120; i++) {
        char bytes[40000];
        size_t len = 5000 + 1234 * (size_t)(i / 3);

        world_init(&x, 1, NULL);
        connect_to(&x, NULL, &roomy_limits, 8192);
        assert_true(exchange(&x));
        stage(&x, &x.w.conn->own, len);
        settle(&x.l, 0);
        for (unsigned reads = 0; reads < i % 3; reads++) {
            int n = SSL_read(x.peer, bytes, sizeof(bytes));

            assert_int_equal(pp_buf_add(&x.heard, bytes, n > 0 ? (size_t)n : 0), PIPIT_OK);
        }
        pp_conn_close(x.w.conn, PP_CLOSE_CLIENT, true);
        settle(&x.l, 0);
        (void)exchange(&x);
        assert_int_equal(x.heard.len, len);
        check_stream(x.heard.ptr, 0, len);
        assert_true(x.ended);
        world_fini(&x);
    }
}

/* --- memory ------------------------------------------------------------------------------- */

static void test_tls_layer_without_memory(void **state)
{
    (void)state;
    for (unsigned nth = 1;; nth++) {
        struct world x;
        pp_layer *layer;
        bool fired;

        world_init(&x, 1, NULL);
        watch_init(&x.w, &x.l, NULL);
        x.w.context = &x;
        watch_connect(&x.w, 0, &roomy_limits, 4096);
        x.w.door.proto = &tls_proto;
        assert_int_equal(pp_buf_reserve(&x.w.got, 65536), PIPIT_OK);
        assert_int_equal(pp_buf_reserve(&x.heard, 65536), PIPIT_OK);
        x.peer = tls_peer_new(x.client, x.w.peer, NULL);
        pp_fault_arm("alloc", nth);
        if (!pp_tls_layer_new(&layer, x.context, &x.places)) {
            if (pp_conn_push_layer(x.w.conn, layer, PP_STR("")))
                pp_layer_free(layer);
            (void)exchange(&x);
            if (!x.w.closed) {
                char bytes[20000];

                fill_stream(bytes, 0, sizeof(bytes));
                (void)pp_outlet_write(&x.w.conn->own, (pp_str){bytes, sizeof(bytes)});
                (void)exchange(&x);
            }
        }
        fired = pp_fault_disarm();
        if (!fired)
            assert_int_equal(x.heard.len, 20000);
        world_fini(&x);
        if (!fired)
            break;
        assert_true(nth < 1000);
    }
}

static int setup(void **state)
{
    (void)state;
    kernel_suites = 0;
    assert_int_equal(pp_openssl_load(NULL), PIPIT_OK);
    (void)signal(SIGPIPE, SIG_IGN); /* the client writes as OpenSSL does */
    tls_files_init(&files);
    return 0;
}

static int setup_kernel(void **state)
{
    (void)setup(state);
    kernel_suites = pp_tls_kernel_suites();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tls_files_fini(&files);
    return 0;
}

/* --- several loops ------------------------------------------------------------------------ */

enum { SENDERS = 3, PIECES = 300, PIECE = 1500 };

struct sender {
    struct world *x;
    unsigned index;
};

static void send_pieces(void *arg)
{
    struct sender *s = arg;
    pp_loop *loop = &s->x->l.at[s->index];
    char piece[PIECE];

    memset(piece, (int)('a' + s->index), sizeof(piece));
    for (unsigned i = 0; i < PIECES; i++) {
        pp_outlet *outlet = pp_conn_outlet(s->x->w.conn, loop);

        if (!outlet)
            break; /* noticed below: bytes are missing */
        memcpy(piece, &i, sizeof(i));
        assert_true(pp_outlet_write(outlet, (pp_str){piece, sizeof(piece)}));
        pp_loop_flush(loop);
    }
}

static void *run_sender(void *arg)
{
    struct sender *s = arg;

    on_loop(&s->x->l, s->index, send_pieces, s);
    return NULL;
}

static void test_tls_layer_takes_from_several_loops(void **state)
{
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    unsigned next[SENDERS] = {0};
    size_t said = 0;
    struct world x;

    (void)state;
    world_init(&x, SENDERS, NULL);
    connect_to(&x, NULL, &roomy_limits, 8192);
    assert_true(exchange(&x));
    loops_start(&x.l);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.x = &x, .index = i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_sender, &senders[i]), 0);
    }
    while (x.heard.len < (size_t)SENDERS * PIECES * PIECE) {
        char bytes[500];
        int n;

        fill_stream(bytes, said, sizeof(bytes));
        n = said < 200000 ? SSL_write(x.peer, bytes, sizeof(bytes)) : 0;
        said += n > 0 ? (size_t)n : 0; /* the owner decrypts meanwhile */
        assert_true(hear(&x));
    }
    for (unsigned i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t at = 0; at < x.heard.len; at += PIECE) {
        unsigned who = (unsigned)(x.heard.ptr[at + 4] - 'a'), number;

        assert_true(who < SENDERS);
        memcpy(&number, x.heard.ptr + at, sizeof(number));
        assert_int_equal(number, next[who]++);
    }
    world_fini(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_layer_carries_both_ways),
        cmocka_unit_test(test_tls_layer_carries_by_every_cipher),
        cmocka_unit_test(test_tls_layer_refuses_what_is_changed),
        cmocka_unit_test(test_tls_layer_gives_what_is_asked_for),
        cmocka_unit_test(test_tls_layer_holds_back),
        cmocka_unit_test(test_tls_layer_says_goodbye),
        cmocka_unit_test(test_tls_layer_hears_goodbye),
        cmocka_unit_test(test_tls_layer_refuses_what_is_not_tls),
        cmocka_unit_test(test_tls_layer_takes_bytes_one_by_one),
        cmocka_unit_test(test_tls_layer_resumes),
        cmocka_unit_test(test_tls_layer_looks_at_certificates),
        cmocka_unit_test(test_tls_layer_changes_keys),
        cmocka_unit_test(test_tls_layer_does_not_renegotiate),
        cmocka_unit_test(test_tls_layer_takes_from_several_loops),
        cmocka_unit_test(test_tls_layer_goes_on_without_the_kernel),
        cmocka_unit_test(test_tls_layer_says_goodbye_to_the_kernel),
        cmocka_unit_test(test_tls_layer_tells_the_kernel_of_keys),
        cmocka_unit_test(test_tls_layer_without_memory),
    };
    const struct CMUnitTest kernel_tests[] = {
        cmocka_unit_test(test_tls_layer_goes_over_to_the_kernel),
        cmocka_unit_test(test_tls_layer_ends_in_the_kernel),
        cmocka_unit_test(test_tls_layer_carries_both_ways),
        cmocka_unit_test(test_tls_layer_carries_by_every_cipher),
        cmocka_unit_test(test_tls_layer_refuses_what_is_changed),
        cmocka_unit_test(test_tls_layer_holds_back),
        cmocka_unit_test(test_tls_layer_says_goodbye),
        cmocka_unit_test(test_tls_layer_hears_goodbye),
        cmocka_unit_test(test_tls_layer_changes_keys),
        cmocka_unit_test(test_tls_layer_takes_from_several_loops),
        cmocka_unit_test(test_tls_layer_without_memory),
    };
    int failed = cmocka_run_group_tests(tests, setup, teardown);

    if (!pp_tls_kernel_suites())
        return failed; /* it seals nothing here */
    return failed + cmocka_run_group_tests(kernel_tests, setup_kernel, teardown);
}
