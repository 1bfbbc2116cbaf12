/* proto/nats/quote.h -- text from a peer, quoted as errors quote it. */
#ifndef PP_PROTO_NATS_QUOTE_H
#define PP_PROTO_NATS_QUOTE_H

#include "base/str.h"

enum { PP_NATS_QUOTE_MAX = 4 * 4096 + 3 };

/* Write text in double quotes, what is not printable escaped, cut where out ends; NUL-closed.
 * Source: NATS client protocol, section 16: Go's %q. */
void pp_nats_quote(pp_str text, char *out, size_t out_cap);

#endif
