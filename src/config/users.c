/* Users, wherever they stand, and the names that must be theirs alone. */
#include "config/reader.h"

#include "auth/nkey.h"
#include "base/alloc.h"
#include "base/hash.h"

#include <string.h>

/* The structure of account $G gathers what stands outside of accounts. */
static pp_account_options *account_of(pp_reader *reader, void *base)
{
    return base == reader->options ? &reader->global : base;
}

void pp_read_default_permissions(pp_reader *reader, const pp_key *key, const pp_value *value,
                                 void *base)
{
    pp_user_options draft = {0};
    pp_key as_user = *key;

    as_user.offset = offsetof(pp_user_options, permissions);
    pp_read_permissions(reader, &as_user, value, &draft);
    account_of(reader, base)->default_permissions = draft.permissions;
}

void pp_read_connection_types(pp_reader *reader, const pp_key *key, const pp_value *value,
                              void *base)
{
    static const char *const names[] = {"STANDARD", "WEBSOCKET", "LEAFNODE",  "LEAFNODE_WS",
                                        "MQTT",     "MQTT_WS",   "IN_PROCESS"};
    pp_user_options *user = base;
    const pp_value *const *items;
    size_t count;
    unsigned types = 0;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        const pp_value *item = items ? items[i] : value;
        unsigned type = 0;

        for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
            if (pp_str_eq_nocase(item->string, pp_str_of(names[n])))
                type = 1u << n; /* the order of the constants */
        }
        if (!type)
            pp_reader_refuse(reader, key, item,
                             "names a connection type that does not exist, \"%.100s\": they are "
                             "STANDARD, WEBSOCKET, LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS and "
                             "IN_PROCESS",
                             pp_reader_show_text(item));
        types |= type;
    }
    user->connection_types = (uint16_t)(count ? types : PP_CONNECTION_ANY);
}

void pp_read_user_slow_consumer(pp_reader *reader, const pp_key *key, const pp_value *value,
                                void *base)
{
    pp_user_options *user = base;
    const pp_key *server_key = pp_key_find(pp_key_block_find(""), pp_key_name(key));
    const pp_options draft_none = {.slow_consumer = PP_SLOW_CONSUMER_INHERIT};
    pp_options draft = draft_none;

    pp_reader_scalar(reader, server_key, value, &draft);
    user->slow_consumer = (uint16_t)draft.slow_consumer;
}

/* By a name and a password, or by a key. */
static void check_user(pp_reader *reader, const pp_value *value, const pp_user_options *user)
{
    if (!user->name && !user->nkey)
        pp_diagnostics_error(reader->diagnostics, value->at, "User entry requires a user");
    else if (user->nkey && pp_nkey_decode(pp_str_of(user->nkey), PP_NKEY_USER, NULL))
        pp_diagnostics_error(reader->diagnostics, value->at, "Not a valid public nkey for a user");
    else if (user->nkey && (user->name || user->password))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Nkey users do not take usernames or passwords");
    else if (user->nkey && (user->uid >= 0 || user->gid >= 0))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "a user with an nkey takes no \"uid\" or \"gid\"");
}

static void read_user(pp_reader *reader, const pp_value *value, pp_user_options *user)
{
    *user = (pp_user_options){
        .connection_types = PP_CONNECTION_ANY,
        .slow_consumer = PP_SLOW_CONSUMER_INHERIT,
        .uid = -1,
        .gid = -1,
        .at = pp_reader_position(reader, value->at),
    };
    pp_reader_map(reader, pp_key_block_find("user"), value, user);
    if (!reader->err)
        check_user(reader, value, user);
    if (!user->password)
        user->password = "";
    if (!user->name)
        user->name = "";
}

void pp_read_users(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_account_options *account = account_of(reader, base);
    pp_arena *arena = reader->arena;
    pp_user_options *users;
    size_t count;

    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of maps");
        return;
    }
    count = value->array.count;
    reader->arena = &reader->options->user_arena;
    users = pp_reader_take(reader, count, sizeof(*users));
    for (size_t i = 0; users && i < count && !reader->err; i++) {
        const pp_value *item = value->array.items[i];

        if (item->kind == PP_VALUE_MAP) {
            read_user(reader, item, &users[i]);
        } else {
            pp_reader_wrong_kind(reader, key, item, "an array of maps");
            users[i].name = "";
        }
    }
    reader->arena = arena;
    account->users = users;
    account->user_count = users ? count : 0;
}

/* A user and password, a token, or users: one of them. */
void pp_read_authorization(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    bool users;

    pp_read_block(reader, key, value, base);
    if (value->kind != PP_VALUE_MAP)
        return;
    reader->authorization_at = value->at;
    users = pp_value_find(value, "users") != NULL;
    if (o->auth_token && (o->user || o->pass))
        pp_diagnostics_error(reader->diagnostics, value->at, "Cannot have a user/pass and token");
    if (users && (o->user || o->pass))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Can not have a single user/pass and a users array");
    if (users && o->auth_token)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Can not have a token and a users array");
    if (o->pass && !o->user)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "a password without a user protects nothing: give both");
}

/* --- bringing together -------------------------------------------------------------------- */

/* Names that were seen: open addressing, never more than half full. */
struct name_set {
    const char **slots;
    size_t mask;
};

static bool name_set_init(struct name_set *set, size_t names)
{
    size_t size = 16;

    while (size < 2 * names)
        size *= 2;
    set->mask = size - 1;
    set->slots = pp_calloc(size, sizeof(*set->slots));
    return set->slots != NULL;
}

/* False: it was there. */
static bool name_set_add(struct name_set *set, const char *name)
{
    size_t i = (size_t)pp_hash(name, strlen(name), 0) & set->mask;

    for (; set->slots[i]; i = (i + 1) & set->mask) {
        if (strcmp(set->slots[i], name) == 0)
            return false;
    }
    set->slots[i] = name;
    return true;
}

static pp_config_position said_at(pp_option_position at)
{
    return (pp_config_position){at.file, at.line, at.column};
}

static const char *name_of(const pp_user_options *user)
{
    return user->name;
}

static const char *nkey_of(const pp_user_options *user)
{
    return user->nkey ? user->nkey : "";
}

static void refuse_double_users(pp_reader *reader, struct name_set *set,
                                const pp_account_options *account,
                                const char *(*text_of)(const pp_user_options *user),
                                const char *noun)
{
    for (size_t i = 0; i < account->user_count; i++) {
        const char *text = text_of(&account->users[i]);

        if (*text && !name_set_add(set, text))
            pp_diagnostics_error(reader->diagnostics, said_at(account->users[i].at),
                                 "Duplicate %s \"%.200s\" detected", noun, text);
    }
}

static void refuse_doubles(pp_reader *reader, const pp_options *o)
{
    struct name_set set;

    if (!name_set_init(&set, o->account_count)) {
        reader->err = PIPIT_ENOMEM;
        return;
    }
    for (size_t i = 0; i < o->account_count; i++) {
        if (!name_set_add(&set, o->accounts[i].name))
            pp_diagnostics_error(reader->diagnostics, said_at(o->accounts[i].at),
                                 "Duplicate Account Entry: %.200s", o->accounts[i].name);
    }
    pp_free(set.slots);
    if (!name_set_init(&set, o->user_count)) {
        reader->err = PIPIT_ENOMEM;
        return;
    }
    for (size_t a = 0; a < o->account_count; a++)
        refuse_double_users(reader, &set, &o->accounts[a], name_of, "user");
    memset(set.slots, 0, (set.mask + 1) * sizeof(*set.slots));
    for (size_t a = 0; a < o->account_count; a++)
        refuse_double_users(reader, &set, &o->accounts[a], nkey_of, "nkey");
    pp_free(set.slots);
}

/* Who has no permissions of its own has the account's. */
static void give_defaults(pp_account_options *account)
{
    pp_user_options *users = (void *)(uintptr_t)account->users; /* not given out yet */

    for (size_t i = 0; i < account->user_count; i++) {
        if (!users[i].permissions)
            users[i].permissions = account->default_permissions;
    }
}

void pp_reader_finish(pp_reader *reader)
{
    pp_options *o = reader->options;
    size_t user_count = 0;

    if (!reader->accounts && !pp_reader_make_accounts(reader, 0))
        return;
    reader->accounts[0] = reader->global;
    for (size_t i = 0; i <= reader->account_count; i++) {
        give_defaults(&reader->accounts[i]);
        user_count += reader->accounts[i].user_count;
    }
    o->accounts = reader->accounts;
    o->account_count = 1 + reader->account_count;
    o->user_count = user_count;
    refuse_doubles(reader, o);
    pp_reader_check_callout(reader);
    if (reader->authorization_at.line && user_count > o->accounts[0].user_count) {
        if (o->user || o->pass)
            pp_diagnostics_error(reader->diagnostics, reader->authorization_at,
                                 "Can not have a single user/pass and accounts");
        if (o->auth_token)
            pp_diagnostics_error(reader->diagnostics, reader->authorization_at,
                                 "Can not have a token and accounts");
    }
}
