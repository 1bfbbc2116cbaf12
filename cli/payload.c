#include "cli/payload.h"

#include "cli/memory.h"
#include "cli/say.h"

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
    if (reads && strcmp(o->send_on, "newline") == 0)
        payload->lines = true;
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

static int next_line(cli_filled *out, bool *out_more)
{
    size_t room = 0;
    ssize_t len = getline(&out->bytes, &room, stdin);

    *out_more = len >= 0;
    if (len < 0)
        return ferror(stdin) ? cli_fail(CLI_FAILED, "cannot read standard input") : CLI_DONE;
    if (len && out->bytes[len - 1] == '\n')
        len--;
    out->count = (size_t)len;
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
        status = next_line(out, out_more);
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
