/* Operator mode: whose tokens are trusted, and where those of accounts are found. What the tokens
 * say is looked at by the server, which knows how to read them. */
#include "config/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    TOKEN_FILE_MAX = 2 * 1024 * 1024,
    ITEMS_MAX = 1024, /* operators, keys: so that comparing each with each stays cheap */
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static pp_str trim(pp_str text)
{
    while (text.len && is_blank(*text.ptr))
        text = (pp_str){text.ptr + 1, text.len - 1};
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Begins and ends with three dashes or more. */
static bool is_fence(pp_str line)
{
    line = trim(line);
    return line.len >= 6 && memcmp(line.ptr, "---", 3) == 0 &&
           memcmp(line.ptr + line.len - 3, "---", 3) == 0;
}

static pp_str next_line(pp_str *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    pp_str line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};

    rest->ptr += line.len + (end != NULL);
    rest->len -= line.len + (end != NULL);
    return line;
}

/* A token alone, or between two fences. */
static pp_str token_in(pp_str text)
{
    pp_str rest = trim(text);

    if (!rest.len || *rest.ptr != '-')
        return rest;
    while (rest.len && !is_fence(next_line(&rest)))
        ;
    while (rest.len) {
        pp_str line = trim(next_line(&rest));

        if (line.len)
            return is_fence(line) ? PP_STR("") : line;
    }
    return rest;
}

static const char *copy(pp_reader *reader, pp_str text)
{
    char *kept = pp_reader_take(reader, text.len + 1, 1);

    if (kept && text.len)
        memcpy(kept, text.ptr, text.len);
    return kept;
}

/* The file's token; "" when it cannot be had, and that is noted. */
static const char *read_token_file(pp_reader *reader, const pp_key *key, const pp_value *value)
{
    const char *path = pp_reader_text(reader, value), *token = "";
    char *text = pp_reader_take(reader, TOKEN_FILE_MAX, 1);
    char why[128];
    size_t len = 0;
    ssize_t n = 0;
    int fd;

    if (!path || !text)
        return token;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (fd >= 0 && len < TOKEN_FILE_MAX && (n = read(fd, text + len, TOKEN_FILE_MAX - len)) > 0)
        len += (size_t)n;
    if (fd < 0 || n < 0) {
        pp_errno_text(errno, why, sizeof(why));
        pp_reader_refuse(reader, key, value, "error parsing operator JWT: %s: %s", path, why);
    } else {
        token = copy(reader, token_in((pp_str){text, len}));
    }
    if (fd >= 0)
        (void)close(fd); /* read only, nothing to lose */
    return token ? token : "";
}

static const char *read_operator(pp_reader *reader, const pp_key *key, const pp_value *value)
{
    if (value->string.len >= 3 && memcmp(value->string.ptr, "eyJ", 3) == 0)
        return copy(reader, value->string);
    return read_token_file(reader, key, value);
}

void pp_read_operators(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const pp_value *const *items;
    const char **tokens;
    size_t count;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    if (count > ITEMS_MAX) {
        pp_reader_refuse(reader, key, value, "holds more than %d operators", ITEMS_MAX);
        return;
    }
    tokens = pp_reader_take(reader, count, sizeof(*tokens));
    for (size_t i = 0; tokens && i < count; i++) {
        tokens[i] = read_operator(reader, key, items ? items[i] : value);
        if (!tokens[i])
            return;
    }
    o->operators = tokens;
    o->operator_count = tokens ? count : 0;
}

/* One key or several. */
static const char *const *read_keys(pp_reader *reader, const pp_key *key, const pp_value *value,
                                    size_t *out_count)
{
    const pp_value *const *items;
    const char **keys;
    size_t count;

    *out_count = 0;
    if (!pp_reader_strings(reader, key, value, &items, &count))
        return NULL;
    keys = pp_reader_take(reader, count, sizeof(*keys));
    for (size_t i = 0; keys && i < count; i++) {
        keys[i] = copy(reader, items ? items[i]->string : value->string);
        if (!keys[i])
            return NULL;
    }
    *out_count = keys ? count : 0;
    return keys;
}

void pp_read_trusted_keys(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    o->trusted_keys = read_keys(reader, key, value, &o->trusted_key_count);
    if (o->trusted_key_count > ITEMS_MAX)
        pp_reader_refuse(reader, key, value, "holds more than %d keys", ITEMS_MAX);
}

void pp_read_pinned_accounts(pp_reader *reader, const pp_key *key, const pp_value *value,
                             void *base)
{
    pp_options *o = base;

    o->pinned_accounts = read_keys(reader, key, value, &o->pinned_account_count);
}

void pp_read_preload(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    pp_pair_option *pairs;
    size_t count = 0;

    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map of account keys and JWTs");
        return;
    }
    pairs = pp_reader_take(reader, value->map.count, sizeof(*pairs));
    for (size_t i = 0; pairs && i < value->map.count && !reader->err; i++) {
        const pp_entry *entry = &value->map.entries[i];

        if (entry->used_as_variable)
            continue;
        if (entry->value->kind != PP_VALUE_STRING) {
            pp_diagnostics_error(reader->diagnostics, entry->value->at,
                                 "preload map value should be a string JWT");
            continue;
        }
        pairs[count].key = copy(reader, entry->key);
        pairs[count].value = copy(reader, entry->value->string);
        if (pairs[count].key && pairs[count].value)
            count++;
    }
    o->resolver_preload = pairs;
    o->resolver_preload_count = pairs ? count : 0;
}

/* --- the resolver -------------------------------------------------------------------------- */

static const char wrong_resolver[] =
    "error parsing account resolver, should be MEM or URL(\"url\") or a map containing dir and "
    "type state=[FULL|CACHE])";

/* URL(...): what stands between, without quotes. Empty: it is nothing of the kind. */
static pp_str url_in(pp_str text)
{
    text = trim(text);
    if (text.len < 5 || !pp_str_eq_nocase((pp_str){text.ptr, 4}, PP_STR("URL(")) ||
        text.ptr[text.len - 1] != ')')
        return PP_STR("");
    text = trim((pp_str){text.ptr + 4, text.len - 5});
    if (text.len >= 2 && (*text.ptr == '"' || *text.ptr == '\'') &&
        text.ptr[text.len - 1] == *text.ptr)
        text = (pp_str){text.ptr + 1, text.len - 2};
    return trim(text);
}

static bool is_http(pp_str url)
{
    return (url.len > 7 && pp_str_eq_nocase((pp_str){url.ptr, 7}, PP_STR("http://"))) ||
           (url.len > 8 && pp_str_eq_nocase((pp_str){url.ptr, 8}, PP_STR("https://")));
}

static void read_resolver_text(pp_reader *reader, const pp_key *key, const pp_value *value,
                               pp_options *o)
{
    pp_str text = trim(value->string), url = url_in(text);

    if (pp_str_eq_nocase(text, PP_STR("MEM")) || pp_str_eq_nocase(text, PP_STR("MEMORY"))) {
        o->resolver = PP_RESOLVER_MEM;
    } else if (is_http(url)) {
        o->resolver = PP_RESOLVER_URL;
        o->resolver_url = copy(reader, url);
    } else {
        pp_reader_refuse(reader, key, value, "%s", wrong_resolver);
    }
}

static void check_resolver_map(pp_reader *reader, const pp_key *key, const pp_value *value,
                               const pp_options *o)
{
    bool full = o->resolver == PP_RESOLVER_FULL, cache = o->resolver == PP_RESOLVER_CACHE;

    if (!full && !cache && o->resolver != PP_RESOLVER_MEM)
        pp_reader_refuse(reader, key, value, "%s", wrong_resolver);
    if ((full || cache) && !o->resolver_dir)
        pp_reader_refuse(reader, key, value, "dir has no value and needs to point to a directory");
    if (cache && o->resolver_interval_ns)
        pp_reader_refuse(reader, key, value, "CACHE does not accept sync");
    if (cache && o->resolver_allow_delete)
        pp_reader_refuse(reader, key, value, "CACHE does not accept allow_delete");
    if (cache && o->resolver_hard_delete)
        pp_reader_refuse(reader, key, value, "CACHE does not accept hard_delete");
    if (full && o->resolver_ttl_ns)
        pp_reader_refuse(reader, key, value, "FULL does not accept ttl");
    if (full && o->resolver_hard_delete && !o->resolver_allow_delete)
        pp_reader_refuse(reader, key, value, "hard_delete has no effect without delete");
}

void pp_read_resolver(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    if (value->kind == PP_VALUE_STRING) {
        read_resolver_text(reader, key, value, o);
    } else if (value->kind == PP_VALUE_MAP) {
        pp_read_block(reader, key, value, base);
        check_resolver_map(reader, key, value, o);
    } else {
        pp_reader_wrong_kind(reader, key, value, "a text or a map");
    }
}

void pp_read_resolver_type(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    static const struct {
        const char *name;
        enum pp_resolver_kind kind;
    } kinds[] = {
        {"full", PP_RESOLVER_FULL},
        {"cache", PP_RESOLVER_CACHE},
        {"mem", PP_RESOLVER_MEM},
        {"memory", PP_RESOLVER_MEM},
    };
    pp_options *o = base;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "full, cache or mem");
        return;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (pp_str_eq_nocase(value->string, pp_str_of(kinds[i].name)))
            o->resolver = kinds[i].kind;
    }
}
