#include "t2/topic.h"

/* --- grammar ------------------------------------------------------------------------------ */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* The fragment that text begins with; empty: there is none. */
static pp_str first_fragment(pp_str text)
{
    size_t n = 0;

    while (n < text.len && text.ptr[n] == '*' && n < 2)
        n++;
    if (n == 0) {
        while (n < text.len && is_word(text.ptr[n]))
            n++;
    }
    return (pp_str){text.ptr, n < text.len && text.ptr[n] != '/' ? 0 : n};
}

bool pp_t2_topic_parse(pp_t2_topic *topic, pp_str text)
{
    topic->count = 0;
    topic->wildcard = false;
    if (text.len > PP_T2_TOPIC_MAX)
        return false;
    for (;;) {
        pp_str fragment = first_fragment(text);

        if (fragment.len == 0 || topic->count == PP_T2_FRAGMENTS_MAX)
            return false;
        topic->wildcard |= fragment.ptr[0] == '*';
        topic->fragments[topic->count++] = fragment;
        if (fragment.len == text.len)
            return true;
        text.ptr += fragment.len + 1;
        text.len -= fragment.len + 1;
    }
}

/* --- matching ----------------------------------------------------------------------------- */

/* What has been tried in vain: by D and the place in the subscription, a bit for each place in the
 * published topic. Without it several ** take exponential time. */
typedef struct matching {
    const pp_t2_topic *s, *p;
    uint64_t tried[2][PP_T2_FRAGMENTS_MAX + 1];
} matching;

static bool matches(matching *m, unsigned i, unsigned j, bool d);

static bool alike(const matching *m, unsigned i, unsigned j)
{
    return i < m->s->count && pp_str_eq(m->s->fragments[i], m->p->fragments[j]);
}

static bool try_rules(matching *m, unsigned i, unsigned j, bool d)
{
    bool more = i < m->s->count;
    pp_str first;

    if (j == m->p->count)
        return !more;
    if (pp_t2_is_double_star(m->p->fragments[j]) &&
        (matches(m, i, j + 1, d) || (more && matches(m, i + 1, j, d))))
        return true;
    if (d)
        return matches(m, i, j + 1, true) || (alike(m, i, j) && matches(m, i + 1, j + 1, false));
    if (!more)
        return false;
    first = m->s->fragments[i];
    if (pp_t2_is_star(m->p->fragments[j]) || pp_t2_is_star(first))
        return matches(m, i + 1, j + 1, false);
    return (alike(m, i, j) && matches(m, i + 1, j + 1, false)) ||
           (pp_t2_is_double_star(first) && matches(m, i + 1, j + 1, true));
}

static bool matches(matching *m, unsigned i, unsigned j, bool d)
{
    uint64_t bit = UINT64_C(1) << j;

    if (m->tried[d][i] & bit)
        return false;
    m->tried[d][i] |= bit;
    return try_rules(m, i, j, d);
}

bool pp_t2_topic_matches(const pp_t2_topic *subscription, const pp_t2_topic *published)
{
    matching m;

    m.s = subscription;
    m.p = published;
    memset(m.tried[0], 0, sizeof(m.tried[0][0]) * (subscription->count + 1u));
    memset(m.tried[1], 0, sizeof(m.tried[1][0]) * (subscription->count + 1u));
    return matches(&m, 0, 0, false);
}

/* --- subjects ----------------------------------------------------------------------------- */

size_t pp_t2_topic_to_subject(pp_str prefix, pp_str topic, char *out)
{
    memcpy(out, prefix.ptr, prefix.len);
    for (size_t i = 0; i < topic.len; i++)
        out[prefix.len + i] = topic.ptr[i] == '/' ? '.' : topic.ptr[i];
    return prefix.len + topic.len;
}

size_t pp_t2_topic_from_subject(pp_str rest, char out[PP_T2_TOPIC_MAX])
{
    unsigned fragments = 1;
    bool begun = false; /* the fragment has a character */

    if (rest.len > PP_T2_TOPIC_MAX)
        return 0;
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.ptr[i];

        if (c == '.' ? !begun : !is_word(c))
            return 0;
        begun = c != '.';
        fragments += c == '.';
        out[i] = c == '.' ? '/' : c;
    }
    return begun && fragments <= PP_T2_FRAGMENTS_MAX ? rest.len : 0;
}
