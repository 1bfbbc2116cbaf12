/* config/t2.h -- where a T2 Bus listens: "tcp:127.0.0.1:4242", "unix:/run/t2.sock". */
#ifndef PP_CONFIG_T2_H
#define PP_CONFIG_T2_H

#include "config/options.h"

enum { PP_T2_LISTENS_MAX = 16 };

/* Read one; what it keeps is copied to arena. False: it is none, or *out_err says PIPIT_ENOMEM. */
bool pp_t2_listen_parse(pp_arena *arena, pp_str text, pp_t2_listen_option *out, pipit_err *out_err);

#endif
