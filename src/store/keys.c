#include "store/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16 * 1024 };

static pipit_err refuse(char *why, pipit_err err, const char *text)
{
    (void)snprintf(why, PP_STORE_KEYS_WHY_BYTES, "%s", text);
    return err;
}

static bool is_between(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

static pipit_err add_key(pp_str digits, struct pp_store_keys *keys, char *why)
{
    size_t len = 0;

    if (keys->count == PP_STORE_KEYS_MAX)
        return refuse(why, PIPIT_ELIMIT, "more than 16 keys");
    if (digits.len != 2 * PP_STORE_KEY_BYTES ||
        sodium_hex2bin(keys->keys[keys->count], PP_STORE_KEY_BYTES, digits.ptr, digits.len, NULL,
                       &len, NULL) != 0 ||
        len != PP_STORE_KEY_BYTES)
        return refuse(why, PIPIT_EINVAL, "a key is not 64 hexadecimal digits");
    keys->count++;
    return PIPIT_OK;
}

pipit_err pp_store_keys_parse(pp_str text, struct pp_store_keys *out_keys,
                              char out_why[PP_STORE_KEYS_WHY_BYTES])
{
    struct pp_store_keys keys = {0};
    pipit_err err = PIPIT_OK;
    size_t at = 0;

    while (at < text.len && !err) {
        size_t from = at;

        if (text.ptr[at] == '#') {
            while (at < text.len && text.ptr[at] != '\n')
                at++;
        } else if (is_between(text.ptr[at])) {
            at++;
        } else {
            while (at < text.len && !is_between(text.ptr[at]) && text.ptr[at] != '#')
                at++;
            err = add_key((pp_str){text.ptr + from, at - from}, &keys, out_why);
        }
    }
    if (!err && keys.count == 0)
        err = refuse(out_why, PIPIT_EINVAL, "there is no key");
    if (!err)
        *out_keys = keys;
    pp_store_keys_wipe(&keys);
    return err;
}

pipit_err pp_store_keys_read(const char *path, struct pp_store_keys *out_keys,
                             char out_why[PP_STORE_KEYS_WHY_BYTES])
{
    char text[FILE_BYTES_MAX];
    struct stat info;
    ssize_t got;
    pipit_err err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return refuse(out_why, pp_err_from_errno(errno), "the file of keys cannot be opened");
    if (fstat(fd, &info) < 0 || (info.st_mode & 077)) {
        (void)close(fd); /* it was only read */
        return refuse(out_why, PIPIT_EDENIED, "others than its owner may use the file of keys");
    }
    got = read(fd, text, sizeof(text));
    (void)close(fd);
    if (got < 0)
        return refuse(out_why, PIPIT_EIO, "the file of keys cannot be read");
    if (got == (ssize_t)sizeof(text))
        return refuse(out_why, PIPIT_ELIMIT, "the file of keys is too large");
    err = pp_store_keys_parse((pp_str){text, (size_t)got}, out_keys, out_why);
    sodium_memzero(text, sizeof(text));
    return err;
}

void pp_store_keys_wipe(struct pp_store_keys *keys)
{
    sodium_memzero(keys, sizeof(*keys));
}
