#include "core/export.h"

#include "base/alloc.h"
#include "core/subject.h"

#include <string.h>

struct pp_exports {
    size_t count;
    char *texts; /* all of them */
    const char **names;
    pp_export items[];
};

/* --- making ------------------------------------------------------------------------------- */

/* Token number position, from 1; empty: there is none. */
static pp_str token_at(pp_str subject, uint32_t position)
{
    pp_str token = {NULL, 0};

    for (uint32_t i = 0; i < position; i++) {
        if (!subject.ptr)
            return (pp_str){NULL, 0};
        token = pp_subject_next_token(&subject);
    }
    return token;
}

static pipit_err refuse(pp_buf *error, const char *reason, const char *subject)
{
    if (error)
        (void)pp_buf_addf(error, "%s: export \"%.200s\"", reason, subject);
    return PIPIT_EINVAL;
}

static pipit_err check(const pp_export *entry, pp_buf *error)
{
    if (!pp_subject_valid(pp_str_of(entry->subject)))
        return refuse(error, "invalid subject", entry->subject);
    if (entry->token_position &&
        !pp_str_eq(token_at(pp_str_of(entry->subject), entry->token_position), PP_STR("*")))
        return refuse(error, "account_token_position is not that of a \"*\"", entry->subject);
    if (entry->latency_subject && !pp_subject_literal(pp_str_of(entry->latency_subject)))
        return refuse(error, "invalid subject of latency results", entry->subject);
    if (entry->latency_subject && entry->response != PP_RESPONSE_ONE)
        return refuse(error, "bad service response type: latency is tracked of single responses",
                      entry->subject);
    return PIPIT_OK;
}

static size_t bytes_of(const pp_export *entry)
{
    size_t bytes = strlen(entry->subject) + 1;

    if (entry->latency_subject)
        bytes += strlen(entry->latency_subject) + 1;
    for (size_t i = 0; i < entry->name_count; i++)
        bytes += strlen(entry->names[i]) + 1;
    return bytes;
}

static const char *keep(char **at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *kept = *at;

    memcpy(kept, text, bytes);
    *at += bytes;
    return kept;
}

static void fill(pp_exports *exports, struct pp_account *account, const pp_export *entries)
{
    const char **name = exports->names;
    char *at = exports->texts;

    for (size_t i = 0; i < exports->count; i++) {
        pp_export *item = &exports->items[i];

        *item = entries[i];
        item->account = account;
        item->subject = keep(&at, entries[i].subject);
        if (entries[i].latency_subject)
            item->latency_subject = keep(&at, entries[i].latency_subject);
        if (item->threshold_ns <= 0)
            item->threshold_ns = PP_RESPONSE_THRESHOLD_NS;
        item->names = name;
        for (size_t n = 0; n < item->name_count; n++)
            *name++ = keep(&at, entries[i].names[n]);
    }
}

/* A result that is itself a request of a service would be measured, and so on. */
static pipit_err check_latency(const pp_exports *exports, pp_buf *error)
{
    for (size_t i = 0; i < exports->count; i++) {
        const char *subject = exports->items[i].latency_subject;

        if (subject && pp_exports_find(exports, true, pp_str_of(subject)))
            return refuse(error, "latency results go to a service", exports->items[i].subject);
    }
    return PIPIT_OK;
}

pipit_err pp_exports_new(pp_exports **out_exports, struct pp_account *account,
                         const pp_export *entries, size_t count, pp_buf *error)
{
    size_t bytes = 1, names = 1;
    pp_exports *exports;
    pipit_err err;

    for (size_t i = 0; i < count; i++) {
        err = check(&entries[i], error);
        if (err)
            return err;
        bytes += bytes_of(&entries[i]);
        names += entries[i].name_count;
    }
    exports = pp_calloc(1, sizeof(*exports) + count * sizeof(exports->items[0]));
    if (!exports)
        return PIPIT_ENOMEM;
    exports->texts = pp_alloc(bytes);
    exports->names = pp_alloc(names * sizeof(char *));
    err = exports->texts && exports->names ? PIPIT_OK : PIPIT_ENOMEM;
    if (!err) {
        exports->count = count;
        fill(exports, account, entries);
        err = check_latency(exports, error);
    }
    if (err)
        pp_exports_free(exports);
    else
        *out_exports = exports;
    return err;
}

void pp_exports_free(pp_exports *exports)
{
    if (!exports)
        return;
    pp_free(exports->texts);
    pp_free(exports->names);
    pp_free(exports);
}

/* --- asking ------------------------------------------------------------------------------- */

size_t pp_exports_count(const pp_exports *exports)
{
    return exports ? exports->count : 0;
}

const pp_export *pp_exports_at(const pp_exports *exports, size_t i)
{
    return &exports->items[i];
}

const pp_export *pp_exports_find(const pp_exports *exports, bool is_service, pp_str subject)
{
    const pp_export *exact = NULL, *wider = NULL;

    for (size_t i = 0; i < pp_exports_count(exports); i++) {
        const pp_export *item = &exports->items[i];
        pp_str offered = pp_str_of(item->subject);

        if (item->is_service != is_service)
            continue;
        if (pp_str_eq(offered, subject))
            exact = item; /* what is said again replaces what was said before */
        else if (!wider && pp_subject_subset(subject, offered))
            wider = item;
    }
    return exact ? exact : wider;
}

bool pp_export_admits(const pp_export *export, pp_str importer, pp_str subject, bool activated)
{
    if (export->token_position)
        return pp_str_eq(token_at(subject, export->token_position), importer);
    if (export->token_required)
        return activated;
    if (!export->is_private)
        return true;
    for (size_t i = 0; i < export->name_count; i++) {
        if (pp_str_eq(pp_str_of(export->names[i]), importer))
            return true;
    }
    return false;
}
