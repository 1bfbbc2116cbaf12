#include "place.h"

#include "base/alloc.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The last three lead to nats-server, if it is there. */
static const char *const ways[] = {"memory", "unix",      "tcp",      "ws",     "tls",
                                   "wss",    "peer_nats", "peer_tls", "peer_ws"};

void log_line(void *context, pipit_log_level level, const char *text)
{
    (void)context;
    if (level <= PIPIT_LOG_ERROR || getenv("PIPIT_TEST_LOG"))
        check_note("server: %s", text);
}

bool is_way(const struct place *p, const char *part)
{
    return strstr(p->way, part) != NULL;
}

void run(const char *format, ...)
{
    char command[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    REQUIRE(system(command) == 0, "%s", command);
}

/* A certificate for localhost that signs itself. */
static void make_certificate(struct place *p)
{
    (void)snprintf(p->ca, sizeof(p->ca), "%s/cert.pem", p->folder);
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
        "-keyout %s/key.pem -out %s >/dev/null 2>&1",
        p->folder, p->ca);
}

/* What both servers understand. */
static void configure(struct place *p, char *text, size_t text_bytes, const char *more)
{
    char tls[512];
    bool has_tls = is_way(p, "tls") || is_way(p, "wss");

    (void)snprintf(tls, sizeof(tls),
                   "tls { cert_file: \"%s/cert.pem\", key_file: \"%s/key.pem\", timeout: 60 }",
                   p->folder, p->folder);
    if (has_tls)
        make_certificate(p);
    (void)snprintf(
        text, text_bytes,
        "websocket { host: \"127.0.0.1\", port: -1, handshake_timeout: \"1m\", %s }\n%s\n%s\n",
        is_way(p, "wss") ? tls : "no_tls: true", is_way(p, "tls") ? tls : "", more);
}

static void open_here(struct place *p, const char *text)
{
    char error[512] = "", option[160];
    const char *options[] = {"--addr=127.0.0.1", "--port=-1", option};
    const pipit_server_source source = {
        .options = options, .option_count = 3, .text = text, .text_bytes = strlen(text)};
    pipit_err err;

    (void)snprintf(p->socket, sizeof(p->socket), "%s/s", p->folder);
    (void)snprintf(option, sizeof(option), "--unix=%s", p->socket);
    err = pipit_server_new_from(&p->host.server, &source, log_line, NULL, error, sizeof(error));
    REQUIRE(!err, "new: %s %s", pipit_strerror(err), error);
    err = pipit_server_start(p->host.server);
    REQUIRE(!err, "start: %s", pipit_strerror(err));
    p->host.port = pipit_server_port(p->host.server);
    if (is_way(p, "memory"))
        (void)snprintf(p->url, URL_BYTES, "memory:");
    else if (is_way(p, "unix"))
        (void)snprintf(p->url, URL_BYTES, "unix:%s", p->socket);
    else if (is_way(p, "tcp"))
        (void)snprintf(p->url, URL_BYTES, "nats://127.0.0.1:%u", p->host.port);
    else if (is_way(p, "tls"))
        (void)snprintf(p->url, URL_BYTES, "tls://localhost:%u", p->host.port);
    else
        (void)snprintf(p->url, URL_BYTES, "%s://localhost:%u", p->way,
                       pipit_server_websocket_port(p->host.server));
}

const char *peer_program(void)
{
    static char path[512];
    const char *folder = getenv("PIPIT_PEERS_DIR");

    (void)snprintf(path, sizeof(path), "%s/nats-server", folder ? folder : "/nowhere");
    return access(path, X_OK) == 0 ? path : NULL;
}

/* The file of its ports names URLs: take the one that is wanted. False: it is not there yet. */
static bool find_peer_url(void *arg)
{
    struct place *p = arg;
    char path[160], text[1024] = "", *at, *end;
    const char *scheme = is_way(p, "ws") ? "ws://" : is_way(p, "tls") ? "tls://" : "nats://";
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/nats-server_%d.ports", p->folder, (int)p->peer);
    file = fopen(path, "r");
    if (!file)
        return false;
    (void)!fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    at = strstr(text, scheme);
    end = at ? strchr(at, '"') : NULL;
    if (!end)
        return false;
    *end = '\0';
    at = strrchr(at, ':');
    (void)snprintf(p->url, URL_BYTES, "%slocalhost%s", is_way(p, "tls") ? "nats://" : scheme, at);
    return true;
}

static void open_peer(struct place *p, const char *text)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/conf", p->folder);
    file = fopen(path, "w");
    REQUIRE(file, "a file");
    (void)fprintf(file, "host: \"127.0.0.1\"\nport: -1\n%s", text);
    (void)fclose(file);
    p->peer = fork();
    if (p->peer == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execl(peer_program(), "nats-server", "-c", path, "--ports_file_dir", p->folder, "-l",
                    "/dev/null", (char *)NULL);
        _exit(127);
    }
    check_until(find_peer_url, p, "nats-server listens");
}

void place_open(struct place *p, const char *way, const char *more)
{
    char text[2048];

    memset(p, 0, sizeof(*p));
    p->way = way;
    p->host.live_before = pp_alloc_live();
    p->host.fds_before = check_open_fds();
    (void)snprintf(p->folder, sizeof(p->folder), "/tmp/pipit-client-XXXXXX");
    REQUIRE(mkdtemp(p->folder), "a folder");
    configure(p, text, sizeof(text), more);
    if (is_way(p, "peer"))
        open_peer(p, text);
    else
        open_here(p, text);
}

void place_close(struct place *p)
{
    if (p->peer) {
        (void)kill(p->peer, SIGKILL);
        (void)waitpid(p->peer, NULL, 0);
        host_require_nothing_left(&p->host);
    } else {
        host_stop(&p->host);
    }
    run("rm -r %s", p->folder);
}

void each_way(void (*scenario)(struct place *p))
{
    const char *only = getenv("PIPIT_CLIENT_WAY");
    struct place p;

    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        if ((only && strcmp(only, ways[i]) != 0) || (strstr(ways[i], "peer") && !peer_program()))
            continue;
        place_open(&p, ways[i], "");
        scenario(&p);
        place_close(&p);
    }
}

pipit_client *connect_with(struct place *p, pipit_client_options *o)
{
    pipit_client *client;
    pipit_err err;

    o->struct_bytes = sizeof(*o);
    o->server = p->host.server;
    o->tls_ca_file = *p->ca ? p->ca : NULL;
    if (!o->connect_timeout_ms)
        o->connect_timeout_ms = WAIT_MS; /* of a busy machine */
    err = pipit_client_connect(&client, p->url, o);
    REQUIRE(!err, "connect by %s: %s", p->way, pipit_strerror(err));
    return client;
}

pipit_client *come(struct place *p)
{
    pipit_client_options o = {0};

    return connect_with(p, &o);
}

void must(pipit_err err, const char *what)
{
    REQUIRE(!err, "%s: %s", what, pipit_strerror(err));
}

void heard_init(struct heard *h)
{
    memset(h, 0, sizeof(*h));
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->grown, NULL);
}

static void keep(char to[64], const void *from, size_t len)
{
    len = len < 63 ? len : 63;
    if (len)
        memcpy(to, from, len);
    to[len] = '\0';
}

void hear(void *context, pipit_sub *sub, const pipit_msg *msg)
{
    struct heard *h = context;
    uint64_t number;

    (void)sub;
    (void)pthread_mutex_lock(&h->lock);
    h->count++;
    h->bytes += msg->payload_bytes;
    keep(h->subject, msg->subject, msg->subject_bytes);
    keep(h->payload, msg->payload, msg->payload_bytes);
    keep(h->header, msg->header, msg->header_bytes);
    if (msg->payload_bytes == sizeof(number)) {
        memcpy(&number, msg->payload, sizeof(number));
        h->disordered |= number != h->next++;
    }
    (void)pthread_cond_broadcast(&h->grown);
    (void)pthread_mutex_unlock(&h->lock);
}

void await(struct heard *h, uint64_t count)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    (void)pthread_mutex_lock(&h->lock);
    while (h->count < count)
        REQUIRE(pthread_cond_timedwait(&h->grown, &h->lock, &until) == 0, "%llu messages, not %llu",
                (unsigned long long)count, (unsigned long long)h->count);
    (void)pthread_mutex_unlock(&h->lock);
}

void publish_text(pipit_client *client, const char *subject, const char *text)
{
    must(pipit_client_publish(client, subject, NULL, text, strlen(text)), "publish");
}

void on_event(void *context, pipit_client *client, pipit_event event, const char *text)
{
    struct events *e = context;

    (void)client;
    (void)text;
    atomic_fetch_add(&e->count[event], 1);
}

bool came_back(void *arg)
{
    struct events *e = arg;

    return atomic_load(&e->count[PIPIT_EVENT_RECONNECTED]) > 0;
}

bool went(void *arg)
{
    struct events *e = arg;

    return atomic_load(&e->count[PIPIT_EVENT_DISCONNECTED]) > 0;
}
