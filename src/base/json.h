/* base/json.h -- writing JSON text, as the reference's clients and tools expect it to look.
 *
 * A writer appends to a buffer; the first failure sticks and is asked for at the end, so that
 * fields need not look at each. Keys are literals of this program and are not escaped; values may
 * hold any bytes. A value with a key stands in an object, one with NULL in an array or alone.
 *
 * Source of the form: Go's encoding/json, which the reference uses: < > & as \u003c..., bytes that
 * are not UTF-8 as \ufffd, floats in their shortest form, empty objects and arrays as {} and []. */
#ifndef PP_BASE_JSON_H
#define PP_BASE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { PP_JSON_DEPTH_MAX = 63 };

typedef struct pp_json {
    pp_buf *out;
    unsigned indent; /* blanks per level; 0: compact, all in one line */
    unsigned depth;
    uint64_t used; /* bit n: level n has a value already */
    pipit_err err;
} pp_json;

void pp_json_init(pp_json *json, pp_buf *out, unsigned indent);
/* What went wrong, if anything; out holds no whole JSON then. All levels must have been ended. */
pipit_err pp_json_finish(pp_json *json);

void pp_json_begin_object(pp_json *json, const char *key);
void pp_json_end_object(pp_json *json);
void pp_json_begin_array(pp_json *json, const char *key);
void pp_json_end_array(pp_json *json);
/* The same and text, for a key that is not this program's. */
void pp_json_begin_object_at(pp_json *json, pp_str key);
void pp_json_begin_array_at(pp_json *json, pp_str key);
void pp_json_text_at(pp_json *json, pp_str key, pp_str value);

void pp_json_text(pp_json *json, const char *key, pp_str value);
void pp_json_u64(pp_json *json, const char *key, uint64_t value);
void pp_json_i64(pp_json *json, const char *key, int64_t value);
void pp_json_f64(pp_json *json, const char *key, double value); /* finite */
void pp_json_bool(pp_json *json, const char *key, bool value);
void pp_json_null(pp_json *json, const char *key);
/* A value that is JSON text already. */
void pp_json_raw(pp_json *json, const char *key, pp_str text);
/* Nanoseconds since the epoch as RFC 3339 in UTC, without trailing zeros of the fraction. */
void pp_json_time(pp_json *json, const char *key, int64_t wall_ns);

/* --- the parts ---------------------------------------------------------------------------- */

/* Append text as a JSON string, with its quotes. Errors: those of pp_buf_add. */
pipit_err pp_json_quote(pp_buf *out, pp_str text);

enum { PP_TIME_TEXT_BYTES = 40 };
/* What pp_json_time writes, without quotes, and a NUL; returns its length. */
size_t pp_time_format(char out[PP_TIME_TEXT_BYTES], int64_t wall_ns);

#endif
