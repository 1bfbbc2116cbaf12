/* cli/command.h -- a command of the tool: `pipit NAME ...`.
 *
 * A command is a table: its flags, its arguments, its examples. Reading the command line, --help,
 * the manual pages and the completions of shells are all made from that table, so that they cannot
 * disagree. Global flags (cli/globals.h) are there for every command. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the tool ends with. Commands whose results are graded say so in their own help. */
enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,    /* what was asked for went wrong */
    CLI_USAGE = 2,     /* it was not called as it should be */
    CLI_NO_ANSWER = 3, /* nobody answered: no responders, or the time was over */
    CLI_NO_SERVER = 4, /* no server could be reached, or it refused the credentials */
};

/* What a flag or an argument takes, and the type of its member in the command's options. */
typedef enum cli_type {
    CLI_SWITCH,   /* bool; takes nothing, --no-NAME turns it off */
    CLI_TEXT,     /* const char *, as the four that follow */
    CLI_CHOICE,   /* one of cli_flag.choices */
    CLI_FILE,     /* shells complete file names, */
    CLI_FOLDER,   /* folders, */
    CLI_CONTEXT,  /* names of contexts */
    CLI_TEXTS,    /* cli_texts: may be given several times */
    CLI_FILES,    /* the same for names of files */
    CLI_COUNT,    /* int64_t: a whole number, "100000" or "100k" or "2M" */
    CLI_SIZE,     /* int64_t: bytes, "128", "4K", "1MB" */
    CLI_DURATION, /* int64_t: nanoseconds, "250ms", "1h30m" */
    CLI_REAL,     /* double */
} cli_type;

typedef struct cli_texts {
    const char **items; /* texts of the command line */
    size_t count;
} cli_texts;

static inline bool cli_type_is_many(cli_type type)
{
    return type == CLI_TEXTS || type == CLI_FILES;
}

/* A flag. Tables end with one that has no name. */
typedef struct cli_flag {
    const char *name;
    char letter;          /* -x; 0: none */
    cli_type type;        /* of the member */
    const char *value;    /* what --help calls it: "FILE"; NULL for switches */
    const char *help;     /* a sentence without its full stop */
    size_t offset;        /* of the member: offsetof() */
    const char *fallback; /* read if the flag is not given; NULL: the member stays zero */
    int64_t min, max;     /* of whole numbers, sizes, durations; max 0: no limit above */
    const char *choices;  /* separated by '|' */
    const char *variable; /* of the environment, that stands in for the flag */
} cli_flag;

/* An argument that has no name on the command line; tables end with one that has no name here. */
typedef struct cli_argument {
    const char *name; /* "SUBJECT" */
    cli_type type;    /* any but CLI_SWITCH */
    bool optional;    /* those that follow are, too */
    const char *help;
    size_t offset;
    int64_t min, max;
    const char *choices;
} cli_argument;

typedef struct cli_example {
    const char *line; /* as typed, run by tests */
    const char *help;
} cli_example;

struct cli_command;
struct cli_globals;

/* A command line that has been read. */
typedef struct cli_call {
    const struct cli_command *command;
    char name[64]; /* "context add": as it was found, without "pipit" */
    const struct cli_globals *globals;
    const void *options; /* command->options_bytes of them */
} cli_call;

typedef struct cli_command {
    const char *name;
    const char *aliases; /* other names, separated by blanks; NULL: none */
    const char *help;    /* one line */
    const char *page;    /* of the manual, behind "pipit-"; NULL: the name */
    const char *text;    /* paragraphs for --help and the manual; NULL: none */
    const cli_flag *flags;
    const cli_argument *arguments;
    const cli_example *examples;               /* ends with one that has no line */
    const struct cli_command *const *commands; /* below this one, to NULL; then it does not run */
    size_t options_bytes;
    bool offline; /* connects to no server: of the global flags only --json and --help mean anything
                   */
    int (*run)(const cli_call *call); /* returns the exit status */
    /* Instead of run: a command that reads its own command line. argv[0] is the command's name as
     * it should be shown. */
    int (*run_raw)(int argc, char **argv);
} cli_command;

/* All of them, to NULL (main.c). */
extern const cli_command *const cli_commands[];

/* Find a command among others by its name, or an alias. */
const cli_command *cli_command_find(const cli_command *const *among, const char *name);

/* fanout.c */
int cli_fanout(int argc, char **argv);
/* t2.c */
int cli_t2(int argc, char **argv);

#endif
