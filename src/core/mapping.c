/* Options are checked, and compiled, all of them; only those that can be chosen are kept. Sources
 * are found by their text in an open-addressed table (literal subjects, and sources that come
 * again), those with wildcards also one after the other. */
#include "core/mapping.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "base/random.h"
#include "core/placeholder.h"
#include "core/subject.h"
#include "core/transform.h"

enum {
    ALL = 100,        /* what weights add up to */
    QUOTE_MAX = 128,  /* bytes of a subject in an error */
    REASON_MAX = 512, /* bytes of an error */
};

struct choice {
    pp_transform *transform;
    uint32_t below; /* chosen by numbers from the previous choice's to this */
};

struct pp_mapping {
    pp_str source; /* behind the choices */
    bool wild;
    bool drops; /* what no choice takes goes nowhere; else it keeps its subject */
    size_t choice_count;
    struct choice choices[];
};

struct pp_mappings {
    uint64_t seed;
    size_t slot_mask;
    uint32_t *slots;  /* 0, or one more than a place in all */
    pp_mapping **all; /* in the order of the configuration */
    size_t count;
    pp_mapping **wild; /* those of all with wildcards */
    size_t wild_count;
};

static int quoted_len(pp_str text)
{
    return text.len < QUOTE_MAX ? (int)text.len : QUOTE_MAX;
}

/* A reason that cannot be written for want of memory is still told by its code. */
static pipit_err refuse(pp_buf *reason, pipit_err err, const char *text)
{
    (void)pp_buf_addf(reason, "%s", text);
    return err;
}

static bool has_blank(pp_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] && strchr("\t\n\f\r ", text.ptr[i]))
            return true;
    }
    return false;
}

/* "" and NULL are both no cluster. */
static bool same_cluster(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* No client can publish to, or subscribe to, a subject with blanks. Those in functions go away. */
static pipit_err check_destination(pp_str destination, pp_buf *reason)
{
    static const char invalid[] = "invalid mapping destination: invalid transform";

    if (destination.len == 0)
        return refuse(reason, PIPIT_EINVAL, invalid);
    for (pp_str left = destination; left.ptr;) {
        pp_str token = pp_subject_next_token(&left);
        bool last_only = token.len == 1 && token.ptr[0] == '>' && left.ptr;

        if (token.len == 0 || last_only)
            return refuse(reason, PIPIT_EINVAL, invalid);
        if (!pp_placeholder_is_function(token) && has_blank(token))
            return refuse(reason, PIPIT_EINVAL, invalid);
    }
    return PIPIT_OK;
}

/* Is option number at, as it stands among those before it, in order? */
static pipit_err check_option(const pp_mapping_entry *entry, size_t at, pp_buf *reason)
{
    const pp_mapping_destination *option = &entry->options[at];
    pp_str destination = pp_str_of(option->destination ? option->destination : "");
    uint32_t total = 0;

    for (size_t i = 0; i < at; i++) {
        if (pp_str_eq(destination, pp_str_of(entry->options[i].destination))) {
            (void)pp_buf_addf(reason, "duplicate entry for \"%.*s\"", quoted_len(destination),
                              destination.ptr);
            return PIPIT_EINVAL;
        }
        if (same_cluster(entry->options[i].cluster, option->cluster))
            total += entry->options[i].weight; /* has been checked: at most ALL */
    }
    if (option->weight > ALL)
        return refuse(reason, PIPIT_EINVAL, "individual weights need to be <= 100");
    if (total + option->weight > ALL)
        return refuse(reason, PIPIT_EINVAL, "total weight needs to be <= 100");
    return check_destination(destination, reason);
}

static void mapping_free(pp_mapping *mapping)
{
    if (!mapping)
        return;
    for (size_t i = 0; i < mapping->choice_count; i++)
        pp_transform_free(mapping->choices[i].transform);
    pp_free(mapping);
}

/* The cluster whose options count here. */
static const char *find_scope(const pp_mapping_entry *entry, const char *cluster_name)
{
    for (size_t i = 0; i < entry->option_count; i++) {
        if (same_cluster(entry->options[i].cluster, cluster_name))
            return cluster_name;
    }
    return NULL;
}

static uint32_t taken(const pp_mapping *mapping)
{
    return mapping->choice_count ? mapping->choices[mapping->choice_count - 1].below : 0;
}

/* Check an option, and keep it if it can be chosen. Choices stand in the order of the options: for
 * how often each is chosen the order makes no difference. */
static pipit_err add_option(pp_mapping *mapping, const pp_mapping_entry *entry, size_t at,
                            const char *scope, pp_buf *reason)
{
    const pp_mapping_destination *option = &entry->options[at];
    pp_transform *transform;
    pp_str destination;
    pipit_err err = check_option(entry, at, reason);

    if (err)
        return err;
    destination = pp_str_of(option->destination);
    err = pp_transform_new(&transform, mapping->source, destination, PP_TRANSFORM_ANY, reason);
    if (err)
        return err;
    mapping->drops = mapping->drops || pp_str_eq(destination, mapping->source);
    if (option->weight == 0 || !same_cluster(option->cluster, scope)) {
        pp_transform_free(transform);
        return PIPIT_OK;
    }
    mapping->choices[mapping->choice_count] =
        (struct choice){transform, taken(mapping) + option->weight};
    mapping->choice_count++;
    return PIPIT_OK;
}

static pipit_err mapping_new(pp_mapping **out, const pp_mapping_entry *entry,
                             const char *cluster_name, pp_buf *reason)
{
    pp_str source = pp_str_of(entry->source);
    const char *scope = find_scope(entry, cluster_name);
    pp_mapping *mapping;
    char *text;

    if (entry->option_count > PP_MAPPING_OPTIONS_MAX)
        return refuse(reason, PIPIT_ELIMIT, "too many destinations");
    mapping =
        pp_alloc(sizeof(*mapping) + entry->option_count * sizeof(mapping->choices[0]) + source.len);
    if (!mapping)
        return PIPIT_ENOMEM;
    text = (char *)&mapping->choices[entry->option_count];
    memcpy(text, source.ptr, source.len);
    mapping->source = (pp_str){text, source.len};
    mapping->wild = pp_subject_has_wildcard(source);
    mapping->drops = false;
    mapping->choice_count = 0;
    for (size_t i = 0; i < entry->option_count; i++) {
        pipit_err err = add_option(mapping, entry, i, scope, reason);

        if (err) {
            mapping_free(mapping);
            return err;
        }
    }
    *out = mapping;
    return PIPIT_OK;
}

/* The slot of a source, or the empty one where it would be. Half of the slots are empty. */
static uint32_t *find_slot(const pp_mappings *mappings, pp_str source)
{
    size_t at = pp_hash(source.ptr, source.len, mappings->seed) & mappings->slot_mask;

    while (mappings->slots[at] &&
           !pp_str_eq(mappings->all[mappings->slots[at] - 1]->source, source))
        at = (at + 1) & mappings->slot_mask;
    return &mappings->slots[at];
}

static void add_mapping(pp_mappings *mappings, pp_mapping *mapping)
{
    uint32_t *slot = find_slot(mappings, mapping->source);

    if (*slot) {
        mapping_free(mappings->all[*slot - 1]);
        mappings->all[*slot - 1] = mapping;
        return;
    }
    mappings->all[mappings->count++] = mapping;
    *slot = (uint32_t)mappings->count;
}

static pipit_err add_entry(pp_mappings *mappings, const pp_mapping_entry *entry,
                           const char *cluster_name, pp_buf *error)
{
    pp_str source = pp_str_of(entry->source ? entry->source : "");
    pp_mapping *mapping;
    pp_buf reason;
    pipit_err err;

    if (!pp_subject_valid(source) || has_blank(source)) {
        if (error)
            (void)pp_buf_addf(error, "Subject \"%.*s\" is not a valid subject", quoted_len(source),
                              source.ptr);
        return PIPIT_EINVAL;
    }
    pp_buf_init(&reason, REASON_MAX);
    err = mapping_new(&mapping, entry, cluster_name, &reason);
    if (!err)
        add_mapping(mappings, mapping);
    else if (err != PIPIT_ENOMEM && error)
        (void)pp_buf_addf(error, "Error adding mapping for \"%.*s\" : %.*s", quoted_len(source),
                          source.ptr, PP_STR_ARGS(pp_buf_str(&reason)));
    pp_buf_fini(&reason);
    return err;
}

static pipit_err alloc_tables(pp_mappings *mappings, size_t count)
{
    size_t slots = 4;

    while (slots < 2 * count)
        slots *= 2;
    mappings->seed = pp_random_seed();
    mappings->slot_mask = slots - 1;
    mappings->slots = pp_calloc(slots, sizeof(mappings->slots[0]));
    mappings->all = pp_calloc(count, sizeof(pp_mapping *));
    mappings->wild = pp_calloc(count, sizeof(pp_mapping *));
    return mappings->slots && mappings->all && mappings->wild ? PIPIT_OK : PIPIT_ENOMEM;
}

pipit_err pp_mappings_new(pp_mappings **out, const pp_mapping_entry *entries, size_t count,
                          const char *cluster_name, pp_buf *error)
{
    pp_mappings *mappings;
    pipit_err err;

    if (count > PP_MAPPINGS_MAX) {
        if (error)
            (void)pp_buf_addf(error, "more than %d mappings", PP_MAPPINGS_MAX);
        return PIPIT_ELIMIT;
    }
    mappings = pp_calloc(1, sizeof(*mappings));
    if (!mappings)
        return PIPIT_ENOMEM;
    err = alloc_tables(mappings, count);
    for (size_t i = 0; i < count && !err; i++)
        err = add_entry(mappings, &entries[i], cluster_name, error);
    if (err) {
        pp_mappings_free(mappings);
        return err;
    }
    for (size_t i = 0; i < mappings->count; i++) {
        if (mappings->all[i]->wild)
            mappings->wild[mappings->wild_count++] = mappings->all[i];
    }
    *out = mappings;
    return PIPIT_OK;
}

void pp_mappings_free(pp_mappings *mappings)
{
    if (!mappings)
        return;
    for (size_t i = 0; i < mappings->count; i++)
        mapping_free(mappings->all[i]);
    pp_free(mappings->wild);
    pp_free(mappings->all);
    pp_free(mappings->slots);
    pp_free(mappings);
}

const pp_mapping *pp_mappings_find(const pp_mappings *mappings, pp_str subject)
{
    uint32_t slot = *find_slot(mappings, subject);

    if (slot && !mappings->all[slot - 1]->wild)
        return mappings->all[slot - 1];
    for (size_t i = 0; i < mappings->wild_count; i++) {
        if (pp_subject_matches(subject, mappings->wild[i]->source))
            return mappings->wild[i];
    }
    return NULL;
}

bool pp_mapping_constant(const pp_mapping *mapping)
{
    if (mapping->choice_count == 0)
        return true;
    return mapping->choices[0].below == ALL && !pp_transform_random(mapping->choices[0].transform);
}

/* The choice of a number below ALL; NULL: none of them. */
static const struct choice *choose(const pp_mapping *mapping, uint32_t number)
{
    for (size_t i = 0; i < mapping->choice_count; i++) {
        if (number < mapping->choices[i].below)
            return &mapping->choices[i];
    }
    return NULL;
}

pipit_err pp_mapping_apply(const pp_mapping *mapping, pp_str subject, uint64_t random, char *out,
                           size_t cap, size_t *out_len)
{
    /* The upper half chooses; a transform mixes all of it before it uses any. */
    const struct choice *choice = choose(mapping, (uint32_t)(((random >> 32) * ALL) >> 32));

    if (choice)
        return pp_transform_apply(choice->transform, subject, random, out, cap, out_len);
    if (mapping->drops) {
        *out_len = 0;
        return PIPIT_OK;
    }
    if (subject.len > cap || subject.len > PP_TRANSFORM_RESULT_MAX)
        return PIPIT_ETOOBIG;
    memcpy(out, subject.ptr, subject.len);
    *out_len = subject.len;
    return PIPIT_OK;
}
