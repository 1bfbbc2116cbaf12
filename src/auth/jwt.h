/* auth/jwt.h -- signed tokens: three parts of base64url, a JSON payload, an Ed25519 signature.
 *
 * Decoding proves one thing: whoever holds the key that the token names as its issuer has written
 * it, and that key is of a kind that may write such tokens. Whether the issuer is trusted, and
 * whether the claims make sense now, is asked elsewhere (auth/claims.h, auth/trust.h).
 *
 * A token is as long as its sender likes up to a limit, and what is made of it lives in the pp_jwt.
 * Source: NATS authentication, section 4.1, and the behaviour of nats-server 2.15. Where that reads
 * keys without regard to case and takes the last of two equal ones, here keys are read without
 * regard to case too, but two that say the same thing make the token unreadable. */
#ifndef PP_AUTH_JWT_H
#define PP_AUTH_JWT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_JWT_BYTES_MAX = 1024 * 1024,
    PP_JWT_REASON_BYTES = 192,
    PP_JWT_VERSION_MAX = 2,
};

typedef enum pp_jwt_type {
    PP_JWT_GENERIC, /* of a type that is none of these, or of none */
    PP_JWT_OPERATOR,
    PP_JWT_ACCOUNT,
    PP_JWT_USER,
    PP_JWT_ACTIVATION,
    PP_JWT_AUTHORIZATION_REQUEST,
    PP_JWT_AUTHORIZATION_RESPONSE,
} pp_jwt_type;

struct json_t;
struct pp_jwt_block;

typedef struct pp_claim_list {
    const pp_str *items;
    size_t count;
} pp_claim_list;

typedef struct pp_jwt {
    struct json_t *payload;      /* owns all texts */
    const struct json_t *nats;   /* in it: what is special to the type; NULL: there is none */
    struct pp_jwt_block *blocks; /* lists made of it */
    pp_jwt_type type;
    int version;
    pp_str issuer, subject, audience, id, name; /* empty where the token says nothing */
    int64_t issued_s, expires_s, not_before_s;  /* since the Unix epoch; 0: not said */
    pp_claim_list tags;                         /* as written */
} pp_jwt;

/**
 * Read a token and check that its issuer has signed it.
 *
 * Owner:  *out_jwt is the caller's, for pp_jwt_fini, also after a failure.
 * Errors: PIPIT_EINVAL, and reason is a phrase why; PIPIT_ENOMEM.
 */
pipit_err pp_jwt_decode(pp_jwt *out_jwt, pp_str token, char reason[PP_JWT_REASON_BYTES]);
void pp_jwt_fini(pp_jwt *jwt);

/* Does a text begin like one? What comes after that is not looked at. */
bool pp_jwt_looks_like(pp_str text);

/* --- reading claims ------------------------------------------------------------------------ */

/* Reads members of objects of one token. The first that has a wrong type, or finds no memory, makes
 * all that follow be read as absent; it is asked for once, at the end. null is absent. */
typedef struct pp_claim_reader {
    pp_jwt *jwt;
    pipit_err err;     /* PIPIT_EINVAL, PIPIT_ENOMEM */
    const char *wrong; /* the member's name */
} pp_claim_reader;

const struct json_t *pp_claim_find(pp_claim_reader *reader, const struct json_t *object,
                                   const char *name);
pp_str pp_claim_text(pp_claim_reader *reader, const struct json_t *object, const char *name);
int64_t pp_claim_int(pp_claim_reader *reader, const struct json_t *object, const char *name,
                     int64_t absent);
bool pp_claim_bool(pp_claim_reader *reader, const struct json_t *object, const char *name);
const struct json_t *pp_claim_object(pp_claim_reader *reader, const struct json_t *object,
                                     const char *name);
const struct json_t *pp_claim_array(pp_claim_reader *reader, const struct json_t *object,
                                    const char *name);
/* Texts of an array. out_given: it is there, if only empty; may be NULL. */
pp_claim_list pp_claim_texts(pp_claim_reader *reader, const struct json_t *object, const char *name,
                             bool *out_given);
/* A value is not what it should be. */
void pp_claim_fail(pp_claim_reader *reader, const char *name);
/* Zeroed memory that lives as long as the token. NULL: none, and the reader has failed. */
void *pp_claim_alloc(pp_claim_reader *reader, size_t count, size_t bytes);

/* Zeroed memory that lives as long as the token, for who reads nothing. NULL: there is none. */
void *pp_jwt_alloc(pp_jwt *jwt, size_t count, size_t bytes);

#endif
