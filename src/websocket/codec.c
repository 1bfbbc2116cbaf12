#include "websocket/codec.h"

#include "base/alloc.h"

void pp_ws_codec_fini(pp_ws_codec *codec)
{
    pp_ws_inflater_free(codec->idle);
    pp_ws_deflater_free(codec->deflater);
    pp_free(codec->room);
}

pp_ws_inflater *pp_ws_codec_take_inflater(pp_ws_codec *codec)
{
    pp_ws_inflater *inflater = codec->idle;

    codec->idle = NULL;
    if (!inflater && pp_ws_inflater_new(&inflater))
        return NULL;
    return inflater;
}

void pp_ws_codec_give_inflater(pp_ws_codec *codec, pp_ws_inflater *inflater)
{
    if (codec->idle)
        pp_ws_inflater_free(inflater);
    else
        codec->idle = inflater;
}

pp_ws_deflater *pp_ws_codec_deflater(pp_ws_codec *codec)
{
    if (!codec->deflater && pp_ws_deflater_new(&codec->deflater))
        return NULL;
    return codec->deflater;
}

char *pp_ws_codec_room(pp_ws_codec *codec)
{
    if (!codec->room)
        codec->room = pp_alloc(PP_WS_ROOM);
    return codec->room;
}
