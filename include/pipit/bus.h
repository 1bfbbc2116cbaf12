/* pipit/bus.h -- a client of the T2 Bus, of pipit's or of the original server's.
 *
 * Topics are fragments of a-z, 0-9 and _ with slashes between them; a fragment may be * (any one)
 * or ** (any number), when subscribing as well as when publishing. Payloads are bytes here;
 * programs written for the original expect the CBOR of their type.
 *
 * A bus has no threads of its own. What it hears is handed to callbacks by pipit_bus_process, which
 * also says now and then that the client is still there: call it every 30 seconds at least, or when
 * pipit_bus_fd is readable. Calls that want an answer wait for it, and keep what comes meanwhile.
 * A server that cannot be reached any more is PIPIT_ECLOSED from then on; connect again.
 *
 * Thread: one at a time for each bus. */
#ifndef PIPIT_BUS_H
#define PIPIT_BUS_H

#include "pipit/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pipit_bus pipit_bus;
typedef struct pipit_bus_subscription pipit_bus_subscription;

/* What has been heard, valid for the call. */
typedef struct pipit_bus_msg {
    const char *topic; /* as published; closed by NUL */
    const void *payload;
    size_t payload_bytes;
    uint32_t request_id; /* of a request: for pipit_bus_respond */
} pipit_bus_msg;

/* May publish, subscribe, respond and so on, and end any subscription; must not close the bus. */
typedef void (*pipit_bus_msg_fn)(void *context, pipit_bus *bus, const pipit_bus_msg *msg);

struct pipit_server;

/* How to connect. Set everything to zero first: that is the default for each. Texts are only read
 * while connecting. */
typedef struct pipit_bus_options {
    size_t struct_bytes;         /* sizeof(pipit_bus_options) */
    struct pipit_server *server; /* for memory: */
    const char *tls_ca_file;     /* NULL: the system's */
    const char *tls_cert_file;   /* the client's own certificate, which servers ask for, with */
    const char *tls_key_file;    /* its key */
    const char *tls_name;        /* that the server's certificate must bear; NULL: its host name */
    bool tls_insecure;           /* take any certificate: for tests */
} pipit_bus_options;

/**
 * Connect to "unix:PATH", "tcp:HOST:PORT", "tls:HOST:PORT" or, with options.server, "memory:".
 *
 * options may be NULL.
 *
 * Errors: PIPIT_EINVAL no such address, a certificate without its key, files that cannot be used;
 *         PIPIT_EAUTH the server's certificate is not to be trusted; PIPIT_ECLOSED nobody is there,
 *         or he does not want this client; PIPIT_ETIMEOUT nobody answers within 5 seconds;
 *         PIPIT_ELIMIT no descriptors; PIPIT_ENOMEM; of memory: as pipit_bus_connect_memory.
 */
PIPIT_API pipit_err pipit_bus_connect_with(pipit_bus **out_bus, const char *address,
                                           const pipit_bus_options *options);

/** The same without options. */
PIPIT_API pipit_err pipit_bus_connect(pipit_bus **out_bus, const char *address);

/**
 * Connect to the bus of a server in this process, which need not be listened on: it is there if its
 * options name any address, of which "memory:" is one (--t2=memory:).
 *
 * Owner:  the bus is to be closed before the server is freed.
 * Thread: any but callbacks of the server.
 * Errors: PIPIT_ENOTFOUND the server has no bus; PIPIT_ECLOSED it does not run; PIPIT_ELIMIT no
 *         descriptors; PIPIT_ENOMEM.
 */
PIPIT_API pipit_err pipit_bus_connect_memory(pipit_bus **out_bus, struct pipit_server *server);

/** Disconnect and free, with all subscriptions. NULL is fine. */
PIPIT_API void pipit_bus_close(pipit_bus *bus);

/** A descriptor that polls readable when there may be something to process. */
PIPIT_API int pipit_bus_fd(const pipit_bus *bus);

/** What went wrong last, in the words of the original's clients. Valid until the next call. */
PIPIT_API const char *pipit_bus_error(const pipit_bus *bus);

/**
 * Call callbacks with what has been heard; wait up to timeout_ms for something, -1: without end.
 *
 * Errors: PIPIT_ETIMEOUT there was nothing; PIPIT_ECLOSED; PIPIT_EPROTO; PIPIT_ENOMEM.
 */
PIPIT_API pipit_err pipit_bus_process(pipit_bus *bus, int timeout_ms);

/**
 * Publish. Payloads of more than 5000 bytes are compressed on the way.
 *
 * Units:  *out_recipients, clients that the server has sent it to; may be NULL.
 * Errors: PIPIT_EINVAL no topic; PIPIT_ETOOBIG over what a frame can hold, 1 MiB; PIPIT_ETIMEOUT no
 *         answer within 5 seconds; PIPIT_EDENIED the server would not; PIPIT_ECLOSED; PIPIT_EPROTO;
 *         PIPIT_ENOMEM. Those of the following calls are the same, and what they say.
 */
PIPIT_API pipit_err pipit_bus_publish(pipit_bus *bus, const char *topic, const void *payload,
                                      size_t payload_bytes, uint64_t *out_recipients);

/** Have callback called with what is published under topic, from now on. */
PIPIT_API pipit_err pipit_bus_subscribe(pipit_bus *bus, const char *topic,
                                        pipit_bus_msg_fn callback, void *context,
                                        pipit_bus_subscription **out_subscription);

/** Have callback called with requests on topic, which has no wildcards and which nobody else
 * serves. Errors: also PIPIT_EINUSE somebody does. */
PIPIT_API pipit_err pipit_bus_serve(pipit_bus *bus, const char *topic, pipit_bus_msg_fn callback,
                                    void *context, pipit_bus_subscription **out_subscription);

/** End either of the two; its callback is not called any more. NULL is fine. */
PIPIT_API void pipit_bus_end(pipit_bus_subscription *subscription);

/**
 * Ask who serves topic, and wait for the answer.
 *
 * Owner:  *out_payload is the caller's, for pipit_bus_free.
 * Errors: also PIPIT_ENOTFOUND nobody serves it; PIPIT_ETIMEOUT it was not answered, which the
 * server tells after 30 seconds.
 */
PIPIT_API pipit_err pipit_bus_request(pipit_bus *bus, const char *topic, const void *payload,
                                      size_t payload_bytes, void **out_payload,
                                      size_t *out_payload_bytes);
PIPIT_API void pipit_bus_free(void *payload);

/** Answer a request, now or later. Errors: also PIPIT_ENOTFOUND nobody waits for it any more. */
PIPIT_API pipit_err pipit_bus_respond(pipit_bus *bus, uint32_t request_id, const void *payload,
                                      size_t payload_bytes);

/** Ask the server to end. Errors: also PIPIT_EDENIED. */
PIPIT_API pipit_err pipit_bus_stop_server(pipit_bus *bus);

#ifdef __cplusplus
}
#endif
#endif
