#include "store/identity.h"

#include "base/hash.h"

enum { CHECKED_FROM = offsetof(struct pp_identity, version) };

static uint64_t check_of(const struct pp_identity *id)
{
    return pp_hash((const char *)id + CHECKED_FROM, sizeof(*id) - CHECKED_FROM, id->magic);
}

void pp_identity_seal(struct pp_identity *id)
{
    id->check = check_of(id);
}

pipit_err pp_identity_check(const struct pp_identity *id, uint64_t magic)
{
    if (id->magic != magic || id->check != check_of(id))
        return PIPIT_EDAMAGED;
    if (id->version != PP_STORE_VERSION || (id->features & ~(uint32_t)PP_STORE_FEATURES))
        return PIPIT_EPROTO;
    if (!id->key_id != !(id->features & PP_FEATURE_ENCRYPTED))
        return PIPIT_EDAMAGED;
    if (id->first_seq == 0 || id->first_seq > UINT64_MAX / 2)
        return PIPIT_EDAMAGED;
    return PIPIT_OK;
}
