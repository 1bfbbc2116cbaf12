#include "core/latency.h"

#include "base/alloc.h"
#include "base/json.h"
#include "core/header.h"

#include <string.h>

/* --- what headers say --------------------------------------------------------------------- */

static bool is_named(const pp_field *field, const char *name)
{
    return pp_str_eq_nocase(field->name, pp_str_of(name));
}

static bool starts_with(pp_str name, const char *prefix)
{
    size_t len = strlen(prefix);

    return name.len >= len && pp_str_eq_nocase((pp_str){name.ptr, len}, (pp_str){prefix, len});
}

/* The first field of that name. */
static bool find(pp_str block, const char *name, pp_str *out_value)
{
    size_t at = 0;
    pp_field field;

    while (pp_field_next(block, &at, &field)) {
        if (is_named(&field, name)) {
            *out_value = field.value;
            return true;
        }
    }
    return false;
}

/* Part number which of text, from 0, of parts between separators; empty: there is none. */
static pp_str part_of(pp_str text, char separator, unsigned which, unsigned *out_count)
{
    pp_str found = {NULL, 0};
    unsigned count = 0;

    for (;;) {
        const char *end = text.len ? memchr(text.ptr, separator, text.len) : NULL;
        pp_str part = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};

        if (count++ == which)
            found = part;
        if (!end)
            break;
        text.ptr = end + 1;
        text.len -= part.len + 1;
    }
    *out_count = count;
    return found;
}

/* Is the low bit of one or two hexadecimal digits set? */
static bool low_bit(pp_str digits)
{
    bool bit = false;

    if (digits.len != 1 && digits.len != 2)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        const char *set = "0123456789abcdef";
        char c = digits.ptr[i];
        const char *digit = strchr(set, c >= 'A' && c <= 'F' ? c + 32 : c);

        if (!digit || !*digit)
            return false;
        bit = (digit - set) & 1;
    }
    return bit;
}

static bool uber_samples(pp_str value)
{
    unsigned count;
    pp_str flags = part_of(value, ':', 3, &count);

    return count == 4 && low_bit(flags);
}

static bool b3_samples(pp_str value)
{
    unsigned count;
    pp_str sampled = part_of(value, '-', 2, &count);

    if (count == 1)
        return !pp_str_eq(value, PP_STR("0"));
    return count < 3 || !pp_str_eq(sampled, PP_STR("0"));
}

static bool parent_samples(pp_str value)
{
    unsigned count;
    pp_str flags = part_of(value, '-', 3, &count);

    return count == 4 && flags.len == 2 && low_bit(flags);
}

/* Names as HTTP writes them: each word begins with a capital. */
static void canonical(pp_str name, char *out)
{
    bool begins = true;

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (begins && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        else if (!begins && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        out[i] = c;
        begins = c == '-';
    }
}

/* Write the fields whose names begin with one of two prefixes. */
static void report(pp_str block, const char *one, const char *other, pp_buf *out)
{
    char name[64];
    size_t at = 0;
    pp_field field;
    pp_json json;

    pp_json_init(&json, out, 0);
    pp_json_begin_object(&json, NULL);
    while (pp_field_next(block, &at, &field)) {
        if (field.name.len > sizeof(name) ||
            !(starts_with(field.name, one) || (other && starts_with(field.name, other))))
            continue;
        canonical(field.name, name);
        pp_json_begin_array_at(&json, (pp_str){name, field.name.len});
        pp_json_text(&json, NULL, field.value);
        pp_json_end_array(&json);
    }
    pp_json_end_object(&json);
    if (pp_json_finish(&json))
        out->len = 0;
}

/* Source: accounts and subjects, section 5: the first that is present decides. */
static bool header_samples(pp_str block, pp_buf *out)
{
    pp_str value;

    if (find(block, "Uber-Trace-Id", &value)) {
        if (uber_samples(value))
            report(block, "Uber-Trace-Id", "Uberctx-", out);
        return uber_samples(value);
    }
    if (find(block, "X-B3-Sampled", &value)) {
        if (pp_str_eq(value, PP_STR("1")))
            report(block, "X-B3-", NULL, out);
        return pp_str_eq(value, PP_STR("1"));
    }
    if (find(block, "X-B3-TraceId", &value)) {
        report(block, "X-B3-", NULL, out);
        return true;
    }
    if (find(block, "B3", &value)) {
        if (b3_samples(value))
            report(block, "B3", NULL, out);
        return b3_samples(value);
    }
    if (find(block, "Traceparent", &value)) {
        if (parent_samples(value))
            report(block, "Traceparent", "Tracestate", out);
        return parent_samples(value);
    }
    return false;
}

bool pp_latency_wanted(const pp_export *export, pp_str block, uint64_t random, pp_buf *header_json)
{
    if (!export->latency_subject)
        return false;
    if (export->latency_percent && (random >> 32) % 100 < export->latency_percent)
        return true;
    return block.len && header_samples(block, header_json);
}

pp_latency *pp_latency_new(const pp_export *export, pp_str requester, pp_str header_json)
{
    size_t subject_len = strlen(export->latency_subject);
    pp_latency *latency =
        pp_alloc(sizeof(*latency) + subject_len + requester.len + header_json.len);
    char *at;

    if (!latency)
        return NULL;
    *latency = (pp_latency){
        .account = export->account,
        .status = 200,
        .subject_len = (uint32_t)subject_len,
        .requester_len = (uint32_t)requester.len,
        .header_len = (uint32_t)header_json.len,
    };
    at = latency->texts;
    memcpy(at, export->latency_subject, subject_len);
    memcpy(at + subject_len, requester.ptr, requester.len);
    if (header_json.len)
        memcpy(at + subject_len + requester.len, header_json.ptr, header_json.len);
    return latency;
}
