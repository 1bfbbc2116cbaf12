#include "server/operators/account_options.h"

#include "core/subject.h"

#include <string.h>

/* The first that fails makes the rest nothing. */
struct making {
    const pp_account_claims *claims;
    pp_exporter_find_fn find;
    void *context;
    int64_t now_s, until_s;
    pp_arena *arena;
    pipit_err err;
};

static void *take(struct making *m, size_t count, size_t bytes)
{
    void *memory = NULL;

    if (!m->err)
        m->err = pp_arena_take(m->arena, count * bytes + 1, &memory);
    if (!m->err)
        memset(memory, 0, count * bytes + 1);
    return m->err ? NULL : memory;
}

/* NULL for an empty one. */
static const char *text(struct making *m, pp_str from)
{
    char *copy = from.len ? take(m, from.len + 1, 1) : NULL;

    if (copy)
        memcpy(copy, from.ptr, from.len);
    return copy;
}

static int32_t limit32(int64_t value)
{
    return value < 0 ? -1 : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

/* --- exports ------------------------------------------------------------------------------- */

static void make_exports(struct making *m, pp_account_options *out)
{
    size_t count = m->claims->export_count;
    pp_export_option *list = take(m, count, sizeof(*list));

    for (size_t i = 0; i < count && !m->err; i++) {
        const pp_claim_export *e = &m->claims->exports[i];

        list[i] = (pp_export_option){
            .subject = text(m, e->subject),
            .is_service = e->kind == PP_CLAIM_SERVICE,
            .account_token_position = (uint32_t)e->account_token_position,
            .token_required = e->token_required,
            .response_type = e->response == PP_CLAIM_RESPONSE_STREAM    ? PP_RESPONSE_STREAM
                             : e->response == PP_CLAIM_RESPONSE_CHUNKED ? PP_RESPONSE_CHUNKED
                                                                        : PP_RESPONSE_SINGLETON,
            .response_threshold_ns = e->response_threshold_ns,
            .latency_subject = e->has_latency ? text(m, e->latency_results) : NULL,
            .latency_sampling = (uint32_t)e->latency_sampling,
            .allow_trace = e->allow_trace,
        };
    }
    out->exports = list;
    out->export_count = m->err ? 0 : count;
}

/* --- imports ------------------------------------------------------------------------------- */

/* The export that an import takes from; NULL: there is none. */
static const pp_claim_export *find_export(const pp_account_claims *exporter,
                                          const pp_claim_import *import)
{
    pp_str subject =
        import->kind == PP_CLAIM_SERVICE && import->to.len ? import->to : import->subject;

    for (size_t i = 0; i < exporter->export_count; i++) {
        const pp_claim_export *e = &exporter->exports[i];

        if (e->kind == import->kind && pp_subject_subset(subject, e->subject))
            return e;
    }
    return NULL;
}

/* Is there an activation that holds? */
static bool is_activated(struct making *m, const pp_claim_import *import)
{
    const pp_account_claims *exporter = m->find(m->context, import->account);
    const pp_claim_export *e = exporter ? find_export(exporter, import) : NULL;
    char reason[PP_JWT_REASON_BYTES];
    int64_t expires_s;
    pipit_err err;

    if (!e)
        return false;
    err = pp_activation_verify(import->token, m->claims->jwt->subject, import, exporter,
                               &e->revocations, m->now_s, &expires_s, reason);
    if (err == PIPIT_ENOMEM)
        m->err = err;
    if (err)
        return false;
    if (expires_s && (!m->until_s || expires_s < m->until_s))
        m->until_s = expires_s;
    return true;
}

static void make_import(struct making *m, const pp_claim_import *i, pp_import_option *out)
{
    bool is_service = i->kind == PP_CLAIM_SERVICE;

    *out = (pp_import_option){
        .account = text(m, i->account),
        .subject = text(m, i->subject),
        .is_service = is_service,
        .local = text(m, i->local_subject),
        .share = i->share,
        .allow_trace = i->allow_trace,
    };
    if (i->to.len && is_service) { /* as older tools say it: subject is the one here */
        out->local = out->subject;
        out->subject = text(m, i->to);
    } else if (i->to.len) {
        out->prefix = text(m, i->to);
    }
    if (i->token.len) {
        out->activated = is_activated(m, i);
        out->inactive = !out->activated;
    }
}

static void make_imports(struct making *m, pp_account_options *out)
{
    size_t count = m->claims->import_count;
    pp_import_option *list = take(m, count, sizeof(*list));

    for (size_t i = 0; i < count && !m->err; i++)
        make_import(m, &m->claims->imports[i], &list[i]);
    out->imports = list;
    out->import_count = m->err ? 0 : count;
}

/* --- mappings ------------------------------------------------------------------------------ */

static void make_mappings(struct making *m, pp_account_options *out)
{
    size_t count = m->claims->mapping_count;
    pp_mapping_option *list = take(m, count, sizeof(*list));

    for (size_t i = 0; i < count && !m->err; i++) {
        const pp_claim_mapping *mapping = &m->claims->mappings[i];
        pp_destination_option *to = take(m, mapping->destination_count, sizeof(*to));

        for (size_t n = 0; n < mapping->destination_count && !m->err; n++)
            to[n] = (pp_destination_option){
                .subject = text(m, mapping->destinations[n].subject),
                .weight = (uint32_t)mapping->destinations[n].weight,
                .cluster = text(m, mapping->destinations[n].cluster),
            };
        list[i] = (pp_mapping_option){
            .source = text(m, mapping->source),
            .destinations = to,
            .destination_count = mapping->destination_count,
        };
    }
    out->mappings = list;
    out->mapping_count = m->err ? 0 : count;
}

static void make_tags(struct making *m, pp_account_options *out)
{
    const pp_claim_list *tags = &m->claims->jwt->tags;
    const char **texts = take(m, tags->count, sizeof(*texts));

    for (size_t i = 0; texts && i < tags->count; i++)
        texts[i] = text(m, tags->items[i]);
    out->tags = texts;
    out->tag_count = m->err ? 0 : tags->count;
}

pipit_err pp_claims_to_options(const pp_account_claims *claims, pp_exporter_find_fn find,
                               void *context, int64_t now_s, pp_arena *arena,
                               pp_account_options *out, int64_t *out_until_s)
{
    struct making m = {
        .claims = claims,
        .find = find,
        .context = context,
        .now_s = now_s,
        .arena = arena,
    };
    const char *name = text(&m, claims->jwt->subject);

    *out = pp_account_options_none(name);
    out->title = text(&m, claims->jwt->name);
    out->issuer = text(&m, claims->jwt->issuer);
    make_tags(&m, out);
    out->max_connections = limit32(claims->connections);
    out->max_subscriptions = limit32(claims->subs);
    out->max_payload_bytes = claims->payload < 0 ? -1 : claims->payload;
    if (claims->has_trace) {
        out->trace_dest = text(&m, claims->trace_dest);
        out->trace_sampling = (uint32_t)claims->trace_sampling;
    }
    make_exports(&m, out);
    make_imports(&m, out);
    make_mappings(&m, out);
    *out_until_s = m.until_s;
    return m.err;
}
