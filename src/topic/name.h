/* topic/name.h -- what a topic is called elsewhere: its subject, and its place on disk.
 *
 * The subject is "mb." and the name as one token (core/token.h); the topic without a name is
 * "mb.%". On disk a topic is a directory: "topic-" and the token, in which "%-" stands for a slash;
 * or, if that is too long for a file's name, "long-" and a hash, with the name in a file beside it.
 * Pure. */
#ifndef PP_TOPIC_NAME_H
#define PP_TOPIC_NAME_H

#include "base/err.h"
#include "base/str.h"

#define PP_TOPIC_SUBJECT_PREFIX "mb."
#define PP_TOPIC_NAME_SUFFIX ".name" /* of the file that holds a long name */

enum {
    PP_TOPIC_NAME_MAX = 65535,
    PP_TOPIC_SUBJECT_MAX = 65535,
    PP_TOPIC_FILE_BYTES = 256, /* of a file's name, with its NUL */
};

/* The most that the subject of a name of so many bytes takes. */
#define PP_TOPIC_SUBJECT_BYTES(name_bytes) (3 * (name_bytes) + 8)

/* Write the subject of a topic to out; returns its length. */
size_t pp_topic_subject(pp_str name, char *out);

/* Write the name of the topic of a subject to out, which has room for as many bytes as subject has.
 * False: it is no topic's. */
bool pp_topic_of_subject(pp_str subject, char *out, size_t *out_len);

/* Write the name of a topic's directory. True: it is a long one, and says nothing of the name. */
bool pp_topic_file(pp_str name, char out[PP_TOPIC_FILE_BYTES]);

/* Write the topic's name of a directory, which is not a long one. False: it is no topic's. */
bool pp_topic_of_file(pp_str file, char out[PP_TOPIC_FILE_BYTES], size_t *out_len);

#endif
