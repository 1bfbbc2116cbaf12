/* Opening and making topics takes the disk's time, so threads of their own do it. A new topic is
 * half a dozen syncs one after another, but those of several topics go together: there are as many
 * openers as topics have been waiting at a time, up to a limit. */
#include "topic/inside.h"

#include "base/alloc.h"
#include "base/fault.h"
#include "topic/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { LOGGED_BYTES = 200 }; /* of a subject */

/* --- files -------------------------------------------------------------------------------- */

/* False: it is too long. */
static bool path_of(const pp_topics *topics, const char *file, const char *suffix,
                    char out[PP_TOPIC_PATH_BYTES])
{
    int len = snprintf(out, PP_TOPIC_PATH_BYTES, "%s/%s%s", topics->dir, file, suffix);

    return len > 0 && len < PP_TOPIC_PATH_BYTES;
}

/* The name in a file. Owner: the caller frees it. */
static pipit_err read_name(const pp_topics *topics, const char *path, char **out_name,
                           size_t *out_len)
{
    char *name = pp_alloc(PP_TOPIC_NAME_MAX + 1);
    int fd = -1;
    pipit_err err = name ? pp_disk_open(topics->disk, path, O_RDONLY, &fd) : PIPIT_ENOMEM;

    if (!err) {
        err = pp_disk_read(topics->disk, fd, name, PP_TOPIC_NAME_MAX + 1, 0, out_len);
        topics->disk->ops->close(topics->disk, fd);
    }
    if (!err && *out_len > PP_TOPIC_NAME_MAX)
        err = PIPIT_EDAMAGED;
    if (err)
        pp_free(name);
    else
        *out_name = name;
    return err;
}

/* Write it under another name first, so that it is there as a whole or not at all. */
static pipit_err write_name(const pp_topics *topics, const char *path, pp_str name)
{
    char fresh[PP_TOPIC_PATH_BYTES + 8];
    int fd = -1;
    pipit_err err;

    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    err = pp_disk_open(topics->disk, fresh, O_RDWR | O_CREAT | O_TRUNC, &fd);
    if (err)
        return err;
    err = pp_disk_write(topics->disk, fd, name.ptr, name.len, 0);
    if (!err)
        err = pp_disk_sync(topics->disk, fd);
    topics->disk->ops->close(topics->disk, fd);
    if (!err && (topics->disk->ops->rename(topics->disk, fresh, path) < 0 ||
                 topics->disk->ops->sync_dir(topics->disk, topics->dir) < 0))
        err = PIPIT_EIO;
    return err;
}

/* A long name stands in a file beside the topic. Errors: PIPIT_EINUSE another one does. */
static pipit_err have_name(const pp_topics *topics, const char *file, pp_str name)
{
    char path[PP_TOPIC_PATH_BYTES];
    char *there;
    size_t len;
    bool same;
    pipit_err err;

    if (!path_of(topics, file, PP_TOPIC_NAME_SUFFIX, path))
        return PIPIT_ETOOBIG;
    err = read_name(topics, path, &there, &len);
    if (err == PIPIT_ENOTFOUND)
        return write_name(topics, path, name);
    if (err)
        return err;
    same = pp_str_eq((pp_str){there, len}, name);
    pp_free(there);
    return same ? PIPIT_OK : PIPIT_EINUSE;
}

/* --- opening ------------------------------------------------------------------------------ */

static void on_progress(void *ctx)
{
    pp_topic_move(ctx);
}

static pipit_err open_store(pp_topic *topic, const struct pp_store_limits *limits,
                            pp_store **out_store, char *why)
{
    pp_topics *topics = topic->topics;
    char file[PP_TOPIC_FILE_BYTES], path[PP_TOPIC_PATH_BYTES];
    struct pp_store_options options = {
        .kind = topics->dir ? PP_STORE_FILE : PP_STORE_MEMORY,
        .create = true,
        .disk = topics->disk,
        .pool = topics->dir ? topics->pool : NULL,
        .readers = topics->readers,
        .sync_interval_ns = topics->files.sync_interval_ns,
        .compress = topics->files.compress,
        .keys = topics->files.keys,
        .log = topics->host.log,
        .limits = *limits,
        .on_progress = on_progress,
        .ctx = topic,
    };
    pipit_err err = PIPIT_OK;

    if (topics->dir) {
        bool is_long = pp_topic_file(topic->name, file);

        if (!path_of(topics, file, "", path))
            return PIPIT_ETOOBIG;
        if (is_long) {
            (void)pthread_mutex_lock(&topics->naming);
            err = have_name(topics, file, topic->name);
            (void)pthread_mutex_unlock(&topics->naming);
        }
        options.dir = path;
    }
    return err ? err : pp_store_open(&options, out_store, why);
}

/* The store may have had something to tell while it was being opened: only this makes it known. */
static void hand_over(pp_topic *topic, pp_store *store, pipit_err err)
{
    (void)pthread_mutex_lock(&topic->topics->lock);
    topic->opened = store;
    topic->tried_err = err;
    topic->tried = true;
    (void)pthread_mutex_unlock(&topic->topics->lock);
    pp_topic_move(topic);
}

void pp_topic_open_now(pp_topic *topic)
{
    pp_topics *topics = topic->topics;
    char why[PP_STORE_WHY_BYTES] = "";
    int subject_len = (int)(topic->subject.len < LOGGED_BYTES ? topic->subject.len : LOGGED_BYTES);
    struct pp_store_limits limits;
    pp_store *store = NULL;
    pipit_err err;

    (void)pthread_mutex_lock(&topics->lock);
    limits = topics->stream;
    (void)pthread_mutex_unlock(&topics->lock);
    err = open_store(topic, &limits, &store, why);
    if (err)
        pp_log_write(topics->host.log, PP_LOG_ERROR,
                     "message-broker: cannot open a topic subject=%.*s err=%s: %s", subject_len,
                     topic->subject.ptr, pipit_strerror(err), why);
    else if (why[0])
        pp_log_write(topics->host.log, PP_LOG_WARN, "message-broker: subject=%.*s: %s", subject_len,
                     topic->subject.ptr, why);
    hand_over(topic, store, err);
}

static void *open_all(void *any);

/* Topics wait and no opener does: have one more. Without it they wait for those that there are. */
static void add_opener_locked(pp_topics *topics)
{
    if (!topics->to_open_first || topics->openers_idle || topics->stopping ||
        !topics->opener_count || topics->opener_count == PP_TOPIC_OPENERS_MAX)
        return;
    if (!pp_fault("thread") &&
        pthread_create(&topics->openers[topics->opener_count], NULL, open_all, topics) == 0)
        topics->opener_count++;
}

static pp_topic *take_locked(pp_topics *topics)
{
    pp_topic *topic = topics->to_open_first;

    if (!topic) {
        topics->openers_idle++;
        (void)pthread_cond_wait(&topics->work, &topics->lock);
        topics->openers_idle--;
        return NULL;
    }
    topics->to_open_first = topic->next_to_open;
    add_opener_locked(topics);
    return topic;
}

static void *open_all(void *any)
{
    pp_topics *topics = any;

    (void)pthread_mutex_lock(&topics->lock);
    while (!topics->stopping) {
        pp_topic *topic = take_locked(topics);

        if (!topic)
            continue;
        (void)pthread_mutex_unlock(&topics->lock);
        pp_topic_open_now(topic);
        (void)pthread_mutex_lock(&topics->lock);
    }
    (void)pthread_mutex_unlock(&topics->lock);
    return NULL;
}

void pp_topic_open_soon(pp_topic *topic)
{
    pp_topics *topics = topic->topics;

    topic->state = PP_TOPIC_OPENING;
    topic->next_to_open = NULL;
    (void)pthread_mutex_lock(&topics->lock);
    if (topics->to_open_first)
        topics->to_open_last->next_to_open = topic;
    else
        topics->to_open_first = topic;
    topics->to_open_last = topic;
    add_opener_locked(topics);
    (void)pthread_cond_signal(&topics->work);
    (void)pthread_mutex_unlock(&topics->lock);
}

pipit_err pp_topics_start_openers(pp_topics *topics)
{
    bool started = false;

    (void)pthread_mutex_lock(&topics->lock);
    if (!pp_fault("thread") && pthread_create(&topics->openers[0], NULL, open_all, topics) == 0) {
        topics->opener_count = 1;
        started = true;
    }
    (void)pthread_mutex_unlock(&topics->lock);
    return started ? PIPIT_OK : PIPIT_ELIMIT;
}

void pp_topics_stop_openers(pp_topics *topics)
{
    (void)pthread_mutex_lock(&topics->lock);
    topics->stopping = true; /* there are no more of them from here on */
    (void)pthread_cond_broadcast(&topics->work);
    (void)pthread_mutex_unlock(&topics->lock);
    while (topics->opener_count)
        (void)pthread_join(topics->openers[--topics->opener_count], NULL);
}

/* --- those that are there ----------------------------------------------------------------- */

struct finding {
    pp_topics *topics;
    pipit_err err;
};

/* A directory, or the file beside one, that is a topic's. */
static void find_one(void *ctx, const char *name)
{
    struct finding *finding = ctx;
    pp_topics *topics = finding->topics;
    char plain[PP_TOPIC_FILE_BYTES], path[PP_TOPIC_PATH_BYTES], file[PP_TOPIC_FILE_BYTES];
    pp_str text = pp_str_of(name);
    pp_topic *topic;
    size_t len;
    char *long_name = NULL;

    if (finding->err)
        return;
    if (pp_topic_of_file(text, plain, &len)) {
        finding->err = pp_topics_add(topics, (pp_str){plain, len}, &topic);
        return;
    }
    if (text.len <= sizeof(PP_TOPIC_NAME_SUFFIX) || !path_of(topics, name, "", path) ||
        strcmp(name + text.len - (sizeof(PP_TOPIC_NAME_SUFFIX) - 1), PP_TOPIC_NAME_SUFFIX) != 0 ||
        read_name(topics, path, &long_name, &len))
        return;
    if (pp_topic_file((pp_str){long_name, len}, file) && pp_str_starts(text, pp_str_of(file)))
        finding->err = pp_topics_add(topics, (pp_str){long_name, len}, &topic);
    pp_free(long_name);
}

/* A directory that is on disk when this is done. */
static int make_dir(const pp_topics *topics, const char *path)
{
    char parent[PP_TOPIC_PATH_BYTES];
    int made = topics->disk->ops->make_dir(topics->disk, path);
    char *slash;

    if (made < 0)
        return made;
    (void)snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    return topics->disk->ops->sync_dir(topics->disk, slash ? parent : ".");
}

/* With the directories above it. */
static pipit_err make_dirs(const pp_topics *topics)
{
    char path[PP_TOPIC_PATH_BYTES];
    int made = 0;

    (void)snprintf(path, sizeof(path), "%s", topics->dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)make_dir(topics, path); /* the last one tells */
        *slash = '/';
    }
    made = make_dir(topics, path);
    return made < 0 && made != -EEXIST ? pp_err_from_errno(-made) : PIPIT_OK;
}

pipit_err pp_topics_find_all(pp_topics *topics)
{
    struct finding finding = {topics, PIPIT_OK};
    pipit_err err = make_dirs(topics);
    int listed;

    if (err)
        return err;
    listed = topics->disk->ops->list(topics->disk, topics->dir, find_one, &finding);
    return listed < 0 ? pp_err_from_errno(-listed) : finding.err;
}
