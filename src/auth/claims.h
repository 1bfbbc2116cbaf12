/* auth/claims.h -- what tokens of each type claim, as plain structs.
 *
 * Reading checks types; validating checks whether the values make sense, and gives a text for each
 * that does not. All texts and lists belong to the pp_jwt that was read, which must outlive them.
 * Source: NATS authentication, section 4; issue texts as nats-io/jwt 2.8 has them. */
#ifndef PP_AUTH_CLAIMS_H
#define PP_AUTH_CLAIMS_H

#include "auth/jwt.h"
#include "base/buf.h"

enum {
    PP_CLAIM_EXPORTS_MAX = 4096, /* and imports: they are compared each with each */
    PP_CLAIM_ISSUES_MAX = 16 * 1024,
};

#define PP_CLAIM_NO_LIMIT (-1)

/* --- issues -------------------------------------------------------------------------------- */

/* What is wrong with claims. Errors block, time checks block whoever asks now. */
typedef struct pp_claim_issues {
    pp_buf text; /* one line each; what does not fit is only counted */
    unsigned errors, warnings, time_checks;
} pp_claim_issues;

void pp_claim_issues_init(pp_claim_issues *issues);
void pp_claim_issues_fini(pp_claim_issues *issues);
void pp_claim_error(pp_claim_issues *issues, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pp_claim_warning(pp_claim_issues *issues, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Expired, or not yet valid, at a moment in seconds since the Unix epoch? */
void pp_jwt_check_time(const pp_jwt *jwt, int64_t now_s, pp_claim_issues *issues);

/* --- parts that several have --------------------------------------------------------------- */

/* One direction. An allow list that is there and empty allows nothing, if there is a deny list. */
typedef struct pp_claim_rules {
    pp_claim_list allow, deny;
    bool allow_given;
} pp_claim_rules;

typedef struct pp_claim_permissions {
    pp_claim_rules publish, subscribe; /* subscribe: "subject" or "subject queue" */
    bool has_responses;
    int64_t responses_max, responses_ttl_ns;
} pp_claim_permissions;

void pp_claim_permissions_read(pp_claim_reader *reader, const struct json_t *object,
                               pp_claim_permissions *out);
void pp_claim_permissions_check(const pp_claim_permissions *permissions, pp_claim_issues *issues);
bool pp_claim_permissions_empty(const pp_claim_permissions *permissions);

/* Is anything wrong with a subject that a token names? */
void pp_claim_subject_check(pp_str subject, pp_claim_issues *issues);

typedef struct pp_claim_revocation {
    pp_str key; /* or "*" */
    int64_t before_s;
} pp_claim_revocation;

typedef struct pp_claim_revocations {
    const pp_claim_revocation *items;
    size_t count;
} pp_claim_revocations;

void pp_claim_revocations_read(pp_claim_reader *reader, const struct json_t *object,
                               const char *name, pp_claim_revocations *out);
/* Is what was issued then for that key revoked? A token that does not say when is. */
bool pp_claim_revoked(const pp_claim_revocations *revocations, pp_str key, int64_t issued_s);

/* --- user ---------------------------------------------------------------------------------- */

typedef struct pp_claim_day_time {
    pp_str start, end; /* HH:MM:SS */
} pp_claim_day_time;

/* What a user may do; of a token, or of the template of a scoped signing key. */
typedef struct pp_user_limits {
    pp_claim_permissions permissions;
    int64_t subs, data, payload; /* -1: no limit */
    pp_claim_list sources;       /* CIDR; none: from anywhere */
    const pp_claim_day_time *times;
    size_t time_count; /* 0: at any time */
    pp_str time_zone;  /* empty: the server's */
    bool bearer, proxy_required;
    pp_claim_list connection_types; /* none: all */
    bool given;                     /* anything of it is said at all */
} pp_user_limits;

void pp_user_limits_read(pp_claim_reader *reader, const struct json_t *object, int64_t absent,
                         pp_user_limits *out);
void pp_user_limits_check(const pp_user_limits *limits, pp_claim_issues *issues);

typedef struct pp_user_claims {
    const pp_jwt *jwt;
    pp_user_limits limits;
    pp_str issuer_account; /* empty: the issuer itself */
} pp_user_claims;

/* Errors, here and of the others: PIPIT_EINVAL, reason says why: of another type, or a claim has
 * the wrong one; PIPIT_ENOMEM. */
pipit_err pp_user_claims_read(pp_user_claims *out, pp_jwt *jwt, char reason[PP_JWT_REASON_BYTES]);
void pp_user_claims_check(const pp_user_claims *claims, int64_t now_s, pp_claim_issues *issues);
/* The account that it is a user of. */
pp_str pp_user_claims_account(const pp_user_claims *claims);

/* --- account ------------------------------------------------------------------------------- */

typedef struct pp_signing_key {
    pp_str key;
    bool scoped; /* whoever it signs has the template's limits and none of his own */
    pp_user_limits template;
    uint64_t hash; /* of the scope; two that differ have different ones. Never 0 where scoped */
} pp_signing_key;

typedef enum pp_claim_kind { PP_CLAIM_NO_KIND, PP_CLAIM_STREAM, PP_CLAIM_SERVICE } pp_claim_kind;
typedef enum pp_claim_response {
    PP_CLAIM_RESPONSE_SINGLETON,
    PP_CLAIM_RESPONSE_STREAM,
    PP_CLAIM_RESPONSE_CHUNKED,
} pp_claim_response;

typedef struct pp_claim_export {
    pp_str name, subject;
    pp_claim_kind kind;
    bool token_required, advertise, allow_trace;
    pp_claim_revocations revocations;
    bool response_given;
    pp_claim_response response;
    int64_t response_threshold_ns;
    bool has_latency;
    int64_t latency_sampling; /* percent; 0: what headers ask for */
    pp_str latency_results;
    int64_t account_token_position; /* from 1; 0: none */
} pp_claim_export;

typedef struct pp_claim_import {
    pp_str name, subject, account, token, to, local_subject;
    pp_claim_kind kind;
    bool share, allow_trace;
} pp_claim_import;

typedef struct pp_claim_destination {
    pp_str subject, cluster;
    int64_t weight; /* percent */
} pp_claim_destination;

typedef struct pp_claim_mapping {
    pp_str source;
    const pp_claim_destination *destinations;
    size_t destination_count;
} pp_claim_mapping;

/* Of JetStream. */
typedef struct pp_claim_storage {
    pp_str tier; /* empty: of the account */
    int64_t memory, disk, streams, consumers, max_ack_pending;
    int64_t memory_stream_max, disk_stream_max;
    bool max_bytes_required;
} pp_claim_storage;

typedef struct pp_account_claims {
    const pp_jwt *jwt;
    int64_t subs, data, payload, imports_max, exports_max, connections, leafs;
    bool wildcards, disallow_bearer;
    bool limits_given;
    pp_claim_storage storage;
    const pp_claim_storage *tiers; /* then storage says nothing */
    size_t tier_count;
    const pp_signing_key *keys;
    size_t key_count;
    pp_claim_revocations revocations;
    pp_claim_permissions default_permissions;
    const pp_claim_export *exports;
    size_t export_count;
    const pp_claim_import *imports;
    size_t import_count;
    const pp_claim_mapping *mappings;
    size_t mapping_count;
    pp_claim_list auth_users, allowed_accounts; /* of an external authorization */
    pp_str auth_xkey;
    bool has_trace;
    pp_str trace_dest;
    int64_t trace_sampling;
    pp_str cluster_traffic, description, info_url;
} pp_account_claims;

pipit_err pp_account_claims_read(pp_account_claims *out, pp_jwt *jwt,
                                 char reason[PP_JWT_REASON_BYTES]);
void pp_account_claims_check(const pp_account_claims *claims, int64_t now_s,
                             pp_claim_issues *issues);
/* A signing key of it; NULL: that is none. */
const pp_signing_key *pp_account_claims_key(const pp_account_claims *claims, pp_str key);

/* exports and imports; claims_share.c */
void pp_claim_shares_read(pp_claim_reader *reader, const struct json_t *object,
                          pp_account_claims *out);
void pp_claim_shares_check(const pp_account_claims *claims, pp_claim_issues *issues);

/* --- operator ------------------------------------------------------------------------------ */

typedef struct pp_operator_claims {
    const pp_jwt *jwt;
    pp_claim_list signing_keys, service_urls;
    pp_str account_server_url, system_account, assert_server_version;
    bool strict; /* accounts are issued by signing keys only */
} pp_operator_claims;

pipit_err pp_operator_claims_read(pp_operator_claims *out, pp_jwt *jwt,
                                  char reason[PP_JWT_REASON_BYTES]);
void pp_operator_claims_check(const pp_operator_claims *claims, int64_t now_s,
                              pp_claim_issues *issues);

/* --- activation ---------------------------------------------------------------------------- */

typedef struct pp_activation_claims {
    const pp_jwt *jwt; /* its subject may import */
    pp_str subject;    /* what */
    pp_claim_kind kind;
    pp_str issuer_account; /* empty: the issuer itself */
} pp_activation_claims;

pipit_err pp_activation_claims_read(pp_activation_claims *out, pp_jwt *jwt,
                                    char reason[PP_JWT_REASON_BYTES]);
/* But for the time. */
void pp_activation_claims_check(const pp_activation_claims *claims, pp_claim_issues *issues);

/**
 * Does token let importer have what import asks of exporter? out_expires_s is when that ends, 0:
 * never. exporter NULL: it is not known yet; then everything is checked that needs no knowledge of
 * it. Source: NATS authentication, section 4.6.
 *
 * Errors: PIPIT_EINVAL, reason says why; PIPIT_ENOMEM.
 */
pipit_err pp_activation_verify(pp_str token, pp_str importer, const pp_claim_import *import,
                               const pp_account_claims *exporter,
                               const pp_claim_revocations *revocations, int64_t now_s,
                               int64_t *out_expires_s, char reason[PP_JWT_REASON_BYTES]);

/* --- authorization ------------------------------------------------------------------------- */

/* What an external authority answers. */
typedef struct pp_authorization_claims {
    const pp_jwt *jwt;     /* its subject: the key that was made for the question */
    pp_str user, error;    /* one of both: a user's token, or why not */
    pp_str issuer_account; /* empty: the issuer itself */
} pp_authorization_claims;

pipit_err pp_authorization_claims_read(pp_authorization_claims *out, pp_jwt *jwt,
                                       char reason[PP_JWT_REASON_BYTES]);
void pp_authorization_claims_check(const pp_authorization_claims *claims, int64_t now_s,
                                   pp_claim_issues *issues);

/* --- generic ------------------------------------------------------------------------------- */

/* A request to delete accounts: the one use there is for tokens of no type. */
typedef struct pp_deletion_claims {
    const pp_jwt *jwt;
    pp_claim_list accounts;
} pp_deletion_claims;

pipit_err pp_deletion_claims_read(pp_deletion_claims *out, pp_jwt *jwt,
                                  char reason[PP_JWT_REASON_BYTES]);

#endif
