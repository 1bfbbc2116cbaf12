/* pipit/config.h: what a mapping of subjects does, without a server. */
#include "base/buf.h"
#include "base/random.h"
#include "core/subject.h"
#include "core/transform.h"
#include "pipit/config.h"

#include <stdio.h>

enum { WRONG_MAX = 4096 };

static pipit_err compile(pp_transform **out, const char *source, const char *destination, char *why,
                         size_t why_bytes)
{
    pp_buf wrong;
    pipit_err err;

    pp_buf_init(&wrong, WRONG_MAX);
    err =
        pp_transform_new(out, pp_str_of(source), pp_str_of(destination), PP_TRANSFORM_ANY, &wrong);
    if (err)
        (void)snprintf(why, why_bytes, "%.*s", (int)wrong.len, wrong.len ? wrong.ptr : "");
    pp_buf_fini(&wrong);
    return err;
}

static pipit_err apply(const pp_transform *transform, pp_str subject, char *out, size_t out_bytes)
{
    size_t len = 0;
    pipit_err err = PIPIT_ENOTFOUND;

    if (pp_subject_literal(subject) && pp_transform_matches(transform, subject))
        err = pp_transform_apply(transform, subject, pp_random_seed(), out, out_bytes - 1, &len);
    out[err ? 0 : len] = '\0';
    return err;
}

pipit_err pipit_mapping_try(const char *source, const char *destination, const char *subject,
                            char *out, size_t out_bytes)
{
    pp_transform *transform;
    pipit_err err;

    *out = '\0';
    err = compile(&transform, source, destination, out, out_bytes);
    if (err)
        return err;
    if (subject)
        err = apply(transform, pp_str_of(subject), out, out_bytes);
    pp_transform_free(transform);
    return err;
}
