/* TLS handshakes with a server that runs, while whatever it asks for is refused: memory of its own,
 * memory of OpenSSL, receiving, sending. One thing is refused in each round; then the next client
 * shakes hands and is served, and nothing is left of who was refused. */
#include "support/check.h"
#include "support/host.h"
#include "support/peer.h"

#include "unit/tls_peer.h"

#include "base/alloc.h"
#include "base/fault.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
    QUIET_ROUNDS_END = 3, /* so many rounds without a refusal end a sweep: threads vary */
    ROUNDS_MAX = 5000,
    WAIT_S = 60,
};

static struct tls_files files;
static SSL_CTX *client_context;

/* --- what OpenSSL asks for ---------------------------------------------------------------- */

static void *give(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return pp_fault("openssl") ? NULL : malloc(bytes);
}

static void *give_more(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return pp_fault("openssl") ? NULL : realloc(old, bytes);
}

static void take(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

/* --- a client ----------------------------------------------------------------------------- */

static bool read_info(int fd)
{
    char byte = 0;

    while (byte != '\n') {
        if (recv(fd, &byte, 1, 0) != 1)
            return false;
    }
    return true;
}

/* Everything up to PONG. */
static bool hear_pong(SSL *ssl)
{
    char heard[8192];
    size_t len = 0;

    while (len < sizeof(heard) - 1) {
        int n = SSL_read(ssl, heard + len, (int)(sizeof(heard) - 1 - len));

        if (n <= 0)
            return false;
        len += (size_t)n;
        heard[len] = 0;
        if (strstr(heard, "PONG\r\n"))
            return true;
    }
    return false;
}

/* Shake hands, come in, publish to itself. False: the server has ended it. */
static bool come(const host *h, int max_version)
{
    static const char words[] = PEER_CONNECT "SUB a 1\r\nPUB a 5\r\nhello\r\nPING\r\n";
    struct tls_peer_how how = {.max_version = max_version, .shows = &files};
    struct timeval wait = {.tv_sec = WAIT_S};
    bool served;
    peer p;
    SSL *ssl;

    peer_dial(&p, h->port, 0);
    (void)setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    ssl = tls_peer_new(client_context, p.fd, &how);
    served = read_info(p.fd) && SSL_connect(ssl) == 1 &&
             SSL_write(ssl, words, sizeof(words) - 1) > 0 && hear_pong(ssl);
    SSL_free(ssl);
    ERR_clear_error();
    peer_close(&p);
    return served;
}

/* --- sweeps ------------------------------------------------------------------------------- */

static void begin(host *h)
{
    const char *const options[] = {"--tlscert",   files.cert,    "--tlskey",
                                   files.key,     "--tlscacert", files.ca,
                                   "--tlsverify", "--threads=2", NULL};

    host_start(h, options);
    pp_fault_exempt_thread(true);
    for (unsigned i = 0; i < 4; i++) /* what is made once is made, on both loops */
        REQUIRE(come(h, i % 2 ? TLS1_2_VERSION : 0), "client %u is served", i);
    host_wait_empty(h);
}

static void sweep(const char *point, int max_version, uint64_t step)
{
    uint64_t nth, refused = 0;
    unsigned quiet = 0;
    host h;

    begin(&h);
    for (nth = 1; quiet < QUIET_ROUNDS_END; nth += step) {
        bool fired, served;

        REQUIRE(nth < ROUNDS_MAX, "%s comes to an end", point);
        pp_fault_arm(point, nth);
        served = come(&h, max_version);
        host_wait_empty(&h);
        fired = pp_fault_disarm();
        REQUIRE(served || fired, "served at %s %llu", point, (unsigned long long)nth);
        quiet = fired ? 0 : quiet + 1;
        refused += fired;
        REQUIRE(come(&h, 0), "the next is served after %s %llu", point, (unsigned long long)nth);
        host_wait_empty(&h);
    }
    host_stop(&h);
    check_note("%s: refused %llu things", point, (unsigned long long)refused);
    REQUIRE(refused, "something was refused at %s", point);
}

static void sweep_alloc(void)
{
    sweep("alloc", 0, 1);
    sweep("alloc", TLS1_2_VERSION, 1);
}

static void sweep_openssl(void)
{
    uint64_t step = check_number("PIPIT_SWEEP_STEP", 11); /* there are 4000 */

    sweep("openssl", 0, step);
    sweep("openssl", TLS1_2_VERSION, step);
}

static void sweep_sockets(void)
{
    sweep("recv", 0, 1);
    sweep("send", 0, 1);
    sweep("epoll_ctl", 0, 1);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"alloc", sweep_alloc, 100},
        {"openssl", sweep_openssl, 250},
        {"sockets", sweep_sockets, 60},
    };
    int failed;

    (void)signal(SIGPIPE, SIG_IGN); /* the client writes as OpenSSL does */
    REQUIRE(CRYPTO_set_mem_functions(give, give_more, take) == 1, "nothing was asked for yet");
    pp_fault_exempt_thread(true);
    tls_files_init(&files);
    client_context = SSL_CTX_new(TLS_client_method());
    REQUIRE(client_context, "a client's context");
    SSL_CTX_set_verify(client_context, SSL_VERIFY_NONE, NULL);
    failed = scenarios_run(scenarios, COUNT_OF(scenarios), argc, argv);
    SSL_CTX_free(client_context);
    tls_files_fini(&files);
    return failed;
}
