/* fuzz_reader -- a conversation: what is read of it does not depend on how it arrives, on the memo
 * or on what was read before, and everything read lies in the window.
 *
 * The first four bytes choose limits and where the conversation is cut; the rest is it. */
#include "base/assert.h"
#include "proto/nats/reader.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CHOICES = 4, OPS_MAX = 4096 };

/* What is remembered of an operation: places in the conversation instead of pointers. */
struct op {
    pipit_err err;
    pp_nats_verb verb;
    size_t at, used;
    size_t subject, subject_len, reply_len, data, data_len, header_len, wire_len;
    size_t queue_len, sid_len, text_len;
    uint64_t max;
};

struct reading {
    struct op ops[OPS_MAX];
    size_t count;
    size_t at;
    size_t line_at, line_len; /* of the last publish */
    bool ended;
};

static void check_inside(pp_str part, pp_str window)
{
    if (part.len)
        PP_ASSERT(part.ptr >= window.ptr && part.ptr + part.len <= window.ptr + window.len);
}

static void note_publish(struct op *out, const pp_nats_op *op, pp_str window)
{
    const pp_msg *msg = &op->msg;

    check_inside(msg->subject, window);
    check_inside(msg->reply, window);
    check_inside(msg->wire, window);
    check_inside(msg->data, window);
    PP_ASSERT(msg->subject.len > 0 && msg->header_len <= msg->data.len);
    PP_ASSERT(memcmp(msg->data.ptr + msg->data.len, "\r\n", 2) == 0);
    if (msg->wire.len)
        PP_ASSERT(msg->wire.ptr + msg->wire.len == msg->data.ptr &&
                  memcmp(msg->data.ptr - 2, "\r\n", 2) == 0);
    out->subject = (size_t)(msg->subject.ptr - window.ptr);
    out->subject_len = msg->subject.len;
    out->reply_len = msg->reply.len;
    out->data = (size_t)(msg->data.ptr - window.ptr);
    out->data_len = msg->data.len;
    out->header_len = msg->header_len;
    out->wire_len = msg->wire.len;
}

static struct op note(const pp_nats_op *op, pp_str window, size_t at, size_t used)
{
    struct op out = {.verb = op->verb, .at = at, .used = used};

    PP_ASSERT(used > 0 && used <= window.len);
    switch (op->verb) {
    case PP_NATS_PUB:
    case PP_NATS_HPUB:
        note_publish(&out, op, window);
        break;
    case PP_NATS_SUB:
        check_inside(op->msg.subject, window);
        check_inside(op->queue, window);
        check_inside(op->sid, window);
        out.subject = (size_t)(op->msg.subject.ptr - window.ptr);
        out.subject_len = op->msg.subject.len;
        out.queue_len = op->queue.len;
        out.sid_len = op->sid.len;
        break;
    case PP_NATS_UNSUB:
        check_inside(op->sid, window);
        out.sid_len = op->sid.len;
        out.max = op->max;
        break;
    case PP_NATS_CONNECT:
    case PP_NATS_INFO:
    case PP_NATS_ERR:
        check_inside(op->text, window);
        out.text_len = op->text.len;
        break;
    case PP_NATS_PING:
    case PP_NATS_PONG:
    case PP_NATS_OK:
    case PP_NATS_NOTHING:
        out.at = out.used = 0; /* as long as may be, and read in pieces */
        break;
    }
    return out;
}

typedef pipit_err read_fn(pp_nats_reader *r, pp_str window, pp_nats_op *op, size_t *used);

static pipit_err read_usual(pp_nats_reader *r, pp_str window, pp_nats_op *op, size_t *used)
{
    return pp_nats_read(r, window, op, used);
}

/* Nothing is known from before but being in the middle of a PING. */
static pipit_err read_fresh(pp_nats_reader *r, pp_str window, pp_nats_op *op, size_t *used)
{
    r->memo = NULL;
    r->scanned = 0;
    return pp_nats_read_any(r, window, op, used);
}

/* "repeats" is said only of a PUB whose control line is that of the publish before it. */
static void check_repeats(struct reading *reading, const pp_nats_op *op, const char *wire,
                          size_t used)
{
    size_t line_len = used - op->msg.data.len - 2;

    if (op->verb != PP_NATS_PUB && op->verb != PP_NATS_HPUB)
        return;
    if (op->repeats)
        PP_ASSERT(line_len == reading->line_len &&
                  memcmp(wire + reading->at, wire + reading->line_at, line_len) == 0);
    reading->line_at = reading->at;
    reading->line_len = line_len;
}

/* A PING is added when its end is seen; until then its tail is passed over in pieces. */
static void add(struct reading *reading, const struct op *op, bool passing)
{
    if (!passing && reading->count < OPS_MAX)
        reading->ops[reading->count++] = *op;
}

static void read_to(struct reading *reading, pp_nats_reader *reader, read_fn *read,
                    const char *wire, size_t end)
{
    while (!reading->ended && reading->at < end) {
        size_t len = end - reading->at, used = 0;
        char *window = malloc(len); /* ends where the window does */
        pp_nats_op op;
        pipit_err err;

        memcpy(window, wire + reading->at, len);
        err = read(reader, (pp_str){window, len}, &op, &used);
        if (err == PIPIT_EAGAIN) {
            PP_ASSERT(used == 0 || used > len);
            free(window);
            return;
        }
        if (err) {
            add(reading, &(struct op){.err = err, .at = reading->at}, false);
            reading->ended = true;
        } else {
            struct op noted = note(&op, (pp_str){window, len}, reading->at, used);

            PP_ASSERT(reader->passing == (op.verb == PP_NATS_NOTHING));
            add(reading, &noted, reader->passing);
            check_repeats(reading, &op, wire, used);
            reading->at += used;
        }
        free(window);
    }
}

/* An unfinished line may be refused for blanks before its arguments, which are not counted when it
 * comes whole. The two ways to read it may differ in that one place. */
static bool refused_for_blanks(const struct reading *reading, const pp_nats_reader *reader,
                               const char *wire, size_t size)
{
    size_t blanks = 0, at;

    if (!reading->ended || reading->ops[reading->count - 1].err != PIPIT_ELIMIT)
        return false;
    for (at = reading->at; at < size && wire[at] != '\n'; at++)
        blanks += wire[at] == ' ' || wire[at] == '\t';
    return at - reading->at > (size_t)reader->line_max * 2 + 64 && blanks > reader->line_max;
}

static void compare(const struct reading *a, const struct reading *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        PP_ASSERT(memcmp(&a->ops[i], &b->ops[i], sizeof(a->ops[i])) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole, cut;
    pp_nats_memo memo = {0};
    pp_nats_reader reader, limits;
    const char *wire;
    uint64_t random;

    if (size < CHOICES)
        return 0;
    limits = (pp_nats_reader){
        .line_max = data[0] & 1 ? 4096 : 10 + (data[0] >> 2),
        .payload_max = data[0] & 2 ? -1 : data[1],
        .headers = data[2] & 1,
    };
    random = data[3] + 1;
    wire = (const char *)data + CHOICES;
    size -= CHOICES;

    memset(&whole, 0, sizeof(whole));
    reader = limits;
    read_to(&whole, &reader, read_fresh, wire, size);

    memset(&cut, 0, sizeof(cut));
    reader = limits;
    reader.memo = &memo;
    for (size_t end = 0; end < size;) {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        end += 1 + (data[2] & 2 ? random * 0x2545F4914F6CDD1Du >> 57 : 0);
        read_to(&cut, &reader, read_usual, wire, end < size ? end : size);
    }
    if (refused_for_blanks(&cut, &limits, wire, size)) {
        compare(&whole, &cut, cut.count - 1);
        return 0;
    }
    PP_ASSERT(whole.count == cut.count);
    PP_ASSERT(whole.at == cut.at && whole.ended == cut.ended);
    compare(&whole, &cut, whole.count);
    return 0;
}
