#include "auth/users.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"

#include <assert.h>
#include <sodium.h>

static_assert(PP_USER_HASH_BYTES == crypto_generichash_BYTES, "hash length of libsodium");
static_assert(PP_USER_HASH_BYTES == crypto_generichash_KEYBYTES, "key length of libsodium");

struct pp_users {
    const pp_user_key *key;
    pp_views *views;
    pp_user *users;                             /* then anybody, then the roots */
    uint8_t (*pass_hashes)[PP_USER_HASH_BYTES]; /* of the users */
    size_t user_count;
    size_t root_count;
    bool open;
    const pp_user *no_auth_user;
    bool has_token;
    uint8_t token_hash[PP_USER_HASH_BYTES];
    uint32_t *by_name; /* index plus 1, open addressing */
    size_t name_mask;
    uint64_t seed;
    char *texts;
    atomic_int_fast64_t holders;
};

pipit_err pp_user_key_new(pp_user_key *out_key)
{
    if (sodium_init() < 0)
        return PIPIT_EIO;
    randombytes_buf(out_key->bytes, sizeof(out_key->bytes));
    return PIPIT_OK;
}

static void hash(const pp_user_key *key, pp_str text, uint8_t out[PP_USER_HASH_BYTES])
{
    /* It can only fail for lengths other than the ones asserted above. */
    (void)crypto_generichash(out, PP_USER_HASH_BYTES, (const uint8_t *)text.ptr, text.len,
                             key->bytes, sizeof(key->bytes));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Source: NATS authentication, section 2: ^\$2[abxy]\$\d{2}\$.* */
bool pp_users_is_bcrypt(pp_str text)
{
    return text.len >= 7 && pp_str_starts(text, PP_STR("$2")) && text.ptr[2] != '\0' &&
           strchr("abxy", text.ptr[2]) && text.ptr[3] == '$' && is_digit(text.ptr[4]) &&
           is_digit(text.ptr[5]) && text.ptr[6] == '$';
}

/* --- making ------------------------------------------------------------------------------- */

static bool is_bcrypt(const char *text)
{
    return text && pp_users_is_bcrypt(pp_str_of(text));
}

static size_t find_slot(const pp_users *users, pp_str name)
{
    size_t at = pp_hash(name.ptr, name.len, users->seed) & users->name_mask;

    while (users->by_name[at] &&
           !pp_str_eq(pp_str_of(users->users[users->by_name[at] - 1].name), name))
        at = (at + 1) & users->name_mask;
    return at;
}

static const pp_user *find_name(const pp_users *users, pp_str name)
{
    uint32_t index = users->by_name[find_slot(users, name)];

    return index ? &users->users[index - 1] : NULL;
}

static pipit_err reserve(pp_users *users, const pp_users_setup *setup)
{
    size_t slots = 8, bytes = 1 + setup->account_count;

    while (slots < 2 * setup->user_count)
        slots *= 2;
    for (size_t i = 0; i < setup->user_count; i++)
        bytes += strlen(setup->users[i].name) + 1;
    users->by_name = pp_calloc(slots, sizeof(*users->by_name));
    users->users = pp_calloc(setup->user_count + 1 + setup->account_count, sizeof(*users->users));
    users->pass_hashes = pp_calloc(setup->user_count + 1, sizeof(*users->pass_hashes));
    users->texts = pp_calloc(1, bytes);
    users->name_mask = slots - 1;
    return users->by_name && users->users && users->pass_hashes && users->texts ? PIPIT_OK
                                                                                : PIPIT_ENOMEM;
}

static void fill(pp_users *users, pp_user *user, const pp_user_entry *entry, char **at)
{
    size_t len = strlen(entry->name);

    memcpy(*at, entry->name, len + 1);
    user->name = *at;
    *at += len + 1;
    user->scope.account = entry->account;
    user->scope.permissions = entry->permissions;
    user->slow_policy = entry->slow_policy;
    user->max_payload = PP_USER_UNLIMITED;
    user->max_subscriptions = PP_USER_UNLIMITED;
    user->connection_types = PP_USER_ANY_TYPE;
    user->table = users;
}

/* Users of one account with the same permissions see the same. */
static pipit_err take_views(pp_users *users)
{
    size_t count = users->user_count + 1 + users->root_count;

    for (size_t i = 0; i < count; i++) {
        pp_user *user = &users->users[i];
        pipit_err err =
            pp_view_take(users->views, user->scope.account, user->scope.permissions, &user->view);

        if (err)
            return err;
        user->scope = pp_view_scope(user->view);
    }
    return PIPIT_OK;
}

pipit_err pp_users_new(pp_users **out_users, const pp_users_setup *setup)
{
    pp_users *users = pp_calloc(1, sizeof(*users));
    pipit_err err = PIPIT_ENOMEM;
    char *at;

    if (!users)
        return err;
    users->key = setup->key;
    users->views = setup->views;
    users->seed = pp_random_seed();
    users->user_count = setup->user_count;
    users->root_count = setup->account_count;
    users->open = setup->open;
    err = reserve(users, setup);
    if (err)
        goto out;
    err = PIPIT_EINVAL;
    if (is_bcrypt(setup->token))
        goto out;
    at = users->texts;
    for (size_t i = 0; i < setup->user_count; i++) {
        if (is_bcrypt(setup->users[i].pass))
            goto out;
        fill(users, &users->users[i], &setup->users[i], &at);
        hash(users->key, pp_str_of(setup->users[i].pass), users->pass_hashes[i]);
        users->by_name[find_slot(users, pp_str_of(setup->users[i].name))] = (uint32_t)i + 1;
    }
    fill(users, &users->users[users->user_count], &setup->anybody, &at);
    for (size_t i = 0; i < setup->account_count; i++) {
        const pp_user_entry root = {.name = "", .account = setup->accounts[i]};

        fill(users, &users->users[users->user_count + 1 + i], &root, &at);
    }
    users->has_token = setup->token && *setup->token;
    hash(users->key, pp_str_of(setup->token), users->token_hash);
    err = PIPIT_ENOTFOUND;
    if (setup->no_auth_user) {
        users->no_auth_user = find_name(users, pp_str_of(setup->no_auth_user));
        if (!users->no_auth_user)
            goto out;
    }
    err = take_views(users);
    if (err)
        goto out;
    *out_users = users;
    users = NULL;
out:
    pp_users_free(users);
    return err;
}

void pp_users_free(pp_users *users)
{
    if (!users)
        return;
    for (size_t i = 0; users->users && i < users->user_count + 1 + users->root_count; i++)
        pp_view_let_go(users->views, users->users[i].view);
    if (users->pass_hashes)
        sodium_memzero(users->pass_hashes, users->user_count * sizeof(*users->pass_hashes));
    pp_free(users->pass_hashes);
    pp_free(users->users);
    pp_free(users->by_name);
    pp_free(users->texts);
    sodium_memzero(users->token_hash, sizeof(users->token_hash));
    pp_free(users);
}

/* --- asking ------------------------------------------------------------------------------- */

/* Of anybody there is one that nothing fits. */
static const uint8_t *pass_hash(const pp_users *users, const pp_user *user)
{
    return users->pass_hashes[user - users->users];
}

bool pp_users_required(const pp_users *users)
{
    return users->has_token || users->user_count;
}

bool pp_users_announced(const pp_users *users)
{
    return pp_users_required(users) && !users->no_auth_user;
}

const pp_user *pp_users_anybody(const pp_users *users)
{
    if (users->no_auth_user)
        return users->no_auth_user;
    return pp_users_required(users) && !users->open ? NULL : &users->users[users->user_count];
}

const pp_user *pp_users_check(const pp_users *users, pp_str name, pp_str pass, pp_str token)
{
    const pp_user *anybody = &users->users[users->user_count], *user;
    uint8_t shown[PP_USER_HASH_BYTES];
    bool fits;

    if (users->has_token && users->user_count == 0) {
        hash(users->key, token, shown);
        return sodium_memcmp(shown, users->token_hash, sizeof(shown)) == 0 ? anybody : NULL;
    }
    if (!users->user_count)
        return anybody;
    if (!name.len && !pass.len && !token.len && pp_users_anybody(users))
        return pp_users_anybody(users);
    user = find_name(users, name);
    hash(users->key, pass, shown);
    fits = sodium_memcmp(shown, pass_hash(users, user ? user : anybody), sizeof(shown)) == 0;
    sodium_memzero(shown, sizeof(shown));
    return user && fits ? user : NULL;
}

static bool is_anybody(const pp_users *users, const pp_user *user)
{
    return user == &users->users[users->user_count];
}

const pp_user *pp_users_renew(const pp_users *users, const pp_user *old, bool *out_gone)
{
    const pp_user *anybody = &users->users[users->user_count], *user;
    const pp_users *old_users = old->table;

    *out_gone = false;
    if (!pp_users_required(users))
        user = anybody;
    else if (is_anybody(old_users, old))
        /* It has shown a token, the same that is asked for now, or nothing at all. */
        user = old_users->has_token && users->has_token &&
                       sodium_memcmp(old_users->token_hash, users->token_hash,
                                     sizeof(users->token_hash)) == 0
                   ? anybody
                   : (old_users->has_token ? NULL : pp_users_anybody(users));
    else if (old == old_users->no_auth_user)
        /* It may have shown a password, but that is not known any more. */
        user = users->no_auth_user && strcmp(users->no_auth_user->name, old->name) == 0
                   ? users->no_auth_user
                   : NULL;
    else
        user = find_name(users, pp_str_of(old->name));
    if (!user) {
        *out_gone = !is_anybody(old_users, old);
        return NULL;
    }
    if (!is_anybody(users, user) && user != users->no_auth_user &&
        sodium_memcmp(pass_hash(users, user), pass_hash(old_users, old), PP_USER_HASH_BYTES) != 0)
        return NULL;
    if (user->scope.account != old->scope.account) {
        *out_gone = true;
        return NULL;
    }
    return user;
}

void pp_users_hold(pp_users *users)
{
    (void)atomic_fetch_add(&users->holders, 1);
}

void pp_users_let_go(pp_users *users)
{
    (void)atomic_fetch_sub(&users->holders, 1);
}

bool pp_users_held(const pp_users *users)
{
    return atomic_load((atomic_int_fast64_t *)&users->holders) != 0;
}

const pp_scope *pp_users_root(const pp_users *users, size_t account)
{
    return &users->users[users->user_count + 1 + account].scope;
}

const pp_scope *pp_users_find_root(const pp_users *users, const pp_account *account)
{
    for (size_t i = 0; i < users->root_count; i++) {
        if (pp_users_root(users, i)->account == account)
            return pp_users_root(users, i);
    }
    return NULL;
}
