#include "server/options.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "config/change.h"
#include "config/load.h"
#include "config/reference.h"
#include "core/mapping.h"
#include "proto/nats/door.h"
#include "server/flag.h"
#include "server/operators/plan.h"
#include "server/passages.h"
#include "server/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- checking ----------------------------------------------------------------------------- */

/* Make one mapping as the broker would and note what it does not like, where it was said. */
static pipit_err check_mapping(const pp_mapping_option *mapping, pp_mapping_destination *to,
                               pp_diagnostics *diagnostics)
{
    const pp_mapping_entry entry = {mapping->source, to, mapping->destination_count};
    pp_mappings *made = NULL;
    pp_buf error;
    pipit_err err;

    for (size_t i = 0; i < mapping->destination_count; i++)
        to[i] = (pp_mapping_destination){mapping->destinations[i].subject,
                                         mapping->destinations[i].weight,
                                         mapping->destinations[i].cluster};
    pp_buf_init(&error, 4096);
    err = pp_mappings_new(&made, &entry, 1, NULL, &error);
    if (err && err != PIPIT_ENOMEM) {
        pp_diagnostics_error(
            diagnostics,
            (pp_config_position){mapping->at.file, mapping->at.line, mapping->at.column}, "%.*s",
            PP_STR_ARGS(pp_buf_str(&error)));
        err = PIPIT_OK;
    }
    pp_mappings_free(made);
    pp_buf_fini(&error);
    return err;
}

static pipit_err check_mappings(const pp_options *options, pp_diagnostics *diagnostics)
{
    pipit_err err = PIPIT_OK;

    for (size_t a = 0; a < options->account_count && !err; a++) {
        const pp_account_options *account = &options->accounts[a];

        for (size_t i = 0; i < account->mapping_count && !err; i++) {
            size_t count = account->mappings[i].destination_count;
            pp_mapping_destination *to = pp_calloc(count, sizeof(*to));

            err = to ? check_mapping(&account->mappings[i], to, diagnostics) : PIPIT_ENOMEM;
            pp_free(to);
        }
    }
    return err;
}

/* What shows only when everything is known. */
static pipit_err check(pp_options *options, pp_diagnostics *diagnostics)
{
    pipit_err err = pp_options_check(options, diagnostics);

    if (err && err != PIPIT_EINVAL)
        return err;
    err = check_mappings(options, diagnostics);
    if (!err)
        err = pp_operator_options_complete(options, diagnostics);
    if (!err)
        err = pp_server_tls_check(&options->tls, diagnostics);
    if (!err && options->websocket.port)
        err = pp_server_tls_check(&options->websocket.tls, diagnostics);
    if (!err && options->t2.listen_count && options->t2.tls.given)
        err = pp_server_tls_check(&options->t2.tls, diagnostics);
    if (!err && options->fanout.port)
        err = pp_server_tls_check(&options->fanout.tls, diagnostics);
    if (!err && !pp_diagnostics_error_count(diagnostics))
        err = pp_passages_check(options, diagnostics);
    if (err)
        return err;
    return pp_diagnostics_error_count(diagnostics) ? PIPIT_EINVAL : PIPIT_OK;
}

/* --- testing against a server that runs --------------------------------------------------- */

static pipit_err read_file(const char *path, size_t max, pp_buf *out)
{
    char chunk[16 * 1024];
    pipit_err err = PIPIT_OK;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    pp_buf_init(out, max);
    if (fd < 0)
        return pp_err_from_errno(errno);
    while (!err && (n = read(fd, chunk, sizeof(chunk))) > 0)
        err = pp_buf_add(out, chunk, (size_t)n);
    (void)close(fd); /* read-only, nothing to lose */
    return n < 0 ? PIPIT_EIO : err;
}

/* Does the process that wrote a pid file live? */
static bool is_running(const char *pid_file)
{
    pp_buf text;
    uint64_t pid = 0;
    bool running = !read_file(pid_file, 64, &text) &&
                   pp_str_parse_u64(pp_buf_str(&text), INT32_MAX, &pid) && pid > 0 &&
                   (kill((pid_t)pid, 0) == 0 || errno == EPERM);

    pp_buf_fini(&text);
    return running;
}

static pipit_err add_changes(const pp_options *options, const pp_snapshot *running, pp_buf *message)
{
    pp_snapshot *asked;
    pp_changes *changes;
    pipit_err err = pp_snapshot_new(&asked, options, running);

    if (err)
        return err;
    err = pp_changes_new(&changes, running, asked);
    if (!err) {
        err = pp_buf_addf(message, "For the server that %s names, reloading this means:\n",
                          options->pid_file);
        if (!err)
            err = pp_changes_format(changes, message);
        pp_changes_free(changes);
    }
    pp_snapshot_free(asked);
    return err;
}

/* Say what a reload would do to the server whose pid file this is, if there is one that lives. It
 * keeps a snapshot of its options beside the pid file. */
static pipit_err compare_with_running(const pp_options *options, pp_buf *message)
{
    char path[4096];
    pp_snapshot *running;
    pp_buf text;
    pipit_err err;

    if (!options->pid_file || !is_running(options->pid_file) ||
        (size_t)snprintf(path, sizeof(path), "%s" PP_SNAPSHOT_SUFFIX, options->pid_file) >=
            sizeof(path))
        return PIPIT_OK;
    err = read_file(path, PP_SNAPSHOT_TEXT_MAX, &text);
    if (!err)
        err = pp_snapshot_parse(&running, pp_buf_str(&text));
    pp_buf_fini(&text);
    if (err == PIPIT_ENOMEM)
        return err;
    if (err)
        return pp_buf_addf(message,
                           "The server that %s names cannot be compared with: %s cannot be read\n",
                           options->pid_file, path);
    err = add_changes(options, running, message);
    pp_snapshot_free(running);
    return err;
}

/* --- the whole ---------------------------------------------------------------------------- */

static pipit_err add_diagnostics(const pp_diagnostics *diagnostics, pp_buf *message)
{
    pipit_err err = pp_buf_addf(message, "pipit-server: ");

    return err ? err : pp_diagnostics_format(diagnostics, message);
}

/* Fill options from file and flags. What is wrong with flags is in message, the rest in
 * diagnostics. */
static pipit_err fill(pp_options *options, int argc, char **argv, pp_str text, pp_buf *message,
                      pp_diagnostics *diagnostics)
{
    const char *file;
    pipit_err err = pp_flags_apply(options, argc, argv, false, message);

    if (err || options->signal || options->health_check ||
        (options->action != PP_OPTIONS_RUN && options->action != PP_OPTIONS_TEST))
        return err;
    if (options->action == PP_OPTIONS_TEST && !options->config_file) {
        err = pp_buf_addf(message, "pipit-server: must specify [-c, --config] option to check "
                                   "configuration file syntax\n");
        return err ? err : PIPIT_EINVAL;
    }
    file = options->config_file;
    if (file && text.ptr) {
        err = pp_buf_addf(message, "pipit-server: give either the text of a configuration or "
                                   "--config\n");
        return err ? err : PIPIT_EINVAL;
    }
    if (file || text.ptr) {
        pp_options flags = *options; /* keeps the name of the file alive */

        err = pp_options_init(options);
        if (err) {
            *options = flags;
            return err;
        }
        err = text.ptr ? pp_options_load_text(options, text, "configuration", diagnostics)
                       : pp_options_load(options, file, diagnostics);
        if (!err)
            err = pp_flags_apply(options, argc, argv, true, message);
        pp_options_fini(&flags);
    } else {
        err = pp_flags_apply(options, argc, argv, true, message); /* now to wipe */
    }
    return err ? err : check(options, diagnostics);
}

static pipit_err finish(const pp_options *options, const pp_diagnostics *diagnostics,
                        pp_buf *message)
{
    pipit_err err;

    switch (options->action) {
    case PP_OPTIONS_RUN:
        return pp_diagnostics_warning_count(diagnostics) ? add_diagnostics(diagnostics, message)
                                                         : PIPIT_OK;
    case PP_OPTIONS_TEST:
        if (pp_diagnostics_warning_count(diagnostics)) {
            err = add_diagnostics(diagnostics, message);
            return err ? err : PIPIT_EINVAL;
        }
        err = pp_buf_addf(message, "pipit-server: configuration file %s is valid (%s)\n",
                          options->config_file, options->config_digest);
        return err ? err : compare_with_running(options, message);
    case PP_OPTIONS_HELP:
        return pp_flags_format(message);
    case PP_OPTIONS_VERSION:
        return pp_buf_addf(message, "pipit-server: v%s (follows nats-server %s)\n", PIPIT_VERSION,
                           PP_NATS_VERSION);
    case PP_OPTIONS_HELP_TLS:
        return pp_server_tls_help(message);
    case PP_OPTIONS_REFERENCE:
        return pp_reference_format(message, PP_REFERENCE_TEXT);
    case PP_OPTIONS_REFERENCE_MARKDOWN:
        return pp_reference_format(message, PP_REFERENCE_MARKDOWN);
    }
    pp_panic("options action %d", (int)options->action);
}

pipit_err pp_options_parse(pp_options *options, int argc, char **argv, pp_buf *message)
{
    return pp_options_parse_text(options, argc, argv, (pp_str){NULL, 0}, message);
}

pipit_err pp_options_parse_text(pp_options *options, int argc, char **argv, pp_str text,
                                pp_buf *message)
{
    pp_options fresh;
    pp_diagnostics diagnostics;
    pipit_err err = pp_options_init(&fresh);

    if (err)
        return err;
    pp_diagnostics_init(&diagnostics);
    err = fill(&fresh, argc, argv, text, message, &diagnostics);
    if (!err)
        err = finish(&fresh, &diagnostics, message);
    else if (err != PIPIT_ENOMEM && pp_diagnostics_error_count(&diagnostics)) {
        pipit_err added = add_diagnostics(&diagnostics, message);

        err = added ? added : PIPIT_EINVAL;
    }
    pp_diagnostics_fini(&diagnostics);
    if (err)
        pp_options_fini(&fresh);
    else
        *options = fresh;
    return err;
}
