/* pipit/config.h -- configuration files as pipit-server reads them, for who looks at one without
 * starting it. */
#ifndef PIPIT_CONFIG_H
#define PIPIT_CONFIG_H

#include "pipit/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is set, by the file or by default. */
typedef struct pipit_setting {
    const char *name;  /* "max_payload", "websocket.port", "accounts/A/users/bob" */
    const char *value; /* as text; of a secret, or of what holds one, a hash that means nothing */
    bool hashed;
} pipit_setting;

typedef struct pipit_config {
    const char *digest; /* as monitoring shows it: "sha256:..."; "" if it could not be read */
    const char *issues; /* a line for each, "file:line:column: text"; warnings come first */
    size_t error_count, warning_count;
    const pipit_setting *settings; /* by name; none after an error */
    size_t setting_count;
    size_t plain_password_count; /* of users and tokens, that are not hashes */
} pipit_config;

/**
 * Read a file, and all that it includes.
 *
 * A file that is wrong, or not there, is an answer, too: error_count is not 0 then.
 *
 * Owner:  *out_config is the caller's, for pipit_config_free.
 * Thread: any.
 * Errors: PIPIT_ENOMEM; PIPIT_ETOOBIG; PIPIT_EIO libsodium does not start.
 */
PIPIT_API pipit_err pipit_config_read(pipit_config **out_config, const char *path);

/**
 * Tell what a mapping of subjects makes of one: source and destination as a configuration has them.
 *
 * out gets the new subject, or cut to fit what is wrong; a NUL is behind either. subject NULL: only
 * whether the two can be a mapping.
 *
 * Thread: any.
 * Errors: PIPIT_EINVAL source or destination are none; PIPIT_ENOTFOUND the subject does not fall
 * under source, or is none; PIPIT_ETOOBIG, PIPIT_ELIMIT over a limit; PIPIT_ENOMEM.
 */
PIPIT_API pipit_err pipit_mapping_try(const char *source, const char *destination,
                                      const char *subject, char *out, size_t out_bytes);

/** NULL is fine. */
PIPIT_API void pipit_config_free(pipit_config *config);

#ifdef __cplusplus
}
#endif
#endif
