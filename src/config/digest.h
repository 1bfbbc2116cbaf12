/* config/digest.h -- one text that names what a document says, whatever it looks like. */
#ifndef PP_CONFIG_DIGEST_H
#define PP_CONFIG_DIGEST_H

#include "base/err.h"
#include "config/value.h"

enum { PP_DIGEST_TEXT_BYTES = sizeof("sha256:") + 64 };

/* Compute SHA-256 of the tree as compact JSON with sorted keys and a new line behind.
 *
 * Source: nats-server 2.15, which hashes what Go's encoding/json writes: '<', '>', '&', U+2028 and
 * U+2029 are escaped, and every byte that is no UTF-8 becomes U+FFFD.
 * Errors: PIPIT_ENOMEM. */
pipit_err pp_digest_compute(const pp_value *root, char out[PP_DIGEST_TEXT_BYTES]);

#endif
