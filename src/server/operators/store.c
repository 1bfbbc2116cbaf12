#include "server/operators/store.h"

#include "auth/jwt.h"
#include "auth/nkey.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    KEY_LEN = PP_NKEY_TEXT_BYTES - 1,
    NAME_BYTES = PP_NKEY_TEXT_BYTES + 16, /* with any of the endings */
    AT_START = 64,
};

#define ENDING ".jwt"
#define ENDING_DELETED ".jwt.deleted"
#define ENDING_NEW ".jwt.new"

struct entry {
    char key[PP_NKEY_TEXT_BYTES];
    uint8_t hash[PP_TOKEN_STORE_HASH_BYTES];
    int64_t issued_s;
    int64_t expires_s; /* 0: never */
    uint64_t used;     /* the greater the later */
    uint64_t id_hash;  /* of its "jti" */
};

struct pp_token_store {
    pp_token_store_setup setup;
    int dir_fd;
    struct entry *entries; /* dense */
    size_t count, cap;
    uint32_t *by_key; /* index plus 1, open addressing */
    size_t mask;
    uint64_t seed, uses;
};

/* --- names --------------------------------------------------------------------------------- */

/* The one way to a file's name: a key that was decoded. */
static pipit_err name_of(pp_str key, const char *ending, char out[NAME_BYTES])
{
    uint8_t raw[PP_NKEY_RAW_BYTES];
    char text[PP_NKEY_TEXT_BYTES];

    if (pp_nkey_decode(key, PP_NKEY_ACCOUNT, raw))
        return PIPIT_EINVAL;
    pp_nkey_format(PP_NKEY_ACCOUNT, raw, text);
    (void)snprintf(out, NAME_BYTES, "%s%s", text, ending);
    return PIPIT_OK;
}

static bool ends_with(pp_str name, pp_str ending)
{
    return name.len == KEY_LEN + ending.len &&
           pp_str_eq((pp_str){name.ptr + KEY_LEN, ending.len}, ending);
}

/* --- the table ----------------------------------------------------------------------------- */

static size_t slot_of(const pp_token_store *store, const char *key)
{
    size_t at = pp_hash(key, KEY_LEN, store->seed) & store->mask;

    while (store->by_key[at] &&
           memcmp(store->entries[store->by_key[at] - 1].key, key, KEY_LEN) != 0)
        at = (at + 1) & store->mask;
    return at;
}

static struct entry *find(const pp_token_store *store, pp_str key)
{
    uint32_t index = key.len == KEY_LEN ? store->by_key[slot_of(store, key.ptr)] : 0;

    return index ? &store->entries[index - 1] : NULL;
}

static pipit_err grow(pp_token_store *store)
{
    size_t cap = store->cap ? 2 * store->cap : AT_START;
    struct entry *entries = pp_realloc(store->entries, cap * sizeof(*entries));
    uint32_t *by_key;

    if (!entries)
        return PIPIT_ENOMEM;
    store->entries = entries;
    by_key = pp_calloc(2 * cap, sizeof(*by_key));
    if (!by_key)
        return PIPIT_ENOMEM;
    pp_free(store->by_key);
    store->by_key = by_key;
    store->mask = 2 * cap - 1;
    store->cap = cap;
    for (size_t i = 0; i < store->count; i++)
        store->by_key[slot_of(store, entries[i].key)] = (uint32_t)i + 1;
    return PIPIT_OK;
}

/* Those behind it in the same run move up. */
static void vacate(pp_token_store *store, size_t at)
{
    size_t hole = at;

    for (;;) {
        size_t home;

        at = (at + 1) & store->mask;
        if (!store->by_key[at])
            break;
        home =
            pp_hash(store->entries[store->by_key[at] - 1].key, KEY_LEN, store->seed) & store->mask;
        if (((at - home) & store->mask) >= ((at - hole) & store->mask)) {
            store->by_key[hole] = store->by_key[at];
            hole = at;
        }
    }
    store->by_key[hole] = 0;
}

static void forget(pp_token_store *store, struct entry *entry)
{
    struct entry *last = &store->entries[store->count - 1];

    vacate(store, slot_of(store, entry->key));
    if (entry != last) {
        size_t at = slot_of(store, last->key);

        *entry = *last;
        store->by_key[at] = (uint32_t)(entry - store->entries) + 1;
    }
    store->count--;
}

/* --- tokens -------------------------------------------------------------------------------- */

static void describe(const pp_token_store *store, struct entry *entry, pp_str token,
                     const pp_jwt *jwt, int64_t now_s)
{
    memcpy(entry->key, jwt->subject.ptr, KEY_LEN);
    entry->key[KEY_LEN] = '\0';
    (void)crypto_hash_sha256(entry->hash, (const uint8_t *)token.ptr, token.len);
    entry->issued_s = jwt->issued_s;
    entry->expires_s = store->setup.ttl_s ? now_s + store->setup.ttl_s : jwt->expires_s;
    entry->id_hash = jwt->id.len ? pp_hash(jwt->id.ptr, jwt->id.len, store->seed) : 0;
}

static pipit_err read_all(int fd, pp_buf *out)
{
    char chunk[16 * 1024];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
        pipit_err err = pp_buf_add(out, chunk, (size_t)n);

        if (err)
            return err;
    }
    return n < 0 || pp_fault("token.read") ? PIPIT_EIO : PIPIT_OK;
}

static pipit_err read_token(const pp_token_store *store, const char *name, pp_buf *out)
{
    int fd = openat(store->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    pipit_err err;

    if (fd < 0)
        return errno == ENOENT ? PIPIT_ENOTFOUND : PIPIT_EIO;
    err = read_all(fd, out);
    (void)close(fd); /* read only, nothing to lose */
    return err;
}

/* --- opening ------------------------------------------------------------------------------- */

static pipit_err take_file(pp_token_store *store, const char *name, int64_t now_s,
                           size_t *out_strange)
{
    char reason[PP_JWT_REASON_BYTES];
    pp_str key = {name, KEY_LEN}, token;
    pp_jwt jwt = {0};
    pp_buf text;
    pipit_err err;

    pp_buf_init(&text, PP_JWT_BYTES_MAX + 1);
    err = read_token(store, name, &text);
    token = pp_buf_str(&text);
    while (token.len && (token.ptr[token.len - 1] == '\n' || token.ptr[token.len - 1] == '\r'))
        token.len--;
    if (!err)
        err = pp_jwt_decode(&jwt, token, reason);
    if (!err && (jwt.type != PP_JWT_ACCOUNT || !pp_str_eq(jwt.subject, key)))
        err = PIPIT_EINVAL;
    if (!err && store->count == store->cap)
        err = grow(store);
    if (!err) {
        describe(store, &store->entries[store->count], token, &jwt, now_s);
        store->entries[store->count].used = ++store->uses;
        store->by_key[slot_of(store, store->entries[store->count].key)] =
            (uint32_t)store->count + 1;
        store->count++;
    } else if (err != PIPIT_ENOMEM) {
        (*out_strange)++;
        err = PIPIT_OK;
    }
    pp_jwt_fini(&jwt);
    pp_buf_fini(&text);
    return err;
}

static pipit_err scan(pp_token_store *store, int64_t now_s, size_t *out_strange)
{
    int fd = dup(store->dir_fd);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    pipit_err err = PIPIT_OK;
    struct dirent *found;

    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return PIPIT_EIO;
    }
    rewinddir(dir);
    while (!err && (found = readdir(dir))) {
        pp_str name = pp_str_of(found->d_name);

        if (name.len < KEY_LEN ||
            pp_nkey_decode((pp_str){name.ptr, KEY_LEN}, PP_NKEY_ACCOUNT, NULL))
            continue;
        if (ends_with(name, PP_STR(ENDING_NEW)))
            (void)unlinkat(store->dir_fd, found->d_name, 0); /* a power cut has left it */
        else if (ends_with(name, PP_STR(ENDING)))
            err = take_file(store, found->d_name, now_s, out_strange);
    }
    (void)closedir(dir);
    return err;
}

static int open_dir(const char *path, pp_buf *error)
{
    char why[128];
    int fd;

    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        pp_errno_text(errno, why, sizeof(why));
        (void)pp_buf_addf(error, "resolver: cannot make %s: %s", path, why);
        return -1;
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        pp_errno_text(errno, why, sizeof(why));
        (void)pp_buf_addf(error, "resolver: cannot open %s: %s", path, why);
    }
    return fd;
}

pipit_err pp_token_store_open(pp_token_store **out_store, const pp_token_store_setup *setup,
                              int64_t now_s, size_t *out_strange, pp_buf *error)
{
    pp_token_store *store = pp_calloc(1, sizeof(*store));
    pipit_err err = PIPIT_ENOMEM;

    *out_strange = 0;
    if (!store)
        return err;
    store->setup = *setup;
    store->setup.dir = NULL; /* the caller's; the descriptor is all that is needed */
    store->seed = pp_random_seed();
    store->dir_fd = open_dir(setup->dir, error);
    if (store->dir_fd < 0)
        err = PIPIT_EINVAL;
    else
        err = grow(store);
    if (!err)
        err = scan(store, now_s, out_strange);
    if (err == PIPIT_EIO)
        (void)pp_buf_addf(error, "resolver: cannot read %s", setup->dir);
    if (err)
        pp_token_store_close(store);
    else
        *out_store = store;
    return err;
}

void pp_token_store_close(pp_token_store *store)
{
    if (!store)
        return;
    if (store->dir_fd >= 0)
        (void)close(store->dir_fd); /* read only, nothing to lose */
    pp_free(store->entries);
    pp_free(store->by_key);
    pp_free(store);
}

/* --- loading ------------------------------------------------------------------------------- */

pipit_err pp_token_store_load(pp_token_store *store, pp_str key, int64_t now_s, pp_buf *out)
{
    struct entry *entry = find(store, key);
    uint8_t hash[PP_TOKEN_STORE_HASH_BYTES];
    char name[NAME_BYTES];
    size_t before = out->len;
    pipit_err err = name_of(key, ENDING, name);

    if (err)
        return err;
    if (!entry)
        return PIPIT_ENOTFOUND;
    err = read_token(store, name, out);
    if (err)
        return err;
    while (out->len > before && out->ptr[out->len - 1] == '\n')
        out->len--;
    (void)crypto_hash_sha256(hash, (const uint8_t *)out->ptr + before, out->len - before);
    if (memcmp(hash, entry->hash, sizeof(hash)) != 0) {
        out->len = before;
        return PIPIT_EINVAL; /* somebody else has written there */
    }
    entry->used = ++store->uses;
    if (store->setup.ttl_s)
        entry->expires_s = now_s + store->setup.ttl_s;
    return PIPIT_OK;
}

/* --- saving -------------------------------------------------------------------------------- */

static pipit_err write_all(int fd, pp_str text)
{
    while (text.len) {
        size_t chunk = pp_fault("token.write.short") ? 1 : text.len;
        ssize_t n = pp_fault("token.write") ? (errno = ENOSPC, -1) : write(fd, text.ptr, chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pp_err_from_errno(errno);
        text = (pp_str){text.ptr + n, text.len - (size_t)n};
    }
    return PIPIT_OK;
}

static int sync_fd(int fd, bool data_only)
{
    if (pp_fault("token.sync")) {
        errno = EIO;
        return -1;
    }
    return data_only ? fdatasync(fd) : fsync(fd);
}

/* Put text where name will find it, whole or not at all. *out_there: it is, if perhaps not after a
 * power cut. */
static pipit_err write_file(const pp_token_store *store, const char *fresh, const char *name,
                            pp_str text, bool *out_there)
{
    int fd =
        openat(store->dir_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    pipit_err err;

    *out_there = false;
    if (fd < 0)
        return pp_err_from_errno(errno);
    err = write_all(fd, text);
    if (!err && sync_fd(fd, true) < 0)
        err = pp_err_from_errno(errno);
    if (close(fd) < 0 && !err)
        err = pp_err_from_errno(errno);
    if (!err &&
        (pp_fault("token.rename") ? (errno = EIO, -1)
                                  : renameat(store->dir_fd, fresh, store->dir_fd, name)) < 0)
        err = pp_err_from_errno(errno);
    if (err) {
        (void)unlinkat(store->dir_fd, fresh, 0); /* or else when the store is opened */
        return err;
    }
    *out_there = true;
    return sync_fd(store->dir_fd, false) < 0 ? pp_err_from_errno(errno) : PIPIT_OK;
}

static bool is_newer(const pp_token_store *store, const struct entry *old, const pp_jwt *jwt)
{
    uint64_t id_hash = jwt->id.len ? pp_hash(jwt->id.ptr, jwt->id.len, store->seed) : 0;

    return (!id_hash || id_hash != old->id_hash) && jwt->issued_s >= old->issued_s;
}

static void evict(pp_token_store *store)
{
    struct entry *oldest = &store->entries[0];

    for (size_t i = 1; i < store->count; i++) {
        if (store->entries[i].used < oldest->used)
            oldest = &store->entries[i];
    }
    (void)pp_token_store_delete(store, (pp_str){oldest->key, KEY_LEN});
}

pipit_err pp_token_store_save(pp_token_store *store, pp_str token, const pp_jwt *jwt, int64_t now_s,
                              bool only_newer, bool *out_kept)
{
    char name[NAME_BYTES], fresh[NAME_BYTES];
    pipit_err err = name_of(jwt->subject, ENDING, name);
    struct entry *entry;
    bool there;

    *out_kept = false;
    if (err || jwt->type != PP_JWT_ACCOUNT)
        return PIPIT_EINVAL;
    (void)name_of(jwt->subject, ENDING_NEW, fresh);
    entry = find(store, jwt->subject);
    if (entry && only_newer && !is_newer(store, entry, jwt))
        return PIPIT_OK;
    if (!entry && store->setup.limit && store->count >= store->setup.limit) {
        if (!store->setup.evicts)
            return PIPIT_ELIMIT;
        evict(store);
        if (store->count >= store->setup.limit)
            return PIPIT_EIO; /* that one's file does not go */
    }
    if (!entry && store->count == store->cap) {
        err = grow(store);
        if (err)
            return err;
    }
    err = write_file(store, fresh, name, token, &there);
    if (!there)
        return err;
    if (!entry) {
        entry = &store->entries[store->count++];
        describe(store, entry, token, jwt, now_s);
        store->by_key[slot_of(store, entry->key)] = (uint32_t)store->count;
    } else {
        describe(store, entry, token, jwt, now_s);
    }
    entry->used = ++store->uses;
    *out_kept = true;
    return err;
}

/* --- deleting ------------------------------------------------------------------------------ */

static pipit_err delete_file(pp_token_store *store, pp_str key, bool for_good)
{
    char name[NAME_BYTES], deleted[NAME_BYTES];
    struct entry *entry = find(store, key);
    int done;

    if (name_of(key, ENDING, name))
        return PIPIT_EINVAL;
    if (!entry)
        return PIPIT_ENOTFOUND;
    (void)name_of(key, ENDING_DELETED, deleted);
    if (pp_fault("token.delete")) {
        errno = EIO;
        done = -1;
    } else if (for_good) {
        done = unlinkat(store->dir_fd, name, 0);
    } else {
        done = renameat(store->dir_fd, name, store->dir_fd, deleted);
    }
    if (done < 0 && errno != ENOENT)
        return pp_err_from_errno(errno);
    forget(store, entry);
    return sync_fd(store->dir_fd, false) < 0 ? pp_err_from_errno(errno) : PIPIT_OK;
}

pipit_err pp_token_store_delete(pp_token_store *store, pp_str key)
{
    return delete_file(store, key, store->setup.hard_delete || store->setup.evicts);
}

int64_t pp_token_store_expire(pp_token_store *store, int64_t now_s,
                              void (*each)(const char *key, void *arg), void *arg)
{
    int64_t next_s = 0;

    for (size_t i = store->count; i > 0; i--) {
        struct entry *entry = &store->entries[i - 1];
        char key[PP_NKEY_TEXT_BYTES];

        if (entry->expires_s <= 0)
            continue;
        if (entry->expires_s > now_s) {
            if (!next_s || entry->expires_s < next_s)
                next_s = entry->expires_s;
            continue;
        }
        memcpy(key, entry->key, sizeof(key));
        if (each)
            each(key, arg);
        (void)delete_file(store, (pp_str){key, KEY_LEN}, true); /* tried again next time */
    }
    return next_s;
}

/* --- all ----------------------------------------------------------------------------------- */

size_t pp_token_store_count(const pp_token_store *store)
{
    return store->count;
}

void pp_token_store_each(const pp_token_store *store, void (*each)(const char *key, void *arg),
                         void *arg)
{
    for (size_t i = 0; i < store->count; i++)
        each(store->entries[i].key, arg);
}

void pp_token_store_hash(const pp_token_store *store, uint8_t out[PP_TOKEN_STORE_HASH_BYTES])
{
    memset(out, 0, PP_TOKEN_STORE_HASH_BYTES);
    for (size_t i = 0; i < store->count; i++) {
        for (unsigned n = 0; n < PP_TOKEN_STORE_HASH_BYTES; n++)
            out[n] ^= store->entries[i].hash[n];
    }
}
