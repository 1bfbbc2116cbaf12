#include "config/secret.h"

#include <string.h>

bool pp_secret_is_bcrypt(pp_str text)
{
    return text.len >= 7 && pp_str_starts(text, PP_STR("$2")) && text.ptr[2] &&
           strchr("abxy", text.ptr[2]) && text.ptr[3] == '$' && text.ptr[4] >= '0' &&
           text.ptr[4] <= '9' && text.ptr[5] >= '0' && text.ptr[5] <= '9' && text.ptr[6] == '$';
}
