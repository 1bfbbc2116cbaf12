#include "auth/user.h"

#include "auth/users.h"
#include "base/alloc.h"
#include "base/list.h"

#include <stdatomic.h>
#include <string.h>

struct guest {
    pp_user user;
    atomic_int_fast64_t holders;
    pp_views *views;
    void *origin;
    void (*forget)(void *origin);
    pp_str issuer, tags;
    char texts[];
};

static struct guest *guest_of(const pp_user *user)
{
    return PP_CONTAINER(user, struct guest, user);
}

static void guest_free(struct guest *guest)
{
    pp_view_let_go(guest->views, guest->user.view);
    if (guest->forget)
        guest->forget(guest->origin);
    pp_free(guest);
}

pipit_err pp_guest_new(const pp_guest_setup *setup, pp_user **out_user)
{
    pp_str name = pp_str_of(setup->name), nkey = pp_str_of(setup->nkey);
    size_t more = setup->issuer.len + setup->tags.len;
    struct guest *guest = pp_calloc(1, sizeof(*guest) + name.len + nkey.len + 2 + more);
    char *at;
    pipit_err err;

    if (!guest)
        return PIPIT_ENOMEM;
    err = pp_view_take(setup->views, setup->account, setup->permissions, &guest->user.view);
    if (err) {
        pp_free(guest);
        return err;
    }
    if (name.len)
        memcpy(guest->texts, name.ptr, name.len);
    if (nkey.len)
        memcpy(guest->texts + name.len + 1, nkey.ptr, nkey.len);
    at = guest->texts + name.len + nkey.len + 2;
    guest->issuer = (pp_str){at, setup->issuer.len};
    guest->tags = (pp_str){at + setup->issuer.len, setup->tags.len};
    if (setup->issuer.len)
        memcpy(at, setup->issuer.ptr, setup->issuer.len);
    if (setup->tags.len)
        memcpy(at + setup->issuer.len, setup->tags.ptr, setup->tags.len);
    guest->user.scope = pp_view_scope(guest->user.view);
    guest->user.name = guest->texts;
    guest->user.nkey = setup->nkey ? guest->texts + name.len + 1 : NULL;
    guest->user.expires_s = setup->expires_s;
    guest->user.max_payload = setup->max_payload;
    guest->user.max_subscriptions = setup->max_subscriptions;
    guest->user.connection_types = setup->connection_types;
    guest->user.slow_policy = setup->slow_policy;
    guest->user.proxy_required = setup->proxy_required;
    guest->views = setup->views;
    guest->origin = setup->origin;
    guest->forget = setup->forget;
    atomic_init(&guest->holders, 1);
    *out_user = &guest->user;
    return PIPIT_OK;
}

pp_str pp_guest_issuer(const pp_user *user)
{
    return user->table ? PP_STR("") : guest_of(user)->issuer;
}

pp_str pp_guest_tags(const pp_user *user)
{
    return user->table ? PP_STR("") : guest_of(user)->tags;
}

void *pp_guest_origin(const pp_user *user)
{
    return user->table ? NULL : guest_of(user)->origin;
}

void pp_user_hold(const pp_user *user)
{
    if (user->table)
        pp_users_hold(user->table);
    else
        (void)atomic_fetch_add(&guest_of(user)->holders, 1);
}

void pp_user_let_go(const pp_user *user)
{
    struct guest *guest;

    if (user->table) {
        pp_users_let_go(user->table);
        return;
    }
    guest = guest_of(user);
    if (atomic_fetch_sub(&guest->holders, 1) == 1)
        guest_free(guest);
}
