/* pipit/config.h: a configuration is read as for a start, and told of. */
#include "auth/secret.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "config/diagnostics.h"
#include "config/load.h"
#include "config/snapshot.h"
#include "pipit/config.h"

enum { ISSUES_MAX = 8 * 1024 * 1024 };

struct inspection {
    pipit_config shown; /* first */
    pp_buf issues;
    char *digest;
    pp_snapshot *snapshot; /* NULL: there was an error */
    pipit_setting *settings;
};

static bool is_plain(const char *secret)
{
    return secret && *secret && !pp_secret_is_hashed(pp_str_of(secret));
}

static size_t count_plain(const pp_options *options)
{
    size_t count = is_plain(options->pass) + is_plain(options->auth_token);

    for (size_t i = 0; i < options->account_count; i++) {
        const pp_account_options *account = &options->accounts[i];

        for (size_t k = 0; k < account->user_count; k++)
            count += !account->users[k].nkey && is_plain(account->users[k].password);
    }
    return count;
}

static pipit_err list_settings(struct inspection *inspection, const pp_options *options)
{
    pipit_err err = pp_snapshot_new(&inspection->snapshot, options, NULL);
    size_t count;

    if (err)
        return err;
    count = inspection->snapshot->count;
    inspection->settings = pp_calloc(count + 1, sizeof(*inspection->settings));
    if (!inspection->settings)
        return PIPIT_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const pp_snapshot_line line = pp_snapshot_at(inspection->snapshot, i);

        inspection->settings[i] =
            (pipit_setting){.name = line.path, .value = line.text, .hashed = line.hashed};
    }
    inspection->shown.settings = inspection->settings;
    inspection->shown.setting_count = count;
    inspection->shown.plain_password_count = count_plain(options);
    return PIPIT_OK;
}

static pipit_err list_issues(struct inspection *inspection, const pp_diagnostics *diagnostics,
                             const char *path, pipit_err load_err)
{
    size_t errors = pp_diagnostics_error_count(diagnostics);
    pipit_err err = pp_diagnostics_format(diagnostics, &inspection->issues);

    if (!err && load_err && !errors) { /* nothing was noted: it could not be read at all */
        err = pp_buf_addf(&inspection->issues, "%s: %s\n", path, pipit_strerror(load_err));
        errors = 1;
    }
    if (!err)
        err = pp_buf_add(&inspection->issues, "", 1);
    inspection->shown.issues = inspection->issues.ptr;
    inspection->shown.error_count = errors;
    inspection->shown.warning_count = pp_diagnostics_warning_count(diagnostics);
    return err;
}

static pipit_err inspect(struct inspection *inspection, const char *path, pp_options *options,
                         pp_diagnostics *diagnostics)
{
    pipit_err load_err = pp_options_load(options, path, diagnostics), err;

    if (!load_err)
        load_err = pp_options_check(options, diagnostics);
    if (load_err == PIPIT_ENOMEM)
        return load_err;
    err = list_issues(inspection, diagnostics, path, load_err);
    if (!err && options->config_digest) {
        inspection->digest = pp_memdupz(options->config_digest, strlen(options->config_digest));
        if (!inspection->digest)
            return PIPIT_ENOMEM;
    }
    inspection->shown.digest = inspection->digest ? inspection->digest : "";
    return err || inspection->shown.error_count ? err : list_settings(inspection, options);
}

pipit_err pipit_config_read(pipit_config **out_config, const char *path)
{
    struct inspection *inspection = pp_calloc(1, sizeof(*inspection));
    pp_diagnostics diagnostics;
    pp_options options;
    pipit_err err;

    if (!inspection)
        return PIPIT_ENOMEM;
    pp_buf_init(&inspection->issues, ISSUES_MAX);
    err = pp_options_init(&options);
    if (!err) {
        pp_diagnostics_init(&diagnostics);
        err = inspect(inspection, path, &options, &diagnostics);
        pp_diagnostics_fini(&diagnostics);
        pp_options_fini(&options);
    }
    if (err)
        pipit_config_free(&inspection->shown);
    else
        *out_config = &inspection->shown;
    return err;
}

void pipit_config_free(pipit_config *config)
{
    struct inspection *inspection = (struct inspection *)config;

    if (!inspection)
        return;
    pp_snapshot_free(inspection->snapshot);
    pp_free(inspection->settings);
    pp_free(inspection->digest);
    pp_buf_fini(&inspection->issues);
    pp_free(inspection);
}
