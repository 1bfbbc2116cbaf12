/* config/document.h -- a configuration file that was read, with all it includes: the tree of its
 * values and the digest that names its content. It owns every value, text and file name in it; it
 * is immutable, and its memory is wiped when it goes, since passwords are among what it holds. */
#ifndef PP_CONFIG_DOCUMENT_H
#define PP_CONFIG_DOCUMENT_H

#include "base/err.h"
#include "base/str.h"
#include "config/diagnostics.h"
#include "config/value.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pp_document pp_document;

/* What a document may need; 0 stands for the default. */
typedef struct pp_document_limits {
    /* Of all files together, of the values made of them, and of these again if each use of a
     * variable were written out: each at most this. Default 64 MiB, at most 2 GiB. */
    size_t bytes_max;
    uint32_t depth_max;         /* maps and arrays inside each other, variables written out; 100 */
    uint32_t include_depth_max; /* files inside each other, and variables of the environment; 32 */
} pp_document_limits;

/* Read a file, and what it includes relative to its own folder. On any error there is one in d,
 * with the place; a document without any values makes a warning.
 *
 * Thread: any, as long as none changes the environment.
 * Errors: PIPIT_EINVAL, not in the language; PIPIT_ETOOBIG, over a limit; PIPIT_ENOMEM; what
 * opening and reading the file can answer. */
pipit_err pp_document_read_file(pp_document **out, const char *path, pp_diagnostics *d);

/* The same for a text: name stands in messages for the file. include_dir NULL refuses includes. */
pipit_err pp_document_read_text(pp_document **out, pp_str text, const char *name,
                                const char *include_dir, pp_diagnostics *d);

/* The same within stated limits. */
pipit_err pp_document_read_file_within(pp_document **out, const char *path,
                                       const pp_document_limits *limits, pp_diagnostics *d);
pipit_err pp_document_read_text_within(pp_document **out, pp_str text, const char *name,
                                       const char *include_dir, const pp_document_limits *limits,
                                       pp_diagnostics *d);

void pp_document_free(pp_document *document);

/* The outermost map. */
const pp_value *pp_document_root(const pp_document *document);

/* "sha256:" and 64 hexadecimal digits, the same as nats-server computes. */
const char *pp_document_digest(const pp_document *document);

#endif
