/* t2/message.h -- a message of the T2 Bus, as read from or written to a frame. Slices are borrowed.
 *
 * Source: t2_bus 0.1.0 with ciborium 0.2.2: each message is a map of "id" and "content". */
#ifndef PP_T2_MESSAGE_H
#define PP_T2_MESSAGE_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    PP_T2_LENGTH_BYTES = 4,           /* in front of a frame, the larger ones first */
    PP_T2_FRAME_MAX = 1 << 20,        /* bytes behind them */
    PP_T2_COMPRESSED_BEYOND = 5000,   /* bytes of data that senders compress */
    PP_T2_CLIENT_TIMEOUT_S = 5,       /* how long a client waits for an Ack */
    PP_T2_KEEP_ALIVE_INTERVAL_S = 30, /* how often a client says that it is there */
};

typedef enum pp_t2_kind {
    PP_T2_SUB,
    PP_T2_UNSUB,
    PP_T2_PUB,
    PP_T2_SRV,
    PP_T2_UNSRV,
    PP_T2_REQ,
    PP_T2_RSP,
    PP_T2_STOP,
    PP_T2_KEEP_ALIVE,
    PP_T2_ACK, /* servers only say this, PUB, REQ and RSP */
} pp_t2_kind;

/* Everything that can be wrong, in the order of the original. */
typedef enum pp_t2_error_code {
    PP_T2_NO_ERROR,
    PP_T2_INVALID_TOPIC_STRING, /* text */
    PP_T2_REQUEST_FAILED_CHANNEL_CLOSED,
    PP_T2_REQUEST_FAILED_TIMEOUT,
    PP_T2_REQUEST_FAILED, /* text */
    PP_T2_INVALID_REQUEST_ID,
    PP_T2_TOPIC_ALREADY_CLAIMED,
    PP_T2_CLAIM_WILDCARD_NOT_SUPPORTED,
    PP_T2_CHANNEL_CLOSED,
    PP_T2_SERVICE_NOT_FOUND,      /* text: the topic */
    PP_T2_DELIVERY_FAILED,        /* number, text */
    PP_T2_UNKNOWN_CLIENT,         /* number */
    PP_T2_MALFORMED_MESSAGE,      /* text, other */
    PP_T2_UNSERIALIZABLE_MESSAGE, /* text */
    PP_T2_IO_ERROR,               /* text */
    PP_T2_INTERNAL_ERROR,         /* text */
    PP_T2_TLS_CONFIG_ERROR,       /* text */
    PP_T2_DNS_LOOKUP_FAILED,
    PP_T2_CLIENT_TIMEOUT, /* number */
    PP_T2_ERROR_COUNT
} pp_t2_error_code;

/* What an error carries. */
typedef enum pp_t2_cargo {
    PP_T2_CARRIES_NOTHING,
    PP_T2_CARRIES_TEXT,
    PP_T2_CARRIES_NUMBER,
    PP_T2_CARRIES_NUMBER_AND_TEXT,
    PP_T2_CARRIES_TWO_TEXTS,
} pp_t2_cargo;

typedef struct pp_t2_error {
    pp_t2_error_code code;
    uint32_t number;
    pp_str text, other;
} pp_t2_error;

typedef struct pp_t2_error_form {
    pp_str name;
    pp_t2_cargo cargo;
} pp_t2_error_form;

/* By code; that of PP_T2_NO_ERROR is empty. */
extern const pp_t2_error_form pp_t2_error_forms[PP_T2_ERROR_COUNT];

/* Write what the original's clients print for an error, closed by NUL, cut to out_bytes. */
void pp_t2_error_text(const pp_t2_error *error, char *out, size_t out_bytes);

typedef struct pp_t2_payload {
    /* The data: as elements of an array (t2/data.h), or plain. */
    pp_str data;
    bool is_array;
    uint32_t count; /* of is_array: bytes that the elements stand for */
    bool is_compressed;
    pp_str wire; /* the whole payload as it stood in the frame, in the one form that is written;
                  * empty: it stood there otherwise */
} pp_t2_payload;

typedef struct pp_t2_message {
    uint32_t id;
    pp_t2_kind kind;
    pp_str topic; /* of all kinds up to PP_T2_REQ; UTF-8, but perhaps no topic */
    pp_t2_payload payload;
    uint32_t req_id; /* of RSP */
    bool timed_out;  /* its status */
    uint32_t msg_id; /* of ACK */
    pp_t2_error error;
    bool has_recipients;
    uint64_t recipients;
    /* The content as it stood in the frame, in the one form that is written; empty: it did not. */
    pp_str wire;
} pp_t2_message;

#endif
