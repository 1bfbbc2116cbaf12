#include "cli/json.h"

#include "cli/command.h"
#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *must(json_t *value)
{
    if (!value)
        cli_out_of_memory();
    return value;
}

json_t *cli_json_object(void)
{
    return must(json_object());
}

json_t *cli_json_array(void)
{
    return must(json_array());
}

json_t *cli_json_text(const void *text, size_t bytes)
{
    static const char unknown[] = "\xef\xbf\xbd";
    const char *from = text;
    char *mended;
    size_t len = 0;
    json_t *value;

    if (cli_is_text(text, bytes))
        return must(json_stringn(bytes ? from : "", bytes));
    mended = cli_alloc(bytes * 3 + 1);
    for (size_t i = 0; i < bytes;) {
        size_t take = 1;

        while (take <= 4 && i + take <= bytes && !cli_is_text(from + i, take))
            take++;
        if (take > 4 || i + take > bytes) {
            memcpy(mended + len, unknown, 3);
            len += 3;
            i++;
        } else {
            memcpy(mended + len, from + i, take);
            len += take;
            i += take;
        }
    }
    value = must(json_stringn(mended, len));
    free(mended);
    return value;
}

void cli_json_set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, must(value)) != 0)
        cli_out_of_memory();
}

void cli_json_set_text(json_t *object, const char *name, const char *text)
{
    cli_json_set(object, name, text ? cli_json_text(text, strlen(text)) : json_null());
}

void cli_json_set_count(json_t *object, const char *name, uint64_t value)
{
    cli_json_set(object, name, json_integer((json_int_t)value));
}

void cli_json_set_real(json_t *object, const char *name, double value)
{
    cli_json_set(object, name, json_real(value)); /* NULL for what is no number; there is none */
}

void cli_json_set_flag(json_t *object, const char *name, int flag)
{
    cli_json_set(object, name, json_boolean(flag));
}

json_t *cli_json_base64(const void *from, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = from;
    char *text = cli_alloc((count + 2) / 3 * 4 + 1), *at = text;
    json_t *value;

    for (size_t i = 0; i < count; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;

        three |= i + 1 < count ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < count ? bytes[i + 2] : 0;
        *at++ = digits[three >> 18];
        *at++ = digits[three >> 12 & 63];
        *at++ = i + 1 < count ? digits[three >> 6 & 63] : '=';
        *at++ = i + 2 < count ? digits[three & 63] : '=';
    }
    value = must(json_string(text));
    free(text);
    return value;
}

void cli_json_set_bytes(json_t *object, const char *name, const void *bytes, size_t count)
{
    char *other;

    if (cli_is_text(bytes, count)) {
        cli_json_set(object, name, cli_json_text(bytes, count));
        return;
    }
    other = cli_format("%s_base64", name);
    cli_json_set(object, other, cli_json_base64(bytes, count));
    free(other);
}

void cli_json_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, must(value)) != 0)
        cli_out_of_memory();
}

static int print(json_t *value, size_t flags)
{
    /* Terminals obey some characters that JSON has no need to escape. */
    size_t safe = isatty(fileno(stdout)) ? JSON_ENSURE_ASCII : 0;
    char *text = json_dumps(value, flags | safe | JSON_ENCODE_ANY);

    if (!text)
        cli_out_of_memory();
    (void)puts(text);
    free(text);
    json_decref(value);
    if (fflush(stdout) != 0)
        return cli_fail(CLI_FAILED, "cannot write to standard output");
    return CLI_DONE;
}

int cli_json_print(json_t *value)
{
    return print(value, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
}

int cli_json_line(json_t *value)
{
    return print(value, JSON_COMPACT | JSON_REAL_PRECISION(10));
}
