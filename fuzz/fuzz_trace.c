/* fuzz_trace -- header blocks: the quick look never passes over what the slow one finds, slices lie
 * in the block, and an event about any block is JSON of bounded length. */
#include "base/assert.h"
#include "proto/nats/trace_event.h"
#include "proto/nats/trace_header.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(pp_str block, pp_str part)
{
    PP_ASSERT(part.len == 0 || (part.ptr >= block.ptr && part.len <= block.len &&
                                (size_t)(part.ptr - block.ptr) <= block.len - part.len));
}

static void check_fields(pp_str block)
{
    pp_header_field field;
    size_t at = 0, before = 0;

    while (pp_header_next(block, &at, &field)) {
        PP_ASSERT(at > before && at <= block.len);
        check_inside(block, field.name);
        check_inside(block, field.value);
        PP_ASSERT(field.name.len && field.value.len);
        before = at;
    }
}

static void check_event(pp_str block)
{
    const pp_trace_server server = {.name = PP_STR("n"), .seq = 1};
    const pp_trace_ingress ingress = {.header = block, .subject = block, .error = block};
    pp_trace_event event;
    json_error_t error;
    json_t *root;

    pp_trace_event_open(&event, &server, &ingress);
    pp_trace_event_mapped(&event, block);
    PP_ASSERT(pp_trace_event_close(&event) == PIPIT_OK);
    PP_ASSERT(event.text.len <= PP_TRACE_EVENT_MAX);
    root = json_loadb(event.text.ptr, event.text.len, JSON_ALLOW_NUL, &error);
    /* The library refuses NUL in keys, and nothing else of what was written. */
    PP_ASSERT(root || memchr(block.ptr, 0, block.len));
    json_decref(root);
    pp_trace_event_fini(&event);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size ? size : 1);
    pp_str block = {bytes, size};
    pp_trace_header header;

    PP_ASSERT(bytes);
    if (size)
        memcpy(bytes, data, size);
    check_fields(block);
    pp_trace_header_read(block, &header);
    check_inside(block, header.dest);
    PP_ASSERT(header.wish == PP_TRACE_NONE || pp_trace_hinted(block, true));
    PP_ASSERT(header.wish != PP_TRACE_DEST || pp_trace_hinted(block, false));
    PP_ASSERT(!header.only || header.dest.len);
    check_event(block);
    free(bytes);
    return 0;
}
