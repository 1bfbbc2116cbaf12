/* fuzz_websocket -- a connection's input through the WebSocket layer: upgrade requests, or frames
 * behind a good one. What comes out does not depend on how it came in, nor on how much was asked
 * for at a time; a compressed message never brings more than it may.
 *
 * The first byte chooses what comes first, the next two how it is cut; the rest is the input. */
#include "base/assert.h"
#include "net/conn.h"
#include "websocket/layer.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICES = 3, INFLATED_MAX = 4096, OUT_MAX = 1 << 20, CALLS_MAX = 1 << 16 };

#define HEAD                                                                                       \
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

static const char *const heads[] = {
    HEAD "\r\n",
    HEAD "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    HEAD "Nats-No-Masking: true\r\n\r\n",
    "",
};

/* What lies below: the input, in pieces. */
struct source {
    pp_layer layer;
    pp_str head, rest;
    uint64_t random; /* 0: in one piece each */
};

static uint64_t draw(uint64_t *random)
{
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    return *random * 0x2545F4914F6CDD1Du;
}

static ssize_t source_receive(pp_layer *layer, char *to, size_t len)
{
    struct source *source = (struct source *)layer;
    pp_str *from = source->head.len ? &source->head : &source->rest;
    size_t n = len < from->len ? len : from->len;

    if (n && source->random)
        n = 1 + draw(&source->random) % (n < 40 ? n : 40);
    if (n == 0)
        return 0;
    memcpy(to, from->ptr, n);
    from->ptr += n;
    from->len -= n;
    return (ssize_t)n;
}

static const pp_layer_ops source_ops = {.name = "source", .receive = source_receive};

/* What came out, and how it ended: 0, or the reason. */
struct outcome {
    char bytes[OUT_MAX];
    size_t len;
    bool failed;
};

static void run(struct outcome *out, pp_str head, pp_str input, uint64_t random)
{
    static char window[1 << 16];
    static pp_loop loop;
    static pp_conn conn;
    pp_ws_settings settings = {.rules = {.compression = true, .headers = {"", 0}},
                               .cookies = {[PP_WS_JWT] = {"jwt", 3}}};
    pp_log log = {0};
    pp_ws_host host = {.settings = &settings};
    struct source source = {.head = head, .rest = input, .random = random};
    pp_layer *layer;

    out->len = 0;
    out->failed = false;
    conn.loop = &loop;
    PP_ASSERT(pp_ws_host_init(&host, &log, 1) == PIPIT_OK);
    atomic_store(&host.inflated_max, INFLATED_MAX);
    pp_layer_init(&source.layer, &source_ops);
    PP_ASSERT(pp_ws_layer_new(&host, &layer) == PIPIT_OK);
    layer->conn = &conn;
    layer->below = &source.layer;
    for (unsigned calls = 0; calls < CALLS_MAX; calls++) {
        size_t asked = random ? 1 + draw(&source.random) % 5000 : sizeof(window);
        ssize_t n = layer->ops->receive(layer, window, asked);

        PP_ASSERT(n <= (ssize_t)asked);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            out->failed = n < 0;
            break;
        }
        if (n > 0 && (size_t)n <= OUT_MAX - out->len) {
            memcpy(out->bytes + out->len, window, (size_t)n);
            out->len += (size_t)n;
        }
        /* Control frames that would be sent. */
        PP_ASSERT(atomic_load(&layer->held_bytes) <= PP_LAYER_HELD_MAX);
    }
    layer->ops->goodbye(layer, PP_CLOSE_PROTOCOL);
    layer->ops->free(layer);
    pp_layer_fini(&source.layer);
    pp_ws_host_fini(&host, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, cut;
    pp_str head, input;

    if (size < CHOICES)
        return 0;
    head = pp_str_of(heads[data[0] & 3]);
    input = (pp_str){(const char *)data + CHOICES, size - CHOICES};
    run(&whole, head, input, 0);
    run(&cut, head, input, 1 + ((uint64_t)data[1] << 8 | data[2]));
    if (!head.len)
        return 0; /* when a request and what follows it come at once, it is refused */
    if (!whole.failed && !cut.failed)
        PP_ASSERT(whole.len == cut.len);
    PP_ASSERT(memcmp(whole.bytes, cut.bytes, whole.len < cut.len ? whole.len : cut.len) == 0);
    return 0;
}
