/* config/build.h -- what the making of one document shares over all of its files. */
#ifndef PP_CONFIG_BUILD_H
#define PP_CONFIG_BUILD_H

#include "base/err.h"
#include "config/arena.h"
#include "config/document.h"
#include "config/failure.h"
#include "config/node.h"
#include "config/scope.h"
#include "config/source.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pp_config_build {
    pp_arena arena;
    pp_document_limits limits; /* none is 0 */
    pp_config_failure failure;
    pp_config_scope_pile pile; /* entries of open maps */
    pp_value **items;          /* elements of open arrays, those of the innermost on top */
    size_t item_count, item_cap;
    size_t source_bytes;                     /* of all files read */
    const pp_config_source *reading;         /* the innermost file; NULL: a text */
    const struct pp_variable_use *resolving; /* the innermost variable of the environment */
} pp_config_build;

void pp_config_build_init(pp_config_build *build, const pp_document_limits *limits);
/* Free all but the arena, which the document keeps. */
void pp_config_build_fini(pp_config_build *build);

/* Put an element on the pile of items. */
pipit_err pp_config_build_push_item(pp_config_build *build, pp_value *item);
/* Move the items above first into node, an array. */
pipit_err pp_config_build_close_array(pp_config_build *build, size_t first, pp_config_node *node);

#endif
