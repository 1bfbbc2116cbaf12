/* core/export.h -- what an account lets others import: streams of messages, and services.
 *
 * Made whole from an account's settings; immutable. */
#ifndef PP_CORE_EXPORT_H
#define PP_CORE_EXPORT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pp_account;

/* What a request is answered by. */
typedef enum pp_response_kind {
    PP_RESPONSE_ONE,
    PP_RESPONSE_MANY,   /* as many messages as come; an empty one ends them */
    PP_RESPONSE_PIECES, /* the same: one answer in pieces */
} pp_response_kind;

#define PP_RESPONSE_THRESHOLD_NS INT64_C(120000000000)

typedef struct pp_export {
    struct pp_account *account;
    const char *subject; /* may hold wildcards */
    bool is_service;
    bool is_private; /* only names may import it */
    bool token_required;
    uint32_t token_position; /* of the importer's name in the subject, from 1; 0: none */
    const char *const *names;
    size_t name_count;
    pp_response_kind response;
    int64_t threshold_ns;
    const char *latency_subject; /* NULL: not tracked */
    uint32_t latency_percent;    /* 0: only where headers ask */
    bool allow_trace;
} pp_export;

typedef struct pp_exports pp_exports;

/**
 * Make the exports of account from entries, whose account is not looked at.
 *
 * Owner:  entries and their texts are copied.
 * Errors: PIPIT_EINVAL, and error (which may be NULL) says why; PIPIT_ENOMEM.
 */
pipit_err pp_exports_new(pp_exports **out_exports, struct pp_account *account,
                         const pp_export *entries, size_t count, pp_buf *error);
void pp_exports_free(pp_exports *exports);

size_t pp_exports_count(const pp_exports *exports);
const pp_export *pp_exports_at(const pp_exports *exports, size_t i);

/* The service, or stream, that an import of subject means: the one of just that subject, or else
 * the first of which it is a part. NULL exports have none. Borrowed. */
const pp_export *pp_exports_find(const pp_exports *exports, bool is_service, pp_str subject);

/* May the account of that name import subject of what export offers? activated: it has shown a
 * token that was checked. */
bool pp_export_admits(const pp_export *export, pp_str importer, pp_str subject, bool activated);

#endif
