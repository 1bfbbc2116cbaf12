/* cli/matches.h -- which request a reply belongs to, for `sub --match-replies`: the last 4096. */
#ifndef CLI_MATCHES_H
#define CLI_MATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cli_matches cli_matches;

/* Owner: the caller, for cli_matches_free. */
cli_matches *cli_matches_new(void);
void cli_matches_free(cli_matches *matches);

/* Request number waits for answers on a subject. */
void cli_matches_ask(cli_matches *matches, const char *reply, size_t reply_bytes, uint64_t number);

/* Whose answer is it? False: nobody's that is known. */
bool cli_matches_find(const cli_matches *matches, const char *subject, size_t subject_bytes,
                      uint64_t *out_number);

#endif
