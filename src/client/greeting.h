/* client/greeting.h -- what a server says about itself: the JSON of INFO. */
#ifndef PP_CLIENT_GREETING_H
#define PP_CLIENT_GREETING_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_GREETING_URLS_MAX = 64,
    PP_GREETING_URL_BYTES = 128,
    PP_GREETING_NONCE_BYTES = 128,
};

typedef struct pp_greeting {
    bool headers;
    bool auth_required;
    bool tls_required, tls_available;
    bool lame_duck;
    int64_t max_payload;
    char nonce[PP_GREETING_NONCE_BYTES]; /* empty: none */
    size_t url_count;                    /* longer ones, and more of them, are passed over */
    char urls[PP_GREETING_URLS_MAX][PP_GREETING_URL_BYTES];
} pp_greeting;

/* Read it. Unknown keys, and values of another kind than expected, are passed over.
 * Errors: PIPIT_EPROTO no JSON object; PIPIT_ENOMEM. */
pipit_err pp_greeting_parse(pp_str json, pp_greeting *out);

#endif
