/* wire.c -- see wire.h. */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fatal.h"

#define SUB_BYTES_MAX (BENCH_SUBJECT_BYTES + 64)

static unsigned digits_of(unsigned value)
{
    unsigned digits = 1;

    while (value >= 10) {
        value /= 10;
        digits++;
    }
    return digits;
}

void bench_subject_format(char out[BENCH_SUBJECT_BYTES], const bench_options *options,
                          unsigned index)
{
    if (options->subject_count == 1)
        (void)snprintf(out, BENCH_SUBJECT_BYTES, "bench");
    else
        (void)snprintf(out, BENCH_SUBJECT_BYTES, "bench.%0*u",
                       (int)digits_of(options->subject_count - 1), index);
}

void bench_wire_init(bench_wire *wire, const bench_options *options, size_t batch_bytes)
{
    char subject[BENCH_SUBJECT_BYTES];
    char line[BENCH_SUBJECT_BYTES + 32];
    size_t line_bytes;
    size_t plain_bytes; /* of one operation, without a frame around it */
    size_t rounds;
    char *plain;

    bench_subject_format(subject, options, 0);
    line_bytes =
        (size_t)snprintf(line, sizeof line, "PUB %s %zu\r\n", subject, options->payload_bytes);
    *wire = (bench_wire){.frame_bytes = line_bytes + options->payload_bytes + 2,
                         .payload_bytes = options->payload_bytes};
    plain_bytes = wire->frame_bytes;
    if (options->target.websocket)
        wire->frame_bytes += bench_websocket_head_bytes(plain_bytes);
    plain = bench_alloc(1, plain_bytes);
    rounds = batch_bytes / (wire->frame_bytes * options->subject_count);
    wire->frame_count = (rounds ? rounds : 1) * options->subject_count;
    wire->bytes = bench_alloc(wire->frame_count, wire->frame_bytes);
    for (size_t i = 0; i < wire->frame_count; i++) {
        char *to = wire->bytes + i * wire->frame_bytes;
        char *frame = options->target.websocket ? plain : to;

        bench_subject_format(subject, options, (unsigned)(i % options->subject_count));
        (void)snprintf(line, sizeof line, "PUB %s %zu\r\n", subject, options->payload_bytes);
        memcpy(frame, line, line_bytes);
        memset(frame + line_bytes, 'x', options->payload_bytes);
        memcpy(frame + line_bytes + options->payload_bytes, "\r\n", 2);
        if (options->target.websocket)
            (void)bench_websocket_frame(to, plain, plain_bytes);
    }
    free(plain);
}

void bench_wire_fini(bench_wire *wire)
{
    free(wire->bytes);
    *wire = (bench_wire){0};
}

void bench_hex_format(char *out, unsigned count, uint64_t value)
{
    while (count > 0) {
        out[--count] = "0123456789abcdef"[value & 15];
        value >>= 4;
    }
}

bool bench_hex_parse(const char *digits, unsigned count, uint64_t *out_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < count; i++) {
        char digit = digits[i];

        if (digit >= '0' && digit <= '9')
            value = value << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = value << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    *out_value = value;
    return true;
}

void bench_wire_number(bench_wire *wire, unsigned publisher, uint64_t first_sequence)
{
    char *payload = wire->bytes + wire->frame_bytes - wire->payload_bytes - 2;

    for (size_t i = 0; i < wire->frame_count; i++, payload += wire->frame_bytes) {
        bench_hex_format(payload, 4, publisher);
        bench_hex_format(payload + 4, 12, first_sequence + i);
    }
}

bool bench_number_parse(bench_slice payload, unsigned *out_publisher, uint64_t *out_sequence)
{
    uint64_t publisher;

    if (payload.len < BENCH_NUMBER_BYTES || !bench_hex_parse(payload.ptr, 4, &publisher) ||
        !bench_hex_parse(payload.ptr + 4, 12, out_sequence))
        return false;
    *out_publisher = (unsigned)publisher;
    return true;
}

void bench_subscribe(bench_client *client, const bench_options *options, unsigned subscriber)
{
    unsigned count = options->wildcard ? 1 : options->subject_count;
    unsigned first_sid = 1;
    char queue[24] = "";
    char *lines = bench_alloc(count, SUB_BYTES_MAX);
    size_t len = 0;

    while (first_sid < count)
        first_sid *= 10;
    if (options->group_count)
        (void)snprintf(queue, sizeof queue, "group%u ", subscriber % options->group_count);
    for (unsigned i = 0; i < count; i++) {
        char subject[BENCH_SUBJECT_BYTES] = "bench.*";

        if (!options->wildcard || options->subject_count == 1)
            bench_subject_format(subject, options, i);
        len += (size_t)snprintf(lines + len, SUB_BYTES_MAX, "SUB %s %s%u\r\n", subject, queue,
                                first_sid + i);
    }
    bench_client_send(client, lines, len);
    bench_client_flush(client);
    free(lines);
}
