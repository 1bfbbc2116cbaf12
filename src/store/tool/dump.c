/* dump and stats: what a store holds. */
#include "store/tool/command.h"

#include "base/alloc.h"
#include "base/json.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

enum { TEXT_MAX = 256 * 1024 * 1024 };

static void print_line(pp_buf *text, pp_json *json)
{
    if (!pp_json_finish(json))
        (void)printf("%.*s\n", (int)text->len, text->ptr);
    text->len = 0;
}

/* Payloads may hold anything. */
static void add_base64(pp_json *json, const char *key, pp_str bytes)
{
    size_t room = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    char *text = pp_alloc(room);

    if (!text) {
        json->err = PIPIT_ENOMEM;
        return;
    }
    (void)sodium_bin2base64(text, room, (const unsigned char *)bytes.ptr, bytes.len,
                            sodium_base64_VARIANT_ORIGINAL);
    pp_json_text(json, key, pp_str_of(text));
    pp_free(text);
}

static void print_json(const struct store_command *command, const struct pp_store_message *message,
                       pp_buf *text)
{
    pp_json json;

    pp_json_init(&json, text, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_u64(&json, "seq", message->seq);
    pp_json_time(&json, "time", message->time_ns);
    if (message->expires_ns)
        pp_json_i64(&json, "expires_ns", message->expires_ns);
    pp_json_text(&json, "subject", message->subject);
    pp_json_u64(&json, "headers_bytes", message->headers.len);
    pp_json_u64(&json, "payload_bytes", message->payload.len);
    if (command->payloads) {
        if (message->headers.len)
            add_base64(&json, "headers", message->headers);
        add_base64(&json, "payload", message->payload);
    }
    pp_json_end_object(&json);
    print_line(text, &json);
}

/* A subject or payload for people: what is no text is escaped. */
static void print_text(const struct store_command *command, const struct pp_store_message *message,
                       pp_buf *text)
{
    char when[PP_TIME_TEXT_BYTES];

    (void)pp_time_format(when, message->time_ns);
    text->len = 0;
    if (pp_json_quote(text, message->subject))
        return;
    (void)printf("%" PRIu64 "  %s  %.*s  headers=%zu  payload=%zu", message->seq, when,
                 (int)text->len, text->ptr, message->headers.len, message->payload.len);
    text->len = 0;
    if (command->payloads && pp_json_quote(text, message->payload) == PIPIT_OK)
        (void)printf("  %.*s", (int)text->len, text->ptr);
    (void)printf("\n");
    text->len = 0;
}

int store_command_dump(const struct store_command *command)
{
    struct pp_store_findings findings = {0};
    struct pp_store_message message;
    char why[PP_STORE_WHY_BYTES] = "";
    pp_store_view *view = NULL;
    uint64_t seq = command->from, count = 0;
    pp_buf text;
    int code;
    pipit_err err = pp_store_view_open(&command->options, &findings, &view, why);

    pp_buf_init(&text, TEXT_MAX);
    while (!err && count++ < command->count) {
        err = pp_store_next(pp_store_view_store(view), command->filter, seq, &message);
        if (err)
            break;
        if (command->json)
            print_json(command, &message, &text);
        else
            print_text(command, &message, &text);
        seq = message.seq + 1;
    }
    for (uint32_t i = 0; i < findings.count; i++)
        if (pp_finding_is_damage(findings.items[i].kind))
            (void)fprintf(stderr, "pipit-store: %s\n", pp_finding_text(findings.items[i].kind));
    if (err && err != PIPIT_ENOTFOUND)
        code = store_command_failed(command, err, why);
    else if (err && !view)
        code = store_command_failed(command, err, why);
    else
        code = pp_store_findings_damage(&findings) ? STORE_DAMAGED : STORE_WHOLE;
    pp_buf_fini(&text);
    pp_store_view_close(view);
    pp_store_findings_fini(&findings);
    return code;
}

static void print_state(const struct pp_store_state *state)
{
    char first[PP_TIME_TEXT_BYTES] = "-", last[PP_TIME_TEXT_BYTES] = "-";

    if (state->messages) {
        (void)pp_time_format(first, state->first_time_ns);
        (void)pp_time_format(last, state->last_time_ns);
    }
    (void)printf("messages   %" PRIu64 "\nsubjects   %" PRIu32 "\nbytes      %" PRIu64
                 "\nsequences  %" PRIu64 " to %" PRIu64 "\ntimes      %s to %s\ndeleted    %" PRIu64
                 "\nlost       %" PRIu64 "\nsegments   %" PRIu32 "\non disk    %" PRIu64 " bytes\n",
                 state->messages, state->subjects, state->bytes, state->first_seq, state->last_seq,
                 first, last, state->deleted, state->lost, state->segments, state->disk_bytes);
}

static void print_segment(void *ctx, const struct pp_store_segment_info *info)
{
    (void)ctx;
    (void)printf("segment %" PRIu64 ": %" PRIu64 " messages and %" PRIu64 " dead, %" PRIu64
                 " to %" PRIu64 ", records %" PRIu64 ", file %" PRIu64 ", on disk %" PRIu64
                 " bytes%s\n",
                 info->number, info->messages, info->dead, info->first_seq, info->last_seq,
                 info->record_bytes, info->file_bytes, info->disk_bytes,
                 !info->sealed      ? ", written to"
                 : info->has_footer ? ""
                                    : ", without footer");
}

static void json_segment(void *ctx, const struct pp_store_segment_info *info)
{
    pp_json *json = ctx;

    pp_json_begin_object(json, NULL);
    pp_json_u64(json, "segment", info->number);
    pp_json_u64(json, "messages", info->messages);
    pp_json_u64(json, "dead", info->dead);
    pp_json_u64(json, "first_seq", info->first_seq);
    pp_json_u64(json, "last_seq", info->last_seq);
    pp_json_u64(json, "record_bytes", info->record_bytes);
    pp_json_u64(json, "file_bytes", info->file_bytes);
    pp_json_u64(json, "disk_bytes", info->disk_bytes);
    pp_json_bool(json, "sealed", info->sealed);
    pp_json_bool(json, "footer", info->has_footer);
    pp_json_end_object(json);
}

static void json_stats(pp_store_view *view, const struct pp_store_state *state)
{
    pp_buf text;
    pp_json json;

    pp_buf_init(&text, TEXT_MAX);
    pp_json_init(&json, &text, 0);
    pp_json_begin_object(&json, NULL);
    pp_json_u64(&json, "messages", state->messages);
    pp_json_u64(&json, "subjects", state->subjects);
    pp_json_u64(&json, "bytes", state->bytes);
    pp_json_u64(&json, "first_seq", state->first_seq);
    pp_json_u64(&json, "last_seq", state->last_seq);
    if (state->messages) {
        pp_json_time(&json, "first_time", state->first_time_ns);
        pp_json_time(&json, "last_time", state->last_time_ns);
    }
    pp_json_u64(&json, "deleted", state->deleted);
    pp_json_u64(&json, "lost", state->lost);
    pp_json_u64(&json, "disk_bytes", state->disk_bytes);
    pp_json_begin_array(&json, "segments");
    pp_store_view_segments(view, json_segment, &json);
    pp_json_end_array(&json);
    pp_json_end_object(&json);
    print_line(&text, &json);
    pp_buf_fini(&text);
}

int store_command_stats(const struct store_command *command)
{
    struct pp_store_findings findings = {0};
    char why[PP_STORE_WHY_BYTES] = "";
    struct pp_store_state state;
    pp_store_view *view;
    int code;
    pipit_err err = pp_store_view_open(&command->options, &findings, &view, why);

    if (err) {
        pp_store_findings_fini(&findings);
        return store_command_failed(command, err, why);
    }
    pp_store_state(pp_store_view_store(view), &state);
    if (command->json) {
        json_stats(view, &state);
    } else {
        print_state(&state);
        pp_store_view_segments(view, print_segment, NULL);
    }
    code = pp_store_findings_damage(&findings) ? STORE_DAMAGED : STORE_WHOLE;
    pp_store_view_close(view);
    pp_store_findings_fini(&findings);
    return code;
}
