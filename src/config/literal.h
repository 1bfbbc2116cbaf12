/* config/literal.h -- the value that a scalar of the text stands for, copied and computed. */
#ifndef PP_CONFIG_LITERAL_H
#define PP_CONFIG_LITERAL_H

#include "config/parser.h"
#include "config/scalar.h"

/* Make a node of any scalar but a variable, which the parser's lexer has just read. */
pipit_err pp_literal_make(pp_parser *parser, const pp_scalar *scalar, pp_config_position at,
                          pp_config_node **out);

#endif
