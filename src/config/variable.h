/* config/variable.h -- "$name" where a value is expected: what it stands for. */
#ifndef PP_CONFIG_VARIABLE_H
#define PP_CONFIG_VARIABLE_H

#include "config/parser.h"

/* Look for name among the keys that the open maps of this file have by now, the innermost map
 * first, then in the environment; make a node of it, at the place of whoever uses it. A text that
 * begins as bcrypt's passwords do is no variable but itself. */
pipit_err pp_variable_resolve(pp_parser *parser, pp_str name, pp_config_position at,
                              pp_config_node **out);

#endif
