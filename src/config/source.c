#include "config/source.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES_MIN = 4096 };

void pp_config_source_close(pp_config_source *source)
{
    if (source->text)
        explicit_bzero(source->text, source->len);
    pp_free(source->text);
    source->text = NULL;
    source->len = source->cap = 0;
}

/* realloc() could leave a copy behind that nobody wipes. */
static pipit_err grow(pp_config_source *source, size_t cap)
{
    char *text = pp_alloc(cap);

    if (!text)
        return PIPIT_ENOMEM;
    if (source->len) {
        memcpy(text, source->text, source->len);
        explicit_bzero(source->text, source->len);
    }
    pp_free(source->text);
    source->text = text;
    source->cap = cap;
    return PIPIT_OK;
}

static pipit_err failed(pp_config_source *source, const char *call)
{
    pipit_err err = pp_err_from_errno(errno);

    source->failed_call = call;
    source->failed_why = strerrordesc_np(errno);
    if (!source->failed_why)
        source->failed_why = pipit_strerror(err);
    return err == PIPIT_EAGAIN ? PIPIT_EIO : err;
}

static pipit_err read_all(pp_config_source *source, int fd, size_t max_bytes)
{
    for (;;) {
        ssize_t n;

        if (source->len > max_bytes)
            return PIPIT_ETOOBIG;
        if (source->len == source->cap) {
            pipit_err err = grow(source, 2 * source->cap);

            if (err)
                return err;
        }
        n = read(fd, source->text + source->len, source->cap - source->len);
        if (n == 0)
            return PIPIT_OK;
        if (n > 0)
            source->len += (size_t)n;
        else if (errno != EINTR)
            return failed(source, "read");
    }
}

pipit_err pp_config_source_open(pp_config_source *source, const char *path, size_t max_bytes)
{
    struct stat st;
    size_t cap = READ_BYTES_MIN;
    pipit_err err;
    int fd;

    *source = (pp_config_source){0};
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return failed(source, "open");
    if (fstat(fd, &st) < 0) {
        err = failed(source, "stat");
        goto out;
    }
    source->device = st.st_dev;
    source->inode = st.st_ino;
    if (S_ISREG(st.st_mode)) {
        err = PIPIT_ETOOBIG;
        if ((uint64_t)st.st_size > max_bytes)
            goto out;
        cap = (size_t)st.st_size + 1; /* one more, so that its end is seen without growing */
    }
    err = grow(source, cap);
    if (!err)
        err = read_all(source, fd, max_bytes);
out:
    (void)close(fd); /* read-only, nothing to lose */
    if (err)
        pp_config_source_close(source);
    return err;
}

pipit_err pp_config_source_folder(pp_arena *arena, const char *path, pp_str *out)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return pp_arena_copy(arena, PP_STR("."), out);
    return pp_arena_copy(arena, (pp_str){path, slash == path ? 1 : (size_t)(slash - path)}, out);
}

/* Take the last part off a cleaned path; false where none can be taken: it is empty or ends in
 * "..", which then must stay. */
static bool take_last(const char *path, size_t root_len, size_t *len)
{
    size_t at = *len;

    while (at > root_len && path[at - 1] != '/')
        at--;
    if (*len == root_len || (*len - at == 2 && memcmp(path + at, "..", 2) == 0))
        return false;
    *len = at > root_len ? at - 1 : root_len;
    return true;
}

/* Append the parts of a path to a cleaned one. */
static void add_parts(char *path, size_t root_len, size_t *len, pp_str parts)
{
    size_t i = 0;

    while (i < parts.len) {
        const char *part = parts.ptr + i;
        size_t n = 0;

        while (i + n < parts.len && part[n] != '/')
            n++;
        i += n + 1;
        if (n == 0 || (n == 1 && part[0] == '.'))
            continue;
        if (n == 2 && memcmp(part, "..", 2) == 0) {
            if (take_last(path, root_len, len) || root_len)
                continue; /* above the root there is the root */
        }
        if (*len > root_len)
            path[(*len)++] = '/';
        memcpy(path + *len, part, n);
        *len += n;
    }
}

pipit_err pp_config_source_join(pp_arena *arena, pp_str folder, pp_str name, pp_str *out)
{
    size_t root_len = folder.len > 0 && folder.ptr[0] == '/';
    size_t len = root_len;
    void *memory;
    char *path;
    pipit_err err = pp_arena_take(arena, folder.len + name.len + 3, &memory);

    if (err)
        return err;
    path = memory;
    if (root_len)
        path[0] = '/';
    add_parts(path, root_len, &len, folder);
    add_parts(path, root_len, &len, name);
    if (len == 0)
        path[len++] = '.';
    path[len] = '\0';
    *out = (pp_str){path, len};
    return PIPIT_OK;
}
