/* core/latency.h -- how long responses take, for exports that want it known.
 *
 * Whether a request is measured is decided when it crosses: by chance, or because its header says
 * that whoever follows traces follows this one. Source: accounts and subjects, section 5. */
#ifndef PP_CORE_LATENCY_H
#define PP_CORE_LATENCY_H

#include "core/export.h"
#include "core/message.h"

typedef struct pp_latency {
    struct pp_account *account; /* that exports the service, and is told */
    int64_t request_ns;         /* monotonic clock, as the following */
    int64_t response_ns;
    int64_t requester_rtt_ns, responder_rtt_ns;
    int status;
    const char *description;           /* NULL: none */
    const struct pp_client *responder; /* NULL: nobody has responded */
    uint32_t subject_len, requester_len, header_len;
    char texts[]; /* where to tell; JSON about who asks; JSON of the header, or nothing */
} pp_latency;

static inline pp_str pp_latency_subject(const pp_latency *latency)
{
    return (pp_str){latency->texts, latency->subject_len};
}

static inline pp_str pp_latency_requester(const pp_latency *latency)
{
    return (pp_str){latency->texts + latency->subject_len, latency->requester_len};
}

static inline pp_str pp_latency_header(const pp_latency *latency)
{
    return (pp_str){latency->texts + latency->subject_len + latency->requester_len,
                    latency->header_len};
}

/* Is a request with this header block measured? random: a fresh number. What its header says that
 * makes it so is appended to header_json as an object; nothing, if it is by chance. */
bool pp_latency_wanted(const pp_export *export, pp_str block, uint64_t random, pp_buf *header_json);

/* Begin. NULL: no memory. Freed by pp_free. */
pp_latency *pp_latency_new(const pp_export *export, pp_str requester, pp_str header_json);

#endif
