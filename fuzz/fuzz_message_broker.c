/* fuzz_message_broker -- what clients of message-broker say: however it is cut it means the same,
 * and what is wanted in one piece is taken as a whole. The first byte says how to cut. */
#include "base/assert.h"
#include "base/buf.h"
#include "base/random.h"
#include "proto/message_broker/reader.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA_MAX = 300, SAID_MAX = 1 << 24 };

static void say(pp_buf *said, const void *bytes, size_t len)
{
    PP_ASSERT(pp_buf_add(said, &len, sizeof(len)) == PIPIT_OK);
    PP_ASSERT(len == 0 || pp_buf_add(said, bytes, len) == PIPIT_OK);
}

static void say_op(pp_buf *said, const pp_mb_reader *reader, const pp_mb_op *op)
{
    size_t at = 0;
    pp_str name;

    say(said, &op->kind, sizeof(op->kind));
    switch (op->kind) {
    case PP_MB_OP_SUBSCRIBE:
        PP_ASSERT(op->start <= PP_MB_FROM);
        say(said, &op->start, sizeof(op->start));
        say(said, &op->offset, sizeof(op->offset));
        /* fall through */
    case PP_MB_OP_UNSUBSCRIBE:
        while (pp_mb_list_next(&reader->list, &at, &name))
            say(said, name.ptr, name.len);
        break;
    case PP_MB_OP_PUBLISH:
        PP_ASSERT(op->data.len && op->data.len <= DATA_MAX);
        say(said, op->topic.ptr, op->topic.len);
        say(said, op->data.ptr, op->data.len);
        break;
    case PP_MB_OP_ANSWER:
        PP_ASSERT(op->action != PP_MB_SUBSCRIBE && op->action != PP_MB_UNSUBSCRIBE);
        say(said, &op->action, sizeof(op->action));
        break;
    case PP_MB_OP_BAD:
        say(said, op->error, strlen(op->error));
        break;
    }
}

/* Read bytes in pieces of up to so many; 0: as a whole. */
static void read_all(const uint8_t *bytes, size_t size, uint32_t piece_max, uint64_t random,
                     pp_buf *said)
{
    pp_mb_reader reader = {.data_max = DATA_MAX};
    size_t taken = 0, got = 0;

    while (got < size) {
        size_t more = piece_max ? 1 + pp_random_below(&random, piece_max) : size;
        pipit_err err = PIPIT_OK;
        size_t used = 0, want = 0;

        got = more < size - got ? got + more : size;
        while (!err) {
            size_t len = got - taken;
            char *window = malloc(len + 1); /* just that, for the sanitizer */
            pp_mb_op op;

            PP_ASSERT(window);
            memcpy(window, bytes + taken, len);
            err = pp_mb_read(&reader, (pp_str){window, len}, &op, &used, &want);
            PP_ASSERT(used <= len && (err == PIPIT_OK || err == PIPIT_EAGAIN));
            if (!err)
                say_op(said, &reader, &op);
            taken += used;
            free(window);
        }
        PP_ASSERT(taken == got || want > got - taken);
    }
    pp_mb_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pp_buf whole, cut;

    if (!size)
        return 0;
    pp_buf_init(&whole, SAID_MAX);
    pp_buf_init(&cut, SAID_MAX);
    read_all(data + 1, size - 1, 0, 1, &whole);
    read_all(data + 1, size - 1, 1 + data[0] % 40u, data[0] + 1u, &cut);
    PP_ASSERT(pp_str_eq(pp_buf_str(&whole), pp_buf_str(&cut)));
    pp_buf_fini(&whole);
    pp_buf_fini(&cut);
    return 0;
}
