/* store_world -- what the fuzz targets of the store share: a disk in memory, files with identities,
 * and a look at whatever store that makes. */
#ifndef PIPIT_FUZZ_STORE_WORLD_H
#define PIPIT_FUZZ_STORE_WORLD_H

#include "sim_disk.h"

#include "store/identity.h"
#include "store/seal.h"
#include "store/store.h"

#define WORLD_SALT 0x1234567890abcdefu

/* The one key, and what a segment makes of it. */
extern const struct pp_store_keys world_keys;
struct pp_seal world_seal(uint64_t number);

/* The identity of a file, with its check: of an encrypted store in which much is compressed. */
struct pp_identity world_identity(uint64_t number, uint64_t first_seq);

/* Put a file there, as it was synced long ago. */
void world_put(struct sim_disk *sim, const char *name, const void *bytes, size_t len);

/* Open the store, read all of it in every way, change it and open it again: it says the same twice,
 * and what was settled is there. */
void world_look(struct sim_disk *sim);

#endif
