/* pipit auth nkey, pipit auth public -- NKeys. */
#include "cli/auth.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/whole_file.h"
#include "pipit/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED_FILE_MAX = 64 * 1024 };

static const struct {
    const char *name;
    char letter;
} kinds[] = {{"user", 'U'},   {"account", 'A'}, {"operator", 'O'},
             {"server", 'N'}, {"cluster", 'C'}, {"curve", 'X'}};

struct nkey_options {
    const char *kind, *out;
};

static const cli_flag nkey_flags[] = {
    {.name = "out",
     .letter = 'o',
     .type = CLI_FILE,
     .value = "FILE",
     .help = "Write the seed to FILE, which must not be there yet, and print only the public key",
     .offset = offsetof(struct nkey_options, out)},
    {0},
};

static const cli_argument nkey_arguments[] = {
    {.name = "KIND",
     .type = CLI_CHOICE,
     .optional = true,
     .choices = "user|account|operator|server|cluster|curve",
     .help = "What it is the key of (default user)",
     .offset = offsetof(struct nkey_options, kind)},
    {0},
};

static const cli_example nkey_examples[] = {
    {"pipit auth nkey", "A key for a user: put the public half into the configuration."},
    {"pipit auth nkey account --json", "The same of an account, for a script."},
    {0},
};

static char kind_letter(const char *name)
{
    for (size_t i = 0; name && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].letter;
    }
    return 'U';
}

static int show_key(const cli_call *call, const char *public_text, const char *seed)
{
    if (call->globals->json) {
        json_t *all = cli_json_object();

        if (seed)
            cli_json_set_text(all, "seed", seed);
        cli_json_set_text(all, "public", public_text);
        return cli_json_print(all);
    }
    if (seed)
        (void)printf("%s\n", seed);
    (void)printf("%s\n", public_text);
    return CLI_DONE;
}

static int run_nkey(const cli_call *call)
{
    const struct nkey_options *options = call->options;
    char public_text[PIPIT_KEY_BYTES], seed[PIPIT_KEY_BYTES], line[PIPIT_KEY_BYTES + 2];
    pipit_err err = pipit_key_new(kind_letter(options->kind), public_text, seed);
    int status = CLI_FAILED;

    if (err)
        return cli_fail(CLI_FAILED, "no key can be made: %s", pipit_strerror(err));
    (void)snprintf(line, sizeof(line), "%s\n", seed);
    if (!options->out || cli_whole_file_write(options->out, line))
        status = show_key(call, public_text, options->out ? NULL : seed);
    explicit_bzero(seed, sizeof(seed));
    explicit_bzero(line, sizeof(line));
    return status;
}

const cli_command cli_auth_nkey = {
    .name = "nkey",
    .help = "Make an NKey",
    .text = "Prints the seed, which is the secret, and below it the public key.",
    .flags = nkey_flags,
    .arguments = nkey_arguments,
    .examples = nkey_examples,
    .options_bytes = sizeof(struct nkey_options),
    .offline = true,
    .run = run_nkey,
};

/* --- public -------------------------------------------------------------------------------- */

struct public_options {
    const char *file;
};

static const cli_argument public_arguments[] = {
    {.name = "FILE",
     .type = CLI_FILE,
     .optional = true,
     .help = "Holds a seed or a public key (default -, standard input)",
     .offset = offsetof(struct public_options, file)},
    {0},
};

static const cli_example public_examples[] = {
    {"pipit auth nkey | head -1 | pipit auth public", "The public key of a seed."},
    {0},
};

static int run_public(const cli_call *call)
{
    const struct public_options *options = call->options;
    char public_text[PIPIT_KEY_BYTES];
    size_t bytes = 0;
    char *text = cli_whole_file_read(options->file ? options->file : "-", SEED_FILE_MAX, &bytes);
    pipit_err err;

    if (!text)
        return CLI_FAILED;
    err = pipit_key_public(text, public_text, NULL);
    explicit_bzero(text, bytes);
    free(text);
    if (err)
        return cli_fail(CLI_FAILED,
                        "this is neither a seed (SU..., SA..., SO...) nor a public key");
    return show_key(call, public_text, NULL);
}

const cli_command cli_auth_public = {
    .name = "public",
    .help = "Show the public key of a seed",
    .text = "Public keys are checked and printed as they are.",
    .arguments = public_arguments,
    .examples = public_examples,
    .options_bytes = sizeof(struct public_options),
    .offline = true,
    .run = run_public,
};
