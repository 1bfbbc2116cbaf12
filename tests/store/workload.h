/* tests/store/workload.h -- random operations on a store and on a naive model of it.
 *
 * The model is an array of the messages that should be there. It knows nothing of segments, records
 * or indexes: what store.h promises, in the plainest way. */
#ifndef PIPIT_TESTS_STORE_WORKLOAD_H
#define PIPIT_TESTS_STORE_WORKLOAD_H

#include "store/store.h"

enum { MODEL_SUBJECTS = 12 };

struct model_item {
    uint64_t seq;
    int64_t time_ns;
    int64_t expires_ns;
    uint64_t content; /* a hash of subject, headers and payload */
    uint32_t subject;
    uint32_t counted;
};

struct model {
    struct model_item *items; /* those that are there, in order */
    size_t count;
    size_t room;
    uint64_t last_seq;
    uint64_t bytes;
    int64_t now_ns;
    bool memory;
    struct pp_store_limits limits;
};

struct workload {
    struct model model;
    uint64_t random;
    pp_store *store;
    bool simple; /* only operations that one record tells of */
    bool sealed; /* the store is encrypted */
    unsigned variant;
    unsigned large; /* one payload in so many is large; 0: none */
};

/* How a store keeps what it is given; every test runs over all of them. */
enum { VARIANT_COMPRESSED = 1, VARIANT_SEALED = 2, VARIANT_ROTATED = 4, VARIANTS = 8 };

/* Sealed: with one of two keys that are both known; rotated: with the other one. */
void workload_set_variant(struct pp_store_options *options, unsigned variant);

void workload_init(struct workload *load, uint64_t seed);
void workload_fini(struct workload *load);

/* Limits by chance, for the model and for the options of a store. */
void workload_choose_limits(struct workload *load);

/* One operation. PIPIT_OK: both did it; otherwise what the store answered, and the model is as
 * before. Wrong answers abort with a text. */
pipit_err workload_step(struct workload *load);

/* A hash of all that is there. */
uint64_t model_digest(const struct model *model);
/* The same of the store, by reading all of it. Damage aborts unless lost is allowed. */
uint64_t store_digest(pp_store *store);

/* Compare everything that the store tells with the model. */
void workload_compare(struct workload *load);

#endif
