/* t2/data.h -- the bytes of a payload, which on a wire of the T2 Bus are an array of numbers.
 *
 * A byte below 24 takes one byte there, any other two. Most payloads are only passed on and never
 * decoded, but what does not decode must not be, so all are looked at. */
#ifndef PP_T2_DATA_H
#define PP_T2_DATA_H

#include "base/str.h"

#include <stdbool.h>

/* Is what rest begins with count bytes, each in its shortest form? *out_len: how much they take. */
bool pp_t2_data_check(pp_str rest, uint64_t count, size_t *out_len);

/* Decode what has been checked; out has room for as many bytes as there are. Returns how many. */
size_t pp_t2_data_decode(pp_str elements, char *out);

/* How much bytes will take. */
size_t pp_t2_data_encoded_len(pp_str bytes);

/* Encode them; returns how much they take. */
size_t pp_t2_data_encode(pp_str bytes, char *out);

#endif
