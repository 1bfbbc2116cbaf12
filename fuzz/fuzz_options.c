/* fuzz_options -- the keys of a configuration file: any text makes options or says why not, nothing
 * is lost, and the snapshot of what was read survives being written and read again. */
#include "base/alloc.h"
#include "base/assert.h"
#include "config/change.h"
#include "config/load.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a server would leave in its file for others to compare with. */
static void check_snapshot(const pp_options *options)
{
    pp_snapshot *first, *second;
    pp_changes *changes;
    pp_buf text;

    PP_ASSERT(pp_snapshot_new(&first, options, NULL) == PIPIT_OK);
    pp_buf_init(&text, PP_SNAPSHOT_TEXT_MAX);
    PP_ASSERT(pp_snapshot_format(first, &text) == PIPIT_OK);
    PP_ASSERT(pp_snapshot_parse(&second, pp_buf_str(&text)) == PIPIT_OK);
    PP_ASSERT(pp_changes_new(&changes, first, second) == PIPIT_OK);
    PP_ASSERT(changes->count == 0);
    pp_changes_free(changes);
    pp_snapshot_free(second);
    pp_snapshot_free(first);
    pp_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t live = pp_alloc_live();
    pp_diagnostics d;
    pp_options options;
    pipit_err err;

    PP_ASSERT(pp_options_init(&options) == PIPIT_OK);
    pp_diagnostics_init(&d);
    err = pp_options_load_text(&options, (pp_str){(const char *)data, size}, "f", &d);
    PP_ASSERT(err == PIPIT_OK || pp_diagnostics_error_count(&d) || err == PIPIT_ETOOBIG);
    if (!err) {
        PP_ASSERT(options.host && options.http_base_path[0] == '/');
        PP_ASSERT(options.port >= -1 && options.port <= UINT16_MAX && options.port != 0);
        PP_ASSERT(options.account_count > 0 && options.config_digest);
        (void)pp_options_check(&options, &d);
        check_snapshot(&options);
    }
    pp_diagnostics_fini(&d);
    pp_options_fini(&options);
    PP_ASSERT(pp_alloc_live() == live);
    return 0;
}
