/* cli/fetch.h -- pages over HTTP and HTTPS, by libcurl, which is loaded when one is asked for. */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include <stddef.h>
#include <stdint.h>

typedef struct cli_fetch cli_fetch;

enum { CLI_FETCH_WRONG_BYTES = 512 };

/* One connection, kept between pages. tls_ca NULL: the system's. NULL: libcurl is not there, which
 * has been said. Owner: the caller, for cli_fetch_free. */
cli_fetch *cli_fetch_new(int64_t timeout_ns, const char *tls_ca);
void cli_fetch_free(cli_fetch *fetch);

/**
 * Get a page. What it holds is valid until the next one; *out_status is the answer's, 200 if all is
 * well.
 *
 * Returns NULL when there is no answer, and out_wrong says why; texts of the server are not in it.
 */
const char *cli_fetch_get(cli_fetch *fetch, const char *url, size_t *out_bytes, long *out_status,
                          char out_wrong[CLI_FETCH_WRONG_BYTES]);

#endif
