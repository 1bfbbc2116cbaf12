#include "config/reference.h"

#include "config/key.h"

#include <inttypes.h>
#include <string.h>

/* What a value looks like. */
static const char *type_name(const pp_key *key)
{
    if (key->unit && key->type != PP_KEY_COUNT && key->type != PP_KEY_LIMIT)
        return key->unit;
    switch (key->type) {
    case PP_KEY_TEXT:
        return "text";
    case PP_KEY_SECRET:
        return "secret";
    case PP_KEY_URL:
        return "URL";
    case PP_KEY_SWITCH:
        return "switch";
    case PP_KEY_COUNT:
    case PP_KEY_LIMIT:
        return key->unit ? key->unit : "number";
    case PP_KEY_BYTES:
    case PP_KEY_MEMORY:
        return "size";
    case PP_KEY_DURATION:
    case PP_KEY_PERIOD:
        return "time";
    case PP_KEY_SECONDS:
        return "seconds or time";
    case PP_KEY_PORT:
        return "port";
    case PP_KEY_MODE:
        return "file mode";
    case PP_KEY_WORD:
        return "word";
    case PP_KEY_HOST_PORT:
        return "host or host:port";
    case PP_KEY_BASE_PATH:
    case PP_KEY_NAME:
        return "text";
    case PP_KEY_OTHER:
        break;
    }
    return "value";
}

static const char *feature_of(const pp_key_block *block, const pp_key *key)
{
    return key->feature ? key->feature : block->feature;
}

/* "a", "b" or "c" */
static pipit_err add_words(pp_buf *out, const char *words, const char *quote)
{
    pipit_err err = PIPIT_OK;

    for (bool first = true; *words && !err; first = false) {
        pp_str word = pp_key_next_name(&words);

        err = pp_buf_addf(out, "%s%s%.*s%s",
                          first    ? ""
                          : *words ? ", "
                                   : " or ",
                          quote, PP_STR_ARGS(word), quote);
    }
    return err;
}

/* --- for a terminal ----------------------------------------------------------------------- */

static pipit_err add_text_key(pp_buf *out, const pp_key_block *block, const pp_key *key)
{
    const char *feature = feature_of(block, key);
    pipit_err err = pp_buf_addf(out, "  ");

    if (!err)
        err = add_words(out, key->names, "");
    if (!err)
        err = pp_buf_addf(out, "  <%s>", type_name(key));
    if (!err && key->initial)
        err = pp_buf_addf(out, "  default %s", key->initial);
    if (!err && !feature)
        err =
            pp_buf_addf(out, "  (%s)", key->reload == PP_KEY_RESTART ? "needs restart" : "reload");
    if (!err)
        err = pp_buf_addf(out, "\n      %s", key->help);
    if (!err && key->words) {
        err = pp_buf_addf(out, ": ");
        if (!err)
            err = add_words(out, key->words, "");
    }
    if (!err && feature)
        err = pp_buf_addf(out, "\n      not served: this version has no %s yet", feature);
    return err ? err : pp_buf_add(out, "\n", 1);
}

static pipit_err add_text_block(pp_buf *out, const pp_key_block *block)
{
    pipit_err err = *block->name ? pp_buf_addf(out, "\n%s: %s\n", block->name, block->help)
                                 : pp_buf_addf(out, "%s\n", block->help);

    for (size_t i = 0; i < block->count && !err; i++)
        err = add_text_key(out, block, &block->keys[i]);
    return err;
}

/* --- Markdown ----------------------------------------------------------------------------- */

static const char markdown_head[] =
    "# The configuration file\n"
    "\n"
    "<!-- Made by `pipit-server --help-config=markdown`; a test compares. -->\n"
    "\n"
    "`pipit-server -c FILE` reads the language of nats-server: `key: value`, maps in braces, "
    "lists\n"
    "in brackets, comments after `#`, variables as `$name`, `include`. `pipit-server -t -c FILE`\n"
    "says whether a file is right, and where it is not. What a flag says wins over the file.\n"
    "\n"
    "Keys are taken in any case. A *size* is a number of bytes, with `k`, `m`, `g` for powers of\n"
    "1000 and `kb`, `mb`, `gb` for powers of 1024. A *time* is a text such as `\"500ms\"`, "
    "`\"2s\"`\n"
    "or `\"1m30s\"`. A *switch* is `true` or `false`. *Reload* says what SIGHUP does with a "
    "change:\n"
    "**yes**, it applies; **no**, it needs a restart, and a file that changes such a key is "
    "refused\n"
    "as a whole. Keys marked *pipit* are unknown to nats-server.\n"
    "\n"
    "Keys of features that are not there yet are refused by name, unless their value asks for\n"
    "nothing (`jetstream: false`, `cluster {}`). They are listed at the end.\n";

static pipit_err add_cell(pp_buf *out, const char *text)
{
    pipit_err err = PIPIT_OK;

    for (; *text && !err; text++) {
        if (*text == '|' || *text == '<')
            err = pp_buf_add(out, "\\", 1);
        if (!err)
            err = pp_buf_add(out, text, 1);
    }
    return err;
}

static pipit_err add_markdown_key(pp_buf *out, const pp_key_block *block, const pp_key *key)
{
    const char *feature = feature_of(block, key);
    pipit_err err = pp_buf_addf(out, "| ");

    if (!err)
        err = add_words(out, key->names, "`");
    if (!err)
        err = pp_buf_addf(out, "%s | ", key->flags & PP_KEY_OWN ? " *pipit*" : "");
    if (!err)
        err = add_cell(out, type_name(key));
    if (!err && key->block)
        err = pp_buf_addf(out, ": [`%s`](#%s)", key->block, key->block);
    if (!err)
        err = pp_buf_addf(out, " | %s%s%s | %s | ", key->initial ? "`" : "",
                          key->initial ? key->initial : "", key->initial ? "`" : "",
                          feature                         ? ""
                          : key->reload == PP_KEY_RESTART ? "no"
                                                          : "yes");
    if (!err)
        err = add_cell(out, key->help);
    if (!err && key->words) {
        err = pp_buf_addf(out, ": ");
        if (!err)
            err = add_words(out, key->words, "`");
    }
    if (!err && key->flags & PP_KEY_NO_EFFECT)
        err = pp_buf_addf(out, ". Accepted; has no effect");
    if (!err && key->feature)
        err = pp_buf_addf(out, ". *Not served: no %s*", key->feature);
    return err ? err : pp_buf_addf(out, " |\n");
}

static pipit_err add_markdown_block(pp_buf *out, const pp_key_block *block)
{
    pipit_err err = *block->name ? pp_buf_addf(out, "\n## `%s`\n\n%s", block->name, block->help)
                                 : pp_buf_addf(out, "\n## Top level\n\n%s", block->help);

    if (!err && block->feature)
        err = pp_buf_addf(out, " *Not served: this version has no %s yet.*", block->feature);
    if (!err)
        err = pp_buf_addf(out, "\n\n| key | value | default | reload | meaning |\n"
                               "|---|---|---|---|---|\n");
    for (size_t i = 0; i < block->count && !err; i++)
        err = add_markdown_key(out, block, &block->keys[i]);
    return err;
}

pipit_err pp_reference_format(pp_buf *out, pp_reference_style style)
{
    const pp_key_block *block;
    pipit_err err = PIPIT_OK;

    if (style == PP_REFERENCE_MARKDOWN)
        err = pp_buf_add(out, markdown_head, sizeof(markdown_head) - 1);
    for (size_t i = 0; !err && (block = pp_key_block_at(i)) != NULL; i++)
        err = style == PP_REFERENCE_MARKDOWN ? add_markdown_block(out, block)
                                             : add_text_block(out, block);
    return err;
}
