/* cli/command.h -- a command of the tool: `pipit NAME ...`. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

/* What the tool ends with when it is not called as it should be. */
enum { CLI_USAGE = 2 };

typedef struct cli_command {
    const char *name;
    const char *help; /* one line */
    /* argv[0] is the command's name, as it should be shown. Returns the exit status. */
    int (*run)(int argc, char **argv);
} cli_command;

/* fanout.c */
int cli_fanout(int argc, char **argv);
/* t2.c */
int cli_t2(int argc, char **argv);

#endif
