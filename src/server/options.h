/* server/options.h -- from a command line, and the configuration file that it names, to options. */
#ifndef PP_SERVER_OPTIONS_H
#define PP_SERVER_OPTIONS_H

#include "base/buf.h"
#include "base/err.h"
#include "config/options.h"

/* How far message has to be able to grow. */
enum { PP_OPTIONS_MESSAGE_MAX = 512 * 1024 };

/**
 * Read a command line, argv[0] aside: its flags over the file that -c names over the defaults.
 *
 * A server keeps a copy of its command line and calls this again to reload, so that flags win over
 * the file then, too.
 *
 * On success options is initialised and its action says what to do. message then holds: to RUN,
 * warnings for stderr, if any; to TEST, what to print on stderr, after which the program should
 * exit with 0; for the other actions, the text for stdout. On PIPIT_EINVAL message says for stderr,
 * in one line or one for each mistake in the file, what is wrong and what to do; options is
 * untouched and the program should exit with 1. Under TEST warnings count as mistakes.
 *
 * The values of secret flags are wiped from argv, where `ps` would show them.
 *
 * Errors: PIPIT_EINVAL, PIPIT_ENOMEM, and PIPIT_ETOOBIG if message may not grow.
 * Source: NATS configuration, section 1. Where the reference prints its usage and exits with 0, a
 *         wrong flag is an error here; -t also checks what only a start would find there.
 */
pipit_err pp_options_parse(pp_options *options, int argc, char **argv, pp_buf *message);

/* The same with the text of a configuration in the place of a file; ptr NULL: there is none. Files
 * cannot be included there. */
pipit_err pp_options_parse_text(pp_options *options, int argc, char **argv, pp_str text,
                                pp_buf *message);

#endif
