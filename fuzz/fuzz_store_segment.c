/* fuzz_store_segment -- segments of any records, true and damaged, as a store finds them when it is
 * opened.
 *
 * The input is a row of records, each with a short head; their checks are made here, as far as the
 * input does not want them wrong. */
#include "store_world.h"

#include "base/assert.h"
#include "base/hash.h"
#include "store/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FILE_MAX = 96 * 1024,
    NEW_FILE = 64, /* modes: what is behind goes to another segment */
    ZEROS = 32,    /* so many zeros come first */
    BAD_HEAD = 1,
    BAD_BODY = 2,
    ERASED = 4,
    SEALED = 16, /* with a true tag */
    BIG = 8,     /* sequences and times near the end of numbers */
};

struct __attribute__((packed)) short_head {
    uint16_t seq;
    uint16_t time;
    uint16_t body;
    uint8_t headers;
    uint8_t subject;
    uint16_t durable;
    uint8_t kind;
    uint8_t flags;
    uint8_t mode;
};

static char file[FILE_MAX];

static struct pp_record_head head_of(const struct short_head *brief, size_t body_bytes)
{
    struct pp_record_head head = {.seq = brief->seq,
                                  .time_ns = brief->time,
                                  .body_bytes = (uint32_t)body_bytes,
                                  .headers_bytes = brief->headers,
                                  .durable_at = brief->durable,
                                  .subject_bytes = brief->subject,
                                  .kind = brief->kind,
                                  .flags = brief->flags};

    if (brief->mode & BIG) {
        head.seq = UINT64_MAX / 2 - brief->seq;
        head.time_ns = INT64_MAX - brief->time;
        head.durable_at = UINT32_MAX - brief->durable;
    }
    return head;
}

/* Answers where the next record goes. */
static size_t put_record(const struct short_head *brief, const uint8_t *body, size_t body_bytes,
                         uint64_t number, size_t at)
{
    struct pp_record_head head;
    uint64_t seed = pp_record_seed(WORLD_SALT, number);

    if (brief->mode & ZEROS)
        at += (size_t)brief->durable / 8 * 8;
    if (at + pp_record_bytes(body_bytes) > FILE_MAX)
        return at;
    head = head_of(brief, body_bytes);
    if (brief->mode & SEALED && body_bytes >= PP_SEAL_BYTES)
        head.flags |= PP_RECORD_SEALED;
    if (body_bytes)
        memcpy(file + at + sizeof(head), body, body_bytes);
    if (brief->mode & SEALED && body_bytes >= PP_SEAL_BYTES) {
        struct pp_seal seal = world_seal(number);
        struct pp_seal_place place = {PP_SEAL_RECORD, at, pp_record_said(&head)};

        pp_seal_close(&seal, &place, file + at + sizeof(head), body_bytes - PP_SEAL_BYTES);
    }
    head.body_check =
        brief->mode & ERASED ? 0 : pp_hash(file + at + sizeof(head), body_bytes, seed);
    if (brief->mode & BAD_BODY)
        head.body_check++;
    head.head_check = pp_hash((char *)&head + 8, sizeof(head) - 8, seed ^ at);
    if (brief->mode & BAD_HEAD)
        head.head_check++;
    memcpy(file + at, &head, sizeof(head));
    return at + pp_record_bytes(body_bytes);
}

static size_t begin_file(uint64_t number, uint64_t first_seq)
{
    struct pp_identity id = world_identity(number, first_seq);

    memset(file, 0, sizeof(file));
    memcpy(file, &id, sizeof(id));
    return PP_SEGMENT_HEADER_BYTES;
}

static void end_file(struct sim_disk *sim, uint64_t number, size_t bytes)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "%010u.seg", (unsigned)number);
    world_put(sim, name, file, bytes < FILE_MAX ? bytes : FILE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pp_identity manifest = world_identity(0, 1);
    static struct sim_disk sim;
    uint64_t number = 1;
    size_t at = begin_file(number, 1);
    struct short_head brief;

    sim_init(&sim);
    world_put(&sim, "manifest", &manifest, sizeof(manifest));
    while (size >= sizeof(brief)) {
        size_t body;

        memcpy(&brief, data, sizeof(brief));
        data += sizeof(brief);
        size -= sizeof(brief);
        if (brief.mode & NEW_FILE && number < 6) {
            end_file(&sim, number, at);
            number += 1 + (brief.durable & 1);
            at = begin_file(number, brief.seq);
        }
        body = brief.body % 512 < size ? brief.body % 512 : size;
        at = put_record(&brief, data, body, number, at);
        data += body;
        size -= body;
    }
    end_file(&sim, number, at + 8192);
    world_look(&sim);
    PP_ASSERT(sim.fds_open == 0);
    sim_fini(&sim);
    return 0;
}
