/* fuzz_certificate -- which user a certificate stands for: names of any form, on both sides.
 *
 * Input: lines. The first is a user's name; then one part of the certificate on each: "e", "d" or
 * "u" and an e-mail address, DNS name or URI; or the OID's last number, '+' or '.', and a value. */
#include "auth/certificate.h"
#include "auth/distinguished_name.h"
#include "base/assert.h"

#include <sodium.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { PARTS_MAX = 96 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct parts {
    pp_str emails[PARTS_MAX], dns_names[PARTS_MAX], uris[PARTS_MAX];
    pp_certificate_attribute subject[PARTS_MAX];
    pp_certificate certificate;
};

static pp_str take_line(pp_str *text)
{
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    pp_str line = {text->ptr, end ? (size_t)(end - text->ptr) : text->len};

    text->ptr += line.len + (end != NULL);
    text->len -= line.len + (end != NULL);
    return line;
}

static void add_attribute(struct parts *parts, pp_str line)
{
    static const char *const oids[] = {
        "2.5.4.3",
        "2.5.4.5",
        "2.5.4.6",
        "2.5.4.7",
        "2.5.4.8",
        "2.5.4.9",
        "2.5.4.10",
        "2.5.4.11",
        "2.5.4.17",
        "2.5.4.12",
        "0.9.2342.19200300.100.1.25",
    };
    size_t count = parts->certificate.subject_count++;
    bool joined = line.len > 1 && line.ptr[1] == '+';
    size_t before = count ? parts->subject[count - 1].rdn : 0;

    parts->subject[count] = (pp_certificate_attribute){
        pp_str_of(oids[(uint8_t)line.ptr[0] % (sizeof(oids) / sizeof(oids[0]))]),
        line.len > 2 ? (pp_str){line.ptr + 2, line.len - 2} : (pp_str){NULL, 0},
        before + (count && !joined)};
}

static void add_part(struct parts *parts, pp_str line)
{
    pp_certificate *c = &parts->certificate;
    pp_str rest = {line.ptr + 1, line.len - 1};

    if (line.ptr[0] == 'e')
        parts->emails[c->email_count++] = rest;
    else if (line.ptr[0] == 'd')
        parts->dns_names[c->dns_name_count++] = rest;
    else if (line.ptr[0] == 'u')
        parts->uris[c->uri_count++] = rest;
    else
        add_attribute(parts, line);
}

static bool is_one_of(const pp_str *texts, size_t count, pp_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (pp_str_eq(texts[i], name))
            return true;
    }
    return false;
}

/* Nobody is let in without some part of the certificate that says so. */
static void check(const pp_certificate *c, const pp_user *user)
{
    pp_str name = pp_str_of(user->name);

    PP_ASSERT(is_one_of(c->emails, c->email_count, name) ||
              is_one_of(c->dns_names, c->dns_name_count, name) ||
              is_one_of(c->uris, c->uri_count, name) || memchr(name.ptr, '=', name.len));
}

static void find(struct parts *parts, const char *name)
{
    static pp_user_key key;
    static pp_views views;
    static pp_account *account;
    pp_user_entry entry = {.name = name};
    pp_users_setup setup = {.key = &key, .views = &views, .users = &entry, .user_count = 1};
    pp_users *users;
    const pp_user *user;

    if (!account) {
        PP_ASSERT(!pp_user_key_new(&key) && !pp_account_new(&account, "A", 1));
        pp_views_init(&views);
    }
    entry.account = setup.anybody.account = account;
    PP_ASSERT(!pp_users_new(&users, &setup));
    user = pp_certificate_find_user(&parts->certificate, users, PP_USER_STANDARD);
    if (user)
        check(&parts->certificate, user);
    pp_users_free(users);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parts parts;
    pp_str text = {(const char *)data, size}, name = take_line(&text);
    char *copy = malloc(name.len + 1), *scratch = malloc(name.len + 1);
    size_t count = 0;
    static pp_dn dn;

    parts.certificate = (pp_certificate){.emails = parts.emails,
                                         .dns_names = parts.dns_names,
                                         .uris = parts.uris,
                                         .subject = parts.subject};
    while (text.len && count++ < PARTS_MAX) {
        pp_str line = take_line(&text);

        if (line.len)
            add_part(&parts, line);
    }
    if (name.len)
        memcpy(copy, name.ptr, name.len);
    copy[name.len] = '\0';
    if (pp_dn_parse(name, scratch, &dn)) {
        PP_ASSERT(dn.count <= PP_DN_ATTRIBUTES_MAX && dn.rdn_count <= dn.count);
        PP_ASSERT(pp_dn_equal(&dn, &dn) && pp_dn_same_names(&dn, &dn));
    }
    if (*copy)
        find(&parts, copy);
    free(copy);
    free(scratch);
    return 0;
}
