#include "core/subject.h"

static bool is_star(pp_str token)
{
    return token.len == 1 && token.ptr[0] == '*';
}

static bool is_rest(pp_str token)
{
    return token.len == 1 && token.ptr[0] == '>';
}

size_t pp_subject_token_count(pp_str subject)
{
    size_t count = 0;

    while (subject.ptr) {
        (void)pp_subject_next_token(&subject);
        count++;
    }
    return count;
}

pp_subject_kind pp_subject_classify(pp_str subject)
{
    pp_subject_kind kind = PP_SUBJECT_LITERAL;

    if (!subject.ptr)
        return PP_SUBJECT_INVALID;
    while (subject.ptr) {
        pp_str token = pp_subject_next_token(&subject);

        if (token.len == 0 || (is_rest(token) && subject.ptr))
            return PP_SUBJECT_INVALID;
        if (is_star(token) || is_rest(token))
            kind = PP_SUBJECT_WILDCARD;
    }
    return kind;
}

/* Are there tokens left, and none of them empty? */
static bool has_tokens(pp_str rest)
{
    if (!rest.ptr)
        return false;
    while (rest.ptr) {
        if (pp_subject_next_token(&rest).len == 0)
            return false;
    }
    return true;
}

bool pp_subject_matches(pp_str subject, pp_str pattern)
{
    while (subject.ptr && pattern.ptr) {
        pp_str want = pp_subject_next_token(&pattern);
        pp_str got;

        if (is_rest(want) && !pattern.ptr)
            return has_tokens(subject);
        got = pp_subject_next_token(&subject);
        if (got.len == 0 || (!is_star(want) && !pp_str_eq(got, want)))
            return false;
    }
    return !subject.ptr && !pattern.ptr;
}

bool pp_subject_subset(pp_str inner, pp_str outer)
{
    while (inner.ptr && outer.ptr) {
        pp_str wide = pp_subject_next_token(&outer);
        pp_str narrow;

        if (is_rest(wide) && !outer.ptr)
            return true;
        narrow = pp_subject_next_token(&inner);
        if (is_rest(narrow) && !inner.ptr)
            return false;
        if (!is_star(wide) && !pp_str_eq(narrow, wide))
            return false;
    }
    return !inner.ptr && !outer.ptr;
}

bool pp_subject_overlaps(pp_str a, pp_str b)
{
    while (a.ptr && b.ptr) {
        pp_str x = pp_subject_next_token(&a), y = pp_subject_next_token(&b);

        if ((is_rest(x) && !a.ptr) || (is_rest(y) && !b.ptr))
            return true;
        if (!is_star(x) && !is_star(y) && !pp_str_eq(x, y))
            return false;
    }
    return !a.ptr && !b.ptr;
}
