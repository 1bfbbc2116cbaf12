/* How findings and failures are told. */
#include "store/tool/command.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int store_command_failed(const struct store_command *command, pipit_err err, const char *why)
{
    const char *text = why && *why ? why : pipit_strerror(err);

    if (err == PIPIT_EINUSE)
        text = "another process has it open: stop that first";
    else if (err == PIPIT_ENOTFOUND)
        text = "there is no store";
    (void)fprintf(stderr, "pipit-store: %s: %s\n", command->options.dir, text);
    return STORE_FAILED;
}

static void print_json(const struct pp_finding *finding, const char *what)
{
    pp_buf text;
    pp_json json;

    pp_buf_init(&text, 64 * 1024);
    pp_json_init(&json, &text, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "finding", pp_str_of(pp_finding_name(finding->kind)));
    pp_json_bool(&json, "damage", pp_finding_is_damage(finding->kind));
    if (finding->segment)
        pp_json_u64(&json, "segment", finding->segment);
    if (finding->bytes) {
        pp_json_u64(&json, "at", finding->at);
        pp_json_u64(&json, "bytes", finding->bytes);
    }
    if (finding->last) {
        pp_json_u64(&json, "first", finding->first);
        pp_json_u64(&json, "last", finding->last);
    }
    if (what)
        pp_json_text(&json, "step", pp_str_of(what));
    pp_json_end_object(&json);
    if (!pp_json_finish(&json))
        (void)printf("%.*s\n", (int)text.len, text.ptr);
    pp_buf_fini(&text);
}

void store_command_print(const struct store_command *command, const struct pp_finding *finding,
                         const char *what)
{
    if (command->json) {
        print_json(finding, what);
        return;
    }
    if (finding->segment)
        (void)printf("segment %" PRIu64 ": ", finding->segment);
    (void)printf("%s", pp_finding_text(finding->kind));
    if (finding->bytes)
        (void)printf(", %" PRIu64 " bytes from %" PRIu64 " on", finding->bytes, finding->at);
    if (finding->last)
        (void)printf(", %" PRIu64 " to %" PRIu64, finding->first, finding->last);
    if (what)
        (void)printf(": %s%s", command->dry_run ? "would " : "", what);
    (void)printf("\n");
}
