#include "client/ws_end.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/openssl.h"
#include "base/random.h"
#include "websocket/frame.h"
#include "websocket/mask.h"
#include "websocket/upgrade.h"

#include <http_parser.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_BYTES = 16,
    KEY_CHARS = 24,
    HEAD_MAX = 16 * 1024, /* of the answer */
    IN_BYTES = 64 * 1024,
    FRAME_MAX = 64 * 1024,  /* bytes that a frame of ours holds */
    CONTROL_OUT_MAX = 4096, /* answers to pings that the server does not read */
};

struct pp_ws_end {
    pp_buf out; /* encoded, to be sent */
    size_t out_sent;
    char *in; /* received, not taken apart */
    size_t in_at, in_len;
    bool asked, closed;
    uint64_t random;
    pp_ws_reader reader;
    char key[KEY_CHARS + 1];
};

static void make_key(char out[KEY_CHARS + 1])
{
    unsigned char bytes[KEY_BYTES];

    pp_random_bytes(bytes, sizeof(bytes));
    (void)sodium_bin2base64(out, KEY_CHARS + 1, bytes, sizeof(bytes),
                            sodium_base64_VARIANT_ORIGINAL);
}

pipit_err pp_ws_end_new(pp_ws_end **out_end, const pp_remote *remote)
{
    pp_ws_end *end = pp_calloc(1, sizeof(*end));
    const char *open, *close;
    pipit_err err;

    if (!end)
        return PIPIT_ENOMEM;
    end->in = pp_alloc(IN_BYTES);
    end->random = pp_random_seed();
    end->reader.unmasked = true; /* servers do not mask */
    pp_buf_init(&end->out, FRAME_MAX + PP_WS_HEAD_MAX + CONTROL_OUT_MAX);
    make_key(end->key);
    open = strchr(remote->host, ':') ? "[" : "";
    close = *open ? "]" : "";
    err = end->in ? pp_buf_addf(&end->out,
                                "GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: %s\r\n\r\n",
                                remote->path, open, remote->host, close, remote->port, end->key)
                  : PIPIT_ENOMEM;
    if (err)
        pp_ws_end_free(end);
    else
        *out_end = end;
    return err;
}

void pp_ws_end_free(pp_ws_end *end)
{
    if (!end)
        return;
    pp_buf_fini(&end->out);
    pp_free(end->in);
    pp_free(end);
}

/* Send what is encoded. Errors: PIPIT_EAGAIN some is left. */
static pipit_err flush(pp_ws_end *end, pp_wire *wire)
{
    pipit_err err = PIPIT_OK;
    size_t sent;

    while (!err && end->out_sent < end->out.len) {
        err = pp_wire_send_raw(wire, end->out.ptr + end->out_sent, end->out.len - end->out_sent,
                               &sent);
        end->out_sent += err ? 0 : sent;
    }
    if (!err)
        end->out.len = end->out_sent = 0;
    return err;
}

/* --- the request and its answer ----------------------------------------------------------- */

/* What http_parser finds in an answer. */
struct answer {
    bool at_accept; /* the field read now is Sec-WebSocket-Accept */
    bool in_value, complete;
    size_t name_len, accept_len;
    char name[32];
    char accept[PP_WS_ACCEPT_BYTES + 1];
};

static int on_field(http_parser *parser, const char *at, size_t len)
{
    struct answer *answer = parser->data;

    if (answer->in_value)
        answer->name_len = 0;
    answer->in_value = false;
    for (size_t i = 0; i < len && answer->name_len < sizeof(answer->name); i++)
        answer->name[answer->name_len++] = at[i];
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct answer *answer = parser->data;

    answer->in_value = true;
    answer->at_accept =
        pp_str_eq_nocase((pp_str){answer->name, answer->name_len}, PP_STR("Sec-WebSocket-Accept"));
    for (size_t i = 0; answer->at_accept && i < len && answer->accept_len < sizeof(answer->accept);
         i++)
        answer->accept[answer->accept_len++] = at[i];
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct answer *answer = parser->data;

    answer->complete = true;
    return 1; /* nothing behind it is HTTP's */
}

static pipit_err judge(pp_ws_end *end, pp_wire *wire, size_t head_len)
{
    static const http_parser_settings settings = {
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_complete,
    };
    char wanted[PP_WS_ACCEPT_BYTES];
    struct answer answer = {0};
    http_parser parser;

    http_parser_init(&parser, HTTP_RESPONSE);
    parser.data = &answer;
    (void)http_parser_execute(&parser, &settings, end->in, head_len);
    if (!answer.complete)
        return pp_wire_fail(wire, PIPIT_EPROTO, "websocket: the server's answer cannot be read");
    if (parser.status_code != 101)
        return pp_wire_fail(wire, PIPIT_EDENIED, "websocket: the server answers %u",
                            parser.status_code);
    if (pp_openssl_load(NULL))
        return pp_wire_fail(wire, PIPIT_EIO, "websocket: OpenSSL is not to be had");
    if (!pp_ws_accept_make((pp_str){end->key, KEY_CHARS}, wanted))
        return PIPIT_ENOMEM;
    if (!pp_str_eq((pp_str){answer.accept, answer.accept_len}, (pp_str){wanted, sizeof(wanted)}))
        return pp_wire_fail(wire, PIPIT_EPROTO, "websocket: the server has not read the key");
    return PIPIT_OK;
}

pipit_err pp_ws_end_shake(pp_ws_end *end, pp_wire *wire)
{
    pipit_err err = flush(end, wire);
    const char *stop;
    size_t got;

    while (!err) {
        stop = memmem(end->in, end->in_len, "\r\n\r\n", 4);
        if (stop) {
            end->in_at = (size_t)(stop - end->in) + 4;
            return judge(end, wire, end->in_at);
        }
        if (end->in_len >= HEAD_MAX)
            return pp_wire_fail(wire, PIPIT_EPROTO, "websocket: the server's answer is too long");
        err = pp_wire_receive_raw(wire, end->in + end->in_len, HEAD_MAX - end->in_len, &got);
        end->in_len += err ? 0 : got;
    }
    return err;
}

/* --- frames ------------------------------------------------------------------------------- */

/* Encode one. Errors: those of the buffer. */
static pipit_err encode(pp_ws_end *end, pp_ws_opcode opcode, const char *bytes, size_t len)
{
    uint32_t key = (uint32_t)pp_random_next(&end->random) | 1; /* 0 would mask nothing */
    pipit_err err = pp_buf_reserve(&end->out, len + PP_WS_HEAD_MAX);
    char *to;

    if (err)
        return err;
    to = end->out.ptr + end->out.len;
    to += pp_ws_head_format(to, opcode, true, false, len);
    end->out.ptr[end->out.len + 1] |= (char)0x80; /* masked: the key stands behind the length */
    memcpy(to, &key, sizeof(key));
    to += sizeof(key);
    (void)pp_ws_mask(to, bytes, len, key);
    end->out.len = (size_t)(to - end->out.ptr) + len;
    return PIPIT_OK;
}

pipit_err pp_ws_end_send(pp_ws_end *end, pp_wire *wire, const char *bytes, size_t len,
                         size_t *out_sent)
{
    pipit_err err = flush(end, wire);

    *out_sent = 0;
    if (err || !len) /* nothing new: this was to flush */
        return err;
    if (len > FRAME_MAX)
        len = FRAME_MAX;
    err = encode(end, PP_WS_BINARY, bytes, len);
    if (err)
        return err;
    *out_sent = len;
    err = flush(end, wire);
    return err == PIPIT_EAGAIN ? PIPIT_OK : err; /* the rest goes with the next call */
}

static pipit_err on_control(pp_ws_end *end, pp_wire *wire, const pp_ws_piece *piece)
{
    pipit_err err;

    if (piece->opcode == PP_WS_PONG)
        return PIPIT_OK;
    if (piece->opcode == PP_WS_CLOSE) {
        end->closed = true;
        (void)encode(end, PP_WS_CLOSE, piece->bytes.ptr, piece->bytes.len < 2 ? 0 : 2);
        (void)flush(end, wire); /* politeness: it ends either way */
        return pp_wire_fail(wire, PIPIT_ECLOSED, "websocket: the server has closed: %.*s",
                            piece->bytes.len > 2 ? (int)piece->bytes.len - 2 : 0,
                            piece->bytes.ptr + 2);
    }
    err = encode(end, PP_WS_PONG, piece->bytes.ptr, piece->bytes.len);
    if (!err)
        err = flush(end, wire);
    if (err == PIPIT_ETOOBIG)
        return pp_wire_fail(wire, PIPIT_EPROTO, "websocket: the server does not read");
    return err == PIPIT_EAGAIN ? PIPIT_OK : err;
}

/* Take pieces out of what has been received, into to. Errors: PIPIT_EAGAIN there is no more. */
static pipit_err take(pp_ws_end *end, pp_wire *wire, char *to, size_t len, size_t *out_got)
{
    char complaint[PP_WS_COMPLAINT_MAX];
    size_t used, got = 0;
    pp_ws_piece piece;
    pipit_err err = PIPIT_OK;

    while (!err && got < len) {
        size_t left = end->in_len - end->in_at;

        /* Not more than there is room for: what data a window holds is all handed out. */
        err = pp_ws_read(&end->reader,
                         (pp_str){end->in + end->in_at, left < len - got ? left : len - got},
                         &piece, &used);
        if (err == PIPIT_EPROTO) {
            (void)pp_ws_complaint(&end->reader, complaint);
            return pp_wire_fail(wire, err, "websocket: %s", complaint);
        }
        end->in_at += used;
        if (err) {
            if (end->in_at < end->in_len && used)
                err = PIPIT_OK; /* it was the room that ended */
            continue;
        }
        if (piece.opcode != PP_WS_BINARY) {
            err = on_control(end, wire, &piece);
        } else if (piece.bytes.len) {
            (void)pp_ws_mask(to + got, piece.bytes.ptr, piece.bytes.len, piece.key);
            got += piece.bytes.len;
        }
    }
    *out_got = got;
    return got ? PIPIT_OK : err;
}

pipit_err pp_ws_end_receive(pp_ws_end *end, pp_wire *wire, char *to, size_t len, size_t *out_got)
{
    pipit_err err;
    size_t got;

    for (;;) {
        if (end->closed)
            return PIPIT_ECLOSED;
        if (end->in_at < end->in_len) {
            err = take(end, wire, to, len, out_got);
            if (err != PIPIT_EAGAIN)
                return err;
        }
        end->in_at = end->in_len = 0;
        err = pp_wire_receive_raw(wire, end->in, IN_BYTES, &got);
        if (err)
            return err;
        end->in_len = got;
    }
}
