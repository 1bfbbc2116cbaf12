/* pipit auth password -- bcrypt hashes, as configurations have them in place of passwords. */
#include "cli/auth.h"
#include "cli/globals.h"
#include "cli/json.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/server.h"
#include "cli/whole_file.h"
#include "pipit/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

enum { INPUT_MAX = 4096, MADE_LETTERS = 22, CTRL_C = 3 };

struct options {
    const char *pass, *check;
    int64_t cost;
    bool generate;
};

static const cli_flag flags[] = {
    {.name = "pass",
     .letter = 'p',
     .type = CLI_TEXT,
     .value = "PASSWORD",
     .help = "The password; others may see it in the list of processes",
     .variable = "PASSWORD",
     .offset = offsetof(struct options, pass)},
    {.name = "cost",
     .letter = 'c',
     .type = CLI_COUNT,
     .value = "N",
     .help = "Work to compute it; each one more doubles that, for the server at each login, too",
     .fallback = "11",
     .min = 4,
     .max = 31,
     .offset = offsetof(struct options, cost)},
    {.name = "generate",
     .letter = 'g',
     .type = CLI_SWITCH,
     .help = "Make a password of 128 random bits, and print it, too",
     .offset = offsetof(struct options, generate)},
    {.name = "check",
     .type = CLI_TEXT,
     .value = "HASH",
     .help = "Say whether HASH is one of the password",
     .offset = offsetof(struct options, check)},
    {0},
};

static const cli_example examples[] = {
    {"pipit auth password --generate", "A password and its hash."},
    {"echo secret | pipit auth password --cost 4", "The hash of a password from elsewhere."},
    {0},
};

/* Letters and digits that nobody mistakes for others; 6 bits would be 64 of them, 58 are nearly. */
static char *make_password(void)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789";
    enum { COUNT = sizeof(letters) - 1 };
    char *text = cli_alloc(MADE_LETTERS + 1);
    unsigned char byte;

    for (size_t i = 0; i < MADE_LETTERS;) {
        if (getrandom(&byte, 1, 0) != 1) {
            free(text);
            return NULL;
        }
        if (byte < 256 / COUNT * COUNT) /* so that each is as likely */
            text[i++] = letters[byte % COUNT];
    }
    return text;
}

/* A terminal gives a line at a time, whatever ends it. */
static bool read_line(bool terminal, char line[INPUT_MAX])
{
    ssize_t n;

    if (!terminal)
        return fgets(line, INPUT_MAX, stdin) != NULL;
    n = read(STDIN_FILENO, line, INPUT_MAX - 1);
    if (n > 0)
        line[n] = '\0';
    return n > 0;
}

static char *ask(void)
{
    struct termios before, silent;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    char line[INPUT_MAX] = "", *text = NULL;

    if (terminal) {
        silent = before;
        /* Signals would leave the terminal silent; the key that makes one ends the line instead. */
        silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
        silent.c_cc[VEOL] = CTRL_C;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent); /* before it is asked for */
        (void)fprintf(stderr, "Password: ");
    }
    if (read_line(terminal, line)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!terminal || !strchr(line, CTRL_C))
            text = cli_copy(line, strlen(line));
    }
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        (void)fprintf(stderr, "\n");
    }
    explicit_bzero(line, sizeof(line));
    return text;
}

static int check(const cli_call *call, const char *hash, const char *password)
{
    pipit_err err = pipit_password_check(hash, password);

    if (err == PIPIT_EINVAL)
        return cli_fail(CLI_USAGE, "--check takes a bcrypt hash: $2a$ and 56 characters behind it");
    if (err && err != PIPIT_EAUTH)
        return cli_fail(CLI_FAILED, "this cannot be checked: %s", pipit_strerror(err));
    if (call->globals->json) {
        json_t *all = cli_json_object();

        cli_json_set_flag(all, "fits", !err);
        (void)cli_json_print(all);
    } else {
        (void)printf("%s\n", err ? "no, of another password" : "yes");
    }
    return err ? CLI_FAILED : CLI_DONE;
}

static int hash(const cli_call *call, const struct options *options, const char *password)
{
    char text[PIPIT_PASSWORD_HASH_BYTES];
    pipit_err err = pipit_password_hash(password, (unsigned)options->cost, text);

    if (err == PIPIT_ETOOBIG)
        return cli_fail(CLI_USAGE, "bcrypt takes passwords of %d bytes at most",
                        PIPIT_PASSWORD_MAX);
    if (err)
        return cli_fail(CLI_FAILED, "no hash can be made: %s", pipit_strerror(err));
    if (call->globals->json) {
        json_t *all = cli_json_object();

        if (options->generate)
            cli_json_set_text(all, "password", password);
        cli_json_set_text(all, "hash", text);
        return cli_json_print(all);
    }
    if (options->generate)
        (void)printf("%s\n", password);
    (void)printf("%s\n", text);
    return CLI_DONE;
}

static int run(const cli_call *call)
{
    const struct options *options = call->options;
    char *password;
    int status;

    if (options->generate && (options->pass || options->check))
        return cli_fail(CLI_USAGE, "--generate makes a password: leave out --pass and --check");
    if (options->generate)
        password = make_password();
    else
        password = options->pass ? cli_copy(options->pass, strlen(options->pass)) : ask();
    if (!password || !*password) {
        free(password);
        return cli_fail(CLI_USAGE, "no password: type it, pipe it in, or use --generate");
    }
    status = options->check ? check(call, options->check, password) : hash(call, options, password);
    explicit_bzero(password, strlen(password));
    free(password);
    return status;
}

const cli_command cli_auth_password = {
    .name = "password",
    .aliases = "passwd",
    .help = "Hash a password for the configuration",
    .text = "Prints a bcrypt hash, which stands in the configuration where the password would. "
            "Without --pass and --generate the password is read from the terminal, unseen, or from "
            "standard input.",
    .flags = flags,
    .examples = examples,
    .options_bytes = sizeof(struct options),
    .offline = true,
    .run = run,
};

const cli_command cli_server_passwd = {
    .name = "passwd",
    .help = "Hash a password for the configuration, as pipit auth password does",
    .flags = flags,
    .options_bytes = sizeof(struct options),
    .offline = true,
    .run = run,
};
