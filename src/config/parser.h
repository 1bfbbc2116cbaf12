/* config/parser.h -- the grammar of the configuration language: what follows what in one text.
 *
 * A document is one map, its braces may be left out. Inside of a map and of an array new lines
 * separate; outside they also end a key that has no value yet.
 *
 * Source: nats-server 2.15, observed. Where it takes a text apart in ways that lose part of it,
 * such a text is refused here: a '/' that begins no comment, a key without value before a '}', a
 * quote that the end of the file leaves open, a size suffix that is none, a NUL. */
#ifndef PP_CONFIG_PARSER_H
#define PP_CONFIG_PARSER_H

#include "base/err.h"
#include "base/str.h"
#include "config/build.h"
#include "config/lexer.h"
#include "config/node.h"
#include "config/scope.h"

#include <stdint.h>

typedef struct pp_parser {
    pp_config_build *build;
    pp_lexer lexer;
    const char *include_dir; /* NULL: no includes */
    pp_config_scope *scope;  /* the innermost open map */
    uint32_t depth;          /* maps and arrays around, those of including files too */
    pp_str key;              /* the innermost that is being given a value */
} pp_parser;

/* Read a whole text as a map. file and include_dir outlive the document's values; depth is how
 * many maps and arrays this one will stand in. On an error the build's failure is stated. */
pipit_err pp_parser_read(pp_config_build *build, const char *file, pp_str text,
                         const char *include_dir, uint32_t depth, pp_config_node **out);

/* Read a text that begins with a value and may go on as a map does; answers the value. key is
 * what is given this value. */
pipit_err pp_parser_read_value(pp_config_build *build, const char *name, pp_str text, pp_str key,
                               uint32_t depth, pp_config_node **out);

/* Give the innermost open map an entry. key is in the arena. */
pipit_err pp_parser_set(pp_parser *parser, pp_entry entry);

/* Check that a node can hang depth deep. PIPIT_ETOOBIG, with the failure stated at a place. */
pipit_err pp_parser_check_height(pp_parser *parser, const pp_config_node *node, const char *at);

#endif
