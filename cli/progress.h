/* cli/progress.h -- a bar on standard error, with the rate and the time that is left; nothing if
 * that is no terminal. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_progress {
    const char *title;
    uint64_t goal; /* 0: unknown */
    int64_t begun_ns, shown_ns;
    uint64_t before; /* when it was shown last */
    bool wanted, drawn;
} cli_progress;

void cli_progress_begin(cli_progress *progress, const char *title, uint64_t goal, bool wanted);
void cli_progress_show(cli_progress *progress, uint64_t done);
void cli_progress_end(cli_progress *progress); /* takes the bar away */

#endif
