/* The service that decides who may come in: `authorization { auth_callout { ... } }`. */
#include "config/reader.h"

#include "auth/nkey.h"

#include <string.h>

/* A list of texts; one alone is no list here, as it is none for nats-server. */
static const char *const *read_texts(pp_reader *reader, const pp_key *key, const pp_value *value,
                                     size_t *out_count)
{
    const char **texts;

    if (value->kind != PP_VALUE_ARRAY) {
        pp_reader_wrong_kind(reader, key, value, "an array of strings");
        return NULL;
    }
    texts = pp_reader_take(reader, value->array.count, sizeof(*texts));
    for (size_t i = 0; texts && i < value->array.count && !reader->err; i++) {
        const pp_value *item = value->array.items[i];

        if (item->kind != PP_VALUE_STRING)
            pp_reader_wrong_kind(reader, key, item, "an array of strings");
        else
            texts[i] = pp_reader_text(reader, item);
        if (!texts[i])
            texts[i] = "";
    }
    *out_count = texts ? value->array.count : 0;
    return texts;
}

void pp_read_callout_users(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;

    o->callout.auth_users = read_texts(reader, key, value, &o->callout.auth_user_count);
}

void pp_read_callout_accounts(pp_reader *reader, const pp_key *key, const pp_value *value,
                              void *base)
{
    pp_options *o = base;

    o->callout.allowed_accounts = read_texts(reader, key, value, &o->callout.allowed_account_count);
}

/* A seed that stands here by mistake is a secret. */
static const char *show_key(const char *key)
{
    return *key == 'S' ? PP_KEY_REDACTED : key;
}

void pp_read_callout(pp_reader *reader, const pp_key *key, const pp_value *value, void *base)
{
    pp_options *o = base;
    pp_callout_options *callout = &o->callout;

    *callout = (pp_callout_options){
        .account = "$G",
        .at = pp_reader_position(reader, value->at),
    };
    pp_read_block(reader, key, value, base);
    if (value->kind != PP_VALUE_MAP)
        return;
    callout->configured = true;
    if (!callout->account)
        callout->account = "$G";
    if (!callout->issuer)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Authorization callouts require an issuer to be specified");
    else if (pp_nkey_decode(pp_str_of(callout->issuer), PP_NKEY_ACCOUNT, NULL))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Expected callout user to be a valid public account nkey, got "
                             "\"%.100s\"",
                             show_key(callout->issuer));
    if (!callout->auth_user_count)
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Authorization callouts require authorized users to be specified");
    if (callout->xkey && pp_nkey_decode(pp_str_of(callout->xkey), PP_NKEY_CURVE, NULL))
        pp_diagnostics_error(reader->diagnostics, value->at,
                             "Expected callout xkey to be a valid public xkey, got \"%.100s\"",
                             show_key(callout->xkey));
}

void pp_reader_check_callout(pp_reader *reader)
{
    const pp_options *o = reader->options;
    const pp_callout_options *callout = &o->callout;
    const pp_config_position at = {callout->at.file, callout->at.line, callout->at.column};

    for (size_t i = 0; i < callout->allowed_account_count; i++) {
        bool found = false;

        for (size_t n = 1; n < o->account_count; n++) /* $G cannot be named: it always asks */
            found |= strcmp(o->accounts[n].name, callout->allowed_accounts[i]) == 0;
        if (!found)
            pp_diagnostics_error(reader->diagnostics, at,
                                 "auth_callout allowed account \"%.200s\" not found in configured "
                                 "accounts",
                                 callout->allowed_accounts[i]);
    }
}
