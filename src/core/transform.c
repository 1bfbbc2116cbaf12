/* Running a transform: find the tokens of the slots, then do the steps. A result that does not fit
 * is noticed where it would first not fit; nothing is written behind it. */
#include "core/transform.h"

#include "base/alloc.h"
#include "core/subject.h"
#include "core/transform_program.h"

struct writer {
    char *out;
    size_t cap;
    size_t len;
    bool full;
};

/* What the steps of one subject share. */
struct run {
    struct writer to;
    pp_str subject;
    uint64_t random;
    const pp_str *tokens; /* by slot */
};

void pp_transform_free(pp_transform *transform)
{
    pp_free(transform);
}

pp_str pp_transform_source(const pp_transform *transform)
{
    return transform->source;
}

pp_str pp_transform_destination(const pp_transform *transform)
{
    return transform->destination;
}

bool pp_transform_random(const pp_transform *transform)
{
    return transform->random;
}

bool pp_transform_matches(const pp_transform *transform, pp_str subject)
{
    return pp_subject_matches(subject, transform->source);
}

static void put(struct writer *to, pp_str text)
{
    if (text.len > to->cap - to->len) {
        to->full = true;
        return;
    }
    memcpy(to->out + to->len, text.ptr, text.len);
    to->len += text.len;
}

static void put_number(struct writer *to, uint32_t number)
{
    char digits[20];

    put(to, (pp_str){digits, pp_u64_format(digits, number)});
}

static pp_str first_bytes(pp_str text, size_t len)
{
    return (pp_str){text.ptr, len};
}

static pp_str without_first(pp_str text, size_t len)
{
    return (pp_str){text.ptr + len, text.len - len};
}

/* FNV-1a, 32 bits: the hash by which clients and servers agree on partitions. */
static uint32_t hash_add(uint32_t hash, pp_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 16777619u;
    return hash;
}

/* A negative number of partitions is taken modulo 2^32, as nats-server does. */
static void put_partition(struct run *run, const pp_transform_step *step, const uint32_t *refs)
{
    uint32_t hash = 2166136261u;
    uint32_t count = (uint32_t)step->number;

    if (step->ref_count == 0)
        hash = hash_add(hash, run->subject);
    for (uint16_t i = 0; i < step->ref_count; i++)
        hash = hash_add(hash, run->tokens[refs[i]]);
    put_number(&run->to, count ? hash % count : 0);
}

/* splitmix64: from one number as many as there are random() in a destination. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Below the magnitude of number, so that one below zero means what it means to nats-server. */
static void put_random(struct run *run, int32_t number)
{
    uint64_t bound = number < 0 ? -(uint64_t)number : (uint64_t)number;

    put_number(&run->to, (uint32_t)(((next_random(&run->random) >> 32) * bound) >> 32));
}

/* Two parts with a dot between them. */
static void put_split_at(struct writer *to, pp_str token, size_t at)
{
    put(to, first_bytes(token, at));
    put(to, PP_STR("."));
    put(to, without_first(token, at));
}

/* A first part if there is one, then parts of size bytes; the last is what is left. */
static void put_slices(struct writer *to, pp_str token, size_t first, size_t size)
{
    if (first) {
        put(to, first_bytes(token, first));
        put(to, PP_STR("."));
        token = without_first(token, first);
    }
    for (; token.len > size && !to->full; token = without_first(token, size)) {
        put(to, first_bytes(token, size));
        put(to, PP_STR("."));
    }
    put(to, token);
}

/* How many bytes the character in front takes: UTF-8, and a byte that is not stands alone. */
static size_t character_bytes(pp_str text)
{
    unsigned char lead = (unsigned char)text.ptr[0];
    size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;

    if (lead > 0xf4 || bytes > text.len)
        return 1;
    for (size_t i = 1; i < bytes; i++) {
        if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
            return 1;
    }
    return bytes;
}

/* Where the delimiter stands first; text.len when nowhere. An empty one is behind each character.
 */
static size_t find_delimiter(pp_str text, pp_str delimiter)
{
    const char *found;

    if (delimiter.len == 0)
        return character_bytes(text);
    found = memmem(text.ptr, text.len, delimiter.ptr, delimiter.len);
    return found ? (size_t)(found - text.ptr) : text.len;
}

/* Empty parts are left out; a token of nothing else stays as it is, for an empty token would make
 * the subject invalid. */
static void put_split(struct writer *to, pp_str token, pp_str delimiter)
{
    pp_str rest = token;
    bool some = false;

    while (rest.len && !to->full) {
        size_t part = find_delimiter(rest, delimiter);

        if (part) {
            if (some)
                put(to, PP_STR("."));
            put(to, first_bytes(rest, part));
            some = true;
        }
        rest = part < rest.len ? without_first(rest, part + delimiter.len) : PP_STR("");
    }
    if (!some)
        put(to, token);
}

/* The functions that cut a token by a number of bytes leave it whole unless it is longer. */
static void put_cut(struct writer *to, pp_placeholder_kind kind, pp_str token, int32_t number)
{
    size_t bytes = (size_t)number;

    if (number <= 0 || bytes >= token.len) {
        put(to, token);
        return;
    }
    switch (kind) {
    case PP_PLACEHOLDER_SPLIT_FROM_LEFT:
        put_split_at(to, token, bytes);
        break;
    case PP_PLACEHOLDER_SPLIT_FROM_RIGHT:
        put_split_at(to, token, token.len - bytes);
        break;
    case PP_PLACEHOLDER_SLICE_FROM_LEFT:
        put_slices(to, token, 0, bytes);
        break;
    case PP_PLACEHOLDER_SLICE_FROM_RIGHT:
        put_slices(to, token, token.len % bytes, bytes);
        break;
    case PP_PLACEHOLDER_LEFT:
        put(to, first_bytes(token, bytes));
        break;
    default: /* right */
        put(to, without_first(token, token.len - bytes));
        break;
    }
}

static void put_step(struct run *run, const pp_transform *t, const pp_transform_step *step)
{
    const uint32_t *refs = t->refs + step->ref_at;
    pp_str text = {t->destination.ptr + step->text_at, step->text_len};

    switch ((pp_placeholder_kind)step->kind) {
    case PP_PLACEHOLDER_NONE:
        put(&run->to, text);
        break;
    case PP_PLACEHOLDER_WILDCARD:
        put(&run->to, run->tokens[refs[0]]);
        break;
    case PP_PLACEHOLDER_PARTITION:
        put_partition(run, step, refs);
        break;
    case PP_PLACEHOLDER_RANDOM:
        put_random(run, step->number);
        break;
    case PP_PLACEHOLDER_SPLIT:
        put_split(&run->to, run->tokens[refs[0]], text);
        break;
    default:
        put_cut(&run->to, (pp_placeholder_kind)step->kind, run->tokens[refs[0]], step->number);
        break;
    }
}

/* False: the subject has too few tokens. */
static bool find_tokens(const pp_transform *t, pp_str subject, pp_str *tokens)
{
    pp_str left = subject;
    size_t slot = 0;

    for (uint32_t place = 0; slot < t->slot_count; place++) {
        pp_str from = left, token;

        if (!left.ptr)
            return false;
        token = pp_subject_next_token(&left);
        for (; slot < t->slot_count && t->places[slot] == place; slot++)
            tokens[slot] = t->takes_rest && slot + 1 == t->slot_count ? from : token;
    }
    return true;
}

pipit_err pp_transform_apply(const pp_transform *transform, pp_str subject, uint64_t random,
                             char *out, size_t cap, size_t *out_len)
{
    pp_str tokens[PP_TRANSFORM_SLOTS_MAX]; /* only the slots in use are written and read */
    struct run run = {
        .to = {.out = out, .cap = cap < PP_TRANSFORM_RESULT_MAX ? cap : PP_TRANSFORM_RESULT_MAX},
        .subject = subject,
        .random = random,
        .tokens = tokens,
    };

    if (!find_tokens(transform, subject, tokens))
        return PIPIT_EINVAL;
    for (size_t i = 0; i < transform->step_count && !run.to.full; i++)
        put_step(&run, transform, &transform->steps[i]);
    if (run.to.full)
        return PIPIT_ETOOBIG;
    *out_len = run.to.len;
    return PIPIT_OK;
}
