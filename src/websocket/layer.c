#include "websocket/session.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "websocket/close.h"

#include <errno.h>
#include <string.h>

static void wipe_credentials(pp_ws_layer *ws)
{
    size_t bytes = 0;

    for (size_t i = 0; i < PP_WS_CREDENTIAL_COUNT; i++) {
        bytes += ws->credential_lens[i];
        ws->credential_lens[i] = 0;
    }
    if (ws->credentials)
        explicit_bzero(ws->credentials, bytes);
    pp_free(ws->credentials);
    ws->credentials = NULL;
}

void pp_ws_set_answer(pp_ws_layer *ws, const char *bytes, size_t len)
{
    PP_ASSERT(!ws->answer && len <= PP_WS_CONTROL_MAX);
    ws->answer = pp_memdupz(bytes, len);
    ws->answer_len = (uint8_t)len;
}

/* --- as a layer --------------------------------------------------------------------------- */

static ssize_t receive(pp_layer *layer, char *to, size_t len)
{
    pp_ws_layer *ws = pp_ws_layer_of(layer);

    if (PP_LIKELY(ws->open))
        return pp_ws_receive(ws, to, len);
    layer->more = false;
    if (ws->refused) {
        errno = EPROTO;
        return -1;
    }
    return pp_ws_shake_hands(ws, to, len);
}

static void goodbye(pp_layer *layer, uint8_t reason)
{
    pp_ws_layer *ws = pp_ws_layer_of(layer);
    const char *text = pp_close_reason_text((pp_close_reason)reason);
    char body[PP_WS_CONTROL_MAX];
    pp_str bytes = {ws->answer, ws->answer_len};

    if (!ws->open || ws->refused || atomic_load(&ws->left))
        return;
    if (!ws->ended)
        bytes = (pp_str){body, pp_ws_close_format(body, pp_ws_status_of((pp_close_reason)reason),
                                                  pp_str_of(text))};
    if (bytes.ptr)
        (void)pp_ws_hold_control(ws, PP_WS_CLOSE, bytes); /* else it just ends */
    atomic_store(&ws->left, true);
}

static void free_layer(pp_layer *layer)
{
    pp_ws_layer *ws = pp_ws_layer_of(layer);

    if (ws->request) {
        pp_http_reader_fini(ws->request);
        pp_free(ws->request);
    }
    pp_ws_inflater_free(ws->inflater);
    pp_body_unref(ws->rest);
    pp_free(ws->answer);
    wipe_credentials(ws);
    pp_free(ws->real_ip);
    pp_layer_fini(layer);
    pp_free(ws);
}

static const pp_layer_ops layer_ops = {
    .name = "websocket",
    .receive = receive,
    .send = pp_ws_send,
    .goodbye = goodbye,
    .free = free_layer,
};

/* --- public ------------------------------------------------------------------------------- */

pipit_err pp_ws_host_init(pp_ws_host *host, const pp_log *log, unsigned loop_count)
{
    host->log = log;
    host->lanes = pp_calloc(loop_count, sizeof(*host->lanes));
    return host->lanes ? PIPIT_OK : PIPIT_ENOMEM;
}

void pp_ws_host_fini(pp_ws_host *host, unsigned loop_count)
{
    for (unsigned i = 0; host->lanes && i < loop_count; i++)
        pp_ws_codec_fini(&host->lanes[i].codec);
    pp_free(host->lanes);
    host->lanes = NULL;
}

pipit_err pp_ws_layer_new(pp_ws_host *host, pp_layer **out_layer)
{
    pp_ws_layer *ws = pp_calloc(1, sizeof(*ws));

    if (!ws)
        return PIPIT_ENOMEM;
    pp_layer_init(&ws->layer, &layer_ops);
    ws->host = host;
    *out_layer = &ws->layer;
    return PIPIT_OK;
}

bool pp_ws_layer_is(const pp_layer *layer)
{
    return layer->ops == &layer_ops;
}

pp_str pp_ws_layer_credential(const pp_layer *layer, pp_ws_credential which)
{
    const pp_ws_layer *ws = PP_CONTAINER(layer, pp_ws_layer, layer);
    size_t at = 0;

    for (size_t i = 0; i < which; i++)
        at += ws->credential_lens[i];
    return (pp_str){ws->credentials ? ws->credentials + at : "", ws->credential_lens[which]};
}

void pp_ws_layer_forget_credentials(pp_layer *layer)
{
    wipe_credentials(pp_ws_layer_of(layer));
}

pp_str pp_ws_layer_real_ip(const pp_layer *layer)
{
    const pp_ws_layer *ws = PP_CONTAINER(layer, pp_ws_layer, layer);

    return pp_str_of(ws->real_ip ? ws->real_ip : "");
}
