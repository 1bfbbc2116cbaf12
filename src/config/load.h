/* config/load.h -- from a configuration file to options, and whether they go together. */
#ifndef PP_CONFIG_LOAD_H
#define PP_CONFIG_LOAD_H

#include "base/err.h"
#include "base/str.h"
#include "config/diagnostics.h"
#include "config/options.h"

/**
 * Read a file over what options hold: what it does not name stays.
 *
 * Everything that is wrong is noted in diagnostics, with its place. After an error options may be
 * filled in part and are only good for pp_options_fini.
 *
 * Errors: PIPIT_EINVAL diagnostics say why; PIPIT_ENOMEM; PIPIT_ETOOBIG; those of reading files.
 */
pipit_err pp_options_load(pp_options *options, const char *path, pp_diagnostics *diagnostics);

/* The same for a text called name; files cannot be included. */
pipit_err pp_options_load_text(pp_options *options, pp_str text, const char *name,
                               pp_diagnostics *diagnostics);

/**
 * Look for what only shows when file and flags are together.
 *
 * Errors: PIPIT_EINVAL diagnostics say why; PIPIT_ENOMEM.
 * Source: NATS configuration, section 4.
 */
pipit_err pp_options_check(const pp_options *options, pp_diagnostics *diagnostics);

#endif
