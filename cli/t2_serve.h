/* cli/t2_serve.h -- pipit t2 serve: a server that has a T2 Bus, and NATS for this host only. */
#ifndef CLI_T2_SERVE_H
#define CLI_T2_SERVE_H

enum { CLI_T2_ADDRESSES_MAX = 16 };

/* What is shown and trusted on tls: addresses; NULL: not given. */
struct cli_t2_tls {
    const char *ca, *cert, *key, *name;
};

/* Serve until told to end. NULL, or what was wrong; count is at most CLI_T2_ADDRESSES_MAX. */
const char *cli_t2_serve(int count, char **addresses, const struct cli_t2_tls *tls);

#endif
