/* The rows stand in the order of docs/configuration.md. Those of a missing feature carry its name;
 * what they would mean is nats-server's to say, so they have no more than a line. */
#include "config/key.h"

#include "config/reader.h"

#define TOP(field) offsetof(pp_options, field)
#define USER(field) offsetof(pp_user_options, field)
#define ACCOUNT(field) offsetof(pp_account_options, field)
#define DESTINATION(field) offsetof(pp_destination_option, field)
#define EXPORT(field) offsetof(pp_export_option, field)
#define IMPORT(field) offsetof(pp_import_option, field)
#define NONE PP_KEY_NO_FIELD
#define COUNT_MAX INT32_MAX
#define BYTES_MAX (1LL << 40)
#define SECOND 1000000000LL

/* A key of something that is not here. */
#define MISSING(key_names, what, type_text, initially, help_text)                                  \
    {                                                                                              \
        .names = (key_names), .type = PP_KEY_OTHER, .offset = NONE, .unit = (type_text),           \
        .initial = (initially), .feature = (what), .help = (help_text)                             \
    }

static const pp_key top[] = {
    {"listen", PP_KEY_OTHER, NONE, .unit = "port or host:port", .reload = PP_KEY_RESTART,
     .read = pp_read_listen, .help = "Address and port to listen on, in one"},
    {"host net", PP_KEY_TEXT, TOP(host), .initial = "0.0.0.0", .reload = PP_KEY_RESTART,
     .read = pp_read_host, .help = "Address to listen on; :: is IPv6 and IPv4"},
    {"port", PP_KEY_PORT, TOP(port), .initial = "4222", .reload = PP_KEY_RESTART,
     .help = "Port to listen on; -1 for any that is free"},
    {"unix", PP_KEY_OTHER, NONE, .unit = "path or map", .flags = PP_KEY_OWN,
     .reload = PP_KEY_RESTART, .block = "unix", .read = pp_read_unix,
     .help = "Unix socket to listen on, too"},
    {"client_advertise", PP_KEY_HOST_PORT, TOP(client_advertise_host),
     .help = "Address that clients are told"},
    {"proxy_protocol", PP_KEY_SWITCH, TOP(proxy_protocol), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "Take PROXY headers from clients"},
    {"server_name", PP_KEY_NAME, TOP(server_name), .reload = PP_KEY_RESTART,
     .help = "Name of the server; without one, its id"},
    {"server_tags", PP_KEY_OTHER, NONE, .unit = "text or array of texts", .read = pp_read_tags,
     .help = "Words that describe the server; shown by monitoring"},
    {"server_metadata", PP_KEY_OTHER, NONE, .unit = "map of texts", .read = pp_read_metadata,
     .help = "Facts about the server; shown by monitoring"},
    {"threads", PP_KEY_COUNT, TOP(threads), 0, 256, PP_KEY_OWN, PP_KEY_RESTART, "0",
     .help = "Event loops, one thread each; 0: as many as there are processors"},

    {"pid_file pidfile", PP_KEY_TEXT, TOP(pid_file), .unit = "path",
     .help = "File that the process id is written to"},
    {"ports_file_dir", PP_KEY_TEXT, TOP(ports_file_dir), .unit = "path",
     .help = "Directory for a file that names the addresses listened on"},

    {"debug", PP_KEY_SWITCH, TOP(debug), .initial = "false", .help = "Log what helps to debug"},
    {"trace", PP_KEY_SWITCH, TOP(trace), .initial = "false", .help = "Log each protocol line"},
    {"trace_verbose", PP_KEY_SWITCH, TOP(trace_verbose), .initial = "false", .read = pp_read_trace,
     .help = "Trace the system account, too; switches trace on"},
    {"trace_headers", PP_KEY_SWITCH, TOP(trace_headers), .initial = "false", .read = pp_read_trace,
     .help = "Show message headers in traces; switches trace on"},
    {"max_traced_msg_len", PP_KEY_COUNT, TOP(max_traced_msg_len), 0, COUNT_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, .initial = "0", .unit = "bytes",
     .help = "Longest piece of a message in a trace; 0: no limit"},
    {"logtime", PP_KEY_SWITCH, TOP(logtime), .initial = "true", .help = "Log with the time"},
    {"logtime_utc", PP_KEY_SWITCH, TOP(logtime_utc), .initial = "false",
     .help = "Log with the time in UTC"},
    {"log_format", PP_KEY_WORD, TOP(log_format), .flags = PP_KEY_OWN, .initial = "text",
     .words = "text json", .help = "Log lines as nats-server writes them, or as JSON"},
    {"log_file logfile", PP_KEY_TEXT, TOP(log_file), .unit = "path",
     .help = "File to log to; without one, stderr"},
    {"log_size_limit logfile_size_limit", PP_KEY_BYTES, TOP(log_size_limit_bytes), 0, INT64_MAX,
     PP_KEY_RAISE, PP_KEY_RESTART, "0", .help = "Begin a new log file beyond this size; 0: never"},
    {"log_max_num logfile_max_num", PP_KEY_COUNT, TOP(log_max_num), 0, COUNT_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, PP_KEY_RESTART, "0", .unit = "files",
     .help = "Log files to keep, the one being written included; 0: all"},
    {"syslog", PP_KEY_SWITCH, TOP(syslog), .initial = "false", .help = "Log to the local syslog"},
    {"remote_syslog", PP_KEY_URL, TOP(remote_syslog),
     .help = "Syslog server to log to: udp://, tcp:// or unix:"},

    {"http", PP_KEY_OTHER, NONE, .unit = "port or host:port", .reload = PP_KEY_RESTART,
     .read = pp_read_http, .help = "Address and port of monitoring, in one"},
    {"http_port monitor_port", PP_KEY_PORT, TOP(http_port), .initial = "0",
     .reload = PP_KEY_RESTART, .help = "Port of monitoring over HTTP; -1 for any; 0: none"},
    {"https", PP_KEY_OTHER, NONE, .unit = "port or host:port", .reload = PP_KEY_RESTART,
     .read = pp_read_https, .help = "Address and port of monitoring over HTTPS, in one"},
    {"https_port", PP_KEY_PORT, TOP(https_port), .initial = "0", .reload = PP_KEY_RESTART,
     .help = "Port of monitoring over HTTPS, with the certificate of `tls`; not beside http_port"},
    {"http_host", PP_KEY_TEXT, TOP(http_host), .flags = PP_KEY_OWN, .reload = PP_KEY_RESTART,
     .help = "Address of monitoring; without one, host if that is given, else 127.0.0.1"},
    {"http_base_path", PP_KEY_BASE_PATH, TOP(http_base_path), .initial = "/",
     .reload = PP_KEY_RESTART, .unit = "path",
     .help = "What stands before the paths of monitoring"},
    {"http_user", PP_KEY_TEXT, TOP(http_user), .flags = PP_KEY_OWN,
     .help = "User that monitoring asks for"},
    {"http_password", PP_KEY_SECRET, TOP(http_password), .flags = PP_KEY_OWN,
     .help = "Password of that user"},
    {"http_ui", PP_KEY_WORD, TOP(http_ui), .flags = PP_KEY_OWN, .reload = PP_KEY_RESTART,
     .initial = "local", .words = "none local all",
     .help = "The page at /ui for nobody, for browsers on this machine, or for whoever may ask"},
    {"max_closed_clients", PP_KEY_COUNT, TOP(max_closed_clients), 0, COUNT_MAX,
     PP_KEY_ZERO_IS_DEFAULT | PP_KEY_LOWER, PP_KEY_RESTART, "10000", .unit = "connections",
     .help = "Closed connections that monitoring remembers"},

    {"tls", PP_KEY_OTHER, TOP(tls), .unit = "map", .block = "tls", .read = pp_read_tls,
     .help = "TLS for clients"},
    {"allow_non_tls", PP_KEY_SWITCH, TOP(allow_non_tls), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "With TLS: clients without, too, on the same port"},

    {"authorization", PP_KEY_OTHER, NONE, .unit = "map", .block = "authorization",
     .read = pp_read_authorization, .help = "Who may come in"},
    {"accounts", PP_KEY_OTHER, NONE, .unit = "map of maps or array of names", .block = "account",
     .read = pp_read_accounts, .help = "Accounts, each a world of subjects of its own"},
    {"no_auth_user", PP_KEY_TEXT, TOP(no_auth_user), .reload = PP_KEY_RESTART,
     .help = "The user that clients are who show no name"},
    {"system_account system", PP_KEY_TEXT, TOP(system_account), .reload = PP_KEY_RESTART,
     .help = "Account of the server's own messages; without one, $SYS"},
    {"no_system_account no_system no_sys_acc", PP_KEY_SWITCH, TOP(no_system_account),
     .initial = "false", .reload = PP_KEY_RESTART, .help = "Have no system account"},
    {"mappings maps", PP_KEY_OTHER, NONE, .unit = "map of subjects", .block = "destination",
     .read = pp_read_mappings, .help = "Other subjects that messages are given, in account $G"},

    {"max_connections max_conn", PP_KEY_COUNT, TOP(max_connections), 0, COUNT_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, .initial = "65536", .unit = "connections",
     .help = "Clients at a time; 0: nobody"},
    {"max_payload", PP_KEY_BYTES, TOP(max_payload_bytes), 1, INT32_MAX, PP_KEY_ZERO_IS_DEFAULT,
     .initial = "1048576", .help = "Largest message"},
    {"max_control_line", PP_KEY_BYTES, TOP(max_control_line_bytes), 1, INT32_MAX,
     PP_KEY_ZERO_IS_DEFAULT, .initial = "4096", .help = "Longest protocol line"},
    {"max_pending", PP_KEY_BYTES, TOP(max_pending_bytes), 1, BYTES_MAX,
     PP_KEY_ZERO_IS_DEFAULT | PP_KEY_LOWER, PP_KEY_RESTART, "67108864",
     .help = "Bytes that may wait for one client"},
    {"max_subscriptions max_subs", PP_KEY_COUNT, TOP(max_subscriptions), 0, COUNT_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, PP_KEY_RESTART, "0", .unit = "subscriptions",
     .help = "Subscriptions of one client; 0: no limit"},
    {"max_subscription_tokens max_sub_tokens", PP_KEY_COUNT, TOP(max_subscription_tokens), 1, 255,
     .reload = PP_KEY_RESTART, .initial = "0", .unit = "tokens",
     .help = "Tokens of a subscribed subject; not given: no limit"},
    {"max_memory", PP_KEY_MEMORY, TOP(max_memory_bytes), 0, INT64_MAX, PP_KEY_OWN,
     .reload = PP_KEY_RESTART, .initial = "0", .unit = "size or none",
     .help = "Ceiling for the whole process; 0: what the container allows, less a margin"},
    {"slow_consumer", PP_KEY_WORD, TOP(slow_consumer), .flags = PP_KEY_OWN, .initial = "disconnect",
     .words = "disconnect drop_new drop_old conflate",
     .help = "What becomes of a client that does not keep up"},

    {"ping_interval", PP_KEY_DURATION, TOP(ping_interval_ns), 1, INT64_MAX, PP_KEY_ZERO_IS_DEFAULT,
     .initial = "2m0s", .help = "Time between pings"},
    {"ping_max", PP_KEY_COUNT, TOP(ping_max), 1, COUNT_MAX, PP_KEY_ZERO_IS_DEFAULT | PP_KEY_LOWER,
     .initial = "2", .unit = "pings", .help = "Pings that may go unanswered"},
    {"write_deadline", PP_KEY_DURATION, TOP(write_deadline_ns), 1, INT64_MAX,
     PP_KEY_ZERO_IS_DEFAULT, .initial = "10s", .help = "How long a client may take nothing"},
    {"write_timeout", PP_KEY_WORD, TOP(write_timeout), .reload = PP_KEY_RESTART,
     .initial = "default", .words = "default close retry",
     .help = "What follows when it has: it is closed, or writing goes on"},
    {"lame_duck_duration", PP_KEY_PERIOD, TOP(lame_duck_duration_ns), 30 * SECOND, INT64_MAX,
     .reload = PP_KEY_RESTART, .initial = "2m0s", .help = "How long leaving may take, from 30s"},
    {"lame_duck_grace_period", PP_KEY_PERIOD, TOP(lame_duck_grace_period_ns), 0, INT64_MAX,
     .reload = PP_KEY_RESTART, .initial = "10s", .help = "Time before clients are closed"},
    {"no_header_support", PP_KEY_SWITCH, TOP(no_header_support), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "No message headers"},
    {"no_fast_producer_stall", PP_KEY_SWITCH, TOP(no_fast_producer_stall), .initial = "false",
     .help = "Drop rather than slow publishers down"},

    {"disable_sublist_cache no_sublist_cache", PP_KEY_SWITCH, NONE, .flags = PP_KEY_NO_EFFECT,
     .initial = "false", .help = "The cache it names changes no answer, and pipit's is its own"},
    {"connect_error_reports", PP_KEY_COUNT, NONE, 0, COUNT_MAX,
     PP_KEY_NO_EFFECT | PP_KEY_RAISE | PP_KEY_LOWER, .initial = "3600", .unit = "attempts",
     .help = "How often failed connections to other servers are logged; there are none"},
    {"reconnect_error_reports", PP_KEY_COUNT, NONE, 0, COUNT_MAX,
     PP_KEY_NO_EFFECT | PP_KEY_RAISE | PP_KEY_LOWER, .initial = "1", .unit = "attempts",
     .help = "The same for connections that were there before"},
    {"prof_block_rate", PP_KEY_COUNT, NONE, 0, COUNT_MAX,
     PP_KEY_NO_EFFECT | PP_KEY_RAISE | PP_KEY_LOWER, .initial = "0", .unit = "samples",
     .help = "A setting of profiles that are served nowhere"},
    {"feature_flags", PP_KEY_OTHER, NONE, .unit = "map of switches", .flags = PP_KEY_NO_EFFECT,
     .read = pp_read_feature_flags, .help = "All that are known are about JetStream"},

    {"prof_port", PP_KEY_OTHER, NONE, .unit = "port", .initial = "0",
     .feature = "profiling over HTTP", .harmless = PP_KEY_IF_ZERO, .help = "Port of profiles"},
    {"ocsp", PP_KEY_OTHER, NONE, .unit = "switch or map", .block = "ocsp", .feature = "OCSP",
     .harmless = PP_KEY_IF_FALSE, .help = "Stapling of certificate states"},
    {"ocsp_cache", PP_KEY_OTHER, NONE, .unit = "switch or map", .block = "ocsp_cache",
     .feature = "OCSP", .harmless = PP_KEY_IF_FALSE, .help = "Where certificate states are kept"},
    {"proxies", PP_KEY_OTHER, NONE, .unit = "map", .block = "proxies", .read = pp_read_block,
     .help = "Proxies that are trusted"},
    {"default_sentinel", PP_KEY_SECRET, TOP(default_sentinel), .unit = "JWT",
     .help = "JWT of clients that show none"},
    {"operator operators root roots root_operator root_operators", PP_KEY_OTHER, NONE,
     .unit = "path, JWT or array of those", .reload = PP_KEY_RESTART, .read = pp_read_operators,
     .help = "Operators whose accounts are served"},
    {"trusted_keys trusted", PP_KEY_OTHER, NONE, .unit = "key or array of keys",
     .reload = PP_KEY_RESTART, .read = pp_read_trusted_keys, .help = "Keys of operators"},
    {"resolver account_resolver accounts_resolver", PP_KEY_OTHER, NONE, .unit = "text or map",
     .block = "resolver", .reload = PP_KEY_RESTART, .read = pp_read_resolver,
     .help = "Where accounts are found"},
    {"resolver_tls", PP_KEY_OTHER, TOP(resolver_tls), .unit = "map", .block = "tls",
     .read = pp_read_resolver_tls,
     .help = "TLS on the way to a resolver's URL: ca_file, cert_file, key_file, min_version"},
    {"resolver_preload", PP_KEY_OTHER, NONE, .unit = "map of JWTs", .read = pp_read_preload,
     .help = "Accounts that are known from the start"},
    {"resolver_pinned_accounts", PP_KEY_OTHER, NONE, .unit = "key or array of keys",
     .read = pp_read_pinned_accounts, .help = "The only accounts that may log in"},
    {"jetstream", PP_KEY_OTHER, NONE, .unit = "switch or map", .initial = "false",
     .block = "jetstream", .feature = "JetStream", .harmless = PP_KEY_IF_DISABLED,
     .help = "Streams that are kept"},
    {"store_dir storedir", PP_KEY_OTHER, NONE, .unit = "path", .feature = "JetStream",
     .harmless = PP_KEY_IF_NO_TEXT, .help = "Where streams are kept"},
    {"default_js_domain", PP_KEY_OTHER, NONE, .unit = "map of texts", .feature = "JetStream",
     .harmless = PP_KEY_IF_NO_ENTRIES, .help = "Domain of each account"},
    {"cluster", PP_KEY_OTHER, NONE, .unit = "map", .block = "cluster", .feature = "clustering",
     .harmless = PP_KEY_IF_NO_ENTRIES, .help = "Several servers as one"},
    {"gateway", PP_KEY_OTHER, NONE, .unit = "map", .block = "gateway", .feature = "gateways",
     .harmless = PP_KEY_IF_NO_ENTRIES, .help = "Several clusters as one"},
    {"leafnodes leaf", PP_KEY_OTHER, NONE, .unit = "map", .block = "leafnodes",
     .feature = "leaf nodes", .harmless = PP_KEY_IF_NO_ENTRIES,
     .help = "Servers that hang on others"},
    {"websocket ws", PP_KEY_OTHER, NONE, .unit = "map", .block = "websocket",
     .read = pp_read_websocket, .help = "NATS over WebSocket"},
    {"mqtt", PP_KEY_OTHER, NONE, .unit = "map", .block = "mqtt", .feature = "MQTT",
     .harmless = PP_KEY_IF_NO_ENTRIES, .help = "MQTT clients"},
};

static const pp_key local_socket[] = {
    {"path", PP_KEY_TEXT, TOP(unix_path), .flags = PP_KEY_OWN, .reload = PP_KEY_RESTART,
     .unit = "path", .help = "Where the socket is made"},
    {"mode", PP_KEY_MODE, TOP(unix_mode), 0, 0777, PP_KEY_OWN, PP_KEY_RESTART, "0700",
     .help = "File mode of the socket, as 0660"},
};

static const pp_key resolver[] = {
    {"type", PP_KEY_WORD, TOP(resolver), .words = "none mem full cache url", .initial = "none",
     .reload = PP_KEY_RESTART, .read = pp_read_resolver_type,
     .help = "What is kept: all accounts, some, or those of the configuration alone"},
    {"dir", PP_KEY_TEXT, TOP(resolver_dir), .unit = "path", .reload = PP_KEY_RESTART,
     .help = "Where it is kept"},
    {"allow_delete", PP_KEY_SWITCH, TOP(resolver_allow_delete), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "Accounts may be deleted"},
    {"hard_delete", PP_KEY_SWITCH, TOP(resolver_hard_delete), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "Deleted accounts leave no file"},
    {"limit", PP_KEY_COUNT, TOP(resolver_limit), 0, COUNT_MAX, PP_KEY_RAISE | PP_KEY_LOWER,
     .reload = PP_KEY_RESTART, .initial = "0", .unit = "accounts",
     .help = "How many are kept; 0: of type cache 1000, else no limit"},
    {"ttl", PP_KEY_PERIOD, TOP(resolver_ttl_ns), 0, INT64_MAX, .reload = PP_KEY_RESTART,
     .initial = "0s", .help = "How long one is kept that nobody asks for; 0: while it is valid"},
    {"interval", PP_KEY_PERIOD, TOP(resolver_interval_ns), 0, INT64_MAX, .reload = PP_KEY_RESTART,
     .initial = "0s", .help = "How often servers compare; 0: each minute"},
    {"timeout", PP_KEY_PERIOD, TOP(resolver_timeout_ns), 1, INT64_MAX, .reload = PP_KEY_RESTART,
     .initial = "1.9s", .help = "How long looking up may take"},
};

#define TLS(field) offsetof(pp_tls_options, field)
#define WINDOWS_ONLY "certificate stores of Windows"

static const pp_key tls[] = {
    {"cert_file", PP_KEY_TEXT, TLS(cert_file), .unit = "path",
     .help = "Certificate, and behind it those that lead to a known signer; PEM"},
    {"key_file", PP_KEY_TEXT, TLS(key_file), .unit = "path", .help = "Its private key; PEM"},
    {"ca_file", PP_KEY_TEXT, TLS(ca_file), .unit = "path",
     .help = "Certificates of who signs those of clients; without one, the system's"},
    {"certs certificates", PP_KEY_OTHER, TLS(pairs), .unit = "array of maps",
     .block = "certificate", .read = pp_read_tls_pairs,
     .help = "Several pairs instead; clients get the one for the name that they ask for"},
    {"verify", PP_KEY_SWITCH, TLS(verify), .initial = "false",
     .help = "Clients must show a certificate"},
    {"verify_and_map", PP_KEY_SWITCH, TLS(verify_and_map), .initial = "false",
     .help = "The same, and it says which user they are"},
    {"verify_cert_and_check_known_urls", PP_KEY_OTHER, NONE, .unit = "switch", .initial = "false",
     .feature = "TLS between servers", .harmless = PP_KEY_IF_FALSE,
     .help = "Certificates must name a known server"},
    {"insecure", PP_KEY_SWITCH, NONE, .flags = PP_KEY_NO_EFFECT, .initial = "false",
     .help = "Of connections to other servers; there are none"},
    {"timeout", PP_KEY_SECONDS, TLS(timeout_ns), 1, INT64_MAX, PP_KEY_ZERO_IS_DEFAULT,
     .initial = "2s", .help = "How long a handshake may take"},
    {"handshake_first first immediate", PP_KEY_OTHER, TLS(first_ns), .unit = "switch, time or auto",
     .initial = "false", .read = pp_read_tls_first,
     .help = "TLS before INFO: always, or if it comes within that time (auto: 50ms)"},
    {"min_version", PP_KEY_OTHER, TLS(min_version), .unit = "text", .initial = "1.2",
     .read = pp_read_tls_version, .help = "Oldest version of TLS: 1.2 or 1.3"},
    {"cipher_suites", PP_KEY_OTHER, TLS(ciphers), .unit = "array of texts",
     .read = pp_read_tls_ciphers,
     .help = "The only ciphers of the versions of TLS that are among them"},
    {"allow_insecure_cipher_suites", PP_KEY_SWITCH, TLS(insecure_ciphers), .initial = "false",
     .help = "Weak ones may be among them"},
    {"curve_preferences", PP_KEY_OTHER, TLS(curves), .unit = "array of texts",
     .read = pp_read_tls_curves, .help = "The only curves, the best first"},
    {"pinned_certs", PP_KEY_OTHER, TLS(pinned), .unit = "array of texts",
     .read = pp_read_tls_pinned,
     .help = "The only certificates of clients: SHA-256 of their public keys, in hex"},
    {"connection_rate_limit", PP_KEY_COUNT, TLS(connection_rate_limit), 0, COUNT_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, .initial = "0", .unit = "connections per second",
     .help = "How many may begin with TLS; 0: any number"},
    {"ocsp_peer", PP_KEY_OTHER, NONE, .unit = "switch or map", .initial = "false",
     .block = "ocsp_peer", .feature = "OCSP", .harmless = PP_KEY_IF_FALSE,
     .help = "Check the state of the certificates of clients"},
    {"cert_store", PP_KEY_OTHER, NONE, .unit = "text", .feature = WINDOWS_ONLY,
     .harmless = PP_KEY_IF_NO_TEXT, .help = "Where Windows keeps the certificate"},
    {"cert_match_by", PP_KEY_OTHER, NONE, .unit = "text", .feature = WINDOWS_ONLY,
     .harmless = PP_KEY_IF_NO_TEXT, .help = "How it is found there"},
    {"cert_match", PP_KEY_OTHER, NONE, .unit = "text", .feature = WINDOWS_ONLY,
     .harmless = PP_KEY_IF_NO_TEXT, .help = "What it is found by"},
    {"ca_certs_match", PP_KEY_OTHER, NONE, .unit = "array of texts", .feature = WINDOWS_ONLY,
     .harmless = PP_KEY_IF_NO_ITEMS, .help = "Which signers are taken from there"},
    {"cert_match_skip_invalid", PP_KEY_OTHER, NONE, .unit = "switch", .initial = "false",
     .feature = WINDOWS_ONLY, .harmless = PP_KEY_IF_FALSE,
     .help = "Pass over those that are not valid"},
};

static const pp_key certificate[] = {
    {"cert_file", PP_KEY_TEXT, offsetof(pp_tls_pair_option, cert_file), .unit = "path",
     .help = "Certificate; PEM"},
    {"key_file", PP_KEY_TEXT, offsetof(pp_tls_pair_option, key_file), .unit = "path",
     .help = "Its private key; PEM"},
};

static const pp_key authorization[] = {
    {"user username", PP_KEY_TEXT, TOP(user), .help = "The one user"},
    {"password pass", PP_KEY_SECRET, TOP(pass), .help = "Password of that user"},
    {"token", PP_KEY_SECRET, TOP(auth_token), .help = "What clients must show instead"},
    {"timeout", PP_KEY_SECONDS, TOP(auth_timeout_ns), 1, INT64_MAX, PP_KEY_ZERO_IS_DEFAULT,
     .initial = "2s", .help = "How long they may take"},
    {"users", PP_KEY_OTHER, NONE, .unit = "array of maps", .block = "user", .read = pp_read_users,
     .help = "Users of account $G"},
    {"default_permissions default_permission permissions", PP_KEY_OTHER, NONE, .unit = "map",
     .block = "permissions", .read = pp_read_default_permissions,
     .help = "What users may do who have no permissions of their own"},
    {"auth_callout auth_hook", PP_KEY_OTHER, NONE, .unit = "map", .block = "auth_callout",
     .read = pp_read_callout, .help = "A service that decides who may come in"},
    {"proxy_required", PP_KEY_SWITCH, TOP(auth_proxy_required), .initial = "false",
     .help = "Come in by a trusted proxy only; of the one user and the token"},
};

static const pp_key auth_callout[] = {
    {"issuer", PP_KEY_TEXT, TOP(callout.issuer), .reload = PP_KEY_RESTART, .unit = "key",
     .help = "Account key that signs its answers"},
    {"account acc", PP_KEY_TEXT, TOP(callout.account), .reload = PP_KEY_RESTART, .initial = "$G",
     .help = "Account in which it is asked"},
    {"auth_users users", PP_KEY_OTHER, NONE, .unit = "array of texts", .reload = PP_KEY_RESTART,
     .read = pp_read_callout_users, .help = "Users that it does not decide on: the service itself"},
    {"xkey key", PP_KEY_TEXT, TOP(callout.xkey), .reload = PP_KEY_RESTART, .unit = "key",
     .help = "Curve key that requests are encrypted for"},
    {"allowed_accounts", PP_KEY_OTHER, NONE, .unit = "array of texts", .reload = PP_KEY_RESTART,
     .read = pp_read_callout_accounts,
     .help = "Accounts whose users it decides on, beside `$G`; without any, all"},
};

static const pp_key proxies[] = {
    {"trusted", PP_KEY_OTHER, NONE, .unit = "array of maps", .block = "proxy",
     .read = pp_read_trusted_proxies, .help = "Their public keys"},
};

static const pp_key proxy[] = {
    {"key public_key", PP_KEY_TEXT, offsetof(pp_proxy_option, key), .unit = "key",
     .help = "Public key that signs for its clients"},
};

static const pp_key user[] = {
    {"user username", PP_KEY_TEXT, USER(name), .help = "Name, no other user's"},
    {"password pass", PP_KEY_SECRET, USER(password), .help = "Password; without one, an empty one"},
    {"permissions permission authorization", PP_KEY_OTHER, USER(permissions), .unit = "map",
     .block = "permissions", .read = pp_read_permissions, .help = "What the user may do"},
    {"allowed_connection_types connection_types clients", PP_KEY_OTHER, USER(connection_types),
     .unit = "text or array of texts", .read = pp_read_connection_types,
     .help = "STANDARD, IN_PROCESS ...: how the user may connect"},
    {"slow_consumer", PP_KEY_WORD, NONE, .flags = PP_KEY_OWN,
     .words = "disconnect drop_new drop_old conflate", .read = pp_read_user_slow_consumer,
     .help = "What becomes of the user's connections that do not keep up"},
    {"nkey", PP_KEY_TEXT, USER(nkey), .unit = "key",
     .help = "Public key instead of name and password"},
    {"proxy_required", PP_KEY_SWITCH, USER(proxy_required), .initial = "false",
     .help = "Come in by a trusted proxy only"},
    {"uid", PP_KEY_OTHER, USER(uid), .unit = "user of the system, by name or number",
     .flags = PP_KEY_OWN, .read = pp_read_uid,
     .help = "Who connects by the Unix socket as this one needs no password"},
    {"gid", PP_KEY_OTHER, USER(gid), .unit = "group of the system, by name or number",
     .flags = PP_KEY_OWN, .read = pp_read_gid, .help = "The same by group; with both, both count"},
};

static const pp_key permissions[] = {
    {"publish pub import", PP_KEY_OTHER, offsetof(pp_permission_options, publish),
     .unit = "subject, array of subjects, or map", .block = "rules", .read = pp_read_rules,
     .help = "What may be published to"},
    {"subscribe sub export", PP_KEY_OTHER, offsetof(pp_permission_options, subscribe),
     .unit = "subject, array of subjects, or map", .block = "rules", .read = pp_read_rules,
     .help = "What may be subscribed to; \"subject queue\" names a queue group, too"},
    {"allow_responses publish_allow_responses", PP_KEY_OTHER, NONE, .unit = "switch or map",
     .initial = "false", .block = "allow_responses", .read = pp_read_responses,
     .help = "Replying is allowed, so often and for so long; without `publish` nothing else is"},
};

static const pp_key allow_responses[] = {
    {"max max_msgs max_messages max_responses", PP_KEY_LIMIT, offsetof(pp_responses_option, max),
     -1, INT32_MAX, PP_KEY_RAISE | PP_KEY_LOWER | PP_KEY_ZERO_IS_DEFAULT, .initial = "1",
     .unit = "messages", .help = "Answers to one message; -1: no limit"},
    {"expires expiration ttl", PP_KEY_PERIOD, offsetof(pp_responses_option, ttl_ns), INT64_MIN,
     INT64_MAX, PP_KEY_ZERO_IS_DEFAULT, .initial = "2m",
     .help = "How long a message may be answered; negative: no limit"},
};

static const pp_key rules[] = {
    {"allow", PP_KEY_OTHER, NONE, .unit = "subject or array of subjects", .read = pp_read_allow,
     .help = "Only these; without any, all"},
    {"deny", PP_KEY_OTHER, NONE, .unit = "subject or array of subjects", .read = pp_read_deny,
     .help = "Not these, allowed or not"},
};

static const pp_key account[] = {
    {"users", PP_KEY_OTHER, NONE, .unit = "array of maps", .block = "user", .read = pp_read_users,
     .help = "Users of the account"},
    {"default_permissions default_permission permissions", PP_KEY_OTHER, NONE, .unit = "map",
     .block = "permissions", .read = pp_read_default_permissions,
     .help = "What users may do who have no permissions of their own"},
    {"mappings maps", PP_KEY_OTHER, NONE, .unit = "map of subjects", .block = "destination",
     .read = pp_read_mappings, .help = "Other subjects that messages are given"},
    {"limits", PP_KEY_OTHER, NONE, .unit = "map", .block = "limits", .read = pp_read_block,
     .help = "What the account may use"},
    {"msg_trace trace_dest", PP_KEY_OTHER, NONE, .unit = "subject or map", .block = "msg_trace",
     .read = pp_read_msg_trace, .help = "Where reports on traced messages go"},
    {"nkey", PP_KEY_OTHER, NONE, .unit = "key", .flags = PP_KEY_NO_EFFECT,
     .read = pp_read_account_nkey, .help = "Public key of the account; checked, and not used"},
    {"jetstream", PP_KEY_OTHER, NONE, .unit = "switch or map", .initial = "false",
     .block = "account_jetstream", .feature = "JetStream", .harmless = PP_KEY_IF_DISABLED,
     .help = "Streams of the account"},
    {"exports", PP_KEY_OTHER, NONE, .unit = "array of maps", .block = "export",
     .read = pp_read_exports, .help = "What other accounts may import"},
    {"imports", PP_KEY_OTHER, NONE, .unit = "array of maps", .block = "import",
     .read = pp_read_imports, .help = "What comes from other accounts"},
};

static const pp_key limits[] = {
    {"max_connections max_conn", PP_KEY_LIMIT, ACCOUNT(max_connections), -1, INT32_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, .initial = "-1", .unit = "connections",
     .help = "Clients at a time; -1: no limit"},
    {"max_subscriptions max_subs", PP_KEY_LIMIT, ACCOUNT(max_subscriptions), -1, INT32_MAX,
     PP_KEY_RAISE | PP_KEY_LOWER, .initial = "-1", .unit = "subscriptions",
     .help = "Subscriptions of all its clients; -1: no limit"},
    {"max_payload max_pay", PP_KEY_LIMIT, ACCOUNT(max_payload_bytes), -1, INT64_MAX, PP_KEY_RAISE,
     .initial = "-1", .unit = "bytes", .help = "Largest message; -1: the server's limit"},
    {"max_leafnodes max_leafs", PP_KEY_LIMIT, NONE, -1, INT32_MAX,
     PP_KEY_NO_EFFECT | PP_KEY_RAISE | PP_KEY_LOWER, .initial = "-1", .unit = "connections",
     .help = "Leaf nodes; there are none"},
};

static const pp_key msg_trace[] = {
    {"dest", PP_KEY_TEXT, ACCOUNT(trace_dest), .unit = "subject", .read = pp_read_trace_dest,
     .help = "Where reports go"},
    {"sampling", PP_KEY_OTHER, ACCOUNT(trace_sampling), 1, 100, .unit = "1 to 100 or \"n%\"",
     .initial = "100", .read = pp_read_percent,
     .help = "How many of 100 messages that carry a traceparent are reported"},
};

static const pp_key destination[] = {
    {"destination dest", PP_KEY_TEXT, DESTINATION(subject), .unit = "subject",
     .help = "The other subject; may hold mapping functions"},
    {"weight", PP_KEY_OTHER, DESTINATION(weight), 0, 100, .unit = "0 to 100 or \"n%\"",
     .read = pp_read_percent, .help = "How many of 100 messages take this way"},
    {"cluster", PP_KEY_TEXT, DESTINATION(cluster), .help = "The cluster in which this holds"},
};

#define WEBSOCKET(field) offsetof(pp_options, websocket.field)

static const pp_key websocket[] = {
    {"listen", PP_KEY_OTHER, NONE, .unit = "port or host:port", .reload = PP_KEY_RESTART,
     .read = pp_read_websocket_listen, .help = "Address and port to listen on, in one"},
    {"host net", PP_KEY_TEXT, WEBSOCKET(host), .initial = "0.0.0.0", .reload = PP_KEY_RESTART,
     .read = pp_read_websocket_host, .help = "Address to listen on"},
    {"port", PP_KEY_PORT, WEBSOCKET(port), .initial = "0", .reload = PP_KEY_RESTART,
     .help = "Port to listen on; -1 for any that is free; 0: none"},
    {"advertise", PP_KEY_OTHER, NONE, .unit = "host or host:port", .reload = PP_KEY_RESTART,
     .read = pp_read_websocket_advertise, .help = "Address that clients are told"},
    {"no_tls", PP_KEY_SWITCH, WEBSOCKET(no_tls), .initial = "false", .reload = PP_KEY_RESTART,
     .help = "Serve without TLS, which must be said if there is none"},
    {"tls", PP_KEY_OTHER, WEBSOCKET(tls), .unit = "map", .block = "tls", .reload = PP_KEY_RESTART,
     .read = pp_read_tls, .help = "TLS for WebSocket; its files may change"},
    {"same_origin", PP_KEY_SWITCH, WEBSOCKET(same_origin), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "Only pages of the host that they connect to"},
    {"allowed_origins allowed_origin allow_origins allow_origin origins origin", PP_KEY_OTHER, NONE,
     .unit = "URL or array of URLs", .reload = PP_KEY_RESTART, .read = pp_read_origins,
     .help = "Only pages of these"},
    {"compression compress", PP_KEY_SWITCH, WEBSOCKET(compression), .initial = "false",
     .reload = PP_KEY_RESTART, .help = "Compress for clients that can"},
    {"handshake_timeout", PP_KEY_SECONDS, WEBSOCKET(handshake_timeout_ns), 0, INT64_MAX,
     .reload = PP_KEY_RESTART, .initial = "0s",
     .help = "How long a handshake may take; 0: 30 seconds"},
    {"authorization authentication", PP_KEY_OTHER, NONE, .unit = "map",
     .block = "websocket_authorization", .read = pp_read_block,
     .help = "Who may come in by WebSocket"},
    {"no_auth_user", PP_KEY_TEXT, WEBSOCKET(no_auth_user), .reload = PP_KEY_RESTART,
     .help = "The user that clients are who show no name"},
    {"jwt_cookie", PP_KEY_TEXT, WEBSOCKET(jwt_cookie), .reload = PP_KEY_RESTART,
     .help = "Cookie with a JWT"},
    {"user_cookie", PP_KEY_TEXT, WEBSOCKET(user_cookie), .reload = PP_KEY_RESTART,
     .help = "Cookie with the user"},
    {"pass_cookie", PP_KEY_TEXT, WEBSOCKET(pass_cookie), .reload = PP_KEY_RESTART,
     .help = "Cookie with the password"},
    {"token_cookie", PP_KEY_TEXT, WEBSOCKET(token_cookie), .reload = PP_KEY_RESTART,
     .help = "Cookie with the token"},
    {"headers", PP_KEY_OTHER, NONE, .unit = "map of texts", .reload = PP_KEY_RESTART,
     .read = pp_read_websocket_headers, .help = "Headers to add to answers"},
    {"ping_interval", PP_KEY_DURATION, WEBSOCKET(ping_interval_ns), 1, INT64_MAX,
     PP_KEY_ZERO_IS_DEFAULT, .reload = PP_KEY_RESTART, .initial = "0s",
     .help = "Time between pings; 0: the server's"},
};

static const pp_key websocket_authorization[] = {
    {"user username", PP_KEY_TEXT, WEBSOCKET(user), .reload = PP_KEY_RESTART,
     .help = "The one user"},
    {"password pass", PP_KEY_SECRET, WEBSOCKET(pass), .reload = PP_KEY_RESTART,
     .help = "Password of that user"},
    {"token", PP_KEY_SECRET, WEBSOCKET(token), .reload = PP_KEY_RESTART,
     .help = "What clients must show instead"},
    {"timeout", PP_KEY_SECONDS, WEBSOCKET(auth_timeout_ns), 0, INT64_MAX, .reload = PP_KEY_RESTART,
     .initial = "0s", .help = "How long they may take; 0: the server's"},
};

static const pp_key export[] = {
    {"stream", PP_KEY_OTHER, NONE, .unit = "subject", .read = pp_read_export_kind,
     .help = "Messages"},
    {"service", PP_KEY_OTHER, NONE, .unit = "subject", .read = pp_read_export_kind,
     .help = "Requests"},
    {"accounts", PP_KEY_OTHER, NONE, .unit = "array of texts", .read = pp_read_export_accounts,
     .help = "The only accounts that may; without any, all may"},
    {"account_token_position", PP_KEY_COUNT, EXPORT(account_token_position), 0, 1024,
     .initial = "0", .unit = "position",
     .help = "Token, a \"*\", that must be the name of the importer; 0: none"},
    {"response_type response", PP_KEY_OTHER, NONE, .unit = "single, stream or chunked",
     .initial = "single", .read = pp_read_response_type, .help = "What answers a request gets"},
    {"threshold response_threshold response_max_time response_time", PP_KEY_PERIOD,
     EXPORT(response_threshold_ns), INT64_MIN, INT64_MAX, .initial = "2m",
     .read = pp_read_response_threshold, .help = "How long they may take"},
    {"latency", PP_KEY_OTHER, NONE, .unit = "subject or map", .block = "latency",
     .read = pp_read_latency, .help = "Where it is reported how long they took"},
    {"allow_trace", PP_KEY_SWITCH, EXPORT(allow_trace), .initial = "false",
     .read = pp_read_export_trace, .help = "Tracing may follow requests"},
};

static const pp_key latency[] = {
    {"subject", PP_KEY_OTHER, NONE, .unit = "subject", .read = pp_read_latency_subject,
     .help = "Where reports go"},
    {"sampling", PP_KEY_OTHER, EXPORT(latency_sampling), 1, 100,
     .unit = "1 to 100, \"n%\" or \"headers\"", .initial = "100", .read = pp_read_latency_sampling,
     .help = "How many of 100 responses are reported; those that headers ask for are in any case"},
};

static const pp_key import[] = {
    {"stream", PP_KEY_OTHER, NONE, .unit = "map", .block = "import_source",
     .read = pp_read_import_kind, .help = "Messages"},
    {"service", PP_KEY_OTHER, NONE, .unit = "map", .block = "import_source",
     .read = pp_read_import_kind, .help = "Requests"},
    {"prefix", PP_KEY_TEXT, IMPORT(prefix), .unit = "subject",
     .help = "Of a stream: what stands before the subject here"},
    {"to", PP_KEY_OTHER, IMPORT(local), .unit = "subject", .read = pp_read_import_subject,
     .help = "The subject here; $1 or * stands for a wildcard there"},
    {"share", PP_KEY_SWITCH, IMPORT(share), .initial = "false",
     .help = "Of a service: the other account may know who asks"},
    {"allow_trace", PP_KEY_SWITCH, IMPORT(allow_trace), .initial = "false",
     .read = pp_read_import_trace, .help = "Of a stream: tracing may follow messages"},
};

static const pp_key import_source[] = {
    {"account", PP_KEY_TEXT, IMPORT(account), .unit = "name", .help = "The account that exports"},
    {"subject", PP_KEY_OTHER, IMPORT(subject), .unit = "subject", .read = pp_read_import_subject,
     .help = "The subject there: that of the export, or a part of it"},
};

#define BLOCK(name, rows, help)                                                                    \
    {                                                                                              \
        (name), (help), (rows), sizeof(rows) / sizeof((rows)[0]), NULL, false                      \
    }
#define OPTIONS_BLOCK(name, rows, help)                                                            \
    {                                                                                              \
        (name), (help), (rows), sizeof(rows) / sizeof((rows)[0]), NULL, true                       \
    }

const pp_key_block pp_served_blocks[] = {
    OPTIONS_BLOCK("", top, "The top level of the file."),
    OPTIONS_BLOCK("unix", local_socket, "The Unix socket, where it needs more than a path."),
    OPTIONS_BLOCK("resolver", resolver, "Where accounts are found, where it is a folder."),
    BLOCK("tls", tls, "TLS of a listener."),
    BLOCK("certificate", certificate, "One of several certificates of a listener."),
    OPTIONS_BLOCK("authorization", authorization, "Who may come in, in account $G."),
    OPTIONS_BLOCK("auth_callout", auth_callout,
                  "A service that decides who may come in; see docs/security.md."),
    OPTIONS_BLOCK("websocket", websocket, "NATS over WebSocket."),
    OPTIONS_BLOCK("websocket_authorization", websocket_authorization,
                  "Who may come in by WebSocket, instead of what `authorization` says of one user "
                  "or a token. Users stay as they are."),
    OPTIONS_BLOCK("proxies", proxies, "Proxies that sign for their clients."),
    BLOCK("proxy", proxy, "One of them."),
    BLOCK("user", user, "One user, of `authorization` or of an account."),
    BLOCK("permissions", permissions, "What a user may do. An empty map is no restriction."),
    BLOCK("allow_responses", allow_responses, "Replying to messages that have a reply subject."),
    BLOCK("rules", rules,
          "Rules for one direction, where a list of what is allowed is not enough."),
    BLOCK("account", account, "One account, under its name in `accounts`."),
    BLOCK("limits", limits, "Limits of an account."),
    BLOCK("msg_trace", msg_trace, "Reports on traced messages of an account."),
    BLOCK("destination", destination,
          "One of several subjects that a message may get instead of its own. A single subject, "
          "without a map, has weight 100."),
    BLOCK("export", export, "What other accounts may import: either a stream or a service."),
    BLOCK("latency", latency, "Reports on how long the responses of a service take."),
    BLOCK("import", import, "What comes from another account: either a stream or a service."),
    BLOCK("import_source", import_source, "Where an import comes from."),
};
const size_t pp_served_block_count = sizeof(pp_served_blocks) / sizeof(pp_served_blocks[0]);
