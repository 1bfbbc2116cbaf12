/* core/transform_program.h -- what a compiled transform is: shared by who makes and who runs it.
 *
 * One allocation. A step copies literal text (the dots between tokens belong to it) or appends
 * what a placeholder stands for. Steps name the subject's tokens by *slot*: the few tokens that
 * are needed, in the order of their places, so that one walk over the subject finds them all. */
#ifndef PP_CORE_TRANSFORM_PROGRAM_H
#define PP_CORE_TRANSFORM_PROGRAM_H

#include "core/placeholder.h"
#include "core/transform.h"

enum {
    PP_TRANSFORM_SLOTS_MAX = PP_TRANSFORM_FUNCTIONS_MAX + 1, /* the rest of the subject has one */
};

typedef struct pp_transform_step {
    uint8_t kind; /* a pp_placeholder_kind; NONE: literal text */
    uint16_t ref_count;
    uint32_t ref_at; /* refs [ref_at, ref_at + ref_count): slots */
    int32_t number;
    uint32_t text_at; /* of the destination: literal text, or a delimiter */
    uint32_t text_len;
} pp_transform_step;

struct pp_transform {
    size_t step_count;
    size_t slot_count;
    bool takes_rest; /* the last slot is that token and all behind it */
    bool random;
    pp_str source;
    pp_str destination;
    const pp_transform_step *steps;
    const uint32_t *places; /* by slot: tokens of the subject before this one; ascending */
    const uint32_t *refs;   /* slots */
};

#endif
