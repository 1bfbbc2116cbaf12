#include "cli/payload.h"

#include "cli/memory.h"
#include "cli/say.h"
#include "cli/turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES_MAX = 64 * 1024 * 1024, READ_BYTES = 64 * 1024 };

/* Everything up to the end of a file. */
static int slurp(FILE *file, const char *name, char **out, size_t *out_count)
{
    char *bytes = NULL;
    size_t count = 0, got;

    do {
        bytes = cli_realloc(bytes, count + READ_BYTES + 1);
        got = fread(bytes + count, 1, READ_BYTES, file);
        count += got;
    } while (got && count <= BYTES_MAX);
    if (ferror(file) || count > BYTES_MAX) {
        free(bytes);
        return cli_fail(CLI_FAILED, "cannot send %s: %s", name,
                        count > BYTES_MAX ? "it is over 64 MiB" : strerror(errno));
    }
    *out = bytes;
    *out_count = count;
    return CLI_DONE;
}

static int read_file(const char *path, char **out, size_t *out_count)
{
    FILE *file = fopen(path, "re");
    int status;

    if (!file)
        return cli_fail(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    status = slurp(file, path, out, out_count);
    (void)fclose(file); /* read only */
    return status;
}

int cli_payload_open(cli_payload *payload, const cli_payload_options *o)
{
    bool reads = o->force_stdin || (!o->body && !o->files.count && !isatty(STDIN_FILENO));
    int status;

    *payload = (cli_payload){.options = o};
    if (o->files.count && (o->body || o->force_stdin))
        return cli_fail(CLI_USAGE, "give a body, --file or --force-stdin, not several of them");
    status = cli_header_set_read(&payload->headers, &o->headers, o->no_templates);
    if (status || o->files.count)
        return status;
    payload->lines = reads && strcmp(o->send_on, "newline") == 0;
    if (payload->lines)
        payload->bytes = cli_alloc(1); /* there is something to search in */
    else if (reads)
        status = slurp(stdin, "standard input", &payload->bytes, &payload->count);
    else
        status = cli_template_read(o->body ? o->body : "", o->no_templates, &payload->body);
    if (status)
        cli_payload_close(payload);
    return status;
}

void cli_payload_close(cli_payload *payload)
{
    cli_template_free(payload->body);
    cli_header_set_free(&payload->headers);
    free(payload->bytes);
    *payload = (cli_payload){0};
}

/* More of standard input, behind what is there. The client works meanwhile, so that lines that have
 * come before are sent, and the server is answered, however long the next one takes. */
static int read_more(cli_payload *payload)
{
    bool ready = false;
    ssize_t got;

    while (!ready) {
        cli_turn_end end = cli_turn_input(payload->connection, STDIN_FILENO, &ready);

        if (end == CLI_TURN_CLOSED)
            return cli_fail(CLI_FAILED, "the connection has ended: %s",
                            payload->connection->reason);
        if (end == CLI_TURN_INTERRUPTED) {
            payload->count = payload->line_at; /* half a line is none */
            payload->ended = true;
            return CLI_DONE;
        }
    }
    memmove(payload->bytes, payload->bytes + payload->line_at, payload->count - payload->line_at);
    payload->count -= payload->line_at;
    payload->line_at = 0;
    if (payload->count > BYTES_MAX)
        return cli_fail(CLI_FAILED, "a line of standard input is over 64 MiB");
    payload->bytes = cli_realloc(payload->bytes, payload->count + READ_BYTES);
    got = read(STDIN_FILENO, payload->bytes + payload->count, READ_BYTES);
    if (got < 0 && errno != EINTR)
        return cli_fail(CLI_FAILED, "cannot read standard input: %s", strerror(errno));
    payload->ended = got == 0;
    payload->count += got > 0 ? (size_t)got : 0;
    return CLI_DONE;
}

static int next_line(cli_payload *payload, cli_filled *out, bool *out_more)
{
    const char *from, *end;
    size_t searched = 0;

    for (;;) {
        from = payload->bytes + payload->line_at;
        end = payload->count > payload->line_at + searched
                  ? memchr(from + searched, '\n', payload->count - payload->line_at - searched)
                  : NULL;
        if (end || payload->ended)
            break;
        searched = payload->count - payload->line_at;
        if (read_more(payload))
            return CLI_FAILED;
    }
    *out_more = end || payload->count > payload->line_at;
    if (!*out_more)
        return CLI_DONE;
    out->count = end ? (size_t)(end - from) : payload->count - payload->line_at;
    out->bytes = cli_copy(from, out->count);
    payload->line_at += out->count + (end != NULL);
    return CLI_DONE;
}

static int next_file(cli_payload *payload, cli_filled *out, bool *out_more)
{
    const cli_texts *files = &payload->options->files;

    *out_more = payload->file < files->count;
    return *out_more ? read_file(files->items[payload->file++], &out->bytes, &out->count)
                     : CLI_DONE;
}

static int add_headers(cli_payload *payload, const cli_template_values *values, cli_filled *out)
{
    if (!payload->headers.count)
        return CLI_DONE;
    if (pipit_headers_new(&out->headers))
        cli_out_of_memory();
    return cli_header_set_add(&payload->headers, values, out->headers);
}

int cli_payload_next(cli_payload *payload, const cli_template_values *values, cli_filled *out,
                     bool *out_more)
{
    int status = CLI_DONE;

    *out = (cli_filled){0};
    *out_more = true;
    if (payload->options->files.count) {
        status = next_file(payload, out, out_more);
    } else if (payload->lines) {
        status = next_line(payload, out, out_more);
    } else if (payload->body) {
        out->bytes = cli_template_fill(payload->body, values, &out->count);
    } else {
        out->bytes = cli_copy(payload->bytes, payload->count);
        out->count = payload->count;
    }
    if (!status && *out_more)
        status = add_headers(payload, values, out);
    if (status || !*out_more)
        cli_filled_free(out);
    return status;
}

void cli_filled_free(cli_filled *filled)
{
    pipit_headers_free(filled->headers);
    free(filled->bytes);
    *filled = (cli_filled){0};
}

void cli_filled_set(const cli_filled *filled, pipit_msg *msg)
{
    msg->payload = filled->bytes;
    msg->payload_bytes = filled->count;
    if (filled->headers)
        msg->header = pipit_headers_block(filled->headers, &msg->header_bytes);
}
