/* server/flag.h -- every flag of the command line, in one table: its names, what its value may be,
 * where the value goes and what --help says. The flags of nats-server whose feature is not here
 * stand in a table of their own, so that they are refused by name rather than as unknown. */
#ifndef PP_SERVER_FLAG_H
#define PP_SERVER_FLAG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "config/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pp_flag_kind {
    PP_FLAG_HEADING, /* stands between flags; help is what it says */
    PP_FLAG_TEXT,
    PP_FLAG_SECRET, /* a text that is wiped from argv */
    PP_FLAG_URL,    /* a text that is wiped from argv if it names a user */
    PP_FLAG_SWITCH,
    PP_FLAG_TRACES,   /* a switch for several: min is a set of PP_FLAG_SETS_... */
    PP_FLAG_COUNT,    /* from min to max */
    PP_FLAG_SIZE,     /* from min to max bytes */
    PP_FLAG_MEMORY,   /* the same, or "none" */
    PP_FLAG_DURATION, /* at least min nanoseconds */
    PP_FLAG_PORT,     /* 0 stands for min */
    PP_FLAG_FILE_MODE,
    PP_FLAG_HOST_AND_PORT,
    PP_FLAG_T2_ADDRESS, /* one of pp_options.t2; may be given again */
    PP_FLAG_WORD,       /* the place among words */
    PP_FLAG_ACTION,     /* a switch; min is the action */
    PP_FLAG_REFERENCE,
    PP_FLAG_DOOR, /* a switch that may say where; the port of pp_options, min: that by default */
} pp_flag_kind;

enum { PP_FLAG_SETS_DEBUG = 1, PP_FLAG_SETS_TRACE = 2, PP_FLAG_SETS_VERBOSE = 4 };

typedef struct pp_flag {
    const char *names; /* without dashes, separated by spaces */
    pp_flag_kind kind;
    size_t offset; /* in pp_options */
    uint64_t min, max;
    const char *value; /* what --help calls the value */
    const char *help;  /* further lines after '\n' */
    const char *words; /* of PP_FLAG_WORD */
} pp_flag;

extern const pp_flag pp_flags[];
extern const size_t pp_flag_count;

typedef struct pp_missing_flag {
    const char *names;
    const char *feature;
    bool is_switch;
} pp_missing_flag;

extern const pp_missing_flag pp_missing_flags[];
extern const size_t pp_missing_flag_count;

/**
 * Put what a command line says, argv[0] aside, over what options hold.
 *
 * Values of secret flags, and URLs that name a user, are wiped from argv if wipe says so. On
 * PIPIT_EINVAL message holds one line that says what is wrong and what to do.
 *
 * Errors: PIPIT_EINVAL, PIPIT_ENOMEM, and PIPIT_ETOOBIG if message may not grow.
 * Source: NATS configuration, sections 1.1 and 1.2.
 */
pipit_err pp_flags_apply(pp_options *options, int argc, char **argv, bool wipe, pp_buf *message);

/* usage.c: what --help says. */
pipit_err pp_flags_format(pp_buf *out);

#endif
