#include "tls/place.h"

#include "base/alloc.h"

/* Of a turn, for handshakes; the one that goes over it is finished. */
static const int64_t turn_share_ns = 300000;

pipit_err pp_tls_places_init(pp_tls_places *places, unsigned loops)
{
    *places = (pp_tls_places){.at = pp_calloc(loops, sizeof(pp_tls_place))};
    if (!places->at)
        return PIPIT_ENOMEM;
    places->count = loops;
    for (unsigned i = 0; i < loops; i++)
        pp_list_init(&places->at[i].underway);
    return PIPIT_OK;
}

void pp_tls_places_fini(pp_tls_places *places)
{
    for (unsigned i = 0; i < places->count; i++) {
        pp_free(places->at[i].in);
        pp_free(places->at[i].out);
        pp_free(places->at[i].joined);
        pp_tls_cipher_context_fini(&places->at[i].sealing);
        pp_tls_cipher_context_fini(&places->at[i].opening);
    }
    pp_free(places->at);
    *places = (pp_tls_places){0};
}

pipit_err pp_tls_place_open(pp_tls_place *place)
{
    if (!place->in)
        place->in = pp_alloc(PP_TLS_IN_BYTES);
    if (!place->out)
        place->out = pp_alloc(PP_TLS_OUT_BYTES + PP_TLS_RECORD_MAX + PP_TLS_RECORD_EXTRA);
    if (!place->joined)
        place->joined = pp_alloc(PP_TLS_RECORD_MAX);
    return place->in && place->out && place->joined ? PIPIT_OK : PIPIT_ENOMEM;
}

bool pp_tls_place_may_step(pp_tls_place *place, int64_t turn_ns)
{
    if (place->turn_ns != turn_ns) {
        place->turn_ns = turn_ns;
        place->spent_ns = 0;
    }
    return place->spent_ns < turn_share_ns;
}
