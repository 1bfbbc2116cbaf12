/* What accounts let others import, and what they import. */
#include "config/reader.h"

#include "core/subject.h"

#include <string.h>

/* An export or import that is being read, with what must be known until its end. */
struct export_draft {
    pp_export_option option; /* first: the fields of the block */
    bool has_kind;
    bool for_service; /* something that only services have */
};

struct import_draft {
    pp_import_option option;
    bool has_kind;
    bool traced;
};

static bool is_subject(const pp_value *value)
{
    pp_str text = value->string;

    return pp_subject_valid(text) && !memchr(text.ptr, ' ', text.len) &&
           !memchr(text.ptr, '\0', text.len);
}

static void read_subject(pp_reader *reader, const pp_key *key, const pp_value *value,
                         const char **out)
{
    if (value->kind != PP_VALUE_STRING)
        pp_reader_wrong_kind(reader, key, value, "a string");
    else if (!is_subject(value))
        pp_reader_refuse(reader, key, value, "is not a valid subject%s",
                         pp_reader_show(value).text);
    else
        *out = pp_reader_text(reader, value);
}

/* stream and service: one of them. */
static bool take_kind(pp_reader *reader, const pp_value *value, const pp_key *key, bool *has_kind,
                      bool *is_service)
{
    bool service = pp_str_eq(pp_key_name(key), PP_STR("service"));

    if (*has_kind) {
        pp_diagnostics_error(reader->diagnostics, value->at, "Detected %s but already saw a %s",
                             service ? "service" : "stream", *is_service ? "service" : "stream");
        return false;
    }
    *has_kind = true;
    *is_service = service;
    return true;
}

/* --- exports ------------------------------------------------------------------------------ */

void pp_read_export_kind(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    struct export_draft *draft = base;

    if (take_kind(reader, value, key, &draft->has_kind, &draft->option.is_service))
        read_subject(reader, key, value, &draft->option.subject);
}

void pp_read_export_accounts(pp_reader *reader, const pp_key *key, const pp_value *value,
                             void *base)
{
    struct export_draft *draft = base;
    const pp_value *const *items;
    const char **names;
    size_t count;

    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of strings");
        return;
    }
    if (!pp_reader_strings(reader, key, value, &items, &count))
        return;
    names = pp_reader_take(reader, count, sizeof(*names));
    for (size_t i = 0; names && i < count; i++) {
        names[i] = pp_reader_text(reader, items[i]);
        names[i] = names[i] ? names[i] : "";
    }
    draft->option.accounts = names;
    draft->option.account_count = names ? count : 0;
    draft->option.is_private = count != 0; /* an empty list names nobody, and keeps nobody out */
}

void pp_read_response_type(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    static const struct {
        const char *name;
        enum pp_response_type type;
    } names[] = {
        {"single", PP_RESPONSE_SINGLETON}, {"singleton", PP_RESPONSE_SINGLETON},
        {"stream", PP_RESPONSE_STREAM},    {"chunk", PP_RESPONSE_CHUNKED},
        {"chunked", PP_RESPONSE_CHUNKED},
    };
    struct export_draft *draft = base;

    draft->for_service = true;
    for (size_t i = 0; value->kind == PP_VALUE_STRING && i < sizeof(names) / sizeof(names[0]);
         i++) {
        if (pp_str_eq_nocase(value->string, pp_str_of(names[i].name))) {
            draft->option.response_type = names[i].type;
            return;
        }
    }
    pp_reader_refuse(reader, key, value, "must be single, stream or chunked%s",
                     pp_reader_show(value).text);
}

void pp_read_response_threshold(pp_reader *reader, const pp_key *key, const pp_value *value,
                                void *base)
{
    struct export_draft *draft = base;

    draft->for_service = true;
    pp_reader_scalar(reader, key, value, base);
    if (draft->option.response_threshold_ns < 0)
        draft->option.response_threshold_ns = 0;
}

void pp_read_export_trace(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    struct export_draft *draft = base;

    draft->for_service = true;
    pp_reader_scalar(reader, key, value, base);
}

void pp_read_latency_subject(pp_reader *reader, const pp_key *key, const pp_value *value,
                             void *base)
{
    struct export_draft *draft = base;

    read_subject(reader, key, value, &draft->option.latency_subject);
    if (draft->option.latency_subject &&
        !pp_subject_literal(pp_str_of(draft->option.latency_subject)))
        pp_reader_refuse(reader, key, value, "cannot hold wildcards: invalid publish subject");
}

void pp_read_latency_sampling(pp_reader *reader, const pp_key *key, const pp_value *value,
                              void *base)
{
    struct export_draft *draft = base;

    if (value->kind == PP_VALUE_STRING && pp_str_eq_nocase(value->string, PP_STR("headers")))
        draft->option.latency_sampling = 0;
    else
        pp_read_percent(reader, key, value, base);
}

void pp_read_latency(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    struct export_draft *draft = base;

    draft->for_service = true;
    draft->option.latency_sampling = 100;
    if (value->kind == PP_VALUE_STRING) {
        pp_read_latency_subject(reader, key, value, base);
        return;
    }
    pp_read_block(reader, key, value, base);
    if (value->kind == PP_VALUE_MAP && !pp_value_find(value, "subject"))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Latency subject required, but missing");
}

static bool read_export(pp_reader *reader, const pp_value *value, pp_export_option *out)
{
    struct export_draft draft = {.option.at = pp_reader_position(reader, value->at)};

    pp_reader_map(reader, pp_key_block_find("export"), value, &draft);
    if (!draft.has_kind) {
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "An export of neither a \"stream\" nor a \"service\" has no effect");
        return false;
    }
    if (draft.for_service && !draft.option.is_service)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Only services have responses, latency and allow_trace");
    *out = draft.option;
    return out->subject != NULL;
}

/* Is value an array of maps? */
static bool check_items(pp_reader *reader, const pp_key *key, const pp_value *value)
{
    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of maps");
        return false;
    }
    for (size_t i = 0; i < value->array.count; i++) {
        if (value->array.items[i]->kind != PP_VALUE_MAP) {
            pp_reader_wrong_kind(reader, key, value->array.items[i], "an array of maps");
            return false;
        }
    }
    return true;
}

void pp_read_exports(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_account_options *account = base;
    pp_export_option *list;
    size_t count = 0;

    if (!check_items(reader, key, value))
        return;
    list = pp_reader_take(reader, value->array.count, sizeof(*list));
    for (size_t i = 0; list && i < value->array.count && !reader->err; i++)
        count += read_export(reader, value->array.items[i], &list[count]);
    account->exports = list;
    account->export_count = count;
}

/* --- imports ------------------------------------------------------------------------------ */

void pp_read_import_kind(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    struct import_draft *draft = base;

    if (!take_kind(reader, value, key, &draft->has_kind, &draft->option.is_service))
        return;
    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map");
        return;
    }
    pp_reader_map(reader, pp_key_block_find("import_source"), value, base);
    if (!draft->option.account || !draft->option.subject)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Expect an account name and a subject");
}

void pp_read_import_subject(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    read_subject(reader, key, value, (const char **)(void *)((char *)base + key->offset));
}

void pp_read_import_trace(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    struct import_draft *draft = base;

    draft->traced = true;
    pp_reader_scalar(reader, key, value, base);
}

static bool read_import(pp_reader *reader, const pp_value *value, pp_import_option *out)
{
    struct import_draft draft = {.option.at = pp_reader_position(reader, value->at)};
    pp_import_option *option = &draft.option;

    pp_reader_map(reader, pp_key_block_find("import"), value, &draft);
    if (!draft.has_kind) {
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "An import of neither a \"stream\" nor a \"service\" has no effect");
        return false;
    }
    if (!option->is_service && option->prefix && option->local)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Stream import can not have a \"prefix\" and a \"to\"");
    if (option->is_service && draft.traced)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Only imports of streams have allow_trace");
    if (option->is_service && option->prefix)
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "\"prefix\" has no effect on the import of a service");
    if (!option->is_service && option->share)
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "\"share\" has no effect on the import of a stream");
    if (option->is_service)
        option->prefix = NULL;
    *out = *option;
    return out->account && out->subject;
}

void pp_read_imports(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_account_options *account = base;
    pp_import_option *list;
    size_t count = 0;

    if (!check_items(reader, key, value))
        return;
    list = pp_reader_take(reader, value->array.count, sizeof(*list));
    for (size_t i = 0; list && i < value->array.count && !reader->err; i++)
        count += read_import(reader, value->array.items[i], &list[count]);
    account->imports = list;
    account->import_count = count;
}
