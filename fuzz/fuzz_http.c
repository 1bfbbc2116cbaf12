/* fuzz_http -- a conversation of requests: what is read of it does not depend on how it arrives,
 * everything read fits the limits, and queries are read the same in every buffer.
 *
 * The first four bytes choose limits and where the conversation is cut; the rest is it. */
#include "base/assert.h"
#include "http/reader.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICES = 4, REQUESTS_MAX = 64, PARTS_MAX = 9 };

/* What is remembered of a request: where it ended, and a sum over all its parts. */
struct request {
    size_t end;
    uint64_t sum;
    bool keep_alive;
};

struct reading {
    struct request requests[REQUESTS_MAX];
    size_t count;
    size_t at;
    bool refused;
};

static void add_sum(uint64_t *sum, pp_str part)
{
    for (size_t i = 0; i < part.len; i++)
        *sum = (*sum ^ (uint8_t)part.ptr[i]) * 0x100000001b3u;
    *sum = (*sum ^ part.len) * 0x100000001b3u;
}

/* The same value whatever the room, and as much of it as fits. */
static void check_query(pp_str query)
{
    static char all[1 << 16], some[8];
    size_t len, some_len;
    bool found = pp_http_query(query, "a", all, sizeof(all), &len);

    PP_ASSERT(found == pp_http_query(query, "a", some, sizeof(some), &some_len));
    if (!found)
        return;
    PP_ASSERT(len == some_len && len <= query.len);
    if (len < sizeof(all))
        PP_ASSERT(all[len] == '\0');
    len = len < sizeof(some) - 1 ? len : sizeof(some) - 1;
    PP_ASSERT(memcmp(all, some, len) == 0 && some[len] == '\0');
}

static struct request note(const pp_http_reader *r, const pp_http_request *request)
{
    const pp_str parts[PARTS_MAX] = {
        request->method,        request->path, request->raw_path,
        request->query,         request->host, request->accept,
        request->authorization, request->body, request->content_type,
    };
    struct request out = {.keep_alive = r->keep_alive};

    PP_ASSERT(request->method.len > 0 && request->path.len > 0);
    PP_ASSERT(request->path.len <= request->raw_path.len);
    PP_ASSERT(request->raw_path.len + request->query.len <= r->limits->uri_max);
    PP_ASSERT(request->body.len <= r->limits->body_max);
    for (size_t i = 0; i < PARTS_MAX; i++)
        add_sum(&out.sum, parts[i]);
    check_query(request->query);
    return out;
}

static void read_to(struct reading *reading, pp_http_reader *r, const char *wire, size_t end)
{
    while (!reading->refused && reading->at < end && reading->count < REQUESTS_MAX) {
        size_t len = end - reading->at, used;
        char *window = malloc(len); /* ends where the window does */
        pp_http_request request;
        pipit_err err;

        memcpy(window, wire + reading->at, len);
        err = pp_http_read(r, (pp_str){window, len}, &request, &used);
        free(window);
        PP_ASSERT(used <= len);
        reading->at += used;
        if (err == PIPIT_EAGAIN) {
            PP_ASSERT(used == len && r->text.len <= r->text.max);
            return;
        }
        reading->refused = err != PIPIT_OK;
        if (err)
            PP_ASSERT(err == PIPIT_EPROTO && r->status >= 400 && r->status <= 505);
        else
            reading->requests[reading->count] = note(r, &request);
        if (!err)
            reading->requests[reading->count++].end = reading->at;
        pp_http_reader_reset(r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole, cut;
    pp_http_limits limits = PP_HTTP_LIMITS_DEFAULT;
    pp_http_reader reader;
    const char *wire;
    uint64_t random;

    if (size < CHOICES)
        return 0;
    if (data[0] & 1)
        limits = (pp_http_limits){.head_max = 20 + data[1],
                                  .uri_max = 1 + (data[2] >> 2),
                                  .headers_max = data[0] >> 4,
                                  .body_max = data[1] >> 3};
    random = data[3] + 1;
    wire = (const char *)data + CHOICES;
    size -= CHOICES;

    memset(&whole, 0, sizeof(whole));
    pp_http_reader_init(&reader, &limits);
    reader.keep_body = data[0] & 2;
    read_to(&whole, &reader, wire, size);
    pp_http_reader_fini(&reader);

    memset(&cut, 0, sizeof(cut));
    pp_http_reader_init(&reader, &limits);
    reader.keep_body = data[0] & 2;
    for (size_t end = 0; end < size;) {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        end += 1 + (data[2] & 2 ? random * 0x2545F4914F6CDD1Du >> 57 : 0);
        read_to(&cut, &reader, wire, end < size ? end : size);
    }
    pp_http_reader_fini(&reader);

    PP_ASSERT(whole.count == cut.count && whole.refused == cut.refused);
    for (size_t i = 0; i < whole.count; i++)
        PP_ASSERT(whole.requests[i].end == cut.requests[i].end &&
                  whole.requests[i].sum == cut.requests[i].sum &&
                  whole.requests[i].keep_alive == cut.requests[i].keep_alive);
    return 0;
}
