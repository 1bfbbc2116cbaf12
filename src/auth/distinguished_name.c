#include "auth/distinguished_name.h"

#include <string.h>

/* --- reading ------------------------------------------------------------------------------ */

/* The part of the text that is being read, unescaped. */
struct part {
    char *text;
    size_t len;
    size_t blanks; /* at its end, that were not escaped */
};

struct dn_reader {
    pp_dn *dn;
    struct part part;
    pp_str type; /* of the attribute whose value is being read; ptr NULL: its type is */
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void add(struct part *part, char c, bool escaped)
{
    if (c == ' ' && !escaped && !part->len)
        return; /* before it begins */
    part->text[part->len++] = c;
    part->blanks = c == ' ' && !escaped ? part->blanks + 1 : 0;
}

static pp_str take_part(struct part *part)
{
    pp_str taken = {part->text, part->len - part->blanks};

    part->text += part->len;
    part->len = part->blanks = 0;
    return taken;
}

/* What stands behind a backslash; returns how many characters that is, 0: it is wrong. */
static size_t add_escaped(struct part *part, pp_str rest)
{
    int high, low;

    if (!rest.len)
        return 0;
    if (rest.ptr[0] && strchr(" \"#+,;<=>\\", rest.ptr[0])) {
        add(part, rest.ptr[0], true);
        return 1;
    }
    high = hex_digit(rest.ptr[0]);
    low = rest.len > 1 ? hex_digit(rest.ptr[1]) : -1;
    if (high < 0 || low < 0)
        return 0;
    add(part, (char)(high << 4 | low), true);
    return 2;
}

static bool end_attribute(struct dn_reader *reader, bool ends_rdn)
{
    pp_dn *dn = reader->dn;

    if (!reader->type.len || dn->count == PP_DN_ATTRIBUTES_MAX)
        return false;
    dn->attributes[dn->count++] =
        (pp_dn_attribute){reader->type, take_part(&reader->part), dn->rdn_count};
    dn->rdn_count += ends_rdn;
    reader->type = (pp_str){NULL, 0};
    return true;
}

bool pp_dn_parse(pp_str text, char *scratch, pp_dn *out_dn)
{
    struct dn_reader reader = {.dn = out_dn, .part.text = scratch};

    out_dn->count = out_dn->rdn_count = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\\') {
            size_t n = add_escaped(&reader.part, (pp_str){text.ptr + i + 1, text.len - i - 1});

            if (!n)
                return false;
            i += n;
        } else if (c == '=' && !reader.type.ptr) {
            reader.type = take_part(&reader.part);
            if (i + 1 < text.len && text.ptr[i + 1] == '#')
                return false; /* a value in hexadecimal */
        } else if (c == ',' || c == '+') {
            if (!end_attribute(&reader, c == ','))
                return false;
        } else {
            add(&reader.part, c, false);
        }
    }
    return end_attribute(&reader, true);
}

/* --- comparing ---------------------------------------------------------------------------- */

static bool same_attribute(const pp_dn_attribute *a, const pp_dn_attribute *b)
{
    return pp_str_eq_nocase(a->type, b->type) && pp_str_eq(a->value, b->value);
}

static size_t rdn_begin(const pp_dn *dn, size_t rdn)
{
    size_t at = 0;

    while (at < dn->count && dn->attributes[at].rdn != rdn)
        at++;
    return at;
}

static size_t rdn_len(const pp_dn *dn, size_t begin)
{
    size_t at = begin;

    while (at < dn->count && dn->attributes[at].rdn == dn->attributes[begin].rdn)
        at++;
    return at - begin;
}

/* Are all of len things of one side on the other, each once? taken marks those that are. */
static bool match_attributes(const pp_dn_attribute *a, const pp_dn_attribute *b, size_t len)
{
    bool taken[PP_DN_ATTRIBUTES_MAX] = {false};

    for (size_t i = 0; i < len; i++) {
        size_t at = 0;

        while (at < len && (taken[at] || !same_attribute(&a[i], &b[at])))
            at++;
        if (at == len)
            return false;
        taken[at] = true;
    }
    return true;
}

static bool same_rdn(const pp_dn *a, size_t a_rdn, const pp_dn *b, size_t b_rdn)
{
    size_t at_a = rdn_begin(a, a_rdn), at_b = rdn_begin(b, b_rdn), len = rdn_len(a, at_a);

    return len == rdn_len(b, at_b) &&
           match_attributes(&a->attributes[at_a], &b->attributes[at_b], len);
}

bool pp_dn_equal(const pp_dn *a, const pp_dn *b)
{
    if (a->rdn_count != b->rdn_count || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->rdn_count; i++) {
        if (!same_rdn(a, i, b, i))
            return false;
    }
    return true;
}

bool pp_dn_same_names(const pp_dn *a, const pp_dn *b)
{
    bool taken[PP_DN_ATTRIBUTES_MAX] = {false};

    if (a->rdn_count != b->rdn_count || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->rdn_count; i++) {
        size_t at = 0;

        while (at < b->rdn_count && (taken[at] || !same_rdn(a, i, b, at)))
            at++;
        if (at == b->rdn_count)
            return false;
        taken[at] = true;
    }
    return true;
}
