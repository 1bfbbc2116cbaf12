#include "client/greeting.h"

#include "base/alloc.h"

#include <jansson.h>
#include <string.h>

static bool flag(const json_t *root, const char *key)
{
    return json_is_true(json_object_get(root, key));
}

/* Copy a text that has no blanks or line ends; false: it is none, or too long. */
static bool copy_word(const json_t *value, char *out, size_t out_bytes)
{
    const char *text = json_string_value(value);
    size_t len = text ? json_string_length(value) : 0;

    if (!len || len >= out_bytes)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static void copy_urls(const json_t *urls, pp_greeting *out)
{
    for (size_t i = 0; i < json_array_size(urls) && out->url_count < PP_GREETING_URLS_MAX; i++)
        out->url_count +=
            copy_word(json_array_get(urls, i), out->urls[out->url_count], PP_GREETING_URL_BYTES);
}

/* jansson 2.14 does not survive a refusal of memory in the middle of a text: ask for more first
 * than it will take. */
static bool has_room_for(pp_str json)
{
    void *room = pp_alloc(8 * json.len + 4096);

    pp_free(room);
    return room != NULL;
}

pipit_err pp_greeting_parse(pp_str json, pp_greeting *out)
{
    json_t *root;

    if (!has_room_for(json))
        return PIPIT_ENOMEM;
    root = json_loadb(json.ptr, json.len, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return PIPIT_EPROTO;
    }
    memset(out, 0, sizeof(*out));
    out->headers = flag(root, "headers");
    out->auth_required = flag(root, "auth_required");
    out->tls_required = flag(root, "tls_required");
    out->tls_available = flag(root, "tls_available");
    out->lame_duck = flag(root, "ldm");
    out->max_payload = json_integer_value(json_object_get(root, "max_payload"));
    (void)copy_word(json_object_get(root, "nonce"), out->nonce, sizeof(out->nonce));
    copy_urls(json_object_get(root, "connect_urls"), out);
    json_decref(root);
    return PIPIT_OK;
}
