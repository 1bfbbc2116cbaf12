/* Accounts, exports and imports are made as the broker would make them, of nobody's concern but
 * this check's, and looked at. */
#include "server/passages.h"

#include "base/alloc.h"
#include "core/subject.h"
#include "server/account_settings.h"

#include <string.h>

enum { ERROR_MAX = 16 * 1024, DEPTH_MAX = 1024 };

/* One import, with where it was said. */
struct node {
    pp_imports *made; /* it alone */
    const pp_import_option *option;
    enum { UNSEEN, ON_THE_WAY, SEEN } mark;
};

struct scene {
    const pp_options *options;
    pp_diagnostics *diagnostics;
    pp_accounts accounts;
    size_t account_count;
    pp_account **made;    /* by option */
    pp_exports **exports; /* the same */
    size_t *first;        /* of each account's imports among nodes; one more at the end */
    struct node *nodes;
    bool deep; /* a search went too deep, which is said once */
};

static pp_config_position place(const pp_option_position *at)
{
    return (pp_config_position){at->file, at->line, at->column};
}

static const pp_import *import_of(const struct node *node)
{
    return node->made ? &node->made->items[0] : NULL;
}

/* Accounts are made in the order of the options, so that their index is their place there. */
static bool is_defined(const struct scene *scene, const pp_account *account)
{
    return account->index < scene->account_count;
}

static pipit_err note(struct scene *scene, pipit_err err, const pp_option_position *at,
                      const pp_buf *error)
{
    pp_str text = error->len ? pp_buf_str(error) : PP_STR("invalid subject");

    if (err == PIPIT_ENOMEM)
        return err;
    if (err)
        pp_diagnostics_error(scene->diagnostics, place(at), "%.*s", PP_STR_ARGS(text));
    return PIPIT_OK;
}

/* --- exports ------------------------------------------------------------------------------ */

static pipit_err check_names(struct scene *scene, const pp_export_option *option)
{
    for (size_t i = 0; i < option->account_count; i++) {
        pp_account *account = NULL;
        pipit_err err = pp_accounts_take(&scene->accounts, option->accounts[i], false, &account);

        if (err)
            return err;
        if (!is_defined(scene, account))
            pp_diagnostics_error(scene->diagnostics, place(&option->at),
                                 "\"%.200s\" account not defined for %s export",
                                 option->accounts[i], option->is_service ? "service" : "stream");
    }
    return PIPIT_OK;
}

/* Each alone, for its place; then all of the account's. */
static pipit_err check_exports(struct scene *scene, size_t account, pp_buf *error)
{
    const pp_account_options *options = &scene->options->accounts[account];
    pp_export *entries = pp_calloc(options->export_count + 1, sizeof(*entries));
    pipit_err err = entries ? PIPIT_OK : PIPIT_ENOMEM;
    size_t good = 0;

    for (size_t i = 0; i < options->export_count && !err; i++) {
        pp_exports *alone = NULL;

        error->len = 0;
        entries[good] = pp_account_export(&options->exports[i]);
        err = pp_exports_new(&alone, scene->made[account], &entries[good], 1, error);
        pp_exports_free(alone);
        good += err == PIPIT_OK;
        err = note(scene, err, &options->exports[i].at, error);
        if (!err)
            err = check_names(scene, &options->exports[i]);
    }
    error->len = 0;
    if (!err)
        err = pp_exports_new(&scene->exports[account], scene->made[account], entries, good, error);
    if (err && err != PIPIT_ENOMEM)
        err = note(scene, err, &options->at, error);
    pp_free(entries);
    return err;
}

/* --- imports ------------------------------------------------------------------------------ */

/* Does it mean an export that lets it in? */
static void check_target(struct scene *scene, const pp_import *import, const pp_option_position *at)
{
    const char *kind = import->is_service ? "service" : "stream";
    const pp_export *export;

    if (!is_defined(scene, import->exporter) || import->exporter->index == 0)
        pp_diagnostics_error(scene->diagnostics, place(at),
                             "\"%.200s\" account not defined for %s import", import->exporter->name,
                             kind);
    else if (pp_import_judge(import, scene->exports[import->exporter->index], &export) !=
             PP_LINK_GOOD)
        pp_diagnostics_error(scene->diagnostics, place(at),
                             "%s import not authorized: \"%.200s\" of account \"%.200s\"", kind,
                             import->pairing.there, import->exporter->name);
}

/* Is it there before? */
static void check_twice(struct scene *scene, size_t account, const struct node *node)
{
    const pp_import *import = import_of(node);

    for (const struct node *at = scene->nodes + scene->first[account]; at != node; at++) {
        const pp_import *other = import_of(at);

        if (!other || other->is_service != import->is_service ||
            other->exporter != import->exporter)
            continue;
        if (import->is_service && strcmp(import->pairing.here, other->pairing.here) == 0)
            pp_diagnostics_error(scene->diagnostics, place(&node->option->at),
                                 "Duplicate service import subject \"%.200s\", previously used in "
                                 "import for account \"%.200s\", subject \"%.200s\"",
                                 import->pairing.here, other->exporter->name, other->pairing.there);
        else if (!import->is_service && strcmp(import->pairing.there, other->pairing.there) == 0)
            pp_diagnostics_error(scene->diagnostics, place(&node->option->at),
                                 "stream import already exists: \"%.200s\"", import->pairing.there);
    }
}

static pipit_err check_imports(struct scene *scene, size_t account, pp_buf *error)
{
    struct node *node = scene->nodes + scene->first[account];

    for (; node < scene->nodes + scene->first[account + 1]; node++) {
        pp_import_entry entry;
        pipit_err err = pp_account_import(node->option, &scene->accounts, &entry);

        if (err)
            return err;
        error->len = 0;
        err = pp_imports_new(&node->made, scene->made[account], &entry, 1, error);
        if (err) {
            err = note(scene, err, &node->option->at, error);
            if (err)
                return err;
            continue;
        }
        check_target(scene, import_of(node), &node->option->at);
        check_twice(scene, account, node);
    }
    return PIPIT_OK;
}

/* --- cycles ------------------------------------------------------------------------------- */

/* Does what passes by one import go on by another? A request on its way to the exporter; a message
 * of a stream on the same way back. */
static bool goes_on(const pp_import *import, const pp_import *next)
{
    return next && next != import && next->is_service == import->is_service &&
           pp_subject_overlaps(pp_str_of(import->pairing.there), pp_str_of(next->pairing.here));
}

static void follow(struct scene *scene, struct node *node, unsigned depth)
{
    const pp_import *import = import_of(node);
    size_t exporter;

    if (!import || node->mark == SEEN || !is_defined(scene, import->exporter))
        return;
    if (node->mark == ON_THE_WAY) {
        pp_diagnostics_error(scene->diagnostics, place(&node->option->at),
                             "import forms a cycle: \"%.200s\" of account \"%.200s\"",
                             import->pairing.there, import->exporter->name);
        return;
    }
    if (depth == DEPTH_MAX) {
        if (!scene->deep)
            pp_diagnostics_error(scene->diagnostics, place(&node->option->at),
                                 "search cycle depth exhausted");
        scene->deep = true;
        return;
    }
    node->mark = ON_THE_WAY;
    exporter = import->exporter->index;
    for (size_t i = scene->first[exporter]; i < scene->first[exporter + 1]; i++) {
        if (goes_on(import, import_of(&scene->nodes[i])))
            follow(scene, &scene->nodes[i], depth + 1);
    }
    node->mark = SEEN;
}

/* --- the whole ---------------------------------------------------------------------------- */

static pipit_err set_scene(struct scene *scene)
{
    const pp_options *options = scene->options;
    size_t count = 0;

    scene->account_count = options->account_count;
    scene->made = pp_calloc(options->account_count, sizeof(pp_account *));
    scene->exports = pp_calloc(options->account_count, sizeof(pp_exports *));
    scene->first = pp_calloc(options->account_count + 1, sizeof(size_t));
    if (!scene->made || !scene->exports || !scene->first)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < options->account_count; i++) {
        pipit_err err =
            pp_accounts_take(&scene->accounts, options->accounts[i].name, false, &scene->made[i]);

        if (err)
            return err;
        count += options->accounts[i].import_count;
        scene->first[i + 1] = count;
    }
    scene->nodes = pp_calloc(count + 1, sizeof(*scene->nodes));
    if (!scene->nodes)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < options->account_count; i++) {
        for (size_t n = 0; n < options->accounts[i].import_count; n++)
            scene->nodes[scene->first[i] + n].option = &options->accounts[i].imports[n];
    }
    return PIPIT_OK;
}

static void clear_scene(struct scene *scene)
{
    size_t count = scene->first ? scene->first[scene->account_count] : 0;

    for (size_t i = 0; scene->nodes && i < count; i++)
        pp_imports_free(scene->nodes[i].made);
    for (size_t i = 0; scene->exports && i < scene->account_count; i++)
        pp_exports_free(scene->exports[i]);
    pp_free(scene->nodes);
    pp_free(scene->first);
    pp_free(scene->exports);
    pp_free(scene->made);
    pp_accounts_fini(&scene->accounts);
}

static pipit_err check_all(struct scene *scene)
{
    pipit_err err = set_scene(scene);
    pp_buf error;

    pp_buf_init(&error, ERROR_MAX);
    for (size_t i = 0; i < scene->account_count && !err; i++)
        err = check_exports(scene, i, &error);
    for (size_t i = 0; i < scene->account_count && !err; i++)
        err = check_imports(scene, i, &error);
    for (size_t i = 0; !err && i < scene->first[scene->account_count]; i++)
        follow(scene, &scene->nodes[i], 0);
    pp_buf_fini(&error);
    return err;
}

pipit_err pp_passages_check(const pp_options *options, pp_diagnostics *diagnostics)
{
    struct scene scene = {.options = options, .diagnostics = diagnostics};
    bool any = false;
    pipit_err err;

    for (size_t i = 0; i < options->account_count; i++)
        any |= options->accounts[i].export_count || options->accounts[i].import_count;
    if (!any)
        return PIPIT_OK;
    pp_accounts_init(&scene.accounts, 1);
    err = check_all(&scene);
    clear_scene(&scene);
    return err;
}
