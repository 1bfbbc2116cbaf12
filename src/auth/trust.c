#include "auth/trust.h"

#include "base/alloc.h"

#include <string.h>

void pp_trust_fini(pp_trust *trust)
{
    pp_free(trust->keys);
    *trust = (pp_trust){0};
}

static pipit_err add(pp_trust *trust, pp_str key, bool strict)
{
    if (pp_nkey_decode(key, PP_NKEY_OPERATOR, NULL))
        return PIPIT_EINVAL;
    if (pp_trust_find(trust, key))
        return PIPIT_OK;
    if (trust->count == trust->cap) {
        size_t cap = trust->cap ? 2 * trust->cap : 4;
        pp_trusted_key *grown = pp_realloc(trust->keys, cap * sizeof(*grown));

        if (!grown)
            return PIPIT_ENOMEM;
        trust->keys = grown;
        trust->cap = cap;
    }
    memcpy(trust->keys[trust->count].text, key.ptr, key.len);
    trust->keys[trust->count].text[key.len] = '\0';
    trust->keys[trust->count++].strict = strict;
    return PIPIT_OK;
}

pipit_err pp_trust_add_key(pp_trust *trust, pp_str key)
{
    return add(trust, key, false);
}

pipit_err pp_trust_add_operator(pp_trust *trust, const pp_operator_claims *claims)
{
    pipit_err err = PIPIT_OK;

    if (!claims->strict)
        err = add(trust, claims->jwt->subject, false);
    for (size_t i = 0; i < claims->signing_keys.count && !err; i++)
        err = add(trust, claims->signing_keys.items[i], claims->strict);
    return err;
}

const pp_trusted_key *pp_trust_find(const pp_trust *trust, pp_str key)
{
    for (size_t i = 0; i < trust->count; i++) {
        if (pp_str_eq(pp_str_of(trust->keys[i].text), key))
            return &trust->keys[i];
    }
    return NULL;
}
