#include "auth/user_template.h"

#include "core/subject.h"

enum { PLACES_MAX = 16 };

/* What may stand in one place. */
struct place {
    pp_str text;        /* with its braces */
    pp_claim_list tags; /* among which values are looked for; */
    pp_str tag;         /* those that begin with this and a colon */
    pp_str value;       /* where there are no tags */
    bool is_tag;
    size_t next; /* among tags, of the value in use */
};

struct filling {
    pp_jwt *user;
    pp_str issuer_account;
    const pp_jwt *account;
    struct place places[PLACES_MAX];
    size_t place_count;
};

/* --- places -------------------------------------------------------------------------------- */

/* The next "{{...}}" in text. */
static bool find_place(pp_str text, pp_str *out)
{
    for (size_t i = 0; i + 4 < text.len; i++) {
        size_t end = i + 2;

        if (text.ptr[i] != '{' || text.ptr[i + 1] != '{' || text.ptr[i + 2] == '{')
            continue;
        while (end < text.len && text.ptr[end] != '}')
            end++;
        if (end + 1 >= text.len || text.ptr[end + 1] != '}' || end == i + 2)
            continue;
        *out = (pp_str){text.ptr + i, end + 2 - i};
        return true;
    }
    return false;
}

static pp_str trim(pp_str text)
{
    while (text.len && *text.ptr == ' ')
        text = (pp_str){text.ptr + 1, text.len - 1};
    while (text.len && text.ptr[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* Is operation "name(argument)"? */
static bool is_call(pp_str operation, pp_str name, pp_str *out_argument)
{
    if (operation.len < name.len + 2 || operation.ptr[name.len] != '(' ||
        operation.ptr[operation.len - 1] != ')' ||
        !pp_str_eq_nocase((pp_str){operation.ptr, name.len}, name))
        return false;
    *out_argument = trim((pp_str){operation.ptr + name.len + 1, operation.len - name.len - 2});
    return true;
}

static bool understand(const struct filling *f, struct place *place)
{
    pp_str operation = trim((pp_str){place->text.ptr + 2, place->text.len - 4}), argument;

    if (is_call(operation, PP_STR("tag"), &place->tag)) {
        place->is_tag = true;
        place->tags = f->user->tags;
        return true;
    }
    if (is_call(operation, PP_STR("account-tag"), &place->tag)) {
        place->is_tag = true;
        place->tags = f->account->tags;
        return true;
    }
    if (is_call(operation, PP_STR("name"), &argument))
        place->value = f->user->name;
    else if (is_call(operation, PP_STR("subject"), &argument))
        place->value = f->user->subject;
    else if (is_call(operation, PP_STR("account-name"), &argument))
        place->value = f->account->name;
    else if (is_call(operation, PP_STR("account-subject"), &argument))
        place->value = f->issuer_account;
    else
        return false;
    return argument.len == 0;
}

/* Equal places are one, so that they always hold the same. */
static pipit_err find_places(struct filling *f, pp_str rule)
{
    pp_str found;

    f->place_count = 0;
    while (find_place(rule, &found)) {
        bool known = false;

        rule.len -= (size_t)(found.ptr + found.len - rule.ptr);
        rule.ptr = found.ptr + found.len;
        for (size_t i = 0; i < f->place_count; i++)
            known = known || pp_str_eq(f->places[i].text, found);
        if (known)
            continue;
        if (f->place_count == PLACES_MAX)
            return PIPIT_EINVAL;
        f->places[f->place_count] = (struct place){.text = found};
        if (!understand(f, &f->places[f->place_count++]))
            return PIPIT_EINVAL;
    }
    return PIPIT_OK;
}

/* --- values -------------------------------------------------------------------------------- */

static bool is_safe(pp_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c <= ' ' || c == 0x7F || c == '*' || c == '>')
            return false;
    }
    return value.len != 0;
}

/* The first tag from place->next on. */
static bool seek_tag(struct place *place)
{
    for (; place->next < place->tags.count; place->next++) {
        pp_str tag = place->tags.items[place->next];

        if (tag.len <= place->tag.len || tag.ptr[place->tag.len] != ':' ||
            !pp_str_eq_nocase((pp_str){tag.ptr, place->tag.len}, place->tag))
            continue;
        place->value = (pp_str){tag.ptr + place->tag.len + 1, tag.len - place->tag.len - 1};
        return true;
    }
    return false;
}

static bool begin_values(struct filling *f)
{
    for (size_t i = 0; i < f->place_count; i++) {
        struct place *place = &f->places[i];

        place->next = 0;
        if (place->is_tag && !seek_tag(place))
            return false;
    }
    return true;
}

/* The next combination; false: that was the last. */
static bool next_values(struct filling *f)
{
    for (size_t i = f->place_count; i > 0; i--) {
        struct place *place = &f->places[i - 1];

        if (!place->is_tag)
            continue;
        place->next++;
        if (seek_tag(place))
            return true;
        place->next = 0;
        (void)seek_tag(place);
    }
    return false;
}

/* --- rules --------------------------------------------------------------------------------- */

static const struct place *place_of(const struct filling *f, pp_str text)
{
    for (size_t i = 0; i < f->place_count; i++) {
        if (pp_str_eq(f->places[i].text, text))
            return &f->places[i];
    }
    return NULL;
}

/* One rule with the values of now. ptr NULL: no memory. Empty: it cannot be filled in. */
static pp_str fill_rule(struct filling *f, pp_str rule)
{
    pp_str rest = rule, found, out = {NULL, 0};
    size_t bytes = rule.len + 1;
    char *text;

    for (size_t i = 0; i < f->place_count; i++) {
        if (!is_safe(f->places[i].value))
            return PP_STR("");
    }
    while (find_place(rest, &found)) {
        bytes += place_of(f, found)->value.len;
        rest.len -= (size_t)(found.ptr + found.len - rest.ptr);
        rest.ptr = found.ptr + found.len;
    }
    text = pp_jwt_alloc(f->user, bytes, 1);
    if (!text)
        return out;
    rest = rule;
    while (find_place(rest, &found)) {
        pp_str value = place_of(f, found)->value;
        size_t before = (size_t)(found.ptr - rest.ptr);

        memcpy(text + out.len, rest.ptr, before);
        memcpy(text + out.len + before, value.ptr, value.len);
        out.len += before + value.len;
        rest.len -= before + found.len;
        rest.ptr = found.ptr + found.len;
    }
    memcpy(text + out.len, rest.ptr, rest.len);
    out.len += rest.len;
    out.ptr = text;
    return out;
}

/* A subject, and for subscriptions perhaps a queue. */
static bool is_rule(pp_str rule)
{
    const char *blank = memchr(rule.ptr, ' ', rule.len);
    size_t len = blank ? (size_t)(blank - rule.ptr) : rule.len;

    return pp_subject_valid((pp_str){rule.ptr, len}) &&
           (!blank || pp_subject_valid((pp_str){blank + 1, rule.len - len - 1}));
}

struct list {
    pp_str *items;
    size_t count;
};

/* Errors: as pp_user_template_fill. must: a rule that cannot be filled in is an error. */
static pipit_err fill_combinations(struct filling *f, pp_str rule, bool must, struct list *out)
{
    if (!begin_values(f))
        return must ? PIPIT_EINVAL : PIPIT_OK;
    do {
        pp_str filled;

        if (out->count == PP_TEMPLATE_RULES_MAX)
            return PIPIT_EINVAL;
        filled = f->place_count ? fill_rule(f, rule) : rule;
        if (!filled.ptr)
            return PIPIT_ENOMEM;
        if (filled.len && is_rule(filled))
            out->items[out->count++] = filled;
        else if (must)
            return PIPIT_EINVAL;
    } while (next_values(f));
    return PIPIT_OK;
}

static bool has_places(const pp_claim_list *list)
{
    pp_str found;

    for (size_t i = 0; i < list->count; i++) {
        if (find_place(list->items[i], &found))
            return true;
    }
    return false;
}

static pipit_err fill_list(struct filling *f, pp_claim_list *list, bool must)
{
    struct list out = {0};
    pipit_err err = PIPIT_OK;

    if (!has_places(list))
        return PIPIT_OK;
    out.items = pp_jwt_alloc(f->user, PP_TEMPLATE_RULES_MAX + 1, sizeof(pp_str));
    if (!out.items)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < list->count && !err; i++) {
        err = find_places(f, list->items[i]);
        if (!err)
            err = fill_combinations(f, list->items[i], must, &out);
    }
    *list = (pp_claim_list){out.items, out.count};
    return err;
}

static pipit_err fill_rules(struct filling *f, pp_claim_rules *rules)
{
    static const pp_str everything = {">", 1};
    bool limited = rules->allow.count != 0;
    pipit_err err = fill_list(f, &rules->allow, false);

    if (!err)
        err = fill_list(f, &rules->deny, true);
    /* An empty list would allow all. */
    if (!err && limited && !rules->allow.count)
        rules->deny = (pp_claim_list){&everything, 1};
    return err;
}

pipit_err pp_user_template_fill(pp_claim_permissions *permissions, pp_jwt *user,
                                pp_str issuer_account, const pp_jwt *account)
{
    struct filling f = {.user = user, .issuer_account = issuer_account, .account = account};
    pipit_err err = fill_rules(&f, &permissions->publish);

    return err ? err : fill_rules(&f, &permissions->subscribe);
}
