/* config/nearest.h -- "did you mean": the known key that somebody probably wanted to type. */
#ifndef PP_CONFIG_NEAREST_H
#define PP_CONFIG_NEAREST_H

#include "base/str.h"

#include <stddef.h>

/* The known word with the fewest letters added, left out, changed or swapped, whatever their case;
 * the first of several. NULL when none is near: one such slip for each three letters is near. */
const char *pp_nearest(pp_str typed, const char *const *known, size_t count);

#endif
