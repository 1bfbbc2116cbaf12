/* The tls block, and ocsp. Files, ciphers and curves are looked at when a server makes its TLS of
 * them. */
#include "config/duration.h"
#include "config/reader.h"

static const int64_t auto_delay_ns = 50000000;

/* Copies of all texts of an array. */
static void read_list(pp_reader *reader, const pp_key *key, const pp_value *value,
                      const char *const **out_items, size_t *out_count)
{
    const char **items;

    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of strings");
        return;
    }
    items = pp_reader_take(reader, value->array.count, sizeof(*items));
    for (size_t i = 0; items && i < value->array.count; i++) {
        const pp_value *item = value->array.items[i];
        const char *text = NULL;

        if (item->kind == PP_VALUE_STRING)
            text = pp_reader_text(reader, item);
        else
            pp_reader_wrong_kind(reader, key, item, "an array of strings only");
        items[i] = text ? text : "";
    }
    *out_items = items;
    *out_count = items ? value->array.count : 0;
}

void pp_read_tls_ciphers(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_tls_options *o = base;

    read_list(reader, key, value, &o->ciphers, &o->cipher_count);
    if (value->kind == PP_VALUE_ARRAY && value->array.count == 0)
        pp_reader_refuse(reader, key, value, "cannot be empty");
}

void pp_read_tls_curves(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_tls_options *o = base;

    read_list(reader, key, value, &o->curves, &o->curve_count);
    if (value->kind == PP_VALUE_ARRAY && value->array.count == 0)
        pp_reader_refuse(reader, key, value, "cannot be empty");
}

void pp_read_tls_pinned(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_tls_options *o = base;

    read_list(reader, key, value, &o->pinned, &o->pinned_count);
}

void pp_read_tls_version(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_tls_options *o = base;

    if (value->kind != PP_VALUE_STRING)
        pp_reader_wrong_kind(reader, key, value, "a string");
    else if (pp_str_eq(value->string, PP_STR("1.2")))
        o->min_version = 12;
    else if (pp_str_eq(value->string, PP_STR("1.3")))
        o->min_version = 13;
    else
        pp_reader_refuse(reader, key, value, "must be \"1.2\" or \"1.3\"%s",
                         pp_reader_show(value).text);
}

void pp_read_tls_first(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_tls_options *o = base;
    pp_str text = value->kind == PP_VALUE_STRING ? value->string : PP_STR("");
    int64_t ns;

    if (value->kind == PP_VALUE_BOOL)
        o->first_ns = value->boolean ? PP_TLS_FIRST_ON : PP_TLS_FIRST_OFF;
    else if (value->kind != PP_VALUE_STRING)
        pp_reader_wrong_kind(reader, key, value, "a boolean or a string");
    else if (pp_str_eq_nocase(text, PP_STR("true")) || pp_str_eq_nocase(text, PP_STR("on")))
        o->first_ns = PP_TLS_FIRST_ON;
    else if (pp_str_eq_nocase(text, PP_STR("false")) || pp_str_eq_nocase(text, PP_STR("off")))
        o->first_ns = PP_TLS_FIRST_OFF;
    else if (pp_str_eq_nocase(text, PP_STR("auto")) ||
             pp_str_eq_nocase(text, PP_STR("auto_fallback")))
        o->first_ns = auto_delay_ns;
    else if (pp_duration_parse(text, &ns) && ns > 0)
        o->first_ns = ns;
    else
        pp_reader_refuse(reader, key, value, "must be on, off, auto or a duration%s",
                         pp_reader_show(value).text);
}

/* One without the other is of no use. Source: NATS configuration, section 3.5. */
static void check_pair(pp_reader *reader, const pp_key *key, const pp_value *value,
                       const char *cert_file, const char *key_file)
{
    if (cert_file && !key_file)
        pp_reader_refuse(reader, key, value, "missing 'key_file' in TLS configuration");
    if (key_file && !cert_file)
        pp_reader_refuse(reader, key, value, "missing 'cert_file' in TLS configuration");
}

void pp_read_tls_pairs(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    const pp_key_block *block = pp_key_block_find(key->block);
    pp_tls_options *o = base;
    pp_tls_pair_option *pairs;

    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of maps");
        return;
    }
    pairs = pp_reader_take(reader, value->array.count, sizeof(*pairs));
    for (size_t i = 0; pairs && i < value->array.count; i++) {
        const pp_value *item = value->array.items[i];

        if (item->kind != PP_VALUE_MAP) {
            pp_reader_wrong_kind(reader, key, item, "an array of maps only");
            continue;
        }
        pp_reader_map(reader, block, item, &pairs[i]);
        if (!pairs[i].cert_file && !pairs[i].key_file)
            pp_reader_refuse(reader, key, item, "holds a map without 'cert_file' and 'key_file'");
        check_pair(reader, key, item, pairs[i].cert_file, pairs[i].key_file);
    }
    o->pairs = pairs;
    o->pair_count = pairs ? value->array.count : 0;
}

/* The block, of either side. */
static pp_tls_options *read_tls(pp_reader *reader, const pp_key *key, const pp_value *value,
                                void *base)
{
    pp_tls_options *o = (pp_tls_options *)(void *)((char *)base + key->offset);

    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map");
        return NULL;
    }
    *o = pp_tls_options_none();
    o->given = true;
    o->at = pp_reader_position(reader, value->at);
    pp_reader_map(reader, pp_key_block_find(key->block), value, o);
    if (o->pair_count && (o->cert_file || o->key_file))
        pp_reader_refuse(reader, key, value, "has both 'certs' and 'cert_file': leave one out");
    check_pair(reader, key, value, o->cert_file, o->key_file);
    o->verify |= o->verify_and_map;
    return o;
}

void pp_read_tls(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    const pp_tls_options *o = read_tls(reader, key, value, base);

    if (o && !o->cert_file && !o->key_file && !o->pair_count)
        pp_reader_refuse(reader, key, value, "has no 'cert_file' and 'key_file'");
}

/* What only a listener has is refused rather than taken for a protection. */
void pp_read_resolver_tls(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    const pp_tls_options *o = read_tls(reader, key, value, base);

    if (o && (o->pair_count || o->pinned_count || o->cipher_count || o->curve_count ||
              o->ocsp_peer.verify))
        pp_reader_refuse(reader, key, value,
                         "takes ca_file, cert_file, key_file and min_version only");
}

/* --- ocsp ---------------------------------------------------------------------------------- */

void pp_read_ocsp(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    if (value->kind == PP_VALUE_BOOL)
        o->ocsp_mode = value->boolean ? PP_OCSP_AUTO : PP_OCSP_NEVER;
    else if (value->kind == PP_VALUE_MAP)
        pp_read_block(reader, key, value, base);
    else
        pp_reader_wrong_kind(reader, key, value, "a boolean or a map");
}

static const char *const ocsp_modes[] = {
    [PP_OCSP_AUTO] = "auto",
    [PP_OCSP_ALWAYS] = "always",
    [PP_OCSP_MUST] = "must",
    [PP_OCSP_NEVER] = "never",
};

const char *pp_ocsp_mode_text(enum pp_ocsp_mode mode)
{
    return ocsp_modes[mode];
}

void pp_read_ocsp_mode(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    if (value->kind != PP_VALUE_STRING) {
        pp_reader_wrong_kind(reader, key, value, "a string");
        return;
    }
    for (size_t i = 0; i < sizeof(ocsp_modes) / sizeof(ocsp_modes[0]); i++) {
        if (pp_str_eq_nocase(value->string, pp_str_of(ocsp_modes[i]))) {
            o->ocsp_mode = (enum pp_ocsp_mode)i;
            return;
        }
    }
    pp_reader_refuse(reader, key, value, "must be auto, always, must or never%s",
                     pp_reader_show(value).text);
}

void pp_read_ocsp_urls(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    const pp_value *const *items;
    const char **urls;
    size_t count;

    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    urls = pp_reader_take(reader, count, sizeof(*urls));
    for (size_t i = 0; urls && i < count; i++)
        urls[i] = pp_reader_copy(reader, (items ? items[i] : value)->string);
    if (reader->err || !urls)
        return;
    o->ocsp_urls = urls;
    o->ocsp_url_count = count;
}

/* Fields of the tls block that it stands in. Beside a map the switch is one of its keys. */
void pp_read_ocsp_peer(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_tls_options *o = base;

    if (value->kind == PP_VALUE_BOOL)
        o->ocsp_peer.verify = value->boolean;
    else if (value->kind == PP_VALUE_MAP)
        pp_reader_map(reader, pp_key_block_find(key->block), value, o);
    else
        pp_reader_wrong_kind(reader, key, value, "a boolean or a map");
}

static const char *const ocsp_caches[] = {
    [PP_OCSP_CACHE_LOCAL] = "local",
    [PP_OCSP_CACHE_NONE] = "none",
};

const char *pp_ocsp_cache_text(enum pp_ocsp_cache cache)
{
    return ocsp_caches[cache];
}

void pp_read_ocsp_cache(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    if (value->kind == PP_VALUE_BOOL)
        o->ocsp_cache.type = value->boolean ? PP_OCSP_CACHE_LOCAL : PP_OCSP_CACHE_NONE;
    else if (value->kind == PP_VALUE_MAP)
        pp_read_block(reader, key, value, base);
    else
        pp_reader_wrong_kind(reader, key, value, "a boolean or a map");
    if (!o->ocsp_cache.local_store)
        o->ocsp_cache.local_store = PP_DEFAULT_OCSP_STORE;
}

void pp_read_ocsp_cache_type(pp_reader *reader, const pp_key *key, const pp_value *value,
                             void *base)
{
    pp_options *o = base;

    if (value->kind != PP_VALUE_STRING)
        pp_reader_wrong_kind(reader, key, value, "a string");
    else if (pp_str_eq_nocase(value->string, PP_STR("local")))
        o->ocsp_cache.type = PP_OCSP_CACHE_LOCAL;
    else if (pp_str_eq_nocase(value->string, PP_STR("none")))
        o->ocsp_cache.type = PP_OCSP_CACHE_NONE;
    else
        pp_reader_refuse(reader, key, value, "must be none or local%s", pp_reader_show(value).text);
}
