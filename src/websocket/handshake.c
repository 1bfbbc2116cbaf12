/* The upgrade request, from its first byte to the answer. */
#include "base/alloc.h"
#include "websocket/session.h"

#include <errno.h>
#include <stdio.h>

/* A request comes from who has shown nothing yet: it may take no more than this. */
static const pp_http_limits limits = {
    .head_max = 16 * 1024, .uri_max = 4 * 1024, .headers_max = 100, .body_max = 0};

/* --- telling ------------------------------------------------------------------------------ */

static void log_refusal(pp_ws_layer *ws, const char *reason)
{
    pp_conn *conn = ws->layer.conn;
    char peer[48], left_out[64] = "";
    uint64_t missed;

    if (!pp_log_limit_allows(&ws->host->lanes[conn->loop->index].refusals, conn->loop->now_ns,
                             &missed))
        return;
    if (missed)
        (void)snprintf(left_out, sizeof(left_out), " (and %llu like it since the last line)",
                       (unsigned long long)missed);
    pp_conn_peer_text(conn, peer);
    pp_log_write(ws->host->log, PP_LOG_ERROR,
                 strchr(peer, ':') ? "[%s]:%u - websocket handshake error: %s%s"
                                   : "%s:%u - websocket handshake error: %s%s",
                 peer, conn->peer_port, reason, left_out);
}

static void end_request(pp_ws_layer *ws)
{
    if (!ws->request)
        return;
    pp_http_reader_fini(ws->request);
    pp_free(ws->request);
    ws->request = NULL;
}

/* Hold the answer; it goes out when this turn of reading is over. */
static pipit_err answer(pp_ws_layer *ws, const pp_ws_upgrade *upgrade)
{
    pp_buf out;
    pipit_err err;

    pp_buf_init(&out, PP_LAYER_HELD_MAX / 2);
    err = pp_ws_upgrade_answer(&pp_ws_settings_of(ws)->rules, upgrade, &out);
    if (!err) {
        (void)pthread_mutex_lock(&ws->layer.lock);
        err = pp_layer_hold_locked(&ws->layer, pp_buf_str(&out));
        (void)pthread_mutex_unlock(&ws->layer.lock);
    }
    pp_buf_fini(&out);
    return err;
}

static ssize_t refuse(pp_ws_layer *ws, const pp_ws_upgrade *upgrade)
{
    log_refusal(ws, upgrade->reason);
    end_request(ws);
    ws->refused = true;
    (void)answer(ws, upgrade); /* without memory the connection just ends */
    return pp_layer_fail(&ws->layer, PP_CLOSE_PROTOCOL);
}

/* --- what is kept of a request ------------------------------------------------------------ */

static bool wants_cookies(const pp_ws_settings *settings)
{
    for (size_t i = 0; i < PP_WS_CREDENTIAL_COUNT; i++) {
        if (settings->cookies[i].len)
            return true;
    }
    return false;
}

static pipit_err keep_credentials(pp_ws_layer *ws, pp_str cookies)
{
    const pp_ws_settings *settings = pp_ws_settings_of(ws);
    pp_str values[PP_WS_CREDENTIAL_COUNT];
    size_t bytes = 0, at = 0;

    for (size_t i = 0; i < PP_WS_CREDENTIAL_COUNT; i++) {
        values[i] = settings->cookies[i].len ? pp_ws_cookie(cookies, settings->cookies[i])
                                             : (pp_str){NULL, 0};
        bytes += values[i].len;
    }
    if (bytes == 0)
        return PIPIT_OK;
    ws->credentials = pp_alloc(bytes);
    if (!ws->credentials)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < PP_WS_CREDENTIAL_COUNT; i++) {
        if (values[i].len)
            memcpy(ws->credentials + at, values[i].ptr, values[i].len);
        ws->credential_lens[i] = (uint16_t)values[i].len; /* a head is shorter than that */
        at += values[i].len;
    }
    return PIPIT_OK;
}

static pipit_err open_layer(pp_ws_layer *ws, const pp_http_request *request,
                            const pp_ws_upgrade *upgrade)
{
    pipit_err err = keep_credentials(ws, request->upgrade.cookies);

    if (!err && upgrade->real_ip.len) {
        ws->real_ip = pp_memdupz(upgrade->real_ip.ptr, upgrade->real_ip.len);
        err = ws->real_ip ? PIPIT_OK : PIPIT_ENOMEM;
    }
    if (!err)
        err = answer(ws, upgrade);
    if (err)
        return err;
    ws->browser = upgrade->browser;
    ws->safari = upgrade->safari;
    ws->deflates = upgrade->deflates;
    ws->reader.unmasked = upgrade->no_masking;
    ws->reader.inflates = upgrade->deflates;
    return PIPIT_OK;
}

static ssize_t decide(pp_ws_layer *ws, const pp_http_request *request)
{
    pp_ws_upgrade upgrade;
    pipit_err err;

    pp_ws_upgrade_check(&pp_ws_settings_of(ws)->rules, request, &upgrade);
    if (upgrade.status != 101)
        return refuse(ws, &upgrade);
    err = open_layer(ws, request, &upgrade);
    end_request(ws);
    if (err)
        return pp_layer_fail(&ws->layer, PP_CLOSE_NO_MEMORY);
    if (upgrade.kind == PP_WS_LEAFNODE) {
        pp_log_write(ws->host->log, PP_LOG_ERROR, "Not configured to accept leaf node connections");
        ws->refused = true;
        return pp_layer_fail(&ws->layer, PP_CLOSE_PROTOCOL);
    }
    ws->open = true;
    pp_layer_set_ready(&ws->layer);
    errno = EAGAIN;
    return -1;
}

static pipit_err begin_request(pp_ws_layer *ws)
{
    ws->request = pp_alloc(sizeof(*ws->request));
    if (!ws->request)
        return PIPIT_ENOMEM;
    pp_http_reader_init(ws->request, &limits);
    ws->request->keep_upgrade = true;
    ws->request->keep_cookies = wants_cookies(pp_ws_settings_of(ws));
    return PIPIT_OK;
}

ssize_t pp_ws_shake_hands(pp_ws_layer *ws, char *to, size_t len)
{
    pp_ws_upgrade refusal = {0};
    pp_http_request request;
    size_t used;
    ssize_t n = pp_layer_receive_below(&ws->layer, to, len);
    pipit_err err;

    if (n <= 0)
        return n;
    if (!ws->request && begin_request(ws))
        return pp_layer_fail(&ws->layer, PP_CLOSE_NO_MEMORY);
    err = pp_http_read(ws->request, (pp_str){to, (size_t)n}, &request, &used);
    if (err == PIPIT_EAGAIN) {
        ws->layer.more = (size_t)n == len;
        errno = EAGAIN;
        return -1;
    }
    if (err) {
        (void)snprintf(refusal.reason, sizeof(refusal.reason), "bad request");
        refusal.status = ws->request->status;
        return refuse(ws, &refusal);
    }
    if (used < (size_t)n) {
        pp_ws_upgrade_refuse(&refusal, 400, "client sent data before handshake is complete");
        return refuse(ws, &refusal);
    }
    return decide(ws, &request);
}
