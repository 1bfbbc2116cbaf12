/* config/include.h -- whole files as parts of a document, and the keyword that asks for them:
 * "include FILE" sets the keys of another file in the map where it stands. That file is read on its
 * own: it sees no variables of the one that includes it. */
#ifndef PP_CONFIG_INCLUDE_H
#define PP_CONFIG_INCLUDE_H

#include "config/parser.h"

#include <stdint.h>

/* Read the name at the cursor, behind the keyword, and the file; set its keys in the innermost
 * open map. at is the keyword's place. */
pipit_err pp_include_read(pp_parser *parser, pp_config_position at);

/* Read the file at path, in the arena, as a map. depth as in pp_parser_read(). */
pipit_err pp_include_read_file(pp_config_build *build, const char *path, uint32_t depth,
                               pp_config_node **out);

#endif
