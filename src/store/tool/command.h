/* store/tool/command.h -- what pipit-store was told to do, and the commands that do it.
 *
 * Each answers the exit code of the program. Thread: one. */
#ifndef PP_STORE_TOOL_COMMAND_H
#define PP_STORE_TOOL_COMMAND_H

#include "store/check.h"

enum {
    STORE_WHOLE = 0,   /* nothing is damaged; the command was done */
    STORE_DAMAGED = 1, /* something is, or still is */
    STORE_USAGE = 2,   /* the arguments are wrong */
    STORE_FAILED = 3,  /* it could not be looked at: in use, none there, another format, an error */
};

struct store_command {
    struct pp_store_options options; /* dir */
    bool json;
    bool dry_run;
    bool forget_lost;
    bool payloads; /* of dump: whole messages */
    pp_str filter;
    const char *key_file; /* NULL: of the environment, if there is one */
    uint64_t from;        /* of dump: the first sequence */
    uint64_t count;       /* and how many at most */
};

int store_command_check(const struct store_command *command);
int store_command_dump(const struct store_command *command);
int store_command_repair(const struct store_command *command);
int store_command_restore(const struct store_command *command);
int store_command_snapshot(const struct store_command *command);
int store_command_stats(const struct store_command *command);

/* Say why it could not be done; answers STORE_FAILED. */
int store_command_failed(const struct store_command *command, pipit_err err, const char *why);
/* One finding on standard output, in the command's form. what: NULL, or what is done about it. */
void store_command_print(const struct store_command *command, const struct pp_finding *finding,
                         const char *what);

#endif
