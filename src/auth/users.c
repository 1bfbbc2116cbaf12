#include "auth/users.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"

#include <sodium.h>
#include <string.h>

/* Indexes of users plus 1, by a text of theirs: open addressing. */
struct text_map {
    uint32_t *slots;
    size_t mask;
};

/* Who is on the other end of a Unix socket. */
struct peer {
    uint32_t user;
    bool has_uid, has_gid;
    uid_t uid;
    gid_t gid;
};

/* Behind the users of the configuration: two for each entrance, then the roots. */
enum { NAMELESS, SINGLE, PER_ENTRANCE, FIRST_ROOT = PP_ENTRANCE_COUNT * PER_ENTRANCE };

struct entrance {
    bool own; /* it has its own of the following */
    bool has_single, has_token;
    const pp_user *no_auth_user;
    pp_secret token;
    bool mapped;
};

struct pp_users {
    const pp_user_key *key;
    pp_views *views;
    pp_user *users;     /* user_count, then the ones above */
    pp_secret *secrets; /* of the same, but for the roots */
    size_t user_count, named_count, root_count;
    bool open;
    struct entrance entrances[PP_ENTRANCE_COUNT];
    struct text_map by_name, by_nkey;
    struct peer *peers;
    size_t peer_count;
    bool has_plain, has_dummy;
    char dummy[PP_BCRYPT_SETTING_BYTES];
    uint64_t seed;
    char *texts, *texts_end;
    size_t texts_bytes;
    atomic_int_fast64_t holders;
};

/* --- by text ------------------------------------------------------------------------------ */

typedef const char *(*text_fn)(const pp_user *user);

static const char *name_of(const pp_user *user)
{
    return user->name;
}

static const char *nkey_of(const pp_user *user)
{
    return user->nkey;
}

static bool map_init(struct text_map *map, size_t count)
{
    size_t slots = 8;

    while (slots < 2 * count)
        slots *= 2;
    map->mask = slots - 1;
    map->slots = pp_calloc(slots, sizeof(*map->slots));
    return map->slots != NULL;
}

static size_t find_slot(const pp_users *users, const struct text_map *map, text_fn text_of,
                        pp_str text)
{
    size_t at = pp_hash(text.ptr, text.len, users->seed) & map->mask;

    while (map->slots[at] &&
           !pp_str_eq(pp_str_of(text_of(&users->users[map->slots[at] - 1])), text))
        at = (at + 1) & map->mask;
    return at;
}

static const pp_user *find_text(const pp_users *users, const struct text_map *map, text_fn text_of,
                                pp_str text)
{
    uint32_t index = map->slots[find_slot(users, map, text_of, text)];

    return index ? &users->users[index - 1] : NULL;
}

/* --- making ------------------------------------------------------------------------------- */

static size_t text_bytes(const char *text)
{
    return text && *text ? strlen(text) + 1 : 0;
}

static size_t entry_bytes(const pp_user_entry *entry)
{
    size_t bytes = text_bytes(entry->name) + text_bytes(entry->nkey);

    return bytes + (pp_secret_is_hashed(pp_str_of(entry->pass)) ? text_bytes(entry->pass) : 0);
}

static pp_user_entry single_of(const pp_users_setup *setup, const pp_entrance_setup *entrance)
{
    pp_user_entry single = setup->anybody;

    single.name = entrance->user;
    single.pass = entrance->pass;
    return single;
}

static size_t all_count(const pp_users *users)
{
    return users->user_count + FIRST_ROOT + users->root_count;
}

static pipit_err entry_at(const pp_users_setup *setup, size_t i, pp_user_entry *out)
{
    if (!setup->users)
        return setup->tell(setup->teller, i, out);
    *out = setup->users[i];
    return PIPIT_OK;
}

static pipit_err reserve(pp_users *users, const pp_users_setup *setup)
{
    size_t count = setup->user_count, peers = 0;

    users->texts_bytes = 1;
    for (size_t i = 0; i < count; i++) {
        pp_user_entry entry;
        pipit_err err = entry_at(setup, i, &entry);

        if (err)
            return err;
        users->texts_bytes += entry_bytes(&entry);
        peers += entry.has_uid || entry.has_gid;
        users->named_count += text_bytes(entry.name) != 0;
    }
    for (size_t e = 0; e < PP_ENTRANCE_COUNT; e++) {
        const pp_user_entry single = single_of(setup, &setup->entrances[e]);

        users->texts_bytes += entry_bytes(&single) + text_bytes(setup->entrances[e].token);
    }
    users->users = pp_calloc(all_count(users), sizeof(*users->users));
    users->secrets = pp_calloc(count + FIRST_ROOT, sizeof(*users->secrets));
    users->peers = pp_calloc(peers + 1, sizeof(*users->peers));
    users->texts = pp_calloc(1, users->texts_bytes);
    users->texts_end = users->texts + 1; /* the first is the empty one */
    if (!map_init(&users->by_name, users->named_count) ||
        !map_init(&users->by_nkey, count - users->named_count))
        return PIPIT_ENOMEM;
    return users->users && users->secrets && users->peers && users->texts ? PIPIT_OK : PIPIT_ENOMEM;
}

static const char *copy_text(pp_users *users, const char *text)
{
    size_t bytes = text_bytes(text);
    char *to = users->texts_end;

    if (!bytes)
        return users->texts;
    memcpy(to, text, bytes);
    users->texts_end += bytes;
    return to;
}

/* A plain one is not kept. */
static pp_secret make_secret(pp_users *users, const char *text)
{
    pp_str plain = pp_str_of(text);

    users->has_plain |= plain.len && !pp_secret_is_hashed(plain);
    return pp_secret_of(users->key,
                        pp_secret_is_hashed(plain) ? pp_str_of(copy_text(users, text)) : plain);
}

static pipit_err fill(pp_users *users, pp_user *user, const pp_user_entry *entry)
{
    pipit_err err = pp_view_take(users->views, entry->account, entry->permissions, &user->view);

    if (err)
        return err;
    user->scope = pp_view_scope(user->view);
    user->name = copy_text(users, entry->name);
    user->nkey = text_bytes(entry->nkey) ? copy_text(users, entry->nkey) : NULL;
    user->slow_policy = entry->slow_policy;
    user->max_payload = PP_USER_UNLIMITED;
    user->max_subscriptions = PP_USER_UNLIMITED;
    user->connection_types = entry->connection_types ? entry->connection_types : PP_USER_ANY_TYPE;
    user->proxy_required = entry->proxy_required;
    user->table = users;
    return PIPIT_OK;
}

static void add_peer(pp_users *users, const pp_user_entry *entry, size_t i)
{
    if (entry->has_uid || entry->has_gid)
        users->peers[users->peer_count++] = (struct peer){
            (uint32_t)i, entry->has_uid, entry->has_gid, entry->uid, entry->gid,
        };
}

static pipit_err fill_users(pp_users *users, const pp_users_setup *setup)
{
    for (size_t i = 0; i < setup->user_count; i++) {
        pp_user *user = &users->users[i];
        pp_user_entry entry;
        pipit_err err = entry_at(setup, i, &entry);

        if (!err)
            err = fill(users, user, &entry);
        if (err)
            return err;
        users->secrets[i] = make_secret(users, entry.pass);
        if (*user->name)
            users->by_name
                .slots[find_slot(users, &users->by_name, name_of, pp_str_of(user->name))] =
                (uint32_t)i + 1;
        else if (user->nkey)
            users->by_nkey
                .slots[find_slot(users, &users->by_nkey, nkey_of, pp_str_of(user->nkey))] =
                (uint32_t)i + 1;
        add_peer(users, &entry, i);
    }
    return PIPIT_OK;
}

static bool is_said(const char *text)
{
    return text && *text;
}

static pipit_err fill_entrance(pp_users *users, const pp_users_setup *setup, size_t e)
{
    const pp_entrance_setup *said = &setup->entrances[e];
    const pp_user_entry single = single_of(setup, said);
    struct entrance *entrance = &users->entrances[e];
    size_t at = users->user_count + e * PER_ENTRANCE;
    pipit_err err = fill(users, &users->users[at + NAMELESS], &setup->anybody);

    if (!err)
        err = fill(users, &users->users[at + SINGLE], &single);
    if (err)
        return err;
    entrance->has_single = is_said(said->user);
    entrance->has_token = is_said(said->token);
    users->secrets[at + SINGLE] = make_secret(users, said->pass);
    entrance->token = make_secret(users, said->token);
    entrance->mapped = said->verify_and_map;
    entrance->own = entrance->has_single || entrance->has_token || is_said(said->no_auth_user);
    if (!is_said(said->no_auth_user))
        return PIPIT_OK;
    entrance->no_auth_user = pp_users_find(users, pp_str_of(said->no_auth_user));
    if (!entrance->no_auth_user)
        entrance->no_auth_user = pp_users_find_nkey(users, pp_str_of(said->no_auth_user));
    return entrance->no_auth_user ? PIPIT_OK : PIPIT_ENOTFOUND;
}

static pipit_err fill_roots(pp_users *users, const pp_users_setup *setup)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < setup->account_count && !err; i++) {
        const pp_user_entry root = {.account = setup->accounts[i]};

        err = fill(users, &users->users[users->user_count + FIRST_ROOT + i], &root);
    }
    return err;
}

/* Count a secret by its cost; 0 stands for plain ones. */
static void count_cost(size_t by_cost[100], const pp_secret *secret)
{
    by_cost[secret->bcrypt ? pp_bcrypt_cost(secret->bcrypt) : 0]++;
}

static void choose_dummy(pp_users *users)
{
    size_t by_cost[100] = {0}, most = 0;
    unsigned cost = 0;

    for (size_t i = 0; i < users->user_count + FIRST_ROOT; i++)
        count_cost(by_cost, &users->secrets[i]);
    for (size_t e = 0; e < PP_ENTRANCE_COUNT; e++)
        count_cost(by_cost, &users->entrances[e].token);
    for (unsigned i = 1; i < 100; i++) {
        if (by_cost[i] > most) {
            most = by_cost[i];
            cost = i;
        }
    }
    users->has_dummy = most != 0;
    if (most)
        pp_bcrypt_dummy(cost, users->dummy);
}

pipit_err pp_users_new(pp_users **out_users, const pp_users_setup *setup)
{
    pp_users *users = pp_calloc(1, sizeof(*users));
    pipit_err err = PIPIT_ENOMEM;

    if (!users)
        return err;
    users->key = setup->key;
    users->views = setup->views;
    users->seed = pp_random_seed();
    users->user_count = setup->user_count;
    users->root_count = setup->account_count;
    users->open = setup->open;
    err = reserve(users, setup);
    if (!err)
        err = fill_users(users, setup);
    for (size_t e = 0; e < PP_ENTRANCE_COUNT && !err; e++)
        err = fill_entrance(users, setup, e);
    if (!err)
        err = fill_roots(users, setup);
    if (err) {
        pp_users_free(users);
        return err;
    }
    choose_dummy(users);
    *out_users = users;
    return PIPIT_OK;
}

void pp_users_free(pp_users *users)
{
    if (!users)
        return;
    for (size_t i = 0; users->users && i < all_count(users); i++)
        pp_view_let_go(users->views, users->users[i].view);
    if (users->secrets)
        sodium_memzero(users->secrets, (users->user_count + FIRST_ROOT) * sizeof(*users->secrets));
    if (users->texts)
        sodium_memzero(users->texts, users->texts_bytes); /* hashes are in it */
    pp_free(users->secrets);
    pp_free(users->users);
    pp_free(users->peers);
    pp_free(users->by_name.slots);
    pp_free(users->by_nkey.slots);
    pp_free(users->texts);
    sodium_memzero(users->entrances, sizeof(users->entrances));
    pp_free(users);
}

/* --- looking ------------------------------------------------------------------------------ */

/* Which one's words count. */
static pp_entrance effective(const pp_users *users, pp_entrance entrance)
{
    return users->entrances[entrance].own ? entrance : PP_ENTRANCE_CLIENTS;
}

static const struct entrance *entrance_of(const pp_users *users, pp_entrance entrance)
{
    return &users->entrances[effective(users, entrance)];
}

bool pp_users_required(const pp_users *users, pp_entrance entrance)
{
    const struct entrance *all = &users->entrances[PP_ENTRANCE_CLIENTS];

    return users->user_count || all->has_single || all->has_token ||
           (entrance != PP_ENTRANCE_CLIENTS && users->entrances[entrance].own);
}

bool pp_users_announced(const pp_users *users, pp_entrance entrance)
{
    if (entrance != PP_ENTRANCE_CLIENTS && users->entrances[entrance].own)
        return true;
    return pp_users_required(users, PP_ENTRANCE_CLIENTS) &&
           !users->entrances[PP_ENTRANCE_CLIENTS].no_auth_user;
}

bool pp_users_mapped(const pp_users *users, pp_entrance entrance)
{
    return users->entrances[entrance].mapped;
}

const pp_user *pp_users_find(const pp_users *users, pp_str name)
{
    return name.len ? find_text(users, &users->by_name, name_of, name) : NULL;
}

const pp_user *pp_users_find_nkey(const pp_users *users, pp_str key)
{
    return key.len ? find_text(users, &users->by_nkey, nkey_of, key) : NULL;
}

const pp_user *pp_users_find_where(const pp_users *users,
                                   bool (*fits)(const pp_user *user, void *arg), void *arg)
{
    for (size_t i = 0; i < users->user_count; i++) {
        if (*users->users[i].name && fits(&users->users[i], arg))
            return &users->users[i];
    }
    return NULL;
}

const pp_user *pp_users_find_peer(const pp_users *users, uid_t uid, gid_t gid)
{
    for (size_t i = 0; i < users->peer_count; i++) {
        const struct peer *peer = &users->peers[i];

        if ((!peer->has_uid || peer->uid == uid) && (!peer->has_gid || peer->gid == gid))
            return &users->users[peer->user];
    }
    return NULL;
}

bool pp_users_have_names(const pp_users *users)
{
    return users->named_count != 0;
}

bool pp_users_have_nkeys(const pp_users *users)
{
    return users->named_count != users->user_count;
}

const pp_user *pp_users_nameless(const pp_users *users, pp_entrance entrance)
{
    size_t at = effective(users, entrance) * PER_ENTRANCE;

    return &users->users[users->user_count + at + NAMELESS];
}

const pp_user *pp_users_no_auth(const pp_users *users, pp_entrance entrance)
{
    const struct entrance *e = entrance_of(users, entrance);

    if (e->no_auth_user)
        return e->no_auth_user;
    return users->open && !e->has_single && !e->has_token ? pp_users_nameless(users, entrance)
                                                          : NULL;
}

const pp_user *pp_users_single(const pp_users *users, pp_entrance entrance)
{
    size_t at = effective(users, entrance) * PER_ENTRANCE;

    return entrance_of(users, entrance)->has_single ? &users->users[users->user_count + at + SINGLE]
                                                    : NULL;
}

const pp_secret *pp_users_token(const pp_users *users, pp_entrance entrance)
{
    const struct entrance *e = entrance_of(users, entrance);

    return e->has_token ? &e->token : NULL;
}

const pp_secret *pp_users_secret(const pp_users *users, const pp_user *user)
{
    return &users->secrets[user - users->users];
}

bool pp_users_known_otherwise(const pp_users *users, const pp_user *user)
{
    bool otherwise = false;

    for (size_t e = 0; e < PP_ENTRANCE_COUNT; e++)
        otherwise |= users->entrances[e].mapped;
    for (size_t i = 0; i < users->peer_count && !otherwise; i++)
        otherwise = &users->users[users->peers[i].user] == user;
    return otherwise && pp_secret_fits(pp_users_secret(users, user), users->key, PP_STR(""));
}

const pp_user_key *pp_users_key(const pp_users *users)
{
    return users->key;
}

bool pp_users_have_plain_secrets(const pp_users *users)
{
    return users->has_plain;
}

const char *pp_users_dummy(const pp_users *users)
{
    return users->has_dummy ? users->dummy : NULL;
}

/* --- after a reload ----------------------------------------------------------------------- */

/* The place of a user among those of entrances; at least FIRST_ROOT: it is none of them. */
static size_t place_of(const pp_users *users, const pp_user *user)
{
    size_t at = (size_t)(user - users->users);

    return at < users->user_count ? FIRST_ROOT : at - users->user_count;
}

/* Who shows nothing more and was nobody in particular: it has shown a token, and the same one
 * is asked for in this table, or nothing at all. */
static const pp_user *renew_nameless(const pp_users *users, const pp_users *old, pp_entrance e)
{
    const pp_secret *was = pp_users_token(old, e), *is = pp_users_token(users, e);

    if (was)
        return is && pp_secret_equal(was, is) ? pp_users_nameless(users, e) : NULL;
    return pp_users_no_auth(users, e);
}

static const pp_user *find_again(const pp_users *users, const pp_user *old, size_t place)
{
    const pp_user *user;

    if (place < FIRST_ROOT)
        user = pp_users_single(users, (pp_entrance)(place / PER_ENTRANCE));
    else if (old->nkey)
        return pp_users_find_nkey(users, pp_str_of(old->nkey));
    else
        user = pp_users_find(users, pp_str_of(old->name));
    return user && strcmp(user->name, old->name) == 0 ? user : NULL;
}

static bool is_no_auth(const pp_users *users, const pp_user *user)
{
    for (size_t e = 0; e < PP_ENTRANCE_COUNT; e++) {
        if (users->entrances[e].no_auth_user == user)
            return true;
    }
    return false;
}

const pp_user *pp_users_renew(const pp_users *users, const pp_user *old, bool *out_gone)
{
    const pp_users *before = old->table;
    size_t place = place_of(before, old);
    pp_entrance e = place < FIRST_ROOT ? (pp_entrance)(place / PER_ENTRANCE) : PP_ENTRANCE_CLIENTS;
    const pp_user *user;

    *out_gone = false;
    if (!pp_users_required(users, e)) {
        user = pp_users_nameless(users, e);
    } else if (place < FIRST_ROOT && place % PER_ENTRANCE == NAMELESS) {
        user = renew_nameless(users, before, e);
        if (!user)
            return NULL;
    } else {
        user = find_again(users, old, place);
        /* It may have shown a password, but that is not known any more. */
        if (user && is_no_auth(before, old) && !is_no_auth(users, user))
            user = NULL;
        if (user && !is_no_auth(users, user) && *user->name &&
            !pp_secret_equal(pp_users_secret(users, user), pp_users_secret(before, old)))
            return NULL;
    }
    *out_gone = !user || user->scope.account != old->scope.account;
    return *out_gone ? NULL : user;
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
    return &users->users[users->user_count + FIRST_ROOT + account].scope;
}

const pp_scope *pp_users_find_root(const pp_users *users, const pp_account *account)
{
    for (size_t i = 0; i < users->root_count; i++) {
        if (pp_users_root(users, i)->account == account)
            return pp_users_root(users, i);
    }
    return NULL;
}
