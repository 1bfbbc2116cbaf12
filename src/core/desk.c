#include "core/desk.h"

#include "base/alloc.h"
#include "base/random.h"

#include <string.h>

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static void write_number(uint64_t number, char *out, size_t len)
{
    while (len) {
        out[--len] = digits[number % 62];
        number /= 62;
    }
}

static bool read_number(const char *text, size_t len, uint64_t *out)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

        if (!digit)
            return false;
        number = number * 62 + (uint64_t)(digit - digits);
    }
    *out = number;
    return true;
}

void pp_desk_write(const pp_desk *desk, uint32_t loop, uint64_t token,
                   char out[PP_DESK_SUBJECT_BYTES])
{
    memcpy(out, "_R_.", 4);
    memcpy(out + 4, desk->tag, PP_DESK_TAG_BYTES);
    out[4 + PP_DESK_TAG_BYTES] = '.';
    write_number(loop, out + 5 + PP_DESK_TAG_BYTES, PP_DESK_LOOP_BYTES);
    write_number(token, out + 5 + PP_DESK_TAG_BYTES + PP_DESK_LOOP_BYTES, PP_DESK_TOKEN_BYTES);
}

bool pp_desk_read(const pp_desk *desk, pp_str subject, uint32_t *out_loop, uint64_t *out_token)
{
    const char *at = subject.ptr + 4;
    uint64_t loop;

    if (!pp_desk_takes(subject) || memcmp(at, desk->tag, PP_DESK_TAG_BYTES) != 0 ||
        at[PP_DESK_TAG_BYTES] != '.')
        return false;
    at += PP_DESK_TAG_BYTES + 1;
    if (!read_number(at, PP_DESK_LOOP_BYTES, &loop) ||
        !read_number(at + PP_DESK_LOOP_BYTES, PP_DESK_TOKEN_BYTES, out_token))
        return false;
    *out_loop = (uint32_t)loop;
    return true;
}

static pp_desk *make(pp_account *account)
{
    pp_desk *desk = pp_calloc(1, sizeof(*desk));

    if (!desk)
        return NULL;
    desk->client.ops = &pp_desk_ops;
    desk->account = account;
    desk->sub = pp_sub_new(&desk->client, PP_STR(""), PP_STR(""));
    if (!desk->sub) {
        pp_free(desk);
        return NULL;
    }
    write_number(pp_random_seed() % PP_DESK_TOKENS, desk->tag, PP_DESK_TAG_BYTES);
    return desk;
}

pp_desk *pp_desk_of(pp_account *account)
{
    pp_desk *desk = atomic_load_explicit(&account->desk, memory_order_acquire);
    pp_desk *others = NULL;

    if (desk)
        return desk;
    desk = make(account);
    if (!desk)
        return NULL;
    if (!atomic_compare_exchange_strong(&account->desk, &others, desk)) {
        pp_desk_free(desk); /* another loop was first */
        return others;
    }
    pp_sublist_touch_all(account->subs); /* somebody may have published to such a subject */
    return desk;
}

void pp_desk_free(pp_desk *desk)
{
    if (!desk)
        return;
    pp_sub_free(desk->sub);
    pp_free(desk);
}
