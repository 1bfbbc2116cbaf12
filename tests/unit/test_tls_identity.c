/* What certificates say about who shows them. */
#include "tls/identity.h"

#include "base/alloc.h"
#include "tls_peer.h"

/* A certificate in DER with that subject ("/CN=a/O=b+OU=c", '+' joins a relative name) and names.
 */
static pp_str make(const char *subject, const char *san, unsigned char **out_der)
{
    EVP_PKEY *key = tls_make_key();
    X509 *cert = tls_make_cert(key, "x", san, NULL, NULL, 1);
    X509_NAME *name = X509_NAME_new();
    char text[200], *rest = text, *part;
    int len;

    (void)snprintf(text, sizeof(text), "%s", subject);
    while ((part = strsep(&rest, "/"))) {
        char *one;

        for (int set = 0; (one = strsep(&part, "+")); set = -1) {
            char *value = strchr(one, '=');

            if (!value)
                continue;
            *value++ = '\0';
            assert_true(X509_NAME_add_entry_by_txt(name, one, MBSTRING_UTF8,
                                                   (const unsigned char *)value, -1, -1, set));
        }
    }
    X509_set_subject_name(cert, name);
    X509_NAME_free(name);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    len = i2d_X509(cert, out_der);
    assert_true(len > 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    return (pp_str){(const char *)*out_der, (size_t)len};
}

static void check_text(pp_str is, const char *should)
{
    assert_int_equal(is.len, strlen(should));
    assert_memory_equal(is.ptr, should, is.len);
}

static void test_identity_has_all_names(void **state)
{
    unsigned char *der = NULL;
    pp_tls_identity *id;

    (void)state;
    assert_int_equal(
        pp_tls_identity_new(&id, make("/C=DE/O=acme/OU=dev+CN=foo/UID=u7",
                                      "email:a@b.c,DNS:h.example,URI:spiffe://x/y,email:d@e.f,"
                                      "IP:127.0.0.1,DNS:i.example",
                                      &der)),
        PIPIT_OK);
    assert_int_equal(id->email_count, 2);
    check_text(id->emails[0], "a@b.c");
    check_text(id->emails[1], "d@e.f");
    assert_int_equal(id->dns_name_count, 2);
    check_text(id->dns_names[1], "i.example");
    assert_int_equal(id->uri_count, 1);
    check_text(id->uris[0], "spiffe://x/y");
    assert_int_equal(id->subject_count, 5);
    check_text(id->subject[0].oid, "2.5.4.6");
    check_text(id->subject[0].value, "DE");
    check_text(id->subject[4].oid, "0.9.2342.19200300.100.1.1");
    check_text(id->subject[4].value, "u7");
    assert_int_equal(id->subject[2].rdn, id->subject[3].rdn);
    assert_true(id->subject[1].rdn < id->subject[2].rdn && id->subject[3].rdn < id->subject[4].rdn);
    pp_free(id);
    OPENSSL_free(der);
}

static void test_identity_of_nobody(void **state)
{
    unsigned char *der = NULL;
    pp_tls_identity *id;

    (void)state;
    assert_int_equal(pp_tls_identity_new(&id, make("", NULL, &der)), PIPIT_OK);
    assert_int_equal(id->subject_count + id->email_count + id->dns_name_count + id->uri_count, 0);
    pp_free(id);
    OPENSSL_free(der);
}

/* "good.example\0.evil.example" is not good.example. */
static void test_identity_leaves_out_names_with_nul(void **state)
{
    unsigned char *der = NULL;
    pp_str cert = make("/CN=a", "DNS:goodXexample,DNS:ok,email:bob@xYz", &der);
    pp_tls_identity *id;

    (void)state;
    *(unsigned char *)memchr(der + 100, 'X', cert.len - 100) = '\0'; /* the signature is not ours */
    *(unsigned char *)memchr(der + 100, 'Y', cert.len - 100) = 0xe9;
    assert_int_equal(pp_tls_identity_new(&id, cert), PIPIT_OK);
    assert_int_equal(id->dns_name_count, 1);
    check_text(id->dns_names[0], "ok");
    assert_int_equal(id->email_count, 0);
    pp_free(id);
    OPENSSL_free(der);
}

static void test_identity_refuses_what_is_none(void **state)
{
    unsigned char *der = NULL;
    pp_str cert = make("/CN=a", "DNS:b", &der);
    char *longer = malloc(cert.len + 1);
    pp_tls_identity *id;

    (void)state;
    for (size_t len = 0; len < cert.len; len++)
        assert_int_equal(pp_tls_identity_new(&id, (pp_str){cert.ptr, len}), PIPIT_EPROTO);
    memcpy(longer, cert.ptr, cert.len);
    longer[cert.len] = 0;
    assert_int_equal(pp_tls_identity_new(&id, (pp_str){longer, cert.len + 1}), PIPIT_EPROTO);
    free(longer);
    OPENSSL_free(der);
}

/* Whatever is flipped in it, nothing but an answer comes of it. */
static void test_identity_of_damaged_certificates(void **state)
{
    unsigned char *der = NULL;
    pp_str cert = make("/C=DE/O=acme/CN=foo", "email:a@b.c,DNS:h.example,URI:x:y", &der);
    int64_t live = pp_alloc_live();
    pp_tls_identity *id;

    (void)state;
    for (size_t i = 0; i < 8 * cert.len; i++) {
        der[i / 8] ^= (unsigned char)(1u << i % 8);
        if (pp_tls_identity_new(&id, cert) == PIPIT_OK)
            pp_free(id);
        der[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    assert_int_equal(pp_alloc_live(), live);
    OPENSSL_free(der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_has_all_names),
        cmocka_unit_test(test_identity_of_nobody),
        cmocka_unit_test(test_identity_leaves_out_names_with_nul),
        cmocka_unit_test(test_identity_refuses_what_is_none),
        cmocka_unit_test(test_identity_of_damaged_certificates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
