#include "core/pairing.h"

#include "base/alloc.h"
#include "core/placeholder.h"
#include "core/subject.h"

#include <string.h>

enum { WILDCARDS_MAX = PP_TRANSFORM_FUNCTIONS_MAX, NUMBER_MAX = 8 };

/* The three texts that come of a pairing. */
struct texts {
    pp_buf pattern;                /* here, as a pattern */
    pp_buf inward;                 /* here, as a transform's destination */
    pp_buf outward;                /* there, as a transform's destination */
    uint32_t place[WILDCARDS_MAX]; /* of there's n-th star: which star of here it is, from 1 */
    uint32_t stars;                /* of here */
};

static pipit_err add_token(pp_buf *out, pp_str token)
{
    pipit_err err = out->len ? pp_buf_add(out, ".", 1) : PIPIT_OK;

    return err ? err : pp_buf_add(out, token.ptr, token.len);
}

static pipit_err add_number(pp_buf *out, uint32_t number)
{
    char text[NUMBER_MAX + 20] = "$";

    return add_token(out, (pp_str){text, 1 + pp_u64_format(text + 1, number)});
}

static pipit_err note_star(struct texts *texts, int64_t which)
{
    pipit_err err;

    if (which < 1 || which > WILDCARDS_MAX)
        return PIPIT_EINVAL;
    texts->place[which - 1] = ++texts->stars;
    err = add_token(&texts->pattern, PP_STR("*"));
    return err ? err : add_number(&texts->inward, (uint32_t)which);
}

/* Take here apart: its stars, and what is named for one. Anything else a transform may hold is
 * left for the transform to refuse. */
static pipit_err read_here(struct texts *texts, pp_str here)
{
    pipit_err err = PIPIT_OK;

    while (here.ptr && !err) {
        pp_str token = pp_subject_next_token(&here);
        pp_placeholder placeholder = {0};
        const char *reason;

        if (pp_str_eq(token, PP_STR("*"))) {
            err = note_star(texts, texts->stars + 1);
            continue;
        }
        err = pp_placeholder_parse(token, &placeholder, &reason);
        if (!err && placeholder.kind == PP_PLACEHOLDER_WILDCARD) {
            err = note_star(texts, placeholder.indexes[0]);
            continue;
        }
        err = add_token(&texts->pattern, token);
        if (!err)
            err = add_token(&texts->inward, token);
    }
    return err;
}

static pipit_err write_outward(struct texts *texts, pp_str there)
{
    uint32_t star = 0;
    pipit_err err = PIPIT_OK;

    while (there.ptr && !err) {
        pp_str token = pp_subject_next_token(&there);

        if (!pp_str_eq(token, PP_STR("*")))
            err = add_token(&texts->outward, token);
        else if (star >= WILDCARDS_MAX || !texts->place[star])
            err = PIPIT_EINVAL;
        else
            err = add_number(&texts->outward, texts->place[star++]);
    }
    return err;
}

static pipit_err make(pp_pairing *pairing, struct texts *texts, pp_str there, pp_str here,
                      pp_buf *error)
{
    pipit_err err = read_here(texts, here);
    pp_str pattern = pp_buf_str(&texts->pattern);

    if (!err)
        err = pp_transform_new(&pairing->inward, there, pp_buf_str(&texts->inward),
                               PP_TRANSFORM_REVERSIBLE, error);
    else if (err == PIPIT_EINVAL && error) /* it is refused with the transform's own reason */
        (void)pp_transform_new(&pairing->inward, there, here, PP_TRANSFORM_REVERSIBLE, error);
    if (!err && !pp_subject_valid(pattern))
        err = PIPIT_EINVAL;
    if (!err)
        err = write_outward(texts, there);
    if (!err)
        err = pp_transform_new(&pairing->outward, pattern, pp_buf_str(&texts->outward),
                               PP_TRANSFORM_REVERSIBLE, error);
    if (err)
        return err;
    pairing->here = pp_memdupz(pattern.ptr, pattern.len);
    return pairing->here ? PIPIT_OK : PIPIT_ENOMEM;
}

pipit_err pp_pairing_init(pp_pairing *pairing, pp_str there, pp_str here, pp_buf *error)
{
    struct texts *texts;
    pipit_err err;

    *pairing = (pp_pairing){.same = pp_str_eq(there, here)};
    pairing->there = pp_memdupz(there.ptr, there.len);
    if (!pairing->there)
        return PIPIT_ENOMEM;
    if (pairing->same) {
        pairing->here = pp_memdupz(here.ptr, here.len);
        err = pairing->here ? PIPIT_OK : PIPIT_ENOMEM;
        goto out;
    }
    err = PIPIT_ENOMEM;
    texts = pp_calloc(1, sizeof(*texts));
    if (!texts)
        goto out;
    pp_buf_init(&texts->pattern, PP_TRANSFORM_TEXT_MAX);
    pp_buf_init(&texts->inward, PP_TRANSFORM_TEXT_MAX);
    pp_buf_init(&texts->outward, PP_TRANSFORM_TEXT_MAX);
    err = make(pairing, texts, there, here, error);
    pp_buf_fini(&texts->pattern);
    pp_buf_fini(&texts->inward);
    pp_buf_fini(&texts->outward);
    pp_free(texts);
out:
    if (err)
        pp_pairing_fini(pairing);
    return err;
}

pipit_err pp_pairing_init_many_to_one(pp_pairing *pairing, pp_str there, pp_str here)
{
    *pairing = (pp_pairing){.many_to_one = true};
    if (!pp_subject_literal(there) || !pp_subject_valid(here))
        return PIPIT_EINVAL;
    pairing->there = pp_memdupz(there.ptr, there.len);
    pairing->here = pp_memdupz(here.ptr, here.len);
    if (pairing->there && pairing->here)
        return PIPIT_OK;
    pp_pairing_fini(pairing);
    return PIPIT_ENOMEM;
}

void pp_pairing_fini(pp_pairing *pairing)
{
    pp_free(pairing->there);
    pp_free(pairing->here);
    pp_transform_free(pairing->inward);
    pp_transform_free(pairing->outward);
    *pairing = (pp_pairing){0};
}

static pipit_err copy(pp_str subject, char *out, size_t cap, size_t *out_len)
{
    if (subject.len > cap)
        return PIPIT_ETOOBIG;
    memcpy(out, subject.ptr, subject.len);
    *out_len = subject.len;
    return PIPIT_OK;
}

pipit_err pp_pairing_inward(const pp_pairing *pairing, pp_str subject, char *out, size_t cap,
                            size_t *out_len)
{
    if (pairing->many_to_one)
        return PIPIT_EINVAL;
    return pairing->same ? copy(subject, out, cap, out_len)
                         : pp_transform_apply(pairing->inward, subject, 0, out, cap, out_len);
}

pipit_err pp_pairing_outward(const pp_pairing *pairing, pp_str subject, char *out, size_t cap,
                             size_t *out_len)
{
    if (pairing->many_to_one)
        return copy(pp_str_of(pairing->there), out, cap, out_len);
    return pairing->same ? copy(subject, out, cap, out_len)
                         : pp_transform_apply(pairing->outward, subject, 0, out, cap, out_len);
}
