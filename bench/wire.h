/* wire.h -- the bytes that publishers write, rendered once, and the subjects and ids in them.
 *
 * Everything has a fixed width, so that all PUB frames of a run have one size, and so have all MSG
 * frames: subjects are "bench" or "bench.00000" and up, subscription ids count from a power of ten.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "options.h"

#define BENCH_SUBJECT_BYTES 32
/* A numbered payload: publisher in 4 hexadecimal digits, sequence number in 12. */
#define BENCH_NUMBER_BYTES 16

/* Whole frames, one after another; their count is a multiple of the number of subjects. */
typedef struct bench_wire {
    char *bytes;
    size_t frame_bytes;
    size_t frame_count;
    size_t payload_bytes;
} bench_wire;

/* Render at least batch_bytes of PUB frames that cycle through the options' subjects. */
void bench_wire_init(bench_wire *wire, const bench_options *options, size_t batch_bytes);
void bench_wire_fini(bench_wire *wire);

/* Number the payloads of all frames: first_sequence in the first, one more in each next. */
void bench_wire_number(bench_wire *wire, unsigned publisher, uint64_t first_sequence);

/* Read such a number back. False if payload does not begin with one. */
bool bench_number_parse(bench_slice payload, unsigned *out_publisher, uint64_t *out_sequence);

void bench_subject_format(char out[BENCH_SUBJECT_BYTES], const bench_options *options,
                          unsigned index);

/* Send the SUBs of one subscriber and return once the server has confirmed them. */
void bench_subscribe(bench_client *client, const bench_options *options, unsigned subscriber);

/* value as count hexadecimal digits, without a terminating zero; and back. */
void bench_hex_format(char *out, unsigned count, uint64_t value);
bool bench_hex_parse(const char *digits, unsigned count, uint64_t *out_value);

#endif
