/* check and repair: what is wrong with a store, and what is done about it. */
#include "store/tool/command.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>

struct verdict {
    struct pp_store_findings findings;
    struct pp_store_state state;
};

static pipit_err look(const struct store_command *command, struct verdict *verdict, char *why)
{
    pp_store_view *view;
    pipit_err err = pp_store_view_open(&command->options, &verdict->findings, &view, why);

    if (err)
        return err;
    err = pp_store_view_check(view);
    pp_store_state(pp_store_view_store(view), &verdict->state);
    pp_store_view_close(view);
    return err;
}

static void print_verdict(const struct store_command *command, const struct verdict *verdict)
{
    uint32_t damage = pp_store_findings_damage(&verdict->findings);
    pp_buf text;
    pp_json json;

    if (!command->json) {
        (void)printf("%s: %" PRIu64 " messages, %" PRIu64 " lost, %" PRIu32 " segments: %s%s\n",
                     command->options.dir, verdict->state.messages, verdict->state.lost,
                     verdict->state.segments, damage ? "damaged" : "whole",
                     verdict->findings.incomplete ? " (there is more than is shown)" : "");
        return;
    }
    pp_buf_init(&text, 64 * 1024);
    pp_json_init(&json, &text, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_text(&json, "dir", pp_str_of(command->options.dir));
    pp_json_u64(&json, "messages", verdict->state.messages);
    pp_json_u64(&json, "lost", verdict->state.lost);
    pp_json_u64(&json, "segments", verdict->state.segments);
    pp_json_u64(&json, "findings", verdict->findings.count);
    pp_json_u64(&json, "damage", damage);
    pp_json_bool(&json, "whole", damage == 0);
    pp_json_end_object(&json);
    if (!pp_json_finish(&json))
        (void)printf("%.*s\n", (int)text.len, text.ptr);
    pp_buf_fini(&text);
}

static int verdict_of(const struct verdict *verdict)
{
    return pp_store_findings_damage(&verdict->findings) || verdict->findings.incomplete
               ? STORE_DAMAGED
               : STORE_WHOLE;
}

int store_command_check(const struct store_command *command)
{
    struct verdict verdict = {0};
    char why[PP_STORE_WHY_BYTES] = "";
    pipit_err err = look(command, &verdict, why);
    int code;

    for (uint32_t i = 0; i < verdict.findings.count; i++)
        store_command_print(command, &verdict.findings.items[i], NULL);
    if (!err)
        print_verdict(command, &verdict);
    code = err ? store_command_failed(command, err, why) : verdict_of(&verdict);
    pp_store_findings_fini(&verdict.findings);
    return code;
}

static void print_step(void *ctx, const struct pp_finding *finding, const char *what)
{
    store_command_print(ctx, finding, what);
}

/* Repair, then check: what the check says is the answer. */
int store_command_repair(const struct store_command *command)
{
    struct pp_store_repair repair = {.dry_run = command->dry_run,
                                     .forget_lost = command->forget_lost,
                                     .on_step = print_step,
                                     .ctx = (void *)command};
    struct verdict before = {0}, after = {0};
    char why[PP_STORE_WHY_BYTES] = "";
    pipit_err err = look(command, &before, why);
    int code;

    if (!err)
        err = pp_store_mend(&command->options, &before.findings, &repair, why);
    if (!err)
        err = look(command, &after, why);
    for (uint32_t i = 0; i < after.findings.count && !err; i++)
        store_command_print(command, &after.findings.items[i], NULL);
    if (!err)
        print_verdict(command, &after);
    code = err ? store_command_failed(command, err, why) : verdict_of(&after);
    pp_store_findings_fini(&before.findings);
    pp_store_findings_fini(&after.findings);
    return code;
}
