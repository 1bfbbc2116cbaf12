/* fuzz_config -- the configuration language: any bytes make a sound document or one error with its
 * place, within bounded memory. Nothing can be included: there is no folder to do it from. */
#include "base/alloc.h"
#include "base/assert.h"
#include "config/document.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { BYTES_MAX = 1 << 20, DEPTH_MAX = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Walk all there is; returns how many values a walk meets. */
static size_t walk(const pp_value *value, unsigned depth)
{
    size_t met = 1;

    PP_ASSERT(depth <= DEPTH_MAX + 2);
    PP_ASSERT(value->at.file && value->at.line > 0 && value->at.column > 0);
    switch (value->kind) {
    case PP_VALUE_MAP:
        for (size_t i = 0; i < value->map.count; i++) {
            const pp_entry *entry = &value->map.entries[i];

            PP_ASSERT(entry->key.ptr[entry->key.len] == '\0');
            if (i > 0)
                PP_ASSERT(!pp_str_eq(entry->key, value->map.entries[i - 1].key));
            met += walk(entry->value, depth + 1);
        }
        break;
    case PP_VALUE_ARRAY:
        for (size_t i = 0; i < value->array.count; i++)
            met += walk(value->array.items[i], depth + 1);
        break;
    case PP_VALUE_STRING:
        PP_ASSERT(value->string.ptr[value->string.len] == '\0');
        break;
    case PP_VALUE_FLOAT:
        PP_ASSERT(isfinite(value->real));
        /* fall through */
    case PP_VALUE_INT:
    case PP_VALUE_DATE:
        PP_ASSERT(value->text.len > 0 && value->text.ptr[value->text.len] == '\0');
        break;
    case PP_VALUE_BOOL:
        break;
    }
    return met;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pp_document_limits limits = {.bytes_max = BYTES_MAX, .depth_max = DEPTH_MAX};
    int64_t live = pp_alloc_live();
    pp_document *document = NULL;
    pp_diagnostics d;
    pipit_err err;

    pp_diagnostics_init(&d);
    err = pp_document_read_text_within(&document, (pp_str){(const char *)data, size}, "f", NULL,
                                       &limits, &d);
    PP_ASSERT(err == PIPIT_OK || err == PIPIT_EINVAL || err == PIPIT_ETOOBIG);
    PP_ASSERT(pp_diagnostics_error_count(&d) == (err ? 1 : 0));
    if (err) {
        PP_ASSERT(!document && d.errors.kept == 1);
        PP_ASSERT(strncmp(d.errors.lines[0], "f:", 2) == 0);
    } else {
        PP_ASSERT(walk(pp_document_root(document), 0) <= BYTES_MAX);
        PP_ASSERT(strlen(pp_document_digest(document)) == 7 + 64);
    }
    pp_document_free(document);
    pp_diagnostics_fini(&d);
    PP_ASSERT(pp_alloc_live() == live);
    return 0;
}
