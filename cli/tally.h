/* cli/tally.h -- how often each subject has been seen, for `sub --report-subjects`. */
#ifndef CLI_TALLY_H
#define CLI_TALLY_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct cli_tally cli_tally;

/* Owner: the caller, for cli_tally_free. */
cli_tally *cli_tally_new(void);
void cli_tally_free(cli_tally *tally);

/* Beyond 100,000 subjects, further ones are counted together. */
void cli_tally_count(cli_tally *tally, const char *subject, size_t subject_bytes,
                     size_t message_bytes);

/* The most frequent ones, most first. */
void cli_tally_show(cli_tally *tally, size_t top, FILE *out);
json_t *cli_tally_json(cli_tally *tally, size_t top);

#endif
