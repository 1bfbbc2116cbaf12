/* What an account exports and imports. */
#include "auth/claims.h"

#include "auth/nkey.h"
#include "base/alloc.h"
#include "core/subject.h"

#include <jansson.h>

/* --- reading ------------------------------------------------------------------------------- */

static pp_claim_kind read_kind(pp_claim_reader *reader, const json_t *object)
{
    pp_str kind = pp_claim_text(reader, object, "type");

    if (pp_str_eq(kind, PP_STR("stream")))
        return PP_CLAIM_STREAM;
    if (pp_str_eq(kind, PP_STR("service")))
        return PP_CLAIM_SERVICE;
    if (pp_claim_find(reader, object, "type"))
        pp_claim_fail(reader, "type");
    return PP_CLAIM_NO_KIND;
}

static void read_latency(pp_claim_reader *reader, const json_t *object, pp_claim_export *out)
{
    const json_t *latency = pp_claim_object(reader, object, "service_latency");
    const json_t *sampling = pp_claim_find(reader, latency, "sampling");

    out->has_latency = latency != NULL;
    out->latency_results = pp_claim_text(reader, latency, "results");
    if (json_is_string(sampling) &&
        pp_str_eq_nocase(pp_str_of(json_string_value(sampling)), PP_STR("headers")))
        out->latency_sampling = 0;
    else
        out->latency_sampling = pp_claim_int(reader, latency, "sampling", 0);
}

static void read_response(pp_claim_reader *reader, const json_t *object, pp_claim_export *out)
{
    static const char *const names[] = {"Singleton", "Stream", "Chunked"};
    pp_str text = pp_claim_text(reader, object, "response_type");

    out->response_given = text.len != 0;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (pp_str_eq(text, pp_str_of(names[i]))) {
            out->response = (pp_claim_response)i;
            return;
        }
    }
    if (text.len)
        pp_claim_fail(reader, "response_type");
}

static void read_export(pp_claim_reader *reader, const json_t *object, pp_claim_export *out)
{
    out->name = pp_claim_text(reader, object, "name");
    out->subject = pp_claim_text(reader, object, "subject");
    out->kind = read_kind(reader, object);
    out->token_required = pp_claim_bool(reader, object, "token_req");
    pp_claim_revocations_read(reader, object, "revocations", &out->revocations);
    read_response(reader, object, out);
    out->response_threshold_ns = pp_claim_int(reader, object, "response_threshold", 0);
    read_latency(reader, object, out);
    out->account_token_position = pp_claim_int(reader, object, "account_token_position", 0);
    if (out->account_token_position < 0)
        pp_claim_fail(reader, "account_token_position");
    out->advertise = pp_claim_bool(reader, object, "advertise");
    out->allow_trace = pp_claim_bool(reader, object, "allow_trace");
}

static void read_import(pp_claim_reader *reader, const json_t *object, pp_claim_import *out)
{
    out->name = pp_claim_text(reader, object, "name");
    out->subject = pp_claim_text(reader, object, "subject");
    out->account = pp_claim_text(reader, object, "account");
    out->token = pp_claim_text(reader, object, "token");
    out->to = pp_claim_text(reader, object, "to");
    out->local_subject = pp_claim_text(reader, object, "local_subject");
    out->kind = read_kind(reader, object);
    out->share = pp_claim_bool(reader, object, "share");
    out->allow_trace = pp_claim_bool(reader, object, "allow_trace");
}

/* The objects of an array; NULL: there are none. */
static const json_t *objects(pp_claim_reader *reader, const json_t *object, const char *name,
                             size_t *out_count)
{
    const json_t *array = pp_claim_array(reader, object, name);

    *out_count = json_array_size(array);
    if (*out_count > PP_CLAIM_EXPORTS_MAX)
        pp_claim_fail(reader, name);
    for (size_t i = 0; i < *out_count; i++) {
        if (!json_is_object(json_array_get(array, i)))
            pp_claim_fail(reader, name);
    }
    return *out_count ? array : NULL;
}

void pp_claim_shares_read(pp_claim_reader *reader, const json_t *object, pp_account_claims *out)
{
    pp_claim_export *exports = NULL;
    pp_claim_import *imports = NULL;
    const json_t *array;
    size_t count;

    array = objects(reader, object, "exports", &count);
    if (array)
        exports = pp_claim_alloc(reader, count, sizeof(*exports));
    for (size_t i = 0; exports && i < count; i++)
        read_export(reader, json_array_get(array, i), &exports[i]);
    out->exports = exports;
    out->export_count = exports ? count : 0;
    array = objects(reader, object, "imports", &count);
    if (array)
        imports = pp_claim_alloc(reader, count, sizeof(*imports));
    for (size_t i = 0; imports && i < count; i++)
        read_import(reader, json_array_get(array, i), &imports[i]);
    out->imports = imports;
    out->import_count = imports ? count : 0;
}

/* --- exports ------------------------------------------------------------------------------- */

static pp_str token_at(pp_str subject, int64_t position)
{
    pp_str token = {"", 0};

    for (int64_t i = 0; i < position && subject.len; i++)
        token = pp_subject_next_token(&subject);
    return token;
}

static void check_position(const pp_claim_export *e, pp_claim_issues *issues)
{
    if (!e->account_token_position)
        return;
    if (!pp_subject_has_wildcard(e->subject))
        pp_claim_error(issues,
                       "Account Token Position can only be used with wildcard subjects: %.*s",
                       PP_STR_ARGS(e->subject));
    else if ((uint64_t)e->account_token_position > pp_subject_token_count(e->subject))
        pp_claim_error(issues, "Account Token Position %lld exceeds length of subject '%.*s'",
                       (long long)e->account_token_position, PP_STR_ARGS(e->subject));
    else if (!pp_str_eq(token_at(e->subject, e->account_token_position), PP_STR("*")))
        pp_claim_error(issues, "Account Token Position %lld must match a * in: %.*s",
                       (long long)e->account_token_position, PP_STR_ARGS(e->subject));
}

static void check_export(const pp_claim_export *e, pp_claim_issues *issues)
{
    if (e->kind == PP_CLAIM_NO_KIND)
        pp_claim_error(issues, "invalid export type");
    if (e->kind == PP_CLAIM_STREAM && e->response_given)
        pp_claim_error(issues, "invalid response type for stream");
    if (e->kind == PP_CLAIM_STREAM && e->allow_trace)
        pp_claim_error(issues, "AllowTrace only valid for service export");
    if (e->has_latency) {
        if (e->kind != PP_CLAIM_SERVICE)
            pp_claim_error(issues, "latency tracking only permitted for services");
        if (e->latency_sampling < 0 || e->latency_sampling > 100)
            pp_claim_error(issues, "sampling percentage needs to be between 1-100");
        if (!pp_subject_literal(e->latency_results))
            pp_claim_error(issues, "results subject can not contain wildcards");
    }
    if (e->response_threshold_ns < 0)
        pp_claim_error(issues, "negative response threshold is invalid");
    if (e->response_threshold_ns > 0 && e->kind != PP_CLAIM_SERVICE)
        pp_claim_error(issues, "response threshold only valid for services");
    pp_claim_subject_check(e->subject, issues);
    check_position(e, issues);
}

static void check_overlap(const pp_account_claims *claims, pp_claim_issues *issues)
{
    for (size_t i = 0; i < claims->export_count; i++) {
        const pp_claim_export *a = &claims->exports[i];

        for (size_t n = 0; n < claims->export_count; n++) {
            const pp_claim_export *b = &claims->exports[n];

            if (n == i || a->kind != b->kind || !pp_subject_subset(a->subject, b->subject))
                continue;
            pp_claim_error(issues, "%s export subject \"%.*s\" already exports \"%.*s\"",
                           a->kind == PP_CLAIM_SERVICE ? "service" : "stream",
                           PP_STR_ARGS(b->subject), PP_STR_ARGS(a->subject));
            return; /* one tells enough */
        }
    }
}

/* --- imports ------------------------------------------------------------------------------- */

/* Where an import of a service is to be found by those who import it. A reference such as $2
 * stands for a wildcard. room holds as many bytes as the subject has. */
static pp_str local_subject(const pp_claim_import *i, char *room)
{
    pp_str rest = i->local_subject, text = {room, 0};

    if (i->to.len)
        return i->to;
    if (!rest.len)
        return i->subject;
    while (rest.len) {
        pp_str token = pp_subject_next_token(&rest);
        uint64_t number;

        if (token.len > 1 && *token.ptr == '$' &&
            pp_str_parse_u64((pp_str){token.ptr + 1, token.len - 1}, UINT32_MAX, &number))
            token = PP_STR("*");
        memcpy(room + text.len, token.ptr, token.len);
        text.len += token.len;
        if (rest.len)
            room[text.len++] = '.';
    }
    return text;
}

static void check_activation(const pp_account_claims *claims, const pp_claim_import *i,
                             pp_claim_issues *issues)
{
    char reason[PP_JWT_REASON_BYTES];
    int64_t expires_s;

    if (i->token.len &&
        pp_activation_verify(i->token, claims->jwt->subject, i, NULL, NULL, 0, &expires_s, reason))
        pp_claim_error(issues, "import \"%.*s\" contains an invalid activation token: %s",
                       PP_STR_ARGS(i->subject), reason);
}

static void check_import(const pp_account_claims *claims, const pp_claim_import *i,
                         pp_claim_issues *issues)
{
    if (i->kind == PP_CLAIM_NO_KIND)
        pp_claim_error(issues, "invalid import type");
    if (i->kind == PP_CLAIM_SERVICE && i->allow_trace)
        pp_claim_error(issues, "AllowTrace only valid for stream import");
    if (!i->account.len)
        pp_claim_error(issues, "account to import from is not specified");
    else if (pp_nkey_decode(i->account, PP_NKEY_ACCOUNT, NULL))
        pp_claim_error(issues, "\"%.*s\" is not an account public key", PP_STR_ARGS(i->account));
    if (i->to.len)
        pp_claim_warning(issues, "the field to has been deprecated (use LocalSubject instead)");
    pp_claim_subject_check(i->subject, issues);
    if (i->local_subject.len)
        pp_claim_subject_check(i->local_subject, issues);
    if (i->local_subject.len && i->to.len)
        pp_claim_error(issues, "Local Subject replaces To");
    if (i->share && i->kind != PP_CLAIM_SERVICE)
        pp_claim_error(issues,
                       "sharing information (for latency tracking) is only valid for services: "
                       "\"%.*s\"",
                       PP_STR_ARGS(i->subject));
    check_activation(claims, i, issues);
}

/* Two services of one account at overlapping places. */
static void check_places(const pp_account_claims *claims, pp_claim_issues *issues)
{
    size_t bytes = 1;
    pp_str *places = pp_calloc(claims->import_count + 1, sizeof(*places));
    char *room, *at;

    for (size_t i = 0; i < claims->import_count; i++)
        bytes += claims->imports[i].local_subject.len + 1;
    at = room = pp_alloc(bytes);
    if (!places || !room) {
        pp_claim_error(issues, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < claims->import_count; i++) {
        const pp_claim_import *import = &claims->imports[i];

        if (import->kind != PP_CLAIM_SERVICE)
            continue;
        places[i] = local_subject(import, at);
        at += import->local_subject.len + 1;
        for (size_t n = 0; n < i; n++) {
            if (!places[n].len || !pp_str_eq(import->account, claims->imports[n].account) ||
                (!pp_subject_subset(places[i], places[n]) &&
                 !pp_subject_subset(places[n], places[i])))
                continue;
            pp_claim_error(issues,
                           "overlapping subject namespace for \"%.*s\" and \"%.*s\" in same "
                           "account",
                           PP_STR_ARGS(places[i]), PP_STR_ARGS(places[n]));
            goto out;
        }
    }
out:
    pp_free(room);
    pp_free(places);
}

void pp_claim_shares_check(const pp_account_claims *claims, pp_claim_issues *issues)
{
    unsigned errors = issues->errors;

    for (size_t i = 0; i < claims->import_count; i++)
        check_import(claims, &claims->imports[i], issues);
    for (size_t i = 0; i < claims->export_count; i++)
        check_export(&claims->exports[i], issues);
    if (issues->errors == errors) { /* all subjects are valid */
        check_places(claims, issues);
        check_overlap(claims, issues);
    }
    if (claims->imports_max != PP_CLAIM_NO_LIMIT &&
        (int64_t)claims->import_count > claims->imports_max)
        pp_claim_error(issues, "the account contains more imports than allowed by the operator");
    if (claims->exports_max == PP_CLAIM_NO_LIMIT)
        return;
    if ((int64_t)claims->export_count > claims->exports_max)
        pp_claim_error(issues, "the account contains more exports than allowed by the operator");
    for (size_t i = 0; i < claims->export_count && !claims->wildcards; i++) {
        if (pp_subject_has_wildcard(claims->exports[i].subject))
            pp_claim_error(issues, "the account contains wildcard exports that are not allowed by "
                                   "the operator");
    }
}
