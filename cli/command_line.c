#include "cli/command_line.h"

#include "cli/escape.h"
#include "cli/memory.h"
#include "cli/say.h"
#include "cli/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64, FLAGS_MAX = 64, SHOWN_MAX = 60 };

/* Where a flag's value goes, and whether it has been given. */
struct target {
    const cli_flag *flag;
    char *options;
    bool *given;
};

struct reader {
    cli_command_line *line;
    char *options;
    bool given[FLAGS_MAX], globals_given[FLAGS_MAX];
    const char *words[WORDS_MAX]; /* arguments without a name, but for the command's */
    size_t word_count;
};

/* --- one value ---------------------------------------------------------------------------- */

static const char *form_of(cli_type type)
{
    switch (type) {
    case CLI_COUNT:
        return "a whole number, such as 1000 or 100k";
    case CLI_SIZE:
        return "a size, such as 128 or 64K or 1MB";
    case CLI_DURATION:
        return "a time, such as 250ms, 5s or 1h30m";
    case CLI_REAL:
        return "a number, such as 0.5 or 20k";
    default:
        return "a text";
    }
}

/* how: "flag --count" or "argument COUNT". */
static bool refuse(const char *how, const char *text, const char *must, const char *what)
{
    char *shown = cli_escape(text, strlen(text), SHOWN_MAX);

    (void)cli_fail(CLI_USAGE, "%s: \"%s\" %s %s", how, shown, must, what);
    free(shown);
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t len = strlen(text);

    for (const char *at = choices; *at;) {
        size_t one = strcspn(at, "|");

        if (one == len && strncmp(at, text, len) == 0)
            return true;
        at += one + (at[one] == '|');
    }
    return false;
}

static void add_text(cli_texts *texts, const char *text)
{
    texts->items = cli_realloc(texts->items, (texts->count + 1) * sizeof(*texts->items));
    texts->items[texts->count++] = text;
}

static bool store_whole(const cli_flag *flag, const char *how, const char *text, int64_t *out)
{
    char range[96];
    int64_t value;
    bool good = flag->type == CLI_COUNT  ? cli_count_parse(text, &value)
                : flag->type == CLI_SIZE ? cli_size_parse(text, &value)
                                         : cli_duration_parse(text, &value);

    if (!good)
        return refuse(how, text, "is not", form_of(flag->type));
    if (value >= flag->min && (!flag->max || value <= flag->max)) {
        *out = value;
        return true;
    }
    if (flag->type == CLI_DURATION) {
        char least[CLI_VALUE_BYTES], most[CLI_VALUE_BYTES];

        cli_duration_format(flag->min, least);
        cli_duration_format(flag->max, most);
        (void)snprintf(range, sizeof(range), flag->max ? "from %s to %s" : "%s at least", least,
                       most);
    } else {
        (void)snprintf(range, sizeof(range), flag->max ? "from %lld to %lld" : "%lld at least",
                       (long long)flag->min, (long long)flag->max);
    }
    return refuse(how, text, "is not", range);
}

static bool store(const cli_flag *flag, const char *how, const char *text, char *options)
{
    void *member = options + flag->offset;

    switch (flag->type) {
    case CLI_COUNT:
    case CLI_SIZE:
    case CLI_DURATION:
        return store_whole(flag, how, text, member);
    case CLI_REAL:
        return cli_real_parse(text, member) || refuse(how, text, "is not", form_of(CLI_REAL));
    case CLI_CHOICE:
        if (!is_choice(flag->choices, text))
            return refuse(how, text, "is none of", flag->choices);
        *(const char **)member = text;
        return true;
    case CLI_TEXTS:
    case CLI_FILES:
        add_text(member, text);
        return true;
    default:
        *(const char **)member = text;
        return true;
    }
}

/* --- flags -------------------------------------------------------------------------------- */

static bool find_in(const cli_flag *flags, const char *name, size_t len, char letter, size_t *out)
{
    for (size_t i = 0; flags && flags[i].name; i++) {
        if (letter ? flags[i].letter == letter
                   : strlen(flags[i].name) == len && strncmp(flags[i].name, name, len) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool find_flag(struct reader *r, const char *name, size_t len, char letter,
                      struct target *out)
{
    const cli_command *command = r->line->call.command;
    size_t i;

    if (command && find_in(command->flags, name, len, letter, &i)) {
        *out = (struct target){&command->flags[i], r->options, &r->given[i]};
        return true;
    }
    if (find_in(cli_global_flags, name, len, letter, &i)) {
        *out =
            (struct target){&cli_global_flags[i], (char *)&r->line->globals, &r->globals_given[i]};
        return true;
    }
    return false;
}

static bool set_switch(const struct target *target, bool on)
{
    *(bool *)(void *)(target->options + target->flag->offset) = on;
    *target->given = true;
    return true;
}

static bool set_value(const struct target *target, const char *text)
{
    char how[64];

    (void)snprintf(how, sizeof(how), "flag --%s", target->flag->name);
    *target->given = true;
    return store(target->flag, how, text, target->options);
}

static const char *command_shown(const struct reader *r)
{
    return r->line->call.command ? r->line->call.name : "help";
}

static bool unknown_flag(const struct reader *r, const char *text)
{
    char *shown = cli_escape(text, strcspn(text, "="), SHOWN_MAX);

    (void)cli_fail(CLI_USAGE,
                   "there is no flag %s here: see pipit %s%s (behind -- everything is an argument)",
                   shown, command_shown(r), r->line->call.command ? " --help" : "");
    free(shown);
    return false;
}

/* text is behind the dashes. *at is its place in argv, and moves on where the value follows. */
static bool read_long(struct reader *r, const char *text, int argc, char **argv, int *at)
{
    size_t len = strcspn(text, "=");
    struct target target;

    if (!find_flag(r, text, len, 0, &target)) {
        if (len > 3 && strncmp(text, "no-", 3) == 0 && !text[len] &&
            find_flag(r, text + 3, len - 3, 0, &target) && target.flag->type == CLI_SWITCH)
            return set_switch(&target, false);
        return unknown_flag(r, argv[*at]);
    }
    if (target.flag->type == CLI_SWITCH) {
        if (!text[len])
            return set_switch(&target, true);
        (void)cli_fail(CLI_USAGE, "flag --%s takes no value", target.flag->name);
        return false;
    }
    if (text[len])
        return set_value(&target, text + len + 1);
    if (*at + 1 < argc)
        return set_value(&target, argv[++*at]);
    (void)cli_fail(CLI_USAGE, "flag --%s needs %s: --%s=%s", target.flag->name,
                   form_of(target.flag->type), target.flag->name, target.flag->value);
    return false;
}

static bool read_short(struct reader *r, const char *text, int argc, char **argv, int *at)
{
    for (; *text; text++) {
        struct target target;

        if (!find_flag(r, NULL, 0, *text, &target))
            return unknown_flag(r, argv[*at]);
        if (target.flag->type == CLI_SWITCH) {
            (void)set_switch(&target, true);
            continue;
        }
        if (text[1])
            return set_value(&target, text[1] == '=' ? text + 2 : text + 1);
        if (*at + 1 < argc)
            return set_value(&target, argv[++*at]);
        (void)cli_fail(CLI_USAGE, "flag -%c needs %s", *text, form_of(target.flag->type));
        return false;
    }
    return true;
}

/* What was not given: the environment's, else the fallback. */
static bool fill(const cli_flag *flags, const bool *given, char *options)
{
    for (size_t i = 0; flags && flags[i].name; i++) {
        const char *text = flags[i].variable ? getenv(flags[i].variable) : NULL;
        char how[64];

        if (given[i])
            continue;
        if (text && *text && flags[i].type != CLI_SWITCH) {
            (void)snprintf(how, sizeof(how), "variable %s", flags[i].variable);
            if (!store(&flags[i], how, text, options))
                return false;
        } else if (flags[i].fallback &&
                   !store(&flags[i], flags[i].name, flags[i].fallback, options)) {
            return false;
        }
    }
    return true;
}

/* --- commands and arguments --------------------------------------------------------------- */

/* Letters to change, add or take away to make b of a; only told apart up to 9. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[32];
    size_t len = strlen(b);

    if (len >= 32 || strlen(a) >= 32)
        return 9;
    for (unsigned i = 0; i <= len; i++)
        row[i] = i;
    for (; *a; a++) {
        unsigned corner = row[0]++;

        for (size_t i = 0; i < len; i++) {
            unsigned above = row[i + 1], change = corner + (*a != b[i]);
            unsigned least = above < row[i] ? above + 1 : row[i] + 1;

            row[i + 1] = change < least ? change : least;
            corner = above;
        }
    }
    return row[len];
}

static const char *nearest(const cli_command *const *among, const char *name)
{
    const char *best = NULL;
    unsigned least = 3;

    for (; *among; among++) {
        unsigned d = distance(name, (*among)->name);

        if (d < least) {
            least = d;
            best = (*among)->name;
        }
    }
    return best;
}

static bool unknown_command(const struct reader *r, const cli_command *const *among,
                            const char *word)
{
    const char *near = nearest(among, word), *inside = r->line->call.name;
    char *shown = cli_escape(word, strlen(word), SHOWN_MAX);

    if (near)
        (void)cli_fail(CLI_USAGE, "there is no command %s: did you mean pipit %s%s%s?", shown,
                       inside, *inside ? " " : "", near);
    else
        (void)cli_fail(CLI_USAGE, "there is no command %s: see pipit %s%s", shown,
                       *inside ? inside : "help", *inside ? " --help" : "");
    free(shown);
    return false;
}

/* A word names the next command, if there is one to name. *out_taken: it did. */
static bool descend(struct reader *r, const char *word, bool *out_taken)
{
    cli_call *call = &r->line->call;
    const cli_command *const *among = call->command ? call->command->commands : cli_commands;
    size_t len = strlen(call->name);

    *out_taken = among != NULL;
    if (!among)
        return true;
    if (!cli_command_find(among, word))
        return unknown_command(r, among, word);
    call->command = cli_command_find(among, word);
    (void)snprintf(call->name + len, sizeof(call->name) - len, "%s%s", len ? " " : "",
                   call->command->name);
    free(r->options);
    r->options = cli_alloc(call->command->options_bytes);
    call->options = r->options;
    memset(r->given, 0, sizeof(r->given));
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    if (r->word_count < WORDS_MAX) {
        r->words[r->word_count++] = word;
        return true;
    }
    (void)cli_fail(CLI_USAGE, "more than %d arguments", WORDS_MAX);
    return false;
}

static bool store_argument(struct reader *r, const cli_argument *argument, const char *word)
{
    const cli_flag as_flag = {.name = argument->name,
                              .type = argument->type,
                              .offset = argument->offset,
                              .min = argument->min,
                              .max = argument->max,
                              .choices = argument->choices};

    return store(&as_flag, argument->name, word, r->options);
}

static bool give_arguments(struct reader *r)
{
    const cli_command *command = r->line->call.command;
    size_t at = 0;

    for (const cli_argument *a = command->arguments; a && a->name; a++) {
        if (at == r->word_count && !a->optional) {
            (void)cli_fail(CLI_USAGE, "pipit %s needs %s: see pipit %s --help", r->line->call.name,
                           a->name, r->line->call.name);
            return false;
        }
        do {
            if (at < r->word_count && !store_argument(r, a, r->words[at++]))
                return false;
        } while (cli_type_is_many(a->type) && at < r->word_count);
    }
    if (at == r->word_count)
        return true;
    return refuse(r->line->call.name, r->words[at],
                  "is one argument too many:", "see --help, and quote what has blanks");
}

static bool read_one(struct reader *r, int argc, char **argv, int *at)
{
    const char *text = argv[*at];
    bool taken;

    if (text[0] == '-' && text[1] == '-')
        return read_long(r, text + 2, argc, argv, at);
    if (text[0] == '-' && text[1] && !(text[1] >= '0' && text[1] <= '9'))
        return read_short(r, text + 1, argc, argv, at);
    if (!descend(r, text, &taken))
        return false;
    return taken || take_word(r, text);
}

static bool read_all(struct reader *r, int argc, char **argv)
{
    cli_call *call = &r->line->call;

    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--") == 0) {
            while (++at < argc) {
                if (!take_word(r, argv[at]))
                    return false;
            }
            return true;
        }
        if (!read_one(r, argc, argv, &at))
            return false;
        if (r->line->globals.help)
            return true;
        if (call->command && call->command->run_raw) {
            r->line->raw_from = at;
            return true;
        }
    }
    return true;
}

bool cli_command_line_read(cli_command_line *line, int argc, char **argv)
{
    struct reader r = {.line = line};
    const cli_command *command;

    *line = (cli_command_line){.call = {.globals = &line->globals}};
    if (!read_all(&r, argc, argv))
        return false;
    command = line->call.command;
    if (line->globals.help || line->globals.version || line->raw_from || !command)
        return true;
    if (command->commands) {
        (void)cli_fail(CLI_USAGE, "pipit %s needs a command: see pipit %s --help", line->call.name,
                       line->call.name);
        return false;
    }
    /* What connects nowhere is not hindered by a wrong NATS_TIMEOUT. */
    return give_arguments(&r) && fill(command->flags, r.given, r.options) &&
           (command->offline || fill(cli_global_flags, r.globals_given, (char *)&line->globals));
}

static void free_texts(const cli_command *command, const char *options)
{
    for (const cli_flag *f = command->flags; f && f->name; f++) {
        if (cli_type_is_many(f->type))
            free(((const cli_texts *)(const void *)(options + f->offset))->items);
    }
    for (const cli_argument *a = command->arguments; a && a->name; a++) {
        if (cli_type_is_many(a->type))
            free(((const cli_texts *)(const void *)(options + a->offset))->items);
    }
}

void cli_command_line_free(cli_command_line *line)
{
    if (line->call.command && line->call.options)
        free_texts(line->call.command, line->call.options);
    free((void *)line->call.options);
    line->call.options = NULL;
}
