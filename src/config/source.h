/* config/source.h -- the text of one configuration file, while it is read. */
#ifndef PP_CONFIG_SOURCE_H
#define PP_CONFIG_SOURCE_H

#include "base/err.h"
#include "base/str.h"
#include "config/arena.h"

#include <stddef.h>
#include <sys/types.h>

typedef struct pp_config_source {
    char *text; /* wiped when closed */
    size_t len, cap;
    dev_t device; /* with inode: which file this is */
    ino_t inode;
    const char *failed_call;              /* what the system refused: "open", "read" */
    const char *failed_why;               /* in English; constant */
    const struct pp_config_source *outer; /* the file that includes this one */
} pp_config_source;

/* Read the whole file, at most max_bytes. Pipes are fine: a configuration may come from one.
 * After an error only failed_call and failed_why may be looked at, NULL where no call has failed.
 * Errors: PIPIT_ETOOBIG, PIPIT_ENOMEM, those of open and read. */
pipit_err pp_config_source_open(pp_config_source *source, const char *path, size_t max_bytes);
void pp_config_source_close(pp_config_source *source);

/* The folder that holds a file, by its name: "." where there is none in it. */
pipit_err pp_config_source_folder(pp_arena *arena, const char *path, pp_str *out);

/* The name of a file as written in an include, behind its folder: an absolute name too. "." and
 * ".." are resolved by name alone, without asking for links. */
pipit_err pp_config_source_join(pp_arena *arena, pp_str folder, pp_str name, pp_str *out);

#endif
