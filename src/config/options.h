/* config/options.h -- everything a server is asked to be: defaults, file and flags in one
 * structure.
 *
 * Plain data. All texts and lists live in arenas that belong to the options: nothing in here is
 * freed alone, a value that is replaced stays until the whole goes, and all of it is wiped then,
 * since some of it is secret. Once built it does not change, so it may be read from any thread. */
#ifndef PP_CONFIG_OPTIONS_H
#define PP_CONFIG_OPTIONS_H

#include "base/err.h"
#include "base/str.h"
#include "config/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the program is to do. */
enum pp_options_action {
    PP_OPTIONS_RUN,
    PP_OPTIONS_TEST, /* -t: say whether all of this is right */
    PP_OPTIONS_HELP, /* these: print what was written for it */
    PP_OPTIONS_HELP_TLS,
    PP_OPTIONS_VERSION,
    PP_OPTIONS_REFERENCE, /* --help-config */
    PP_OPTIONS_REFERENCE_MARKDOWN,
};

enum pp_log_format { PP_LOG_TEXT, PP_LOG_JSON };

/* What becomes of a recipient that does not keep up. */
enum pp_slow_consumer {
    PP_SLOW_CONSUMER_DISCONNECT,
    PP_SLOW_CONSUMER_DROP_NEW,
    PP_SLOW_CONSUMER_DROP_OLD,
    PP_SLOW_CONSUMER_CONFLATE,
    PP_SLOW_CONSUMER_INHERIT, /* of a user: as the server says */
};

/* What a write that passes its deadline means. Source: NATS configuration, write_timeout. */
/* Who is shown the page of monitoring. */
enum pp_http_ui { PP_HTTP_UI_NONE, PP_HTTP_UI_LOCAL, PP_HTTP_UI_ALL };

enum pp_write_timeout { PP_WRITE_TIMEOUT_DEFAULT, PP_WRITE_TIMEOUT_CLOSE, PP_WRITE_TIMEOUT_RETRY };

/* The kinds of connection that a user may come by; a set of them. */
enum {
    PP_CONNECTION_STANDARD = 1 << 0,
    PP_CONNECTION_WEBSOCKET = 1 << 1,
    PP_CONNECTION_LEAFNODE = 1 << 2,
    PP_CONNECTION_LEAFNODE_WS = 1 << 3,
    PP_CONNECTION_MQTT = 1 << 4,
    PP_CONNECTION_MQTT_WS = 1 << 5,
    PP_CONNECTION_IN_PROCESS = 1 << 6,
    PP_CONNECTION_ANY = (1 << 7) - 1,
};

#define PP_DEFAULT_HOST "0.0.0.0"
#define PP_DEFAULT_PORT 4222

/* Of messages that ask to be traced, where nothing is said: percent. */
enum { PP_TRACE_SAMPLING_USUAL = 100 };

/* Of sizes: there is no limit at all. */
#define PP_OPTION_NO_LIMIT UINT64_MAX

/* Where something was said. file is NULL for what no file said. */
typedef struct pp_option_position {
    const char *file;
    uint32_t line, column;
} pp_option_position;

typedef struct pp_rule_option {
    pp_str subject; /* valid, may hold wildcards; closed by NUL */
    pp_str queue;   /* subscribing only; empty: none named */
} pp_rule_option;

/* One direction of permissions. */
typedef struct pp_rules_option {
    bool has_allow; /* false: everything is allowed; true and no rule: nothing */
    const pp_rule_option *allow;
    size_t allow_count;
    const pp_rule_option *deny;
    size_t deny_count;
} pp_rules_option;

/* Publishing where a message that was heard is to be answered. */
typedef struct pp_responses_option {
    bool allowed;
    int32_t max;    /* for each message; 0: the default; negative: no limit */
    int64_t ttl_ns; /* the same */
} pp_responses_option;

typedef struct pp_permission_options {
    pp_rules_option publish;
    pp_rules_option subscribe;
    pp_responses_option responses;
} pp_permission_options;

typedef struct pp_user_options {
    const char *name;                         /* no other user has it; "": it has an nkey */
    const char *nkey;                         /* public key, no other user's; NULL: none */
    const char *password;                     /* secret, or a bcrypt hash of one; never NULL */
    const pp_permission_options *permissions; /* its own, or the defaults of its account; or NULL */
    uint16_t connection_types;                /* a set; PP_CONNECTION_ANY where none is named */
    uint16_t slow_consumer;                   /* enum pp_slow_consumer */
    bool proxy_required;
    int64_t uid, gid; /* of who is this user on the Unix socket; -1: not said */
    pp_option_position at;
} pp_user_options;

typedef struct pp_proxy_option {
    const char *key;
} pp_proxy_option;

typedef struct pp_destination_option {
    const char *subject; /* may hold mapping functions */
    uint32_t weight;     /* percent */
    const char *cluster; /* NULL: any */
} pp_destination_option;

typedef struct pp_mapping_option {
    const char *source;
    const pp_destination_option *destinations;
    size_t destination_count;
    pp_option_position at;
} pp_mapping_option;

/* What a request to a service is answered by. */
enum pp_response_type {
    PP_RESPONSE_SINGLETON,
    PP_RESPONSE_STREAM,  /* as many messages as come; an empty one ends them */
    PP_RESPONSE_CHUNKED, /* the same: one answer in pieces */
};

/* What other accounts may import. */
typedef struct pp_export_option {
    const char *subject; /* valid, may hold wildcards */
    bool is_service;     /* else a stream */
    bool is_private;     /* only accounts may */
    const char *const *accounts;
    size_t account_count;
    uint32_t account_token_position; /* token that must be the importer's name, from 1; 0: none */
    bool token_required;             /* of claims: only who shows an activation may */
    /* Of services. */
    enum pp_response_type response_type;
    int64_t response_threshold_ns; /* 0: as the server has it */
    const char *latency_subject;   /* NULL: not tracked */
    uint32_t latency_sampling;     /* percent; 0: only where headers ask */
    bool allow_trace;
    pp_option_position at;
} pp_export_option;

typedef struct pp_import_option {
    const char *account; /* that exports */
    const char *subject; /* there */
    bool is_service;     /* else a stream */
    const char *local;   /* here; may use the wildcards of subject. NULL: the same */
    const char *prefix;  /* of streams: what stands before subject here; NULL: nothing */
    bool share;          /* of services: who asks is told there */
    bool allow_trace;    /* of streams */
    bool activated;      /* of claims: an activation that was checked has been shown */
    bool inactive;       /* of claims: nothing passes, its activation does not hold */
    pp_option_position at;
} pp_import_option;

typedef struct pp_account_options {
    const char *name;
    const pp_user_options *users;
    size_t user_count;
    const pp_permission_options *default_permissions; /* NULL: none */
    const pp_mapping_option *mappings;                /* in the order of the file */
    size_t mapping_count;
    const pp_export_option *exports;
    size_t export_count;
    const pp_import_option *imports;
    size_t import_count;
    int32_t max_connections; /* these three: -1, no limit */
    int32_t max_subscriptions;
    int64_t max_payload_bytes;
    const char *trace_dest;  /* NULL: messages are not traced */
    uint32_t trace_sampling; /* percent */
    /* Of claims: what people are told. NULL: nothing. */
    const char *title;
    const char *issuer;
    const char *const *tags;
    size_t tag_count;
    pp_option_position at;
} pp_account_options;

typedef struct pp_tls_pair_option {
    const char *cert_file;
    const char *key_file;
} pp_tls_pair_option;

enum { PP_TLS_FIRST_OFF = 0, PP_TLS_FIRST_ON = -1 };

/* Whether those who have signed a client's certificates are asked about them. */
typedef struct pp_ocsp_peer_options {
    bool verify;
    int64_t ca_timeout_ns; /* for each who is asked */
    int64_t skew_ns;       /* how far clocks may be apart */
    bool warn_only;
    bool unknown_is_good;
    bool unreachable_is_good;
    int64_t ttl_ns; /* how long an answer without an end holds */
} pp_ocsp_peer_options;

/* TLS of a listener. */
typedef struct pp_tls_options {
    bool given; /* there is a block, or a flag that asks for it */
    const char *cert_file, *key_file, *ca_file;
    const pp_tls_pair_option *pairs; /* instead of the first two */
    size_t pair_count;
    bool verify; /* also if verify_and_map */
    bool verify_and_map;
    int64_t timeout_ns;
    int64_t first_ns;     /* how long to wait for TLS before INFO; PP_TLS_FIRST_OFF, _ON */
    uint32_t min_version; /* 12 or 13 */
    const char *const *ciphers;
    size_t cipher_count;
    bool insecure_ciphers;
    const char *const *curves;
    size_t curve_count;
    const char *const *pinned; /* SHA-256 of public keys, in hex */
    size_t pinned_count;
    pp_ocsp_peer_options ocsp_peer;
    bool ktls;                      /* the kernel may encrypt */
    uint32_t connection_rate_limit; /* handshakes per second; 0: any */
    pp_option_position at;
} pp_tls_options;

/* What an empty block means. */
pp_tls_options pp_tls_options_none(void);

/* Which certificates of ours are shown with what their authority says of them. */
enum pp_ocsp_mode { PP_OCSP_AUTO, PP_OCSP_ALWAYS, PP_OCSP_MUST, PP_OCSP_NEVER };
const char *pp_ocsp_mode_text(enum pp_ocsp_mode mode);

/* What has been said of clients' certificates is kept. */
enum pp_ocsp_cache { PP_OCSP_CACHE_LOCAL, PP_OCSP_CACHE_NONE };
const char *pp_ocsp_cache_text(enum pp_ocsp_cache cache);

typedef struct pp_ocsp_cache_options {
    enum pp_ocsp_cache type;
    const char *local_store; /* directory */
    bool preserve_revoked;
    int64_t save_interval_ns;
} pp_ocsp_cache_options;

typedef struct pp_pair_option {
    const char *key;
    const char *value;
} pp_pair_option;

/* The service that decides who may come in. */
typedef struct pp_callout_options {
    bool configured;
    const char *issuer;            /* public key of who signs its answers */
    const char *account;           /* where it is asked */
    const char *xkey;              /* public curve key that it is asked under; NULL: openly */
    const char *const *auth_users; /* names and keys: of the service itself */
    size_t auth_user_count;
    const char *const *allowed_accounts; /* whose users it decides on; none: all */
    size_t allowed_account_count;
    pp_option_position at;
} pp_callout_options;

/* Where the tokens of accounts come from. */
enum pp_resolver_kind {
    PP_RESOLVER_NONE,
    PP_RESOLVER_MEM,   /* the configuration */
    PP_RESOLVER_FULL,  /* a folder that has them all */
    PP_RESOLVER_CACHE, /* a folder that has some */
    PP_RESOLVER_URL,
};

typedef struct pp_websocket_options {
    const char *host; /* never NULL */
    int32_t port;     /* 0: none; -1: any that is free */
    const char *advertise_host;
    uint16_t advertise_port; /* 0: the port that is listened on */
    bool no_tls;
    pp_tls_options tls;
    bool same_origin;
    const char *const *origins; /* each is one */
    size_t origin_count;
    bool compression;
    int64_t handshake_timeout_ns; /* 0: not said */
    int64_t ping_interval_ns;     /* 0: the server's */
    const pp_pair_option *headers;
    size_t header_count;
    /* Who may come in there, instead of what the server says. */
    const char *user;
    const char *pass;        /* secret */
    const char *token;       /* secret */
    int64_t auth_timeout_ns; /* 0: the server's */
    const char *no_auth_user;
    /* Names of cookies. */
    const char *jwt_cookie, *user_cookie, *pass_cookie, *token_cookie;
    pp_option_position at;
} pp_websocket_options;

/* How a T2 Bus is reached. */
enum pp_t2_transport { PP_T2_TCP, PP_T2_UNIX, PP_T2_TLS, PP_T2_MEMORY };

typedef struct pp_t2_listen_option {
    enum pp_t2_transport by;
    const char *where; /* host, or path */
    int32_t port;      /* -1: any that is free */
} pp_t2_listen_option;

typedef struct pp_t2_options {
    const pp_t2_listen_option *listens; /* none: there is no bus */
    size_t listen_count;
    uint32_t unix_mode;
    const char *account; /* never NULL */
    pp_tls_options tls;
    uint64_t max_frame_bytes;
    uint32_t max_clients;
    uint32_t max_subscriptions; /* of one client */
    uint32_t max_requests;      /* of one client */
    int64_t keep_alive_ns;
    int64_t request_timeout_ns;
    bool allow_stop;
    pp_option_position at;
} pp_t2_options;

#define PP_FANOUT_DEFAULT_PORT 1986
#define PP_ALL_ADDRESSES "*" /* a host of a door */

/* The door for fanout clients. */
typedef struct pp_fanout_options {
    const char *host; /* never NULL; PP_ALL_ADDRESSES: IPv4 and IPv6 */
    int32_t port;     /* 0: none; -1: any that is free */
    pp_tls_options tls;
    const char *const *allow; /* ranges of addresses, valid; none: from anywhere */
    size_t allow_count;
    const char *account;   /* that its clients are in; NULL: $G, or user's */
    const char *user;      /* that they are; NULL: whoever may do anything in the account */
    uint32_t client_limit; /* 0: what descriptors allow */
    uint64_t max_line_bytes;
    uint64_t max_queue_bytes;
    uint32_t max_queue_lines;
    uint32_t max_channel_name; /* bytes */
    uint32_t max_channels;     /* of one client */
    uint32_t max_all_channels;
    bool crlf;
    int64_t idle_timeout_ns; /* 0: none */
} pp_fanout_options;

#define PP_MESSAGE_BROKER_DEFAULT_PORT 3000
#define PP_DEFAULT_OCSP_STORE "_rc_"      /* where the server was started */
#define PP_DEFAULT_STORE_DIR "pipit-data" /* where the server was started */

enum pp_message_broker_store { PP_MESSAGE_BROKER_FILE, PP_MESSAGE_BROKER_MEMORY };

/* The door for clients of the message broker. */
typedef struct pp_message_broker_options {
    const char *host;    /* never NULL; PP_ALL_ADDRESSES: IPv4 and IPv6 */
    int32_t port;        /* 0: none; -1: any that is free */
    const char *account; /* never NULL */
    enum pp_message_broker_store store;
    const char *store_dir;    /* never NULL */
    int64_t sync_interval_ns; /* 0: before anything is delivered */
    bool compression;
    const char *key;      /* of encryption, as text; NULL: none */
    const char *key_file; /* NULL: none */
    int64_t ack_timeout_ns;
    int64_t ack_delay_ns;
    uint32_t max_deliver;
    uint32_t max_topics;
    uint64_t max_bytes;    /* of one topic; 0: what its store has by default */
    uint64_t max_messages; /* of one topic; 0: no limit */
    int64_t max_age_ns;    /* 0: none */
    uint64_t max_waiting_bytes;
    uint32_t max_clients;
    uint32_t max_subscriptions; /* of one client */
    uint32_t max_outstanding;   /* of one subscription */
    int64_t frame_timeout_ns;
    int64_t scrub_interval_ns; /* 0: never */
    uint64_t scrub_rate;       /* bytes a second */
} pp_message_broker_options;

typedef struct pp_options {
    pp_arena arena;         /* owns what the rest points to */
    pp_arena account_arena; /* owns accounts, which may be many, and what is said of them */
    pp_arena user_arena;    /* owns users, who may be very many, and what is said of them */
    enum pp_options_action action;

    const char *signal; /* what to tell another server instead of being one; NULL: be one */
    bool health_check;  /* ask a server instead of being one */

    /* Where the server listens and what it calls itself. */
    const char *host; /* never NULL */
    bool host_given;  /* by file or flag */
    int32_t port;     /* -1: any that is free */
    bool no_listen;   /* NATS clients do not come in by TCP */
    const char *client_advertise_host;
    uint16_t client_advertise_port; /* 0: the port that is listened on */
    const char *unix_path;
    uint32_t unix_mode;
    bool proxy_protocol;
    const char *server_name;
    const char *const *server_tags; /* lower case, no two alike */
    size_t server_tag_count;
    const pp_pair_option *server_metadata;
    size_t server_metadata_count;
    uint32_t threads; /* 0: chosen by the server */

    /* Files, and what is written to them. */
    const char *config_file;   /* NULL: none */
    const char *config_digest; /* "sha256:...", NULL without file */
    const char *pid_file;
    const char *ports_file_dir;

    const char *log_file;          /* NULL: stderr */
    uint64_t log_size_limit_bytes; /* 0: none */
    uint32_t log_max_num;          /* 0: keep all */
    enum pp_log_format log_format;
    bool logtime;
    bool logtime_utc;
    bool syslog;
    const char *remote_syslog; /* URL; NULL: the local one */
    bool debug;
    bool trace;
    bool trace_verbose;
    bool trace_headers;
    uint32_t max_traced_msg_len; /* 0: no limit */

    /* Monitoring. */
    const char *http_host;      /* NULL: as host, if that was given, else loopback */
    int32_t http_port;          /* 0: none; -1: any that is free */
    int32_t https_port;         /* the same, over TLS */
    const char *http_base_path; /* begins with '/'; "/" alone for none */
    const char *http_user;      /* NULL: nobody is asked */
    const char *http_password;  /* secret */
    enum pp_http_ui http_ui;
    uint32_t max_closed_clients;

    /* TLS of clients, and of monitoring over HTTPS. */
    pp_tls_options tls;
    bool allow_non_tls;

    /* Who may come in. */
    const char *user;
    const char *pass;         /* secret */
    const char *auth_token;   /* secret */
    bool auth_proxy_required; /* of the above and of nobody in particular */
    enum pp_ocsp_mode ocsp_mode;
    const char *const *ocsp_urls; /* whom to ask instead of those that certificates name */
    size_t ocsp_url_count;
    pp_ocsp_cache_options ocsp_cache;
    const char *const *trusted_proxies; /* public keys */
    size_t trusted_proxy_count;
    int64_t auth_timeout_ns;
    const pp_account_options *accounts; /* the first is $G */
    size_t account_count;
    size_t user_count; /* of all accounts */
    const char *no_auth_user;
    pp_callout_options callout;
    const char *system_account; /* NULL: $SYS, or in operator mode what the operator says */
    bool no_system_account;

    /* Operator mode. Tokens are as given, not read yet. */
    const char *const *operators;
    size_t operator_count;
    const char *const *trusted_keys;
    size_t trusted_key_count;
    enum pp_resolver_kind resolver;
    const char *resolver_dir;
    const char *resolver_url;
    bool resolver_allow_delete;
    bool resolver_hard_delete;
    uint32_t resolver_limit;      /* accounts; 0: as the kind has it */
    int64_t resolver_ttl_ns;      /* 0: none */
    int64_t resolver_interval_ns; /* 0: as the kind has it */
    int64_t resolver_timeout_ns;
    pp_tls_options resolver_tls;            /* of who asks by URL: nothing in it need be there */
    const pp_pair_option *resolver_preload; /* account keys, and their tokens */
    size_t resolver_preload_count;
    const char *const *pinned_accounts;
    size_t pinned_account_count;
    const char *default_sentinel;

    pp_websocket_options websocket;
    pp_t2_options t2;
    pp_fanout_options fanout;
    pp_message_broker_options message_broker;

    /* Limits. */
    uint32_t max_connections;
    uint64_t max_payload_bytes;
    uint64_t max_control_line_bytes;
    uint64_t max_pending_bytes;
    uint32_t max_subscriptions;       /* 0: no limit */
    uint32_t max_subscription_tokens; /* 0: no limit */
    uint64_t max_memory_bytes;        /* 0: found out; PP_OPTION_NO_LIMIT: none */
    enum pp_slow_consumer slow_consumer;

    /* Behaviour. */
    int64_t write_deadline_ns;
    enum pp_write_timeout write_timeout;
    int64_t ping_interval_ns;
    uint32_t ping_max;
    int64_t lame_duck_duration_ns;
    int64_t lame_duck_grace_period_ns;
    bool no_header_support;
    bool no_fast_producer_stall;
    bool pipit_requests;
} pp_options;

/* The defaults. Errors: PIPIT_ENOMEM. */
pipit_err pp_options_init(pp_options *options);

/* An account that has a name, no users and no limits. */
pp_account_options pp_account_options_none(const char *name);

/* Wipe the secrets that clients are compared with, and forget the users; the rest stays. Whoever
 * wants to compare these options with others takes a snapshot before. */
void pp_options_forget_secrets(pp_options *options);

/* Forget accounts, too, for who has no need of them. */
void pp_options_forget_accounts(pp_options *options);

/* Wipe and free all of it. */
void pp_options_fini(pp_options *options);

#endif
