/* server/monitor/records.h -- what is known of connections and subscriptions, copied out as plain
 * data so that it can be sorted and written while they go on.
 *
 * Records are of any length and lie packed in blocks, in the order in which they were added. */
#ifndef PP_SERVER_MONITOR_RECORDS_H
#define PP_SERVER_MONITOR_RECORDS_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/nats/session.h"

#include <stddef.h>
#include <stdint.h>

enum pp_record_text {
    PP_RECORD_NAME,
    PP_RECORD_LANG,
    PP_RECORD_VERSION,
    PP_RECORD_USER,
    PP_RECORD_ACCOUNT,
    PP_RECORD_PROXY,
    PP_RECORD_NAME_TAG, /* what the account is called */
    PP_RECORD_ISSUER,
    PP_RECORD_TAGS, /* each closed by NUL */
    PP_RECORD_TLS_VERSION,
    PP_RECORD_TLS_CIPHER,
    PP_RECORD_PEER_CERTS, /* the last; JSON, if it was asked for */
    PP_RECORD_TEXT_COUNT
};

/* Times are those of the monotonic clock. */
typedef struct pp_conn_record {
    uint32_t bytes; /* all of it, a multiple of 8 */
    uint32_t subs;
    uint64_t cid;
    int64_t start_ns, active_ns;
    int64_t stop_ns; /* 0: open */
    uint64_t in_msgs, in_bytes, out_msgs, out_bytes;
    uint64_t pending_bytes;
    uint64_t dropped; /* messages it missed for not keeping up */
    uint32_t rtt_us;  /* 0: not measured */
    uint32_t stalls;
    uint8_t address[16];
    uint16_t port;
    uint8_t family;   /* AF_ */
    uint8_t reason;   /* pp_close_reason */
    const char *type; /* how it came in; constant */
    bool tls_first;
    uint32_t text_len[PP_RECORD_TEXT_COUNT];
    uint32_t subs_bytes; /* of the pp_sub_records behind the texts */
    char texts[];
} pp_conn_record;

typedef struct pp_sub_record {
    uint32_t bytes; /* all of it, a multiple of 8 */
    uint32_t round; /* of the walk that found it; see gather.h */
    uint64_t cid;
    uint64_t msgs;
    uint64_t max; /* 0: no limit */
    uint32_t subject_len;
    uint16_t sid_len, queue_len;
    char texts[]; /* subject, sid, queue */
} pp_sub_record;

struct pp_records_block;

typedef struct pp_records {
    struct pp_records_block *first, *last;
    size_t count;
    size_t bytes; /* of all records */
    size_t bytes_max;
    pipit_err err; /* the first failure; records after it are missing */
} pp_records;

void pp_records_init(pp_records *records, size_t bytes_max);
void pp_records_fini(pp_records *records);

/* Room for one more, of that many bytes (rounded up to 8), its length filled in. NULL: see err. */
void *pp_records_add(pp_records *records, size_t bytes);
/* Take back the last one. */
void pp_records_take_back(pp_records *records, size_t bytes);

/* Pointers to all of them. NULL: no memory, or none. Owner: the array is the caller's. */
void **pp_records_list(const pp_records *records);

/* --- connections -------------------------------------------------------------------------- */

pp_str pp_conn_record_text(const pp_conn_record *record, enum pp_record_text which);

/* Texts that are each closed by NUL, as "tags"; nothing where there are none. */
void pp_tags_write(pp_json *json, pp_str tags);

/* Is conn a client's, and far enough to be shown? Thread: its loop, as the following. */
bool pp_conn_recorded(pp_conn *conn);
/* How long a record of one that is would be, without subscriptions; write it. room is that long. */
size_t pp_conn_record_bytes(pp_conn *conn);
void pp_conn_record_fill(pp_conn_record *record, pp_conn *conn);
/* Add the JSON of the peer's certificates to a record that has been filled; there is room. */
void pp_conn_record_add_peer_certs(pp_conn_record *record, pp_str json);

/* --- subscriptions ------------------------------------------------------------------------ */

pp_str pp_sub_record_subject(const pp_sub_record *record);
pp_str pp_sub_record_sid(const pp_sub_record *record);
pp_str pp_sub_record_queue(const pp_sub_record *record);

size_t pp_sub_record_bytes(const pp_sub *sub);
/* Thread: the loop of its session, while it is inserted. */
void pp_sub_record_fill(pp_sub_record *record, const pp_sub *sub, uint64_t cid);

#endif
