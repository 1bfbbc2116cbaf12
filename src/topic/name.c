#include "topic/name.h"

#include "base/hash.h"
#include "core/token.h"

#include <stdio.h>

#define PREFIX_BYTES (sizeof(PP_TOPIC_SUBJECT_PREFIX) - 1)
#define SHORT_FILE "topic-"
#define LONG_FILE "long-"

/* What stands for the topic without a name: no text has this token. */
static const pp_str nameless = {"%", 1};

size_t pp_topic_subject(pp_str name, char *out)
{
    memcpy(out, PP_TOPIC_SUBJECT_PREFIX, PREFIX_BYTES);
    if (name.len)
        return PREFIX_BYTES + pp_token_escape(name, out + PREFIX_BYTES);
    memcpy(out + PREFIX_BYTES, nameless.ptr, nameless.len);
    return PREFIX_BYTES + nameless.len;
}

bool pp_topic_of_subject(pp_str subject, char *out, size_t *out_len)
{
    pp_str token;

    if (!pp_str_starts(subject, PP_STR(PP_TOPIC_SUBJECT_PREFIX)))
        return false;
    token = (pp_str){subject.ptr + PREFIX_BYTES, subject.len - PREFIX_BYTES};
    if (!pp_str_eq(token, nameless))
        return pp_token_unescape(token, out, out_len);
    *out_len = 0;
    return true;
}

bool pp_topic_file(pp_str name, char out[PP_TOPIC_FILE_BYTES])
{
    enum { TOKEN_MAX = PP_TOPIC_FILE_BYTES - sizeof(SHORT_FILE) };
    char token[PP_TOKEN_BYTES(TOKEN_MAX)];
    size_t len = name.len <= TOKEN_MAX ? pp_token_escape(name, token) : 0, used;
    XXH128_hash_t hash;

    memcpy(out, SHORT_FILE, sizeof(SHORT_FILE));
    used = sizeof(SHORT_FILE) - 1;
    for (size_t i = 0; i < len && used < PP_TOPIC_FILE_BYTES - 2; i++) {
        out[used++] = token[i] == '/' ? '%' : token[i];
        if (token[i] == '/')
            out[used++] = '-';
    }
    out[used] = '\0';
    if ((len || !name.len) && used < PP_TOPIC_FILE_BYTES - 2)
        return false;
    hash = XXH3_128bits(name.ptr, name.len);
    (void)snprintf(out, PP_TOPIC_FILE_BYTES, LONG_FILE "%016llx%016llx",
                   (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return true;
}

bool pp_topic_of_file(pp_str file, char out[PP_TOPIC_FILE_BYTES], size_t *out_len)
{
    char token[PP_TOPIC_FILE_BYTES];
    size_t len = 0;

    if (!pp_str_starts(file, PP_STR(SHORT_FILE)) || file.len >= PP_TOPIC_FILE_BYTES)
        return false;
    for (size_t i = sizeof(SHORT_FILE) - 1; i < file.len; i++) {
        bool slash = file.ptr[i] == '%' && i + 1 < file.len && file.ptr[i + 1] == '-';

        token[len++] = slash ? '/' : file.ptr[i];
        i += slash;
    }
    *out_len = 0;
    return len == 0 || pp_token_unescape((pp_str){token, len}, out, out_len);
}
