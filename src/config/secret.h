/* config/secret.h -- what can be told of a secret by looking at it. */
#ifndef PP_CONFIG_SECRET_H
#define PP_CONFIG_SECRET_H

#include "base/str.h"

#include <stdbool.h>

/* Is text a bcrypt hash? Source: NATS authentication, section 2: ^\$2[abxy]\$\d{2}\$.* */
bool pp_secret_is_bcrypt(pp_str text);

#endif
