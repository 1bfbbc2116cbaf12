/* Public keys, of users, accounts and proxies; and users of the system that are users here. */
#include "config/reader.h"

#include "auth/nkey.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

enum { LOOKUP_BYTES = 64 * 1024 };

/* What stands where a public key should is not shown: it may be the seed. */

/* --- keys --------------------------------------------------------------------------------- */

void pp_read_account_nkey(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    (void)base;
    if (value->kind != PP_VALUE_STRING)
        pp_reader_wrong_kind(reader, key, value, "a string");
    else if (pp_nkey_decode(value->string, PP_NKEY_ACCOUNT, NULL))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Not a valid public nkey for an account");
}

static const char *read_proxy(pp_reader *reader, const pp_key *key, const pp_value *value)
{
    pp_proxy_option proxy = {0};
    uint8_t kind;

    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "an array of maps");
        return "";
    }
    pp_reader_map(reader, pp_key_block_find(key->block), value, &proxy);
    if (pp_nkey_decode_any(pp_str_of(proxy.key), &kind, NULL))
        pp_diagnostics_error(reader->diagnostics, value->at, "invalid proxy key");
    return proxy.key ? proxy.key : "";
}

void pp_read_trusted_proxies(pp_reader *reader, const pp_key *key, const pp_value *value,
                             void *base)
{
    pp_options *o = base;
    const char **keys;

    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of maps");
        return;
    }
    keys = pp_reader_take(reader, value->array.count, sizeof(*keys));
    for (size_t i = 0; keys && i < value->array.count && !reader->err; i++)
        keys[i] = read_proxy(reader, key, value->array.items[i]);
    o->trusted_proxies = keys;
    o->trusted_proxy_count = keys ? value->array.count : 0;
}

/* --- users of the system ------------------------------------------------------------------ */

static bool find_user(const char *name, int64_t *out_id)
{
    char memory[LOOKUP_BYTES];
    struct passwd entry, *found = NULL;

    if (getpwnam_r(name, &entry, memory, sizeof(memory), &found) != 0 || !found)
        return false;
    *out_id = (int64_t)found->pw_uid;
    return true;
}

static bool find_group(const char *name, int64_t *out_id)
{
    char memory[LOOKUP_BYTES];
    struct group entry, *found = NULL;

    if (getgrnam_r(name, &entry, memory, sizeof(memory), &found) != 0 || !found)
        return false;
    *out_id = (int64_t)found->gr_gid;
    return true;
}

/* A number, or a name that the system knows. Names are looked up now: who has the name later, after
 * a change of the system's users, is another matter. */
static void read_id(pp_reader *reader, const pp_key *key, const pp_value *value, void *base,
                    bool (*find)(const char *name, int64_t *out_id))
{
    int64_t *field = (void *)((char *)base + key->offset);
    uint64_t number = 0;
    const char *name;

    if (value->kind == PP_VALUE_INT) {
        if (value->integer < 0 || value->integer >= UINT32_MAX)
            pp_reader_refuse(reader, key, value, "must be from 0 to 4294967294");
        else
            *field = value->integer;
        return;
    }
    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a name or a number");
        return;
    }
    if (pp_str_parse_u64(value->string, UINT32_MAX - 1, &number)) {
        *field = (int64_t)number;
        return;
    }
    name = pp_reader_text(reader, value);
    if (!name || !find(name, field))
        pp_reader_refuse(reader, key, value, "is not known to the system%s",
                         pp_reader_show(value).text);
}

void pp_read_uid(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    read_id(reader, key, value, base, find_user);
}

void pp_read_gid(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    read_id(reader, key, value, base, find_group);
}
