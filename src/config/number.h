/* config/number.h -- numbers and dates of the configuration language, from text and to the text
 * that JSON gives them. Independent of the process's locale. */
#ifndef PP_CONFIG_NUMBER_H
#define PP_CONFIG_NUMBER_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { PP_REAL_TEXT_MAX = 32 };

/* Read "[-]digits[suffix]": k m g t p e are powers of 1000; with b, i or ib behind, of 1024.
 * Errors: PIPIT_EINVAL no such suffix; PIPIT_ETOOBIG over 64 bits, the suffix included. */
pipit_err pp_integer_parse(pp_str text, int64_t *out);

/* Read "[-]digits.digits". Errors: PIPIT_EINVAL; PIPIT_ETOOBIG over what a double holds. */
pipit_err pp_real_parse(pp_str text, double *out);

/* Write the fewest digits that read back as the same number, as JSON in Go does: with an exponent
 * below 1e-6 and from 1e21 on. Returns the length; no NUL. */
size_t pp_real_format(double real, char out[PP_REAL_TEXT_MAX]);

/* Read "YYYY-MM-DDTHH:MM:SSZ" as seconds since the epoch. Errors: PIPIT_EINVAL no such moment. */
pipit_err pp_date_parse(pp_str text, int64_t *out_s);

#endif
