/* Both snapshots are sorted alike, so one walk over the two finds what differs. What belongs to one
 * account's users or mappings stands together and becomes one change. */
#include "config/change.h"

#include "base/alloc.h"
#include "config/key.h"

#include <stdio.h>
#include <string.h>

enum {
    CHANGES_BYTES_MAX = 64 * 1024 * 1024,
    NAMES_SHOWN = 10, /* users or mappings named in one change; the rest is counted */
    TEXT_MAX = 4096,
    COLUMN_MAX = 40, /* longer values push the table out of line */
};

struct walk {
    pp_changes *changes;
    size_t cap;
    const pp_snapshot *before, *after;
    size_t b, a; /* where the walk is */
    pipit_err err;
};

static const char *keep(struct walk *w, pp_str text)
{
    pp_str copy = {0};

    if (!w->err)
        w->err = pp_arena_copy(&w->changes->arena, text, &copy);
    return copy.ptr;
}

static const char *keep_path(struct walk *w, pp_str path)
{
    char *copy = (char *)keep(w, path);

    for (char *at = copy; at && *at; at++)
        *at = *at == '/' ? '.' : *at;
    return copy;
}

static void add(struct walk *w, const pp_change *change)
{
    pp_changes *c = w->changes;

    if (!w->err && c->count == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 16;
        pp_change *items = pp_realloc(c->items, cap * sizeof(*items));

        if (!items) {
            w->err = PIPIT_ENOMEM;
        } else {
            c->items = items;
            w->cap = cap;
        }
    }
    if (w->err)
        return;
    c->items[c->count++] = *change;
    c->restart_count += change->outcome == PP_CHANGE_RESTART;
}

/* --- scalars ------------------------------------------------------------------------------ */

static const pp_key *key_of(const char *path)
{
    const char *dot = strchr(path, '.');
    char block_name[64] = "";
    const pp_key_block *block;

    if (dot && (size_t)(dot - path) < sizeof(block_name)) {
        memcpy(block_name, path, (size_t)(dot - path));
        path = dot + 1;
    }
    block = pp_key_block_find(block_name);
    return block ? pp_key_find(block, pp_str_of(path)) : NULL;
}

/* The user that clients without a name were may go together with it. Source: NATS configuration,
 * section 3.1. */
static bool user_went_too(struct walk *w, const pp_snapshot_line *was, const pp_snapshot_line *is)
{
    if (strcmp(was->path, "no_auth_user") != 0 || *is->text)
        return false;
    for (size_t i = 0; i < w->after->count; i++) {
        const pp_snapshot_line line = pp_snapshot_at(w->after, i);
        const char *name = strrchr(line.path, '/');

        if (line.hashed && name && strcmp(name + 1, was->text) == 0 && strstr(line.path, "/users/"))
            return false;
    }
    return true;
}

static const char *show(const pp_snapshot_line *line)
{
    return line->hashed && *line->text ? PP_KEY_REDACTED : line->text;
}

static void compare_scalar(struct walk *w, const char *path, const pp_snapshot_line *was,
                           const pp_snapshot_line *is)
{
    const pp_key *key = key_of(path);
    pp_change change = {.reason = ""};

    if (strcmp(was->text, is->text) == 0 && was->hashed == is->hashed)
        return;
    change.key = keep_path(w, pp_str_of(path));
    change.old_text = keep(w, pp_str_of(show(was)));
    change.new_text = keep(w, pp_str_of(show(is)));
    if (key && key->reload == PP_KEY_RESTART && !user_went_too(w, was, is)) {
        change.outcome = PP_CHANGE_RESTART;
        change.reason = "only a restart can change it";
    }
    add(w, &change);
}

/* --- groups ------------------------------------------------------------------------------- */

/* Users or mappings of one account, while they are looked at. */
struct group {
    pp_str path; /* "accounts/A/users" */
    size_t old_count, new_count, named;
    char text[TEXT_MAX];
    size_t len;
};

static void name_one(struct group *g, char sign, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    size_t len = strlen(name);

    if (++g->named > NAMES_SHOWN || len + 2 > sizeof(g->text) - g->len)
        return;
    g->text[g->len++] = ' ';
    g->text[g->len++] = sign;
    memcpy(g->text + g->len, name, len);
    g->len += len;
}

static void end_group(struct walk *w, struct group *g, const char *noun, bool reordered)
{
    pp_change change = {.reason = ""};
    char text[64];
    pp_buf buf;

    if (!g->named && !reordered)
        return;
    pp_buf_init(&buf, TEXT_MAX + 128);
    change.key = keep_path(w, g->path);
    (void)snprintf(text, sizeof(text), "%zu %s", g->old_count, noun);
    change.old_text = keep(w, pp_str_of(text));
    if (!w->err)
        w->err = pp_buf_addf(&buf, "%zu %s%s%.*s", g->new_count, noun,
                             g->named ? ":" : " in another order", (int)g->len, g->text);
    if (!w->err && g->named > NAMES_SHOWN)
        w->err = pp_buf_addf(&buf, " and %zu more", g->named - NAMES_SHOWN);
    change.new_text = keep(w, pp_buf_str(&buf));
    pp_buf_fini(&buf);
    add(w, &change);
}

static bool is_below(const pp_snapshot *s, size_t i, pp_str path)
{
    const char *text = i < s->count ? pp_snapshot_at(s, i).path : "";

    return pp_str_starts(pp_str_of(text), path) && text[path.len] == '/';
}

/* Below zero: the next line is only before; above: only after; 0: on both sides. */
static int next_order(const struct walk *w)
{
    if (w->b == w->before->count)
        return 1;
    if (w->a == w->after->count)
        return -1;
    return pp_snapshot_compare(pp_snapshot_at(w->before, w->b).path,
                               pp_snapshot_at(w->after, w->a).path);
}

/* Walk over all that is below path on either side. */
static void compare_group(struct walk *w, pp_str path, const char *noun, bool reordered)
{
    struct group g = {.path = path};

    while (is_below(w->before, w->b, path) || is_below(w->after, w->a, path)) {
        int order = next_order(w);

        if (order < 0)
            name_one(&g, '-', pp_snapshot_at(w->before, w->b).path);
        else if (order > 0)
            name_one(&g, '+', pp_snapshot_at(w->after, w->a).path);
        else if (strcmp(pp_snapshot_at(w->before, w->b).text, pp_snapshot_at(w->after, w->a).text))
            name_one(&g, '~', pp_snapshot_at(w->after, w->a).path);
        g.old_count += order <= 0;
        g.new_count += order >= 0;
        w->b += order <= 0;
        w->a += order >= 0;
    }
    end_group(w, &g, noun, reordered);
}

/* An account that comes or goes does so with all it has. */
static void pass_account(struct walk *w, const pp_snapshot *side, size_t *at, bool comes)
{
    pp_str path = pp_str_of(pp_snapshot_at(side, *at).path);
    pp_change change = {.reason = ""};

    change.key = keep_path(w, path);
    change.old_text = keep(w, comes ? PP_STR("") : PP_STR("defined"));
    change.new_text = keep(w, comes ? PP_STR("defined") : PP_STR(""));
    add(w, &change);
    for (++*at; is_below(side, *at, path); ++*at)
        ;
}

/* --- the walk ----------------------------------------------------------------------------- */

static size_t slashes(const char *path)
{
    size_t count = 0;

    for (; *path; path++)
        count += *path == '/';
    return count;
}

/* Something of an account that is unusual on one side only. */
static void compare_unusual(struct walk *w, const pp_snapshot_line *line, int order)
{
    pp_snapshot_line other = {.path = line->path};
    pp_buf usual;

    pp_buf_init(&usual, TEXT_MAX);
    w->err = pp_snapshot_usual(line->path, &usual);
    if (!w->err)
        w->err = pp_buf_add(&usual, "", 1);
    if (!w->err) {
        other.text = usual.ptr;
        compare_scalar(w, line->path, order < 0 ? line : &other, order < 0 ? &other : line);
    }
    pp_buf_fini(&usual);
}

static void compare_next(struct walk *w)
{
    const int order = next_order(w);
    const pp_snapshot_line line =
        order <= 0 ? pp_snapshot_at(w->before, w->b) : pp_snapshot_at(w->after, w->a);
    const char *last = strrchr(line.path, '/');

    if (slashes(line.path) == 1 && order != 0) {
        pass_account(w, order < 0 ? w->before : w->after, order < 0 ? &w->b : &w->a, order > 0);
        return;
    }
    if (slashes(line.path) == 3) { /* accounts/A/users/bob */
        compare_group(w, (pp_str){line.path, (size_t)(last - line.path)}, "users", false);
        return;
    }
    if (last && strcmp(last, "/mappings") == 0) {
        bool reordered = order == 0 && strcmp(line.text, pp_snapshot_at(w->after, w->a).text) != 0;

        w->b += order <= 0;
        w->a += order >= 0;
        compare_group(w, pp_str_of(line.path), "mappings", reordered);
    } else if (order != 0) {
        w->b += order < 0;
        w->a += order > 0;
        compare_unusual(w, &line, order);
    } else {
        const pp_snapshot_line is = pp_snapshot_at(w->after, w->a++);

        w->b++;
        compare_scalar(w, line.path, &line, &is);
    }
}

/* What could have been applied has to wait for what cannot. */
static void reject_others(pp_changes *changes)
{
    for (size_t i = 0; changes->restart_count && i < changes->count; i++) {
        pp_change *change = &changes->items[i];

        if (change->outcome == PP_CHANGE_APPLIED) {
            change->outcome = PP_CHANGE_REJECTED;
            change->reason = "another change needs a restart";
        }
    }
}

pipit_err pp_changes_new(pp_changes **out_changes, const pp_snapshot *old_snapshot,
                         const pp_snapshot *new_snapshot)
{
    struct walk w = {.before = old_snapshot, .after = new_snapshot};

    if (memcmp(old_snapshot->salt, new_snapshot->salt, sizeof(old_snapshot->salt)) != 0)
        return PIPIT_EINVAL;
    w.changes = pp_calloc(1, sizeof(*w.changes));
    if (!w.changes)
        return PIPIT_ENOMEM;
    pp_arena_init(&w.changes->arena, CHANGES_BYTES_MAX);
    while (!w.err && (w.b < old_snapshot->count || w.a < new_snapshot->count))
        compare_next(&w);
    if (w.err) {
        pp_changes_free(w.changes);
        return w.err;
    }
    reject_others(w.changes);
    *out_changes = w.changes;
    return PIPIT_OK;
}

void pp_changes_free(pp_changes *changes)
{
    if (!changes)
        return;
    pp_arena_fini(&changes->arena);
    pp_free(changes->items);
    pp_free(changes);
}

/* --- writing ------------------------------------------------------------------------------ */

const char *pp_change_outcome_name(pp_change_outcome outcome)
{
    static const char *const names[] = {"applied", "needs restart", "rejected"};

    return names[outcome];
}

static int column(size_t width, const char *text)
{
    size_t len = strlen(text);

    return (int)(len > width && len <= COLUMN_MAX ? len : width);
}

pipit_err pp_changes_format(const pp_changes *changes, pp_buf *out)
{
    int key = 3, old_text = 3, new_text = 3;
    pipit_err err;

    if (!changes->count)
        return pp_buf_addf(out, "nothing changes\n");
    for (size_t i = 0; i < changes->count; i++) {
        key = column((size_t)key, changes->items[i].key);
        old_text = column((size_t)old_text, changes->items[i].old_text);
        new_text = column((size_t)new_text, changes->items[i].new_text);
    }
    err = pp_buf_addf(out, "%-*s  %-*s  %-*s  %s\n", key, "key", old_text, "old", new_text, "new",
                      "outcome");
    for (size_t i = 0; i < changes->count && !err; i++) {
        const pp_change *c = &changes->items[i];

        err = pp_buf_addf(out, "%-*s  %-*s  %-*s  %s%s%s\n", key, c->key, old_text, c->old_text,
                          new_text, c->new_text, pp_change_outcome_name(c->outcome),
                          *c->reason ? ": " : "", c->reason);
    }
    return err;
}

void pp_changes_write_json(const pp_changes *changes, pp_json *json, const char *key)
{
    pp_json_begin_array(json, key);
    for (size_t i = 0; i < changes->count; i++) {
        const pp_change *c = &changes->items[i];

        pp_json_begin_object(json, NULL);
        pp_json_text(json, "key", pp_str_of(c->key));
        pp_json_text(json, "old", pp_str_of(c->old_text));
        pp_json_text(json, "new", pp_str_of(c->new_text));
        pp_json_text(json, "outcome", pp_str_of(pp_change_outcome_name(c->outcome)));
        pp_json_text(json, "reason", pp_str_of(c->reason));
        pp_json_end_object(json);
    }
    pp_json_end_array(json);
}
