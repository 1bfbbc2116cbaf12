#include "auth/certificate.h"

#include "auth/distinguished_name.h"
#include "base/alloc.h"

#define OID_DOMAIN_COMPONENT "0.9.2342.19200300.100.1.25"

/* The attributes that have names; those with a place make the subject's text, in that order. */
static const struct attribute {
    const char *oid;
    const char *type;
    int place; /* -1: none */
} attributes[] = {
    {"2.5.4.5", "SERIALNUMBER", 0},
    {"2.5.4.3", "CN", 1},
    {"2.5.4.11", "OU", 2},
    {"2.5.4.10", "O", 3},
    {"2.5.4.17", "POSTALCODE", 4},
    {"2.5.4.9", "STREET", 5},
    {"2.5.4.7", "L", 6},
    {"2.5.4.8", "ST", 7},
    {"2.5.4.6", "C", 8},
    {OID_DOMAIN_COMPONENT, "DC", -1},
};

enum {
    ATTRIBUTE_COUNT = sizeof(attributes) / sizeof(attributes[0]),
    SERIAL_NUMBER = 0,
    COMMON_NAME = 1,
};

static const struct attribute *attribute_of(pp_str oid)
{
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (pp_str_eq(oid, pp_str_of(attributes[i].oid)))
            return &attributes[i];
    }
    return NULL;
}

/* --- the subject as text ------------------------------------------------------------------ */

/* As RFC 2253 escapes. */
static pipit_err add_value(pp_buf *out, pp_str value)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < value.len && !err; i++) {
        char c = value.ptr[i];
        bool edge = i == 0 || i + 1 == value.len;

        if ((c && strchr(",+\"\\<>;", c)) || (c == ' ' && edge) || (c == '#' && i == 0))
            err = pp_buf_add(out, "\\", 1);
        if (!err)
            err = pp_buf_add(out, &c, 1);
    }
    return err;
}

static pipit_err add_attribute(pp_buf *out, const char *joint, const char *type, pp_str value)
{
    pipit_err err = pp_buf_addf(out, "%s%s=", joint, type);

    return err ? err : add_value(out, value);
}

/* All of one type, or the last of those that there should be one of. */
static pipit_err add_type(const pp_certificate *c, const struct attribute *type, pp_buf *out)
{
    bool last_only = type->place == SERIAL_NUMBER || type->place == COMMON_NAME;
    const char *joint = out->len ? "," : "";
    const pp_str *last = NULL;
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < c->subject_count && !err; i++) {
        if (attribute_of(c->subject[i].oid) != type || !c->subject[i].value.ptr)
            continue;
        last = &c->subject[i].value;
        if (last_only)
            continue;
        err = add_attribute(out, joint, type->type, *last);
        joint = "+";
    }
    if (!err && last_only && last && last->len)
        err = add_attribute(out, joint, type->type, *last);
    return err;
}

pipit_err pp_certificate_subject(const pp_certificate *certificate, pp_buf *out)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < ATTRIBUTE_COUNT && !err; i++) {
        if (attributes[i].place >= 0)
            err = add_type(certificate, &attributes[i], out);
    }
    return err;
}

bool pp_certificate_writes(pp_str oid)
{
    const struct attribute *attribute = attribute_of(oid);

    return attribute && attribute->place >= 0;
}

static pipit_err add_domain_components(const pp_certificate *c, pp_buf *out)
{
    pipit_err err = PIPIT_OK;

    for (size_t i = 0; i < c->subject_count && !err; i++) {
        if (pp_str_eq(c->subject[i].oid, PP_STR(OID_DOMAIN_COMPONENT)) && c->subject[i].value.ptr)
            err = pp_buf_addf(out, ",DC=%.*s", PP_STR_ARGS(c->subject[i].value));
    }
    return err;
}

/* --- the subject as a name ---------------------------------------------------------------- */

/* From behind, as the text form has it. False: it holds what has no name, and is not compared. */
static bool make_name(const pp_certificate *c, pp_dn *out)
{
    *out = (pp_dn){0};
    if (c->subject_count > PP_DN_ATTRIBUTES_MAX || !c->subject_count)
        return false;
    for (size_t i = c->subject_count; i-- > 0;) {
        const pp_certificate_attribute *from = &c->subject[i];
        const struct attribute *attribute = attribute_of(from->oid);

        if (!attribute || !from->value.ptr)
            return false;
        if (out->count && from->rdn != c->subject[i + 1].rdn)
            out->rdn_count++;
        out->attributes[out->count++] =
            (pp_dn_attribute){pp_str_of(attribute->type), from->value, out->rdn_count};
    }
    out->rdn_count++;
    return true;
}

struct search {
    const pp_users *users;
    uint16_t connection_type;
    const pp_dn *wanted;
    pp_dn *candidate;
    char *scratch;
    bool (*same)(const pp_dn *a, const pp_dn *b);
};

static bool is_same_name(const pp_user *user, void *arg)
{
    const struct search *search = arg;
    pp_str name = pp_str_of(user->name);

    return (user->connection_types & search->connection_type) &&
           name.len <= PP_CERTIFICATE_SUBJECT_MAX && memchr(name.ptr, '=', name.len) &&
           pp_dn_parse(name, search->scratch, search->candidate) &&
           search->same(search->wanted, search->candidate);
}

static const pp_user *find_name(const pp_certificate *certificate, const pp_users *users,
                                uint16_t connection_type)
{
    struct names {
        pp_dn wanted, candidate;
        char scratch[PP_CERTIFICATE_SUBJECT_MAX];
    } *names = pp_alloc(sizeof(*names));
    const pp_user *user = NULL;

    if (!names)
        return NULL;
    if (make_name(certificate, &names->wanted)) {
        struct search search = {users,          connection_type, &names->wanted, &names->candidate,
                                names->scratch, pp_dn_equal};

        user = pp_users_find_where(users, is_same_name, &search);
        search.same = pp_dn_same_names;
        if (!user)
            user = pp_users_find_where(users, is_same_name, &search);
    }
    pp_free(names);
    return user;
}

/* --- finding ------------------------------------------------------------------------------ */

static const pp_user *find_text(const pp_users *users, pp_str text, uint16_t connection_type)
{
    const pp_user *user = pp_users_find(users, text);

    return user && (user->connection_types & connection_type) ? user : NULL;
}

static const pp_user *find_any(const pp_users *users, const pp_str *texts, size_t count,
                               uint16_t connection_type)
{
    const pp_user *user = NULL;

    for (size_t i = 0; i < count && !user; i++)
        user = find_text(users, texts[i], connection_type);
    return user;
}

static const pp_user *find_subject(const pp_certificate *certificate, const pp_users *users,
                                   uint16_t connection_type)
{
    const pp_user *user = NULL;
    size_t len;
    pp_buf text;

    pp_buf_init(&text, PP_CERTIFICATE_SUBJECT_MAX);
    if (!pp_certificate_subject(certificate, &text)) {
        len = text.len;
        if (!add_domain_components(certificate, &text) && text.len > len)
            user = find_text(users, pp_buf_str(&text), connection_type);
        if (!user)
            user = find_text(users, (pp_str){text.ptr, len}, connection_type);
    }
    pp_buf_fini(&text);
    return user;
}

const pp_user *pp_certificate_find_user(const pp_certificate *certificate, const pp_users *users,
                                        uint16_t connection_type)
{
    const pp_certificate *c = certificate;
    const pp_user *user = find_any(users, c->emails, c->email_count, connection_type);

    if (!user)
        user = find_any(users, c->dns_names, c->dns_name_count, connection_type);
    if (!user)
        user = find_any(users, c->uris, c->uri_count, connection_type);
    if (!user)
        user = find_name(c, users, connection_type);
    return user ? user : find_subject(c, users, connection_type);
}
