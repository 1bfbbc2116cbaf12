/* fuzz_transform -- a rule, a source, a destination and a subject, in lines: what compiles keeps
 * the promises of core/transform.h, and mappings accept no destination that transforms refuse. */
#include "base/assert.h"
#include "core/mapping.h"
#include "core/subject.h"
#include "core/transform.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pp_str next_line(pp_str *rest)
{
    const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    pp_str line = *rest;

    if (!end) {
        *rest = (pp_str){line.ptr + line.len, 0};
        return line;
    }
    line.len = (size_t)(end - line.ptr);
    *rest = (pp_str){end + 1, rest->len - line.len - 1};
    return line;
}

static bool has_no_empty_token(pp_str subject)
{
    while (subject.ptr) {
        if (pp_subject_next_token(&subject).len == 0)
            return false;
    }
    return true;
}

/* Apply into memory that ends where the room does. */
static pipit_err apply(const pp_transform *t, pp_str subject, char **out, size_t cap, size_t *len)
{
    *out = malloc(cap ? cap : 1);
    return pp_transform_apply(t, subject, 7, *out, cap, len);
}

static void check_result(const pp_transform *t, pp_str subject)
{
    char *all, *exact, *less;
    size_t len = 0, again = 0;
    pipit_err err = apply(t, subject, &all, PP_TRANSFORM_RESULT_MAX, &len);

    PP_ASSERT(err == PIPIT_OK || err == PIPIT_ETOOBIG);
    if (!err) {
        PP_ASSERT(len > 0);
        PP_ASSERT(!pp_subject_literal(subject) || has_no_empty_token((pp_str){all, len}));
        PP_ASSERT(!apply(t, subject, &exact, len, &again));
        PP_ASSERT(again == len && memcmp(all, exact, len) == 0);
        PP_ASSERT(apply(t, subject, &less, len - 1, &again) == PIPIT_ETOOBIG);
        free(exact);
        free(less);
    }
    free(all);
}

static void check_mapping(pp_str source, pp_str destination, pp_str subject, bool compiles)
{
    char *source_text = strndup(source.ptr, source.len);
    char *destination_text = strndup(destination.ptr, destination.len);
    pp_mapping_destination option = {destination_text, 50, NULL};
    pp_mapping_entry entry = {source_text, &option, 1};
    pp_mappings *mappings;
    bool whole = strlen(source_text) == source.len && strlen(destination_text) == destination.len;

    if (!pp_mappings_new(&mappings, &entry, 1, NULL, NULL)) {
        const pp_mapping *mapping = pp_mappings_find(mappings, subject);
        char out[256];
        size_t len;

        PP_ASSERT(compiles || !whole);
        if (mapping)
            (void)pp_mapping_apply(mapping, subject, 7, out, sizeof(out), &len);
        pp_mappings_free(mappings);
    }
    free(source_text);
    free(destination_text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pp_str rest = {(const char *)data, size};
    pp_transform_rule rule = next_line(&rest).len ? PP_TRANSFORM_REVERSIBLE : PP_TRANSFORM_ANY;
    pp_str source = next_line(&rest), destination = next_line(&rest), subject = next_line(&rest);
    pp_transform *t;
    pp_buf error;
    pipit_err err;

    pp_buf_init(&error, 512);
    err = pp_transform_new(&t, source, destination, rule, &error);
    PP_ASSERT((err == PIPIT_OK) == (error.len == 0));
    if (!err) {
        char out[64];
        size_t len;

        if (pp_transform_matches(t, subject))
            check_result(t, subject);
        else
            (void)pp_transform_apply(t, subject, 7, out, sizeof(out), &len);
        pp_transform_free(t);
    }
    if (rule == PP_TRANSFORM_ANY)
        check_mapping(source, destination, subject, err == PIPIT_OK);
    pp_buf_fini(&error);
    return 0;
}
