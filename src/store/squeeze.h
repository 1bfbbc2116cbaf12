/* store/squeeze.h -- headers and payloads of messages, compressed with LZ4. Pure. */
#ifndef PP_STORE_SQUEEZE_H
#define PP_STORE_SQUEEZE_H

#include "base/buf.h"
#include "base/str.h"

/* Put headers and payload, compressed, into out, in place of what it holds. False: it is not worth
 * it, or there is no memory, and they are to be stored as they are. */
bool pp_squeeze(pp_str headers, pp_str payload, pp_buf *out);

/* The opposite: exactly raw_bytes go to out. Errors: PIPIT_EDAMAGED; PIPIT_ENOMEM. */
pipit_err pp_unsqueeze(pp_str squeezed, size_t raw_bytes, pp_buf *out);

#endif
