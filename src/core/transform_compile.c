/* Source and destination are read once, from left to right, into a program on the stack; then it
 * is copied to one allocation of the right size. Wildcards are first noted by the place of their
 * token in the source, and become slots when all are known. */
#include "core/transform_program.h"

#include "base/alloc.h"
#include "core/subject.h"

enum {
    REFS_MAX = PP_TRANSFORM_FUNCTIONS_MAX + 1,
    STEPS_MAX = 2 * PP_TRANSFORM_FUNCTIONS_MAX + 2, /* text before and behind each function */
    QUOTE_MAX = 128,                                /* bytes of a token in an error */
};

struct compiler {
    pp_str source;
    pp_str destination;
    pp_transform_rule rule;
    pp_buf *error;
    uint32_t star_count;
    uint32_t source_tokens;
    bool has_rest; /* the source ends in > */
    bool takes_rest;
    bool random;
    size_t text_from; /* literal text of the destination that no step has taken */
    size_t function_count;
    size_t step_count;
    size_t ref_count;
    size_t slot_count;
    pp_placeholder placeholder; /* the one just read */
    pp_transform_step steps[STEPS_MAX];
    uint32_t refs[REFS_MAX]; /* places, in the end slots */
    uint32_t places[PP_TRANSFORM_SLOTS_MAX];
};

static bool is_star(pp_str token)
{
    return token.len == 1 && token.ptr[0] == '*';
}

static bool is_rest(pp_str token)
{
    return token.len == 1 && token.ptr[0] == '>';
}

/* An error that cannot be written for want of memory is still told by its code. */
static pipit_err refuse(struct compiler *c, pipit_err err, const char *reason, pp_str token)
{
    bool cut = token.len > QUOTE_MAX;

    if (!c->error)
        return err;
    if (cut)
        token.len = QUOTE_MAX;
    (void)pp_buf_addf(c->error, "invalid mapping destination: %s%s%.*s%s", reason,
                      token.len ? " in " : "", PP_STR_ARGS(token), cut ? "..." : "");
    return err;
}

static pipit_err refuse_subject(struct compiler *c, pipit_err err, const char *text)
{
    if (c->error)
        (void)pp_buf_addf(c->error, "%s", text);
    return err;
}

static pipit_err refuse_index(struct compiler *c, pp_str token, int64_t index)
{
    pipit_err err = refuse(c, PIPIT_EINVAL, "wildcard index out of range", token);

    if (c->error)
        (void)pp_buf_addf(c->error, ": [%lld]", (long long)index);
    return err;
}

/* Count what the source has. */
static pipit_err read_source(struct compiler *c)
{
    if (c->source.len > PP_TRANSFORM_TEXT_MAX)
        return refuse_subject(c, PIPIT_ETOOBIG, "subject too long");
    if (!pp_subject_valid(c->source))
        return refuse_subject(c, PIPIT_EINVAL, "invalid subject");
    for (pp_str left = c->source; left.ptr; c->source_tokens++) {
        pp_str token = pp_subject_next_token(&left);

        c->star_count += is_star(token);
        c->has_rest = is_rest(token);
    }
    return PIPIT_OK;
}

/* A destination has a > just as the source has, and no *. */
static pipit_err check_destination(struct compiler *c)
{
    bool star = false, rest = false;

    if (c->destination.len > PP_TRANSFORM_TEXT_MAX)
        return refuse_subject(c, PIPIT_ETOOBIG, "subject too long");
    for (pp_str left = c->destination; left.ptr;) {
        pp_str token = pp_subject_next_token(&left);

        star = star || is_star(token);
        rest = is_rest(token);
    }
    if (!pp_subject_valid(c->destination) || star || rest != c->has_rest)
        return refuse_subject(c, PIPIT_EINVAL, "invalid subject");
    return PIPIT_OK;
}

/* Which token of the source is wildcard number index? Below 1: the first token. */
static uint32_t find_place(const struct compiler *c, int64_t index)
{
    uint32_t place = 0;
    int64_t seen = 0;

    if (index < 1)
        return 0;
    for (pp_str left = c->source; left.ptr; place++) {
        if (is_star(pp_subject_next_token(&left)) && ++seen == index)
            break;
    }
    return place;
}

/* Keep places in ascending order, each once. There is room: a place comes with a ref. */
static void add_place(struct compiler *c, uint32_t place)
{
    size_t at = c->slot_count;

    for (size_t i = 0; i < c->slot_count; i++) {
        if (c->places[i] == place)
            return;
    }
    for (; at > 0 && c->places[at - 1] > place; at--)
        c->places[at] = c->places[at - 1];
    c->places[at] = place;
    c->slot_count++;
}

static void add_text(struct compiler *c, size_t to)
{
    if (to > c->text_from)
        c->steps[c->step_count++] = (pp_transform_step){
            .kind = PP_PLACEHOLDER_NONE,
            .text_at = (uint32_t)c->text_from,
            .text_len = (uint32_t)(to - c->text_from),
        };
}

/* Without a wildcard in the source there is nothing to cut; random and partition need none. */
static pipit_err check_kind(struct compiler *c, pp_str token)
{
    pp_placeholder_kind kind = c->placeholder.kind;
    bool wild = c->star_count || c->has_rest;

    if (!wild && kind != PP_PLACEHOLDER_RANDOM && kind != PP_PLACEHOLDER_PARTITION)
        return refuse(c, PIPIT_EINVAL, "wildcard index out of range", token);
    if (c->rule == PP_TRANSFORM_REVERSIBLE && kind != PP_PLACEHOLDER_WILDCARD)
        return refuse(c, PIPIT_EINVAL,
                      "the only mapping function allowed for import transforms is {{Wildcard()}}",
                      token);
    if (!wild)
        c->placeholder.index_count = 0; /* they are ignored: the whole subject is hashed */
    return PIPIT_OK;
}

/* Turn the placeholder just read into refs. */
static pipit_err add_refs(struct compiler *c, pp_str token)
{
    const pp_placeholder *p = &c->placeholder;

    if (p->index_count > PP_TRANSFORM_FUNCTIONS_MAX - c->ref_count)
        return refuse(c, PIPIT_ELIMIT, "too many wildcards", token);
    for (size_t i = 0; i < p->index_count; i++) {
        int64_t index = p->indexes[i];
        uint32_t place;

        if (index > c->star_count || (index < 1 && c->rule == PP_TRANSFORM_REVERSIBLE))
            return refuse_index(c, token, index);
        place = find_place(c, index);
        c->refs[c->ref_count++] = place;
        add_place(c, place);
    }
    return PIPIT_OK;
}

static pipit_err add_function(struct compiler *c, pp_str token)
{
    const pp_placeholder *p = &c->placeholder;
    size_t at = (size_t)(token.ptr - c->destination.ptr);
    size_t ref_at = c->ref_count;
    pipit_err err = check_kind(c, token);

    if (err)
        return err;
    if (c->function_count == PP_TRANSFORM_FUNCTIONS_MAX)
        return refuse(c, PIPIT_ELIMIT, "too many functions", token);
    c->function_count++;
    err = add_refs(c, token);
    if (err)
        return err;
    add_text(c, at);
    c->text_from = at + token.len;
    c->random = c->random || p->kind == PP_PLACEHOLDER_RANDOM;
    c->steps[c->step_count++] = (pp_transform_step){
        .kind = (uint8_t)p->kind,
        .ref_at = (uint32_t)ref_at,
        .ref_count = (uint16_t)p->index_count,
        .number = p->number,
        .text_at = p->delimiter.len ? (uint32_t)(p->delimiter.ptr - c->destination.ptr) : 0,
        .text_len = (uint32_t)p->delimiter.len,
    };
    return PIPIT_OK;
}

/* The source's tokens from this place on end the result: the last step, with the last ref. */
static void add_rest(struct compiler *c, uint32_t place)
{
    c->steps[c->step_count++] = (pp_transform_step){
        .kind = PP_PLACEHOLDER_WILDCARD,
        .ref_at = (uint32_t)c->ref_count,
        .ref_count = 1,
    };
    c->takes_rest = true;
    c->refs[c->ref_count++] = place;
}

static pipit_err read_destination(struct compiler *c)
{
    pp_str left = c->destination;

    while (left.ptr) {
        pp_str token = pp_subject_next_token(&left);
        const char *reason;
        pipit_err err = pp_placeholder_parse(token, &c->placeholder, &reason);

        if (err)
            return refuse(c, err, reason, token);
        if (c->placeholder.kind != PP_PLACEHOLDER_NONE)
            err = add_function(c, token);
        if (err)
            return err;
    }
    if (c->rule == PP_TRANSFORM_REVERSIBLE && c->slot_count < c->star_count)
        return refuse(c, PIPIT_EINVAL, "not using all of the token wildcard(s)", c->destination);
    add_text(c, c->destination.len - c->has_rest);
    if (c->has_rest)
        add_rest(c, c->source_tokens - 1);
    return PIPIT_OK;
}

/* Give each place its slot. The rest of the subject comes last, in a slot of its own even if an
 * index below 1 has named the same token. */
static void resolve_refs(struct compiler *c)
{
    size_t plain = c->ref_count - c->takes_rest;

    for (size_t i = 0; i < plain; i++) {
        uint32_t slot = 0;

        while (c->places[slot] != c->refs[i])
            slot++;
        c->refs[i] = slot;
    }
    if (c->takes_rest) {
        c->places[c->slot_count] = c->refs[plain];
        c->refs[plain] = (uint32_t)c->slot_count++;
    }
}

static pp_str copy_text(char **to, pp_str text)
{
    pp_str copy = {*to, text.len};

    memcpy(*to, text.ptr, text.len);
    *to += text.len;
    return copy;
}

static pipit_err emit(const struct compiler *c, pp_transform **out)
{
    size_t steps_bytes = c->step_count * sizeof(c->steps[0]);
    size_t places_bytes = c->slot_count * sizeof(c->places[0]);
    size_t refs_bytes = c->ref_count * sizeof(c->refs[0]);
    pp_transform *t = pp_alloc(sizeof(*t) + steps_bytes + places_bytes + refs_bytes +
                               c->source.len + c->destination.len);
    char *at;

    if (!t)
        return PIPIT_ENOMEM;
    at = (char *)(t + 1); /* steps, places and refs are of one alignment, text needs none */
    t->steps = memcpy(at, c->steps, steps_bytes);
    t->places = memcpy(at + steps_bytes, c->places, places_bytes);
    t->refs = memcpy(at + steps_bytes + places_bytes, c->refs, refs_bytes);
    at += steps_bytes + places_bytes + refs_bytes;
    t->source = copy_text(&at, c->source);
    t->destination = copy_text(&at, c->destination);
    t->step_count = c->step_count;
    t->slot_count = c->slot_count;
    t->takes_rest = c->takes_rest;
    t->random = c->random;
    *out = t;
    return PIPIT_OK;
}

pipit_err pp_transform_new(pp_transform **out, pp_str source, pp_str destination,
                           pp_transform_rule rule, pp_buf *error)
{
    struct compiler c; /* some 20 KiB, of which only what has been counted is read */
    pipit_err err;

    c.source = source.len ? source : PP_STR(">");
    c.destination = destination.len ? destination : PP_STR("");
    c.rule = rule;
    c.error = error;
    c.star_count = c.source_tokens = 0;
    c.has_rest = c.takes_rest = c.random = false;
    c.text_from = c.function_count = c.step_count = c.ref_count = c.slot_count = 0;
    err = read_source(&c);
    if (!err && destination.len)
        err = check_destination(&c);
    if (!err && destination.len)
        err = read_destination(&c);
    if (err)
        return err;
    if (destination.len == 0)
        add_rest(&c, 0); /* all of the subject */
    resolve_refs(&c);
    return emit(&c, out);
}
