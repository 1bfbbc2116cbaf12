/* Which store it is: the manifest and the headers of segments say so; and how a store is made. */
#include "store/inside.h"

#include "base/clock.h"
#include "base/random.h"

#include <fcntl.h>
#include <stdio.h>

static pipit_err refuse_format(const struct pp_identity *id, const char *path, char *why)
{
    (void)snprintf(
        why, PP_STORE_WHY_BYTES,
        "%.120s is of format %u with features 0x%x; this version knows format %d with 0x%x", path,
        id->version, id->features, PP_STORE_VERSION, PP_STORE_FEATURES);
    return PIPIT_EPROTO;
}

pipit_err pp_store_read_identity(pp_store *store, const char *path, uint64_t magic,
                                 struct pp_identity *out_id, char *why)
{
    struct pp_identity id = {0};
    size_t got = 0;
    int fd;
    pipit_err err = pp_disk_open(store->disk, path, O_RDONLY, &fd);

    if (err)
        return err;
    err = pp_disk_read(store->disk, fd, &id, sizeof(id), 0, &got);
    store->disk->ops->close(store->disk, fd);
    if (!err)
        err = got < sizeof(id) ? PIPIT_EDAMAGED : pp_identity_check(&id, magic);
    if (err == PIPIT_EPROTO)
        return refuse_format(&id, path, why);
    if (!err)
        *out_id = id;
    return err;
}

/* Make a file under another name, with room for so many bytes, and give it its own when it is on
 * disk. */
static pipit_err place_file(pp_store *store, const char *from, const char *to, const void *bytes,
                            size_t len, uint64_t room)
{
    int fd;
    pipit_err err = pp_disk_open(store->disk, from, O_RDWR | O_CREAT | O_TRUNC, &fd);

    if (err)
        return err;
    if (room)
        err = pp_disk_reserve(store->disk, fd, room);
    if (!err)
        err = pp_disk_write(store->disk, fd, bytes, len, 0);
    if (!err)
        err = pp_disk_sync(store->disk, fd);
    store->disk->ops->close(store->disk, fd);
    if (!err && (store->disk->ops->rename(store->disk, from, to) < 0 ||
                 store->disk->ops->sync_dir(store->disk, store->dir) < 0))
        err = PIPIT_EIO;
    return err;
}

pipit_err pp_store_write_manifest(pp_store *store)
{
    char from[PP_PATH_BYTES], to[PP_PATH_BYTES];
    struct pp_identity id = pp_store_identity_of(store, 0, store->options.first_seq);

    pp_store_path_of(store, "manifest.new", from);
    pp_store_path_of(store, "manifest", to);
    return place_file(store, from, to, &id, sizeof(id), 0);
}

void pp_store_choose_features(pp_store *store)
{
    store->id.features &= PP_FEATURE_COMPRESSED;
    store->id.key_id = 0;
    if (store->options.compress)
        store->id.features |= PP_FEATURE_COMPRESSED;
    if (store->keys) {
        store->id.features |= PP_FEATURE_ENCRYPTED;
        store->id.key_id = pp_seal_key_id(store->keys->keys[0], store->id.store);
    }
}

pipit_err pp_store_make_segment(pp_store *store, uint64_t number, uint64_t first_seq)
{
    char header[PP_SEGMENT_HEADER_BYTES] = {0}, from[PP_PATH_BYTES], to[PP_PATH_BYTES];
    uint64_t room = store->options.segment_bytes < PP_FIRST_SEGMENT_BYTES
                        ? store->options.segment_bytes
                        : PP_FIRST_SEGMENT_BYTES;
    struct pp_identity id = pp_store_identity_of(store, number, first_seq);

    memcpy(header, &id, sizeof(id));
    pp_store_path_of(store, pp_spare_name, from);
    pp_store_path(store, number, to);
    return place_file(store, from, to, header, sizeof(header), pp_segment_file_bytes(room));
}

pipit_err pp_store_create(pp_store *store)
{
    pipit_err err;

    store->id = (struct pp_identity){.version = PP_STORE_VERSION, .created_ns = pp_clock_wall_ns()};
    pp_random_bytes(store->id.store, sizeof(store->id.store));
    store->id.salt = pp_random_seed();
    pp_store_choose_features(store);
    err = pp_store_make_segment(store, 1, store->options.first_seq);
    return err ? err : pp_store_write_manifest(store);
}
