#include "cli/message.h"

#include "cli/escape.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <stdlib.h>
#include <string.h>

/* --- headers ------------------------------------------------------------------------------ */

void cli_message_headers(const pipit_msg *msg, cli_header_fn callback, void *context)
{
    const char *at = msg->header, *end = at ? at + msg->header_bytes : NULL;
    bool first = true;

    while (at && at < end) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        const char *colon, *value;

        if (!line_end)
            line_end = end;
        colon = memchr(at, ':', (size_t)(line_end - at));
        if (!first && colon) {
            value = colon + 1;
            while (value < line_end && (*value == ' ' || *value == '\t'))
                value++;
            callback(context, at, (size_t)(colon - at), value, (size_t)(line_end - value));
        }
        first = false;
        at = line_end + 2 <= end ? line_end + 2 : NULL;
    }
}

static void show_header(void *context, const char *name, size_t name_bytes, const char *value,
                        size_t value_bytes)
{
    FILE *out = context;

    cli_escape_write(out, name, name_bytes, false);
    (void)fputs(": ", out);
    cli_escape_write(out, value, value_bytes, false);
    (void)fputc('\n', out);
}

void cli_message_show(FILE *out, const pipit_msg *msg, bool headers_only)
{
    int status = pipit_msg_status(msg);

    if (status)
        (void)fprintf(out, "Status: %d\n", status);
    cli_message_headers(msg, show_header, out);
    if (headers_only)
        return;
    if (msg->header_bytes)
        (void)fputc('\n', out);
    cli_escape_write(out, msg->payload, msg->payload_bytes, true);
    (void)fputc('\n', out);
}

void cli_message_show_raw(FILE *out, const void *payload, size_t bytes)
{
    (void)fwrite(payload, 1, bytes, out); /* who writes looks at ferror(out) */
    (void)fputc('\n', out);
}

static void set_header(void *context, const char *name, size_t name_bytes, const char *value,
                       size_t value_bytes)
{
    json_t *headers = context, *key = cli_json_text(name, name_bytes), *list;
    char *plain = cli_copy(json_string_value(key), json_string_length(key));

    /* Members have names without NUL, which headers of others may hold. */
    list = json_object_get(headers, plain);
    if (!list) {
        list = cli_json_array();
        cli_json_set(headers, plain, list);
    }
    cli_json_append(list, cli_json_text(value, value_bytes));
    free(plain);
    json_decref(key);
}

json_t *cli_message_json(const pipit_msg *msg)
{
    json_t *object = cli_json_object();

    cli_json_set(object, "subject", cli_json_text(msg->subject, msg->subject_bytes));
    if (msg->reply_bytes)
        cli_json_set(object, "reply", cli_json_text(msg->reply, msg->reply_bytes));
    if (msg->header_bytes) {
        json_t *headers = cli_json_object();

        cli_message_headers(msg, set_header, headers);
        if (pipit_msg_status(msg))
            cli_json_set_count(object, "status", (uint64_t)pipit_msg_status(msg));
        cli_json_set(object, "headers", headers);
    }
    cli_json_set_bytes(object, "data", msg->payload, msg->payload_bytes);
    return object;
}

/* --- of flags ----------------------------------------------------------------------------- */

int cli_header_set_read(cli_header_set *set, const cli_texts *texts, bool literal)
{
    int status = CLI_DONE;

    *set = (cli_header_set){0};
    if (!texts->count)
        return CLI_DONE;
    set->names = cli_alloc(texts->count * sizeof(*set->names));
    set->values = cli_alloc(texts->count * sizeof(cli_template *));
    for (size_t i = 0; i < texts->count && !status; i++) {
        const char *text = texts->items[i], *colon = strchr(text, ':');

        if (!colon || colon == text) {
            char *shown = cli_escape(text, strlen(text), 60);

            status = cli_fail(CLI_USAGE, "\"%s\" is no header: write -H 'Name: value'", shown);
            free(shown);
            break;
        }
        status = cli_template_read(colon + 1 + strspn(colon + 1, " \t"), literal, &set->values[i]);
        if (!status) {
            set->names[i] = cli_copy(text, (size_t)(colon - text));
            set->count++;
        }
    }
    if (status)
        cli_header_set_free(set);
    return status;
}

void cli_header_set_free(cli_header_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->names[i]);
        cli_template_free(set->values[i]);
    }
    free(set->names);
    free(set->values);
    *set = (cli_header_set){0};
}

int cli_header_set_add(const cli_header_set *set, const cli_template_values *values,
                       pipit_headers *headers)
{
    for (size_t i = 0; i < set->count; i++) {
        size_t bytes;
        char *value = cli_template_fill(set->values[i], values, &bytes), *shown;
        pipit_err err = strlen(value) == bytes ? pipit_headers_add(headers, set->names[i], value)
                                               : PIPIT_EINVAL;

        free(value);
        if (!err)
            continue;
        shown = cli_escape(set->names[i], strlen(set->names[i]), 60);
        (void)cli_fail(CLI_USAGE, "header %s: %s", shown,
                       err == PIPIT_ETOOBIG
                           ? "all headers together are at most 64 KiB"
                           : "a name is letters and digits, a value has no ends of lines");
        free(shown);
        return CLI_USAGE;
    }
    return CLI_DONE;
}
