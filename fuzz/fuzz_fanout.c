/* fuzz_fanout -- lines of the fanout protocol: however they are cut they say the same. The first
 * byte says how to cut, the second how long a line may be. */
#include "base/assert.h"
#include "base/random.h"
#include "proto/fanout/reader.h"
#include "proto/fanout/subject.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line of text, found the plain way; false: there is none. */
static bool next_line(pp_str *text, pp_str *line)
{
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;

    if (!end)
        return false;
    *line = (pp_str){text->ptr, (size_t)(end - text->ptr)};
    text->ptr += line->len + 1;
    text->len -= line->len + 1;
    return true;
}

static void expect_same(const pp_fanout_op *a, const pp_fanout_op *b)
{
    char subject[PP_FANOUT_SUBJECT_BYTES(256)];

    PP_ASSERT(a->verb == b->verb);
    PP_ASSERT(pp_str_eq(a->channel, b->channel) && pp_str_eq(a->message, b->message));
    if (a->verb >= PP_FANOUT_SUBSCRIBE)
        PP_ASSERT(a->channel.len && pp_fanout_subject(a->channel, subject) <= sizeof(subject));
    PP_ASSERT(a->verb != PP_FANOUT_ANNOUNCE || a->message.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t random = size ? data[0] + 1u : 1;
    pp_fanout_reader reader = {.line_max = size > 1 ? data[1] : 0};
    char *bytes = calloc(1, size + PP_FANOUT_LINE_SLACK);
    pp_str text, line;
    size_t at = 0;

    if (!bytes || size < 2)
        goto out;
    reader.crlf = data[0] & 1;
    memcpy(bytes, data + 2, size - 2);
    size -= 2;
    text = (pp_str){bytes, size};
    while (at < size) {
        size_t len = 1 + pp_random_below(&random, 40), used = 0;
        pp_fanout_op op, expected;
        pipit_err err;

        len = len < size - at ? len : size - at;
        err = pp_fanout_read(&reader, (pp_str){bytes + at, len}, &op, &used);
        if (err == PIPIT_ETOOBIG) {
            PP_ASSERT(!next_line(&text, &line) || line.len > reader.line_max);
            break;
        }
        PP_ASSERT((err == PIPIT_OK || err == PIPIT_EAGAIN) && used <= len);
        at += used;
        if (err)
            continue;
        PP_ASSERT(next_line(&text, &line) && line.len <= reader.line_max);
        if (reader.crlf && line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        pp_fanout_parse(line, &expected);
        expect_same(&op, &expected);
    }
out:
    pp_fanout_reader_fini(&reader);
    free(bytes);
    return 0;
}
