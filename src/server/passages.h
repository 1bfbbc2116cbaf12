/* server/passages.h -- whether the exports and imports of a configuration fit together. */
#ifndef PP_SERVER_PASSAGES_H
#define PP_SERVER_PASSAGES_H

#include "config/diagnostics.h"
#include "config/options.h"

/* Note what is wrong, where it was said. Errors: PIPIT_ENOMEM; what is noted is none. */
pipit_err pp_passages_check(const pp_options *options, pp_diagnostics *diagnostics);

#endif
