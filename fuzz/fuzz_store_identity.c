/* fuzz_store_identity -- any manifest and any header of a segment: a store opens, or refuses and
 * leaves every byte as it was. The first byte says which of them get true checks. */
#include "store_world.h"

#include "base/assert.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_BYTES = 4096 + 4096, SEAL_MANIFEST = 1, SEAL_HEADER = 2, NO_MANIFEST = 4 };

static void take(struct pp_identity *id, const uint8_t **data, size_t *size, bool seal)
{
    size_t len = *size < sizeof(*id) ? *size : sizeof(*id);

    if (len) {
        uint8_t *bytes = (uint8_t *)id;

        for (size_t i = 0; i < len; i++) /* zeros leave it as it is */
            bytes[i] ^= (*data)[i];
    }
    *data += len;
    *size -= len;
    if (seal)
        pp_identity_seal(id);
}

static void check_untouched(struct sim_disk *sim, const char *path, const void *bytes, size_t len)
{
    struct sim_file *file = sim_find(sim, path);

    PP_ASSERT(file && file->size_now == len && memcmp(file->now, bytes, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pp_store_options options = {.dir = "s", .segment_bytes = 64 * 1024, .keys = &world_keys};
    struct pp_identity manifest = world_identity(0, 1), header = world_identity(1, 1);
    char segment[SEGMENT_BYTES] = {0};
    static struct sim_disk sim;
    pp_store *store;
    uint8_t mode;

    if (size == 0)
        return 0;
    mode = *data++;
    size--;
    take(&manifest, &data, &size, mode & SEAL_MANIFEST);
    take(&header, &data, &size, mode & SEAL_HEADER);
    memcpy(segment, &header, sizeof(header));
    sim_init(&sim);
    if (!(mode & NO_MANIFEST))
        world_put(&sim, "manifest", &manifest, sizeof(manifest));
    world_put(&sim, "0000000001.seg", segment, sizeof(segment));
    options.disk = &sim.disk;
    if (pp_store_open(&options, &store, NULL)) {
        if (!(mode & NO_MANIFEST))
            check_untouched(&sim, "s/manifest", &manifest, sizeof(manifest));
        check_untouched(&sim, "s/0000000001.seg", segment, sizeof(segment));
    } else {
        pp_store_close(store);
        world_look(&sim);
    }
    PP_ASSERT(sim.fds_open == 0);
    sim_fini(&sim);
    return 0;
}
