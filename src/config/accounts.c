/* Accounts and what stands in them, users aside. */
#include "config/reader.h"

#include "core/subject.h"

#include <inttypes.h>
#include <string.h>

/* name borrowed from the document */
static void begin_account(pp_reader *reader, pp_account_options *account, pp_str name,
                          pp_config_position at)
{
    const pp_value text = {.kind = PP_VALUE_STRING, .at = at, .string = name};
    const char *kept = pp_reader_text(reader, &text);

    *account = pp_account_options_none(kept ? kept : "");
    account->at = pp_reader_position(reader, at);
    if (strcmp(account->name, "$G") == 0)
        pp_diagnostics_error(reader->diagnostics, at, "\"$G\" is a Reserved Account");
}

bool pp_reader_make_accounts(pp_reader *reader, size_t count)
{
    reader->accounts = pp_reader_take(reader, 1 + count, sizeof(*reader->accounts));
    reader->account_count = reader->accounts ? count : 0;
    for (size_t i = 0; reader->accounts && i <= count; i++)
        reader->accounts[i] = pp_account_options_none("");
    return reader->accounts != NULL;
}

static void read_names(pp_reader *reader, const pp_key *key, const pp_value *value)
{
    for (size_t i = 0; i < value->array.count && !reader->err; i++) {
        const pp_value *item = value->array.items[i];

        if (item->kind == PP_VALUE_STRING)
            begin_account(reader, &reader->accounts[1 + i], item->string, item->at);
        else
            pp_reader_wrong_kind(reader, key, item, "an array of names");
    }
}

static void read_account_maps(pp_reader *reader, const pp_value *value)
{
    const pp_key_block *block = pp_key_block_find("account");
    size_t count = 0;

    for (size_t i = 0; i < value->map.count && !reader->err; i++) {
        const pp_entry *entry = &value->map.entries[i];

        if (entry->used_as_variable)
            continue; /* it stands for something that accounts have in common */
        if (entry->value->kind == PP_VALUE_MAP) {
            pp_account_options *account = &reader->accounts[1 + count++];

            begin_account(reader, account, entry->key, entry->value->at);
            pp_reader_map(reader, block, entry->value, account);
        } else {
            pp_diagnostics_error(reader->diagnostics, entry->value->at,
                                 "Expected map entries for accounts");
        }
    }
    reader->account_count = count;
}

void pp_read_accounts(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    size_t count = value->kind == PP_VALUE_ARRAY ? value->array.count
                   : value->kind == PP_VALUE_MAP ? value->map.count
                                                 : 0;

    pp_arena *arena = reader->arena;

    (void)base;
    if (value->kind != PP_VALUE_ARRAY && value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map of accounts or an array of names");
        return;
    }
    reader->arena = &reader->options->account_arena;
    if (pp_reader_make_accounts(reader, count)) {
        if (value->kind == PP_VALUE_ARRAY)
            read_names(reader, key, value);
        else
            read_account_maps(reader, value);
    }
    reader->arena = arena;
}

/* --- mappings ----------------------------------------------------------------------------- */

static void read_destination(pp_reader *reader, const pp_value *value,
                             pp_destination_option *destination)
{
    *destination = (pp_destination_option){0};
    pp_reader_map(reader, pp_key_block_find("destination"), value, destination);
    if (!destination->subject)
        destination->subject = "";
    if (!pp_value_find(value, "weight"))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Missing weight for mapping destination \"%.200s\"",
                             destination->subject);
}

/* A subject, a map, or an array of maps. */
static void read_mapping(pp_reader *reader, const pp_value *value, pp_mapping_option *mapping)
{
    bool several = value->kind == PP_VALUE_ARRAY;
    size_t count = several ? value->array.count : 1;
    pp_destination_option *list = pp_reader_take(reader, count, sizeof(*list));

    mapping->destinations = list;
    mapping->destination_count = list ? count : 0;
    for (size_t i = 0; i < mapping->destination_count; i++) {
        const pp_value *item = several ? value->array.items[i] : value;

        if (item->kind == PP_VALUE_MAP) {
            read_destination(reader, item, &list[i]);
            continue;
        }
        list[i] = (pp_destination_option){.subject = "", .weight = 100};
        if (several || item->kind != PP_VALUE_STRING) {
            pp_diagnostics_error(reader->diagnostics, item->at,
                                 "Expected an entry for the mapping destination");
        } else {
            const char *subject = pp_reader_text(reader, item);

            list[i].subject = subject ? subject : "";
        }
    }
}

static bool is_subject(pp_str text)
{
    return pp_subject_valid(text) && !memchr(text.ptr, ' ', text.len) &&
           !memchr(text.ptr, '\0', text.len);
}

void pp_read_mappings(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_account_options *account = base == reader->options ? &reader->global : base;
    pp_mapping_option *list;

    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a map of subjects");
        return;
    }
    list = pp_reader_take(reader, value->map.count, sizeof(*list));
    account->mappings = list;
    account->mapping_count = list ? value->map.count : 0;
    for (size_t i = 0; i < account->mapping_count && !reader->err; i++) {
        const pp_entry *entry = &value->map.entries[i];
        const pp_value name = {
            .kind = PP_VALUE_STRING, .at = entry->value->at, .string = entry->key};

        if (!is_subject(entry->key))
            pp_diagnostics_error(reader->diagnostics, entry->value->at,
                                 "Subject \"%.200s\" is not a valid subject", entry->key.ptr);
        list[i].source = pp_reader_text(reader, &name);
        list[i].source = list[i].source ? list[i].source : "";
        list[i].at = pp_reader_position(reader, entry->value->at);
        read_mapping(reader, entry->value, &list[i]);
    }
}

/* --- tracing and percentages -------------------------------------------------------------- */

void pp_read_trace_dest(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_account_options *account = base;

    if (value->kind != PP_VALUE_STRING)
        pp_reader_wrong_kind(reader, key, value, "a string");
    else if (!is_subject(value->string) || !pp_subject_literal(value->string))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Trace destination \"%.200s\" is not valid",
                             pp_reader_show_text(value));
    else
        account->trace_dest = pp_reader_text(reader, value);
}

void pp_read_msg_trace(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_account_options *account = base;

    if (value->kind == PP_VALUE_STRING) {
        pp_read_trace_dest(reader, key, value, base);
        return;
    }
    if (value->kind != PP_VALUE_MAP) {
        pp_reader_wrong_kind(reader, key, value, "a subject or a map");
        return;
    }
    pp_read_block(reader, key, value, base);
    if (pp_value_find(value, "sampling") && !pp_value_find(value, "dest"))
        pp_diagnostics_warn(reader->diagnostics, value->at,
                            "\"sampling\" without \"dest\" has no effect");
    if (!account->trace_dest)
        account->trace_sampling = 100;
}

/* sampling, from 1, and weight, from 0: an integer, or digits with or without '%' behind. */
void pp_read_percent(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    uint32_t *field = (void *)((char *)base + key->offset);
    pp_str text = value->kind == PP_VALUE_STRING ? value->string : (pp_str){0};
    uint64_t percent = 0;
    bool good;

    if (text.len && text.ptr[text.len - 1] == '%')
        text.len--;
    if (value->kind == PP_VALUE_INT) {
        good = value->integer >= 0 && value->integer <= 100;
        percent = good ? (uint64_t)value->integer : 0;
    } else {
        good = pp_str_parse_u64(text, 100, &percent);
    }
    if (!good || percent < (uint64_t)key->min)
        pp_reader_refuse(reader, key, value, "must be from %" PRId64 " to 100, or as \"50%%\"",
                         key->min);
    else
        *field = (uint32_t)percent;
}
