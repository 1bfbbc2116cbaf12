#include "server/operators/tenant.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

enum { AT_START = 16 };

/* --- claims -------------------------------------------------------------------------------- */

static uint64_t hash_list(const pp_claim_list *list, uint64_t h)
{
    for (size_t i = 0; i < list->count; i++)
        h = pp_hash(list->items[i].ptr, list->items[i].len, h + 1);
    return h;
}

static uint64_t hash_permissions(const pp_claim_permissions *p)
{
    uint64_t h = hash_list(&p->publish.allow, 1);

    h = hash_list(&p->publish.deny, h + p->publish.allow_given);
    h = hash_list(&p->subscribe.allow, h + 2);
    h = hash_list(&p->subscribe.deny, h + p->subscribe.allow_given);
    h = pp_hash(&p->responses_max, sizeof(p->responses_max), h + p->has_responses);
    return pp_hash(&p->responses_ttl_ns, sizeof(p->responses_ttl_ns), h);
}

static pipit_err check(const pp_account_claims *claims, int64_t now_s, char *reason)
{
    pp_claim_issues issues;
    unsigned blocking;

    pp_claim_issues_init(&issues);
    pp_account_claims_check(claims, now_s, &issues);
    blocking = issues.errors + issues.time_checks;
    if (blocking)
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "%.*s", PP_STR_ARGS(pp_buf_str(&issues.text)));
    pp_claim_issues_fini(&issues);
    return blocking ? PIPIT_EINVAL : PIPIT_OK;
}

pipit_err pp_tenant_claims_new(pp_tenant_claims **out_claims, pp_str token, int64_t now_s,
                               char reason[PP_JWT_REASON_BYTES])
{
    pp_tenant_claims *claims = pp_calloc(1, sizeof(*claims));
    pipit_err err;

    reason[0] = '\0';
    if (!claims)
        return PIPIT_ENOMEM;
    atomic_init(&claims->holders, 1);
    claims->token = pp_memdupz(token.ptr, token.len);
    claims->token_len = token.len;
    err = claims->token ? pp_jwt_decode(&claims->jwt, token, reason) : PIPIT_ENOMEM;
    if (!err)
        err = pp_account_claims_read(&claims->claims, &claims->jwt, reason);
    if (!err && pp_nkey_decode(claims->jwt.subject, PP_NKEY_ACCOUNT, NULL)) {
        (void)snprintf(reason, PP_JWT_REASON_BYTES, "subject is not an account public key");
        err = PIPIT_EINVAL;
    }
    if (!err)
        err = check(&claims->claims, now_s, reason);
    if (err) {
        pp_tenant_claims_let_go(claims);
        return err;
    }
    claims->defaults_hash = hash_permissions(&claims->claims.default_permissions);
    *out_claims = claims;
    return PIPIT_OK;
}

void pp_tenant_claims_hold(pp_tenant_claims *claims)
{
    (void)atomic_fetch_add(&claims->holders, 1);
}

void pp_tenant_claims_let_go(pp_tenant_claims *claims)
{
    if (!claims || atomic_fetch_sub(&claims->holders, 1) > 1)
        return;
    pp_jwt_fini(&claims->jwt);
    pp_free(claims->token);
    pp_free(claims);
}

/* --- the table ----------------------------------------------------------------------------- */

static size_t place_of(const pp_tenants *tenants, pp_str key)
{
    return pp_hash(key.ptr, key.len, tenants->seed) & tenants->mask;
}

pipit_err pp_tenants_init(pp_tenants *tenants)
{
    *tenants = (pp_tenants){
        .table = pp_calloc(AT_START, sizeof(pp_tenant *)),
        .mask = AT_START - 1,
        .seed = pp_random_seed(),
    };
    return tenants->table ? PIPIT_OK : PIPIT_ENOMEM;
}

void pp_tenants_fini(pp_tenants *tenants)
{
    while (tenants->first) {
        pp_tenant *tenant = tenants->first;

        tenants->first = tenant->next;
        if (tenant->root)
            pp_user_let_go(tenant->root);
        pp_tenant_claims_let_go(tenant->claims);
        pp_free(tenant);
    }
    pp_free(tenants->table);
}

pp_tenant *pp_tenants_find(const pp_tenants *tenants, pp_str key)
{
    pp_tenant *tenant = tenants->table[place_of(tenants, key)];

    while (tenant && !pp_str_eq(pp_str_of(tenant->key), key))
        tenant = tenant->chain;
    return tenant;
}

static void enter(pp_tenants *tenants, pp_tenant *tenant)
{
    size_t at = place_of(tenants, pp_str_of(tenant->key));

    tenant->chain = tenants->table[at];
    tenants->table[at] = tenant;
}

pipit_err pp_tenants_reserve(pp_tenants *tenants)
{
    size_t slots = 2 * (tenants->mask + 1);
    pp_tenant **table;

    if (tenants->count <= tenants->mask)
        return PIPIT_OK;
    table = pp_calloc(slots, sizeof(pp_tenant *));
    if (!table)
        return PIPIT_ENOMEM;
    pp_free(tenants->table);
    tenants->table = table;
    tenants->mask = slots - 1;
    for (pp_tenant *one = tenants->first; one; one = one->next)
        enter(tenants, one);
    return PIPIT_OK;
}

void pp_tenants_add(pp_tenants *tenants, pp_tenant *tenant)
{
    enter(tenants, tenant);
    tenant->next = tenants->first;
    tenants->first = tenant;
    tenants->count++;
}
