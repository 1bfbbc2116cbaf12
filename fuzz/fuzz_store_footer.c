/* fuzz_store_footer -- a segment with messages and any footer behind them, true by its checks, and
 * what a store makes of it.
 *
 * The input is a trailer and the sections in front of it; checks, place and number are made here,
 * the first byte says which of them stay wrong. */
#include "store_world.h"

#include "base/assert.h"
#include "base/hash.h"
#include "store/footer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FILE_MAX = 64 * 1024,
    MESSAGES = 6,
    NO_SECTION_CHECKS = 1,
    NO_CHECK = 2,
    OWN_SIZES = 4,
    SEALED = 8
};

static char file[FILE_MAX];

static size_t begin_file(uint64_t number, uint64_t first_seq)
{
    struct pp_identity id = world_identity(number, first_seq);

    memset(file, 0, sizeof(file));
    memcpy(file, &id, sizeof(id));
    return PP_SEGMENT_HEADER_BYTES;
}

static size_t put_messages(void)
{
    uint64_t seed = pp_record_seed(WORLD_SALT, 1);
    size_t at = begin_file(1, 1);

    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        struct pp_record_parts parts = {.subject = seq % 2 ? PP_STR("a.b") : PP_STR("a.c"),
                                        .payload = PP_STR("payload")};
        struct pp_record_head head = {
            .seq = seq, .time_ns = (int64_t)seq, .durable_at = (uint32_t)(at / PP_RECORD_ALIGN)};

        pp_record_encode_message(file + at, &head, &parts, NULL, seed, at);
        at += pp_record_bytes(head.body_bytes);
    }
    return at;
}

/* Where each section is, if the trailer's sizes fit the file. */
static bool seal_sections(struct pp_footer *footer, size_t at, size_t bytes, uint64_t seed,
                          bool sealed)
{
    uint64_t lists = pp_footer_lists_bytes(footer), index = pp_footer_index_bytes(footer);
    const char *from = file + at;

    if (footer->subjects_bytes > bytes || lists > bytes || index > bytes ||
        footer->subjects_bytes + lists + index != bytes)
        return false;
    if (sealed && footer->subjects_bytes >= PP_SEAL_BYTES) {
        struct pp_seal seal = world_seal(1);
        struct pp_seal_place place = pp_footer_place(footer->at, &footer->number);

        footer->flags |= PP_FOOTER_SEALED;
        pp_seal_close(&seal, &place, file + at, (size_t)footer->subjects_bytes - PP_SEAL_BYTES);
    }
    footer->subjects_check = pp_footer_check(from, (size_t)footer->subjects_bytes, seed);
    from += footer->subjects_bytes;
    footer->lists_check = pp_footer_check(from, (size_t)lists, seed);
    footer->index_check = pp_footer_check(from + lists, (size_t)index, seed);
    return true;
}

static size_t put_footer(const uint8_t *data, size_t size, size_t at)
{
    uint64_t seed = pp_record_seed(WORLD_SALT, 1);
    struct pp_footer footer;
    uint8_t mode = *data++;
    size_t bytes = --size - sizeof(footer);

    memcpy(&footer, data, sizeof(footer));
    if (at + size > FILE_MAX)
        bytes = FILE_MAX - at - sizeof(footer);
    memcpy(file + at, data + sizeof(footer), bytes);
    footer.magic = PP_FOOTER_MAGIC;
    footer.number = 1;
    if (!(mode & OWN_SIZES))
        footer.at = at;
    if (!(mode & NO_SECTION_CHECKS))
        (void)seal_sections(&footer, at, bytes, seed, mode & SEALED);
    footer.check = pp_hash((char *)&footer + 16, sizeof(footer) - 16, seed) + (mode & NO_CHECK);
    memcpy(file + at + bytes, &footer, sizeof(footer));
    return at + bytes + sizeof(footer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pp_identity manifest = world_identity(0, 1);
    static struct sim_disk sim;
    size_t at;

    if (size < 1 + sizeof(struct pp_footer))
        return 0;
    sim_init(&sim);
    world_put(&sim, "manifest", &manifest, sizeof(manifest));
    at = put_messages();
    world_put(&sim, "0000000001.seg", file, put_footer(data, size, at));
    at = begin_file(2, MESSAGES + 1);
    world_put(&sim, "0000000002.seg", file, at + 8192);
    world_look(&sim);
    PP_ASSERT(sim.fds_open == 0);
    sim_fini(&sim);
    return 0;
}
