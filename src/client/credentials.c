#include "client/credentials.h"

#include "auth/nkey.h"
#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    pp_free(text);
}

void pp_credentials_fini(pp_credentials *credentials)
{
    free_secret(credentials->user);
    free_secret(credentials->password);
    free_secret(credentials->token);
    free_secret(credentials->nkey_seed);
    free_secret(credentials->creds_file);
    *credentials = (pp_credentials){0};
}

static pipit_err read_file(const char *path, pp_buf *out)
{
    pipit_err err = PIPIT_OK;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return pp_err_from_errno(errno);
    do {
        err = pp_buf_reserve(out, 4096);
        if (!err)
            n = read(fd, out->ptr + out->len, 4096);
        out->len += !err && n > 0 ? (size_t)n : 0;
    } while (!err && n > 0);
    (void)close(fd); /* read-only, nothing to lose */
    return n < 0 ? PIPIT_EIO : err;
}

static pp_str trim(pp_str s)
{
    while (s.len && (unsigned char)*s.ptr <= ' ') {
        s.ptr++;
        s.len--;
    }
    while (s.len && (unsigned char)s.ptr[s.len - 1] <= ' ')
        s.len--;
    return s;
}

/* What stands between the lines "-----BEGIN what-----" and "-----END ...". */
static pp_str section(pp_str file, const char *begin)
{
    const char *at = memmem(file.ptr, file.len, begin, strlen(begin)), *end;
    size_t left;

    if (!at)
        return (pp_str){NULL, 0};
    left = file.len - (size_t)(at - file.ptr);
    end = memchr(at, '\n', left);
    if (!end)
        return (pp_str){NULL, 0};
    left -= (size_t)(end - at);
    at = end;
    end = memmem(at, left, "---", 3);
    return end ? trim((pp_str){at, (size_t)(end - at)}) : (pp_str){NULL, 0};
}

void pp_credentials_split(pp_str file, pp_str *out_jwt, pp_str *out_seed)
{
    *out_jwt = section(file, "-----BEGIN NATS USER JWT-----");
    *out_seed = section(file, "-----BEGIN USER NKEY SEED-----");
}

/* Add the signature and, unless a token names it, the public key of a seed. */
static pipit_err sign(pp_str seed_text, const char *nonce, bool with_key, pp_json *json)
{
    uint8_t seed[PP_NKEY_RAW_BYTES], key[PP_NKEY_RAW_BYTES], signature[PP_NKEY_SIGNATURE_BYTES];
    char text[sodium_base64_ENCODED_LEN(PP_NKEY_SIGNATURE_BYTES,
                                        sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    char public_text[PP_NKEY_TEXT_BYTES];
    uint8_t kind;
    pipit_err err = sodium_init() < 0 ? PIPIT_EIO : pp_nkey_seed_decode(seed_text, &kind, seed);

    if (err)
        return err;
    pp_nkey_sign(seed, pp_str_of(nonce), signature);
    (void)sodium_bin2base64(text, sizeof(text), signature, sizeof(signature),
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    if (with_key) {
        pp_nkey_public(kind, seed, key);
        pp_nkey_format(kind, key, public_text);
        pp_json_text(json, "nkey", pp_str_of(public_text));
    }
    explicit_bzero(seed, sizeof(seed));
    if (*nonce)
        pp_json_text(json, "sig", pp_str_of(text));
    return PIPIT_OK;
}

static pipit_err tell_file(const char *path, const char *nonce, pp_json *json)
{
    pp_str jwt, seed;
    pp_buf file;
    pipit_err err;

    pp_buf_init(&file, FILE_MAX);
    err = read_file(path, &file);
    if (!err) {
        pp_credentials_split(pp_buf_str(&file), &jwt, &seed);
        err = jwt.len ? PIPIT_OK : PIPIT_EINVAL;
        if (!err) /* a bearer's file has no seed */
            err = seed.len ? sign(seed, nonce, false, json) : PIPIT_OK;
        if (!err)
            pp_json_text(json, "jwt", jwt);
    }
    if (file.ptr)
        explicit_bzero(file.ptr, file.cap);
    pp_buf_fini(&file);
    return err;
}

pipit_err pp_credentials_tell(const pp_credentials *credentials, const char *nonce, pp_json *json)
{
    if (credentials->user)
        pp_json_text(json, "user", pp_str_of(credentials->user));
    if (credentials->password)
        pp_json_text(json, "pass", pp_str_of(credentials->password));
    if (credentials->token)
        pp_json_text(json, "auth_token", pp_str_of(credentials->token));
    if (credentials->creds_file)
        return tell_file(credentials->creds_file, nonce, json);
    if (credentials->nkey_seed)
        return sign(pp_str_of(credentials->nkey_seed), nonce, true, json);
    return PIPIT_OK;
}
