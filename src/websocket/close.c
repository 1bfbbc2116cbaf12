#include "websocket/close.h"

#include <stdio.h>

pp_ws_status pp_ws_status_of(pp_close_reason reason)
{
    switch (reason) {
    case PP_CLOSE_CLIENT:
        return PP_WS_NORMAL;
    case PP_CLOSE_STALE:
    case PP_CLOSE_SHUTDOWN:
    case PP_CLOSE_READ_ERROR:
    case PP_CLOSE_WRITE_ERROR:
        return PP_WS_GOING_AWAY;
    case PP_CLOSE_PARSE_ERROR:
    case PP_CLOSE_PROTOCOL:
    case PP_CLOSE_CLIENT_PROTOCOL:
        return PP_WS_PROTOCOL_ERROR;
    case PP_CLOSE_AUTH:
    case PP_CLOSE_AUTH_TIMEOUT:
    case PP_CLOSE_CONNECTIONS:
    case PP_CLOSE_ACCOUNT_CONNECTIONS:
    case PP_CLOSE_SUBSCRIPTIONS:
    case PP_CLOSE_CONTROL_LINE:
    case PP_CLOSE_SLOW_PENDING:
    case PP_CLOSE_SLOW_DEADLINE:
        return PP_WS_POLICY;
    case PP_CLOSE_PAYLOAD:
        return PP_WS_TOO_BIG;
    default:
        return PP_WS_INTERNAL;
    }
}

/* The longest front of text that fits and does not end within a character. */
static size_t fitting(pp_str text, size_t room)
{
    size_t len = 0;

    while (len < text.len) {
        size_t step = pp_str_utf8_len((pp_str){text.ptr + len, text.len - len});

        if (step == 0 || step > room - len)
            break;
        len += step;
    }
    return len;
}

size_t pp_ws_close_format(char out[PP_WS_CONTROL_MAX], pp_ws_status status, pp_str text)
{
    const size_t room = PP_WS_CONTROL_MAX - 2;
    size_t len = fitting(text, room);

    out[0] = (char)(status >> 8);
    out[1] = (char)status;
    if (len < text.len) {
        len = fitting(text, room - 3);
        memcpy(out + 2 + len, "...", 3);
        memcpy(out + 2, text.ptr, len);
        return len + 5;
    }
    if (len)
        memcpy(out + 2, text.ptr, len);
    return len + 2;
}

/* May a peer say that? Source: RFC 6455, section 7.4, as nats-server reads it. */
static bool is_valid(unsigned status)
{
    if (status < 1000 || status >= 5000 || (status >= 1016 && status < 3000))
        return false;
    return status != 1004 && status != 1005 && status != 1006 && status != 1015;
}

size_t pp_ws_close_answer(char out[PP_WS_CONTROL_MAX], pp_str body)
{
    char wrong[48];
    unsigned status;
    pp_str text;

    if (body.len == 0)
        return 0;
    if (body.len == 1)
        return pp_ws_close_format(out, PP_WS_PROTOCOL_ERROR,
                                  PP_STR("close frame payload cannot be 1 byte"));
    status = (unsigned)(uint8_t)body.ptr[0] << 8 | (uint8_t)body.ptr[1];
    if (!is_valid(status)) {
        (void)snprintf(wrong, sizeof(wrong), "invalid close status code %u", status);
        return pp_ws_close_format(out, PP_WS_PROTOCOL_ERROR, pp_str_of(wrong));
    }
    text = (pp_str){body.ptr + 2, body.len - 2};
    if (fitting(text, text.len) < text.len)
        return pp_ws_close_format(out, PP_WS_INVALID_DATA,
                                  PP_STR("invalid utf8 body in close frame"));
    memcpy(out, body.ptr, body.len);
    return body.len;
}
