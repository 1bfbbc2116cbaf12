/* config/reader.h -- from the tree of a document to options, by the table of keys.
 *
 * Every mistake is noted and reading goes on, so that one run shows all of them. Running out of
 * memory is kept in err instead, and nothing is read from then on. Values of secret keys never
 * reach the diagnostics. */
#ifndef PP_CONFIG_READER_H
#define PP_CONFIG_READER_H

#include "config/diagnostics.h"
#include "config/key.h"
#include "config/options.h"
#include "config/secret.h"

typedef struct pp_reader {
    pp_options *options;
    pp_diagnostics *diagnostics;
    pp_arena *arena; /* of the options: where what is read goes now */
    pipit_err err;   /* PIPIT_ENOMEM or PIPIT_ETOOBIG: the options are not to be used */

    /* Gathered while reading, put into options by pp_reader_finish. */
    pp_account_options global;           /* $G */
    pp_account_options *accounts;        /* the first is left for $G; NULL: none have been read */
    size_t account_count;                /* without it */
    pp_config_position authorization_at; /* line 0: there is none */

    bool queues; /* the rules that are being read may name queue groups */

    const char *file; /* of the document, and its copy in the options */
    const char *file_copy;
} pp_reader;

void pp_reader_init(pp_reader *reader, pp_options *options, pp_diagnostics *diagnostics);

/* Read all entries of map into base, the structure of block's keys. */
void pp_reader_map(pp_reader *reader, const pp_key_block *block, const pp_value *map, void *base);

/* Read one value as the type of its key says. */
void pp_reader_scalar(pp_reader *reader, const pp_key *key, const pp_value *value, void *base);

/* accounts.c: make room for $G and count accounts. False: there is no memory, and err is set. */
bool pp_reader_make_accounts(pp_reader *reader, size_t count);

/* users.c: bring accounts and users together and look for names that are taken twice. */
void pp_reader_finish(pp_reader *reader);

/* callout.c: look at what can be said only when all accounts are known. */
void pp_reader_check_callout(pp_reader *reader);

/* Take memory that the options own, cleared; NULL when there is none, and then err is set. */
void *pp_reader_take(pp_reader *reader, size_t count, size_t bytes);
/* Copy a text to there; NULL for an empty one. One that holds NUL is refused and NULL, too. */
const char *pp_reader_text(pp_reader *reader, const pp_value *value);
pp_option_position pp_reader_position(pp_reader *reader, pp_config_position at);

/* address.c: a port, or host:port where the host may be left out. False: it is refused. */
bool pp_reader_address(pp_reader *reader, const pp_key *key, const pp_value *value,
                       pp_str *out_host, int32_t *out_port);
/* address.c: the same for a listener; host stays as it was if it is left out. */
void pp_reader_listen(pp_reader *reader, const pp_key *key, const pp_value *value,
                      const char **host, int32_t *port);
/* address.c: the host of a listener; an empty one stands for what is there. */
void pp_reader_host(pp_reader *reader, const pp_key *key, const pp_value *value, const char **host);
/* address.c: "host" or "host:port" that others are told. False: it is refused, or empty. */
bool pp_reader_advertised(pp_reader *reader, const pp_key *key, const pp_value *value,
                          const char **out_host, uint16_t *out_port);
/* Copy a text, empty or not, to there; NULL: no memory. */
const char *pp_reader_copy(pp_reader *reader, pp_str text);

/* Note that value is not of the kind that its key takes: wanted is "a string", "an array" ... */
void pp_reader_wrong_kind(pp_reader *reader, const pp_key *key, const pp_value *value,
                          const char *wanted);
/* Note anything else about it: `"key" <text>`. */
void pp_reader_refuse(pp_reader *reader, const pp_key *key, const pp_value *value,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
/* ", not <value>" for such a text. Nothing for what came through a variable: it may be a secret
 * that stands here by mistake, or that is used elsewhere, too. */
typedef struct pp_reader_shown {
    char text[128];
} pp_reader_shown;
pp_reader_shown pp_reader_show(const pp_value *value);
/* The same for a message that begins with the text. */
const char *pp_reader_show_text(const pp_value *value);
/* One string or several; *out_items point at value or at its items. False: it is refused. */
bool pp_reader_strings(pp_reader *reader, const pp_key *key, const pp_value *value,
                       const pp_value *const **out_items, size_t *out_count);

/* The functions of the table, as pp_key_read_fn: reader.c, address.c, */
void pp_read_block(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_trace(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tags(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_metadata(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_feature_flags(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_advertise(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_listen(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_host(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_http(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_unix(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_https(pp_reader *, const pp_key *, const pp_value *, void *);
/* websocket.c, */
void pp_read_websocket(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_websocket_listen(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_websocket_host(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_websocket_advertise(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_origins(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_websocket_headers(pp_reader *, const pp_key *, const pp_value *, void *);
/* t2.c, */
void pp_read_t2(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_t2_listen(pp_reader *, const pp_key *, const pp_value *, void *);
/* message_broker.c, */
void pp_read_message_broker(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_message_broker_listen(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_message_broker_host(pp_reader *, const pp_key *, const pp_value *, void *);
/* fanout.c, */
void pp_read_fanout(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_fanout_listen(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_fanout_host(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_fanout_allow(pp_reader *, const pp_key *, const pp_value *, void *);
/* tls.c, */
void pp_read_tls(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_resolver_tls(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tls_pairs(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tls_first(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tls_version(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tls_ciphers(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tls_curves(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_tls_pinned(pp_reader *, const pp_key *, const pp_value *, void *);
/* users.c, */
void pp_read_authorization(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_uid(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_gid(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_callout(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_callout_users(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_callout_accounts(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_trusted_proxies(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_ocsp(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_ocsp_mode(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_ocsp_peer(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_ocsp_cache(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_ocsp_cache_type(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_ocsp_urls(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_account_nkey(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_users(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_default_permissions(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_connection_types(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_user_slow_consumer(pp_reader *, const pp_key *, const pp_value *, void *);
/* permissions.c, */
void pp_read_permissions(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_rules(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_responses(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_allow(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_deny(pp_reader *, const pp_key *, const pp_value *, void *);
/* exchange.c, */
void pp_read_exports(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_export_kind(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_export_accounts(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_response_type(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_response_threshold(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_export_trace(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_latency(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_latency_subject(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_latency_sampling(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_imports(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_import_kind(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_import_subject(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_import_trace(pp_reader *, const pp_key *, const pp_value *, void *);
/* accounts.c. */
void pp_read_accounts(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_mappings(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_msg_trace(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_trace_dest(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_percent(pp_reader *, const pp_key *, const pp_value *, void *);
/* operators.c. */
void pp_read_operators(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_trusted_keys(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_resolver(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_resolver_type(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_preload(pp_reader *, const pp_key *, const pp_value *, void *);
void pp_read_pinned_accounts(pp_reader *, const pp_key *, const pp_value *, void *);

#endif
