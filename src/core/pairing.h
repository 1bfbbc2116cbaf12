/* core/pairing.h -- a subject space seen under other names: two patterns whose wildcards stand for
 * each other, so that every subject under one is one subject under the other.
 *
 *   there "svc.*.v.>"   here "my.$1.>"      svc.a.v.x  <->  my.a.x
 *
 * What an import is made of. Immutable; any thread may use it. */
#ifndef PP_CORE_PAIRING_H
#define PP_CORE_PAIRING_H

#include "core/transform.h"

typedef struct pp_pairing {
    bool same;            /* both patterns are one: nothing changes */
    bool many_to_one;     /* there is a literal: whatever is under here becomes it */
    char *there;          /* valid, may hold wildcards */
    char *here;           /* the same, with wildcards in the place of what stands for them */
    pp_transform *inward; /* from there to here; NULL if same */
    pp_transform *outward;
} pp_pairing;

/**
 * Pair the subjects under there with those under here, in which "*", "$n" or "{{wildcard(n)}}"
 * stand for the wildcards of there; each must stand once. Plain stars count from left to right.
 *
 * Errors: PIPIT_EINVAL, and error (which may be NULL) says why; PIPIT_ETOOBIG; PIPIT_ENOMEM.
 */
pipit_err pp_pairing_init(pp_pairing *pairing, pp_str there, pp_str here, pp_buf *error);
/* Let every subject under here stand for there, a literal; there is no way back. Errors: the same.
 */
pipit_err pp_pairing_init_many_to_one(pp_pairing *pairing, pp_str there, pp_str here);
/* One that is zeroed is fine. */
void pp_pairing_fini(pp_pairing *pairing);

/* What a subject becomes; errors as of pp_transform_apply. */
pipit_err pp_pairing_inward(const pp_pairing *pairing, pp_str subject, char *out, size_t cap,
                            size_t *out_len);
pipit_err pp_pairing_outward(const pp_pairing *pairing, pp_str subject, char *out, size_t cap,
                             size_t *out_len);

#endif
