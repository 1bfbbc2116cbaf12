#include "t2/message.h"

#include <stdio.h>

#define FORM(text, what)                                                                           \
    {                                                                                              \
        {text, sizeof(text) - 1}, what                                                             \
    }

const pp_t2_error_form pp_t2_error_forms[PP_T2_ERROR_COUNT] = {
    [PP_T2_INVALID_TOPIC_STRING] = FORM("InvalidTopicString", PP_T2_CARRIES_TEXT),
    [PP_T2_REQUEST_FAILED_CHANNEL_CLOSED] =
        FORM("RequestFailedChannelClosed", PP_T2_CARRIES_NOTHING),
    [PP_T2_REQUEST_FAILED_TIMEOUT] = FORM("RequestFailedTimeout", PP_T2_CARRIES_NOTHING),
    [PP_T2_REQUEST_FAILED] = FORM("RequestFailed", PP_T2_CARRIES_TEXT),
    [PP_T2_INVALID_REQUEST_ID] = FORM("InvalidRequestId", PP_T2_CARRIES_NOTHING),
    [PP_T2_TOPIC_ALREADY_CLAIMED] = FORM("TopicAlreadyClaimed", PP_T2_CARRIES_NOTHING),
    [PP_T2_CLAIM_WILDCARD_NOT_SUPPORTED] = FORM("ClaimWildcardNotSupported", PP_T2_CARRIES_NOTHING),
    [PP_T2_CHANNEL_CLOSED] = FORM("ChannelClosed", PP_T2_CARRIES_NOTHING),
    [PP_T2_SERVICE_NOT_FOUND] = FORM("ServiceNotFound", PP_T2_CARRIES_TEXT),
    [PP_T2_DELIVERY_FAILED] = FORM("DeliveryFailed", PP_T2_CARRIES_NUMBER_AND_TEXT),
    [PP_T2_UNKNOWN_CLIENT] = FORM("UnknownClient", PP_T2_CARRIES_NUMBER),
    [PP_T2_MALFORMED_MESSAGE] = FORM("MalformedMessage", PP_T2_CARRIES_TWO_TEXTS),
    [PP_T2_UNSERIALIZABLE_MESSAGE] = FORM("UnserializableMessage", PP_T2_CARRIES_TEXT),
    [PP_T2_IO_ERROR] = FORM("IOError", PP_T2_CARRIES_TEXT),
    [PP_T2_INTERNAL_ERROR] = FORM("InternalError", PP_T2_CARRIES_TEXT),
    [PP_T2_TLS_CONFIG_ERROR] = FORM("TlsConfigError", PP_T2_CARRIES_TEXT),
    [PP_T2_DNS_LOOKUP_FAILED] = FORM("DnsLookupFailed", PP_T2_CARRIES_NOTHING),
    [PP_T2_CLIENT_TIMEOUT] = FORM("ClientTimeout", PP_T2_CARRIES_NUMBER),
};

/* %T: the text; %O: the other; %N: the number. Source: t2_bus 0.1.0, err.rs. */
static const char *const sentences[PP_T2_ERROR_COUNT] = {
    [PP_T2_NO_ERROR] = "",
    [PP_T2_INVALID_TOPIC_STRING] = "Invalid topic string: %T",
    [PP_T2_REQUEST_FAILED_CHANNEL_CLOSED] = "Request failed: Channel closed while awaiting ACK",
    [PP_T2_REQUEST_FAILED_TIMEOUT] = "Request failed: Timeout while awaiting ACK",
    [PP_T2_REQUEST_FAILED] = "Request failed: %T",
    [PP_T2_INVALID_REQUEST_ID] = "Respond failed: Invalid request ID or requester disconnected",
    [PP_T2_TOPIC_ALREADY_CLAIMED] = "Claim topic failed: Already claimed",
    [PP_T2_CLAIM_WILDCARD_NOT_SUPPORTED] = "Claim topic failed: Wildcards not supported",
    [PP_T2_CHANNEL_CLOSED] = "Channel closed by peer",
    [PP_T2_SERVICE_NOT_FOUND] = "Service not found: %T",
    [PP_T2_DELIVERY_FAILED] = "Message delivery failed: Client #%N: %T",
    [PP_T2_UNKNOWN_CLIENT] = "Message delivery failed: Unknown client %N",
    [PP_T2_MALFORMED_MESSAGE] = "Deserialize message failed. Protocol: %T. Error: %O",
    [PP_T2_UNSERIALIZABLE_MESSAGE] = "Serialize message failed: %T",
    [PP_T2_IO_ERROR] = "IO error: %T",
    [PP_T2_INTERNAL_ERROR] = "Internal error: %T",
    [PP_T2_TLS_CONFIG_ERROR] = "TLS configuration error: %T",
    [PP_T2_DNS_LOOKUP_FAILED] = "DNS lookup failed",
    [PP_T2_CLIENT_TIMEOUT] =
        "Client #%N timed out, no messages or keep alives for KEEP_ALIVE_TIMEOUT_S",
};

void pp_t2_error_text(const pp_t2_error *error, char *out, size_t out_bytes)
{
    const char *from = sentences[error->code];
    size_t len = 0;

    while (*from && len + 1 < out_bytes) {
        char number[12];
        pp_str piece = {from, 1};

        if (*from == '%') {
            from++;
            (void)snprintf(number, sizeof(number), "%u", error->number);
            piece = *from == 'T' ? error->text : *from == 'O' ? error->other : pp_str_of(number);
        }
        from++;
        if (piece.len > out_bytes - 1 - len)
            piece.len = out_bytes - 1 - len;
        if (piece.len)
            memcpy(out + len, piece.ptr, piece.len);
        len += piece.len;
    }
    if (out_bytes)
        out[len] = '\0';
}
