/* server/ports_file.h -- the file that tells which URLs are listened on, for who started the server
 * on any free port.
 *
 *   {"nats":["nats://127.0.0.1:4222","nats://[::1]:4222"]}
 *
 * Source: NATS configuration, section 6. A listener on all addresses is given once for each address
 * that leads to it; link-local ones, which mean nothing without their interface, are left out. */
#ifndef PP_SERVER_PORTS_FILE_H
#define PP_SERVER_PORTS_FILE_H

#include "base/err.h"

#include <limits.h>
#include <stddef.h>

typedef struct pp_ports_entry {
    const char *key;    /* "nats" */
    const char *scheme; /* "nats", "tls" */
    int fd;             /* a TCP socket that listens; -1: there is none */
} pp_ports_entry;

typedef struct pp_ports_file {
    char path[PATH_MAX]; /* empty: there is none */
} pp_ports_file;

/* Write folder/PROGRAM_PID.ports, whole or not at all. file->path is set even if it fails. Sets
 * errno. Errors: PIPIT_ENOMEM; PIPIT_ETOOBIG; as the system says. */
pipit_err pp_ports_file_write(pp_ports_file *file, const char *folder, const char *program,
                              const pp_ports_entry *entries, size_t count);

/* Remove it, if it was written. */
void pp_ports_file_remove(pp_ports_file *file);

#endif
