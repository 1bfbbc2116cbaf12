/* Keys of blocks whose feature is not here: for the documentation and for whoever mistypes one.
 * Such a block is refused as a whole, so nothing in it is read. */
#include "config/key.h"

#define KEY(key_names, kind, initially, help_text)                                                 \
    {                                                                                              \
        .names = (key_names), .type = PP_KEY_OTHER, .offset = PP_KEY_NO_FIELD, .unit = (kind),     \
        .initial = (initially), .help = (help_text)                                                \
    }

static const pp_key cluster[] = {
    KEY("name", "text", NULL, "Name of the cluster"),
    KEY("listen", "port or host:port", NULL, "Where other servers connect to"),
    KEY("host net", "text", "0.0.0.0", "Address of that"),
    KEY("port", "port", "0", "Port of that"),
    KEY("authorization", "map", NULL, "User and password of other servers"),
    KEY("permissions", "map", NULL, "What crosses to them: `import`, `export`"),
    KEY("tls", "map", NULL, "TLS between servers"),
    KEY("routes", "array of URLs", NULL, "Servers to connect to"),
    KEY("advertise cluster_advertise", "host:port", NULL, "Address that other servers are told"),
    KEY("no_advertise", "switch", "false", "Do not tell clients of other servers"),
    KEY("connect_retries", "attempts", "0", "For servers heard of from others"),
    KEY("connect_backoff", "switch", "false", "Wait longer each time"),
    KEY("pool_size", "connections", "3", "Connections to each server"),
    KEY("accounts", "array of texts", NULL, "Accounts with a connection of their own"),
    KEY("compression", "switch, text or map", "accept", "Compression of what crosses"),
    KEY("ping_interval", "time", NULL, "Time between pings"),
    KEY("ping_max", "pings", NULL, "Pings that may go unanswered"),
    KEY("write_deadline", "time", NULL, "How long a server may take nothing"),
    KEY("write_timeout", "text", "default", "What follows when it has"),
};

static const pp_key compression[] = {
    KEY("mode", "text", "s2_auto", "off, accept, s2_auto, s2_fast, s2_better or s2_best"),
    KEY("rtt_thresholds thresholds rtts rtt", "array of times", NULL,
        "Round-trip times at which s2_auto changes"),
};

static const pp_key gateway[] = {
    KEY("name", "text", NULL, "Name of this cluster"),
    KEY("listen", "port or host:port", NULL, "Where other clusters connect to"),
    KEY("host net", "text", "0.0.0.0", "Address of that"),
    KEY("port", "port", NULL, "Port of that"),
    KEY("authorization", "map", NULL, "User and password of other clusters"),
    KEY("tls", "map", NULL, "TLS between clusters"),
    KEY("advertise", "host:port", NULL, "Address that other clusters are told"),
    KEY("connect_retries", "attempts", "0", "For clusters heard of from others"),
    KEY("connect_backoff", "switch", "false", "Wait longer each time"),
    KEY("reject_unknown_cluster reject_unknown", "switch", "false",
        "Only clusters that are named here"),
    KEY("gateways", "array of maps", NULL, "Other clusters: `name`, `url` or `urls`, `tls`"),
    KEY("write_deadline", "time", NULL, "How long a cluster may take nothing"),
    KEY("write_timeout", "text", "default", "What follows when it has"),
};

static const pp_key leafnodes[] = {
    KEY("listen", "port or host:port", NULL, "Where leaf nodes connect to"),
    KEY("host net", "text", "0.0.0.0", "Address of that"),
    KEY("port", "port", NULL, "Port of that"),
    KEY("authorization", "map", NULL, "Who may: `user`, `password`, `nkey`, `account`, `users`"),
    KEY("tls", "map", NULL, "TLS for leaf nodes"),
    KEY("advertise leafnode_advertise", "host:port", NULL, "Address that leaf nodes are told"),
    KEY("no_advertise", "switch", "false", "Do not tell them of other servers"),
    KEY("min_version minimum_version", "text", NULL, "Oldest version of a leaf node"),
    KEY("compression", "switch, text or map", "s2_auto", "Compression of what crosses"),
    KEY("isolate_leafnode_interest isolate", "switch", "false",
        "Leaf nodes do not hear of each other"),
    KEY("write_deadline", "time", NULL, "How long a leaf node may take nothing"),
    KEY("write_timeout", "text", "default", "What follows when it has"),
    KEY("reconnect reconnect_delay reconnect_interval", "time", "1s", "Time between attempts"),
    KEY("dial_timeout", "time", "1s", "How long an attempt may take"),
    KEY("remotes", "array of maps", NULL, "Servers that this one hangs on"),
};

static const pp_key leafnode_remote[] = {
    KEY("url urls", "URL or array of URLs", NULL, "Where it is"),
    KEY("account local", "text", "$G", "Account here"),
    KEY("credentials creds", "path", NULL, "Credentials there"),
    KEY("nkey seed", "seed", NULL, "Key there"),
    KEY("tls", "map", NULL, "TLS"),
    KEY("hub", "switch", "false", "This server takes the part of the hub"),
    KEY("deny_imports deny_import", "array of subjects", NULL, "What does not come in"),
    KEY("deny_exports deny_export", "array of subjects", NULL, "What does not go out"),
    KEY("no_randomize dont_randomize", "switch", "false", "Try the URLs in their order"),
    KEY("ignore_discovered_servers", "switch", "false", "Only the URLs given"),
    KEY("disabled", "switch", "false", "Do not connect"),
    KEY("ws_compression ws_compress websocket_compression websocket_compress", "switch", "false",
        "Compression of WebSocket"),
    KEY("ws_no_masking websocket_no_masking", "switch", "false", "No masking of WebSocket"),
    KEY("jetstream_cluster_migrate js_cluster_migrate", "switch or map", "false",
        "Give leadership away while cut off"),
    KEY("isolate_leafnode_interest isolate request_isolation", "switch", "false",
        "Other leaf nodes hear nothing of this one"),
    KEY("compression", "switch, text or map", "s2_auto", "Compression of what crosses"),
    KEY("first_info_timeout", "time", "1s", "How long the first answer may take"),
    KEY("dial_timeout", "time", "1s", "How long an attempt may take"),
    KEY("proxy", "map", NULL, "HTTP proxy: `url`, `username`, `password`, `timeout`"),
};

static const pp_key mqtt[] = {
    KEY("listen", "port or host:port", NULL, "Where clients connect to"),
    KEY("host net", "text", "0.0.0.0", "Address of that"),
    KEY("port", "port", NULL, "Port of that"),
    KEY("tls", "map", NULL, "TLS for MQTT"),
    KEY("authorization authentication", "map", NULL, "Who may come in by MQTT"),
    KEY("no_auth_user", "text", NULL, "The user that clients are who show no name"),
    KEY("ack_wait ackwait", "time", "30s", "Time until a message is sent again"),
    KEY("js_api_timeout api_timeout", "time", "5s", "How long storing may take"),
    KEY("max_ack_pending max_pending max_inflight", "messages", "1024",
        "Messages that may be under way"),
    KEY("js_domain", "text", NULL, "Domain of the streams"),
    KEY("stream_replicas", "copies", "0", "Copies of a stream"),
    KEY("consumer_replicas", "copies", "0", "No longer looked at"),
    KEY("consumer_memory_storage", "switch", "false", "Consumers in memory only"),
    KEY("consumer_inactive_threshold consumer_auto_cleanup", "time", NULL,
        "When consumers are given up"),
    KEY("reject_qos2_publish", "switch", "false", "Refuse QoS 2 from publishers"),
    KEY("downgrade_qos2_subscribe", "switch", "false", "Give subscribers QoS 1 for QoS 2"),
};

static const pp_key jetstream[] = {
    KEY("enabled enable", "switch", "true", "Whether there are any"),
    KEY("store_dir storedir store", "path", "<tmp>/nats", "Where they are kept"),
    KEY("max_memory_store max_mem_store max_mem", "size", "75 % of memory", "Memory for streams"),
    KEY("max_file_store max_file", "size", "75 % of what is free", "Disk for streams"),
    KEY("sync_interval sync", "time or always", "2m", "How often files are forced to disk"),
    KEY("strict", "switch", "true", "Requests must be exact"),
    KEY("domain", "text", NULL, "Name of this island of streams"),
    KEY("key ek encryption_key", "secret", NULL, "Key that files are encrypted with"),
    KEY("prev_key prev_ek prev_encryption_key", "secret", NULL, "The key before it"),
    KEY("cipher", "chacha or aes", "chacha", "How they are"),
    KEY("unique_tag", "text", NULL, "Tag that copies must differ in"),
    KEY("extension_hint", "text", NULL, "no_extend or will_extend"),
    KEY("max_outstanding_catchup", "size", "64MB", "What may be under way to a copy"),
    KEY("max_buffered_msgs", "messages", "100000", "What may wait for a stream"),
    KEY("max_buffered_size", "size", "128MB", "The same in bytes"),
    KEY("request_queue_limit", "requests", "10000", "Requests that may wait"),
    KEY("info_queue_limit", "requests", "10000", "Questions that may wait"),
    KEY("meta_compact", "entries", "0", "When the journal of the cluster is cut"),
    KEY("meta_compact_size", "size", "0", "The same in bytes"),
    KEY("meta_compact_sync", "switch", "false", "Wait for it"),
    KEY("max_concurrent_io", "operations", "4096", "File operations at a time"),
    KEY("limits", "map", NULL, "Limits of streams and consumers"),
    KEY("tpm", "map", NULL, "Keys from a TPM"),
};

static const pp_key jetstream_limits[] = {
    KEY("max_ack_pending", "messages", NULL, "Messages that a consumer may have unacknowledged"),
    KEY("max_ha_assets", "streams and consumers", NULL, "How many with copies"),
    KEY("max_request_batch", "messages", NULL, "Messages that may be asked for at once"),
    KEY("duplicate_window", "time", NULL, "Time within which duplicates are found"),
    KEY("batch", "map", NULL,
        "Limits of batches: `max_inflight_per_stream`, `max_inflight_total`, `max_msgs`, "
        "`timeout`"),
};

static const pp_key tpm[] = {
    KEY("keys_file", "path", NULL, "Where they are kept"),
    KEY("encryption_password", "secret", NULL, "Password of the keys"),
    KEY("srk_password", "secret", NULL, "Password of the storage root key"),
    KEY("pcr", "number", NULL, "Register that seals them"),
    KEY("cipher", "chacha or aes", "chacha", "How files are encrypted"),
};

static const pp_key account_jetstream[] = {
    KEY("max_memory max_mem mem memory", "size", "-1", "Memory"),
    KEY("max_store max_file max_disk store disk", "size", "-1", "Disk"),
    KEY("max_streams streams", "streams", "-1", "Streams"),
    KEY("max_consumers consumers", "consumers", "-1", "Consumers"),
    KEY("max_bytes_required max_stream_bytes max_bytes", "switch", "false",
        "Streams must name their limit"),
    KEY("mem_max_stream_bytes memory_max_stream_bytes", "size", "-1", "Largest stream in memory"),
    KEY("disk_max_stream_bytes store_max_stream_bytes", "size", "-1", "Largest stream on disk"),
    KEY("max_ack_pending", "messages", "-1", "Messages that a consumer may have unacknowledged"),
    KEY("cluster_traffic", "system or owner", "system", "Whose traffic copies are"),
};

#define BLOCK(name, lacks, text)                                                                   \
    {                                                                                              \
#name, (text), name, sizeof(name) / sizeof(name[0]), (lacks), false                        \
    }

const pp_key_block pp_missing_blocks[] = {
    BLOCK(cluster, "clustering", "Several servers as one."),
    BLOCK(compression, "clustering", "Compression between servers."),
    BLOCK(gateway, "gateways", "Several clusters as one."),
    BLOCK(leafnodes, "leaf nodes", "Servers that hang on others."),
    BLOCK(leafnode_remote, "leaf nodes", "A server that this one hangs on."),
    BLOCK(mqtt, "MQTT", "MQTT clients."),
    BLOCK(jetstream, "JetStream", "Streams that are kept."),
    BLOCK(jetstream_limits, "JetStream", "Limits of streams and consumers."),
    BLOCK(tpm, "JetStream", "Keys from a TPM."),
    BLOCK(account_jetstream, "JetStream", "Streams of an account."),
};
const size_t pp_missing_block_count = sizeof(pp_missing_blocks) / sizeof(pp_missing_blocks[0]);
