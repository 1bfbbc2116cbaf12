/* The file of what is known: a head, records, and a hash of all that, so that half a file is none.
 *
 *   head    "pipit-ocsp-1\n", three zeros
 *   record  key (32), from, until (8 each), standing, length of the answer (4 each), the answer
 *   hash    SHA-256 (32)
 *
 * Numbers are little-endian. It is written beside and renamed. */
#include "tls/standings_inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 16,
    RECORD_BYTES = 56,
    HASH_BYTES = 32,
    FILE_MAX =
        HEAD_BYTES + PP_TLS_STANDINGS_MAX * RECORD_BYTES + PP_TLS_STANDINGS_BYTES_MAX + HASH_BYTES,
    PATH_BYTES = 4096,
};

/* A year: it is added to a clock. */
static const int64_t save_ns_max = 365 * 24 * 3600 * PP_NS_PER_S;

static const char head[HEAD_BYTES] = "pipit-ocsp-1\n";
static const char file_name[] = "standings", fresh_name[] = "standings.new";

/* --- records -------------------------------------------------------------------------------- */

struct record {
    uint8_t key[PP_TLS_STANDING_KEY_BYTES];
    uint64_t from_s, until_s;
    uint32_t standing, len;
};

static_assert(sizeof(struct record) == RECORD_BYTES, "as the file has it");

static pipit_err write_record(pp_buf *out, const pp_tls_entry *entry)
{
    const pp_tls_finding *finding = &entry->known.finding;
    struct record record = {
        .from_s = htole64((uint64_t)finding->from_s),
        .until_s = htole64((uint64_t)finding->until_s),
        .standing = htole32((uint32_t)finding->standing),
        .len = htole32((uint32_t)entry->answer_len),
    };
    pipit_err err;

    memcpy(record.key, entry->key.bytes, sizeof(record.key));
    err = pp_buf_add(out, &record, sizeof(record));
    return err ? err : pp_buf_add(out, entry->answer, entry->answer_len);
}

/* Takes it off the front. False: it is none. */
static bool read_record(pp_str *left, pp_tls_standing_key *key, pp_tls_known *known,
                        pp_str *out_answer)
{
    struct record record;

    if (left->len < sizeof(record))
        return false;
    memcpy(&record, left->ptr, sizeof(record));
    *left = (pp_str){left->ptr + sizeof(record), left->len - sizeof(record)};
    record.len = le32toh(record.len);
    record.standing = le32toh(record.standing);
    if (record.len > left->len || record.len > PP_TLS_OCSP_ANSWER_MAX ||
        record.standing < PP_TLS_GOOD || record.standing > PP_TLS_UNKNOWN)
        return false;
    memcpy(key->bytes, record.key, sizeof(key->bytes));
    *known = (pp_tls_known){
        .finding = {.standing = (pp_tls_standing)record.standing,
                    .from_s = (int64_t)le64toh(record.from_s),
                    .until_s = (int64_t)le64toh(record.until_s)},
    };
    *out_answer = (pp_str){left->ptr, record.len};
    *left = (pp_str){left->ptr + record.len, left->len - record.len};
    return true;
}

static bool is_whole(pp_str text)
{
    uint8_t hash[HASH_BYTES];

    return text.len >= HEAD_BYTES + HASH_BYTES && memcmp(text.ptr, head, HEAD_BYTES) == 0 &&
           EVP_Digest(text.ptr, text.len - HASH_BYTES, hash, NULL, EVP_sha256(), NULL) &&
           memcmp(hash, text.ptr + text.len - HASH_BYTES, HASH_BYTES) == 0;
}

/* --- reading -------------------------------------------------------------------------------- */

static pipit_err read_all(int fd, pp_buf *out)
{
    char piece[16384];
    pipit_err err = PIPIT_OK;
    ssize_t n = 1;

    while (n && !err) {
        n = read(fd, piece, sizeof(piece));
        if (n < 0)
            return PIPIT_EIO;
        err = pp_buf_add(out, piece, (size_t)n);
    }
    return err;
}

/* What is known already has been asked since, or has been looked at: a file that another directory
 * had all the time does not undo it. */
static pipit_err take_records(pp_tls_standings *standings, pp_str text)
{
    pp_str left = {text.ptr + HEAD_BYTES, text.len - HEAD_BYTES - HASH_BYTES}, answer;
    pp_tls_standing_key key;
    pp_tls_known known;
    bool good = true;

    (void)pthread_mutex_lock(&standings->lock);
    while (left.len && good) {
        good = read_record(&left, &key, &known, &answer);
        if (good && !pp_tls_standings_has_locked(standings, &key))
            pp_tls_standings_add_locked(standings, &key, &known, answer);
    }
    (void)pthread_mutex_unlock(&standings->lock);
    return good ? PIPIT_OK : PIPIT_EIO;
}

static pipit_err load(pp_tls_standings *standings, const char *dir, pp_buf *error)
{
    char path[PATH_BYTES];
    pipit_err err = PIPIT_EIO;
    pp_buf text;
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file_name) >= sizeof(path)) {
        (void)pp_buf_addf(error, "the name of the directory is too long");
        return PIPIT_EIO;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return PIPIT_OK; /* there is none yet */
    if (fd < 0) {
        (void)pp_buf_addf(error, "'%s': %s", path, strerror(errno));
        return PIPIT_EIO;
    }
    pp_buf_init(&text, FILE_MAX);
    if (!read_all(fd, &text) && is_whole(pp_buf_str(&text)))
        err = take_records(standings, pp_buf_str(&text));
    if (err)
        (void)pp_buf_addf(error, "'%s' is damaged", path);
    (void)close(fd); /* read-only, nothing to lose */
    pp_buf_fini(&text);
    return err;
}

pipit_err pp_tls_standings_keep(pp_tls_standings *standings, const pp_tls_standings_spec *spec,
                                pp_buf *error)
{
    const char *wanted = spec->on ? spec->dir : NULL;
    char *dir = wanted ? pp_memdupz(wanted, strlen(wanted)) : NULL, *old;
    bool other;

    if (wanted && !dir)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_lock(&standings->lock);
    old = standings->dir;
    other = dir && (!old || strcmp(dir, old) != 0);
    standings->on = spec->on;
    standings->dir = dir;
    standings->preserves_revoked = spec->preserves_revoked;
    standings->save_ns = spec->save_ns < save_ns_max ? spec->save_ns : save_ns_max;
    standings->due_ns = INT64_MAX;
    if (!spec->on)
        pp_tls_standings_forget_locked(standings);
    if (standings->table.count)
        pp_tls_standings_touch_locked(standings);
    (void)pthread_mutex_unlock(&standings->lock);
    pp_free(old);
    return other ? load(standings, spec->dir, error) : PIPIT_OK;
}

/* --- writing -------------------------------------------------------------------------------- */

int64_t pp_tls_standings_due(pp_tls_standings *standings)
{
    int64_t due_ns;

    (void)pthread_mutex_lock(&standings->lock);
    due_ns = standings->due_ns;
    (void)pthread_mutex_unlock(&standings->lock);
    return due_ns;
}

/* How much that will be, so that the lock is held for copying alone: loops ask under it. */
static void make_room(pp_tls_standings *standings, pp_buf *out)
{
    size_t bytes;

    (void)pthread_mutex_lock(&standings->lock);
    bytes = standings->bytes + standings->table.count * RECORD_BYTES;
    (void)pthread_mutex_unlock(&standings->lock);
    (void)pp_buf_reserve(out, HEAD_BYTES + bytes + HASH_BYTES); /* else adding tells */
}

/* All that the file is to say, and where it is. */
static pipit_err compose(pp_tls_standings *standings, pp_buf *out, char dir[PATH_BYTES])
{
    uint8_t hash[HASH_BYTES];
    pipit_err err;

    (void)pthread_mutex_lock(&standings->lock);
    standings->due_ns = INT64_MAX;
    err = standings->dir ? PIPIT_OK : PIPIT_ENOTFOUND; /* a reload has done away with it */
    if (!err && (size_t)snprintf(dir, PATH_BYTES, "%s", standings->dir) >= PATH_BYTES)
        err = PIPIT_ENOTFOUND;
    if (!err)
        err = pp_buf_add(out, head, HEAD_BYTES);
    for (pp_link *at = standings->by_age.next; at != &standings->by_age && !err; at = at->next)
        err = write_record(out, PP_CONTAINER(at, pp_tls_entry, age));
    (void)pthread_mutex_unlock(&standings->lock);
    if (!err && !EVP_Digest(out->ptr, out->len, hash, NULL, EVP_sha256(), NULL))
        err = PIPIT_ENOMEM;
    return err ? err : pp_buf_add(out, hash, sizeof(hash));
}

static pipit_err write_all(int fd, pp_str text)
{
    while (text.len) {
        ssize_t n =
            pp_fault("standings.write") ? (errno = ENOSPC, -1) : write(fd, text.ptr, text.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return PIPIT_EIO;
        text = (pp_str){text.ptr + n, text.len - (size_t)n};
    }
    return PIPIT_OK;
}

/* errno tells why not. */
static pipit_err replace(int dir_fd, pp_str text)
{
    int fd =
        openat(dir_fd, fresh_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    pipit_err err;
    int error;

    if (fd < 0)
        return PIPIT_EIO;
    err = write_all(fd, text);
    if (!err && fdatasync(fd) < 0)
        err = PIPIT_EIO;
    error = errno;
    if (close(fd) < 0 && !err) {
        error = errno;
        err = PIPIT_EIO;
    }
    if (!err && renameat(dir_fd, fresh_name, dir_fd, file_name) < 0) {
        error = errno;
        err = PIPIT_EIO;
    }
    if (err)
        (void)unlinkat(dir_fd, fresh_name, 0); /* the next one is written over it anyway */
    else
        (void)fsync(dir_fd); /* else a power cut brings back the old one, which is as good */
    errno = error;
    return err;
}

pipit_err pp_tls_standings_save(pp_tls_standings *standings, pp_buf *error)
{
    char dir[PATH_BYTES];
    pp_buf text;
    pipit_err err;
    int dir_fd = -1;

    pp_buf_init(&text, FILE_MAX);
    make_room(standings, &text);
    err = compose(standings, &text, dir);
    if (!err) {
        (void)mkdir(dir, 0700); /* it may be there, and opening tells */
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        err = dir_fd < 0 ? PIPIT_EIO : replace(dir_fd, pp_buf_str(&text));
        if (err)
            (void)pp_buf_addf(error, "'%s': %s", dir, strerror(errno));
        if (dir_fd >= 0)
            (void)close(dir_fd); /* nothing is written to it any more */
    }
    pp_buf_fini(&text);
    if (err && err != PIPIT_ENOTFOUND) {
        (void)pthread_mutex_lock(&standings->lock);
        pp_tls_standings_touch_locked(standings);
        (void)pthread_mutex_unlock(&standings->lock);
    }
    return err == PIPIT_ENOTFOUND ? PIPIT_OK : err;
}
