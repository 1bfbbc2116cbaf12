#include "auth/xkey.h"

#include <assert.h>
#include <sodium.h>

#define MARK "xkv1"

enum { MARK_BYTES = sizeof(MARK) - 1 };

static_assert(crypto_box_NONCEBYTES == PP_XKEY_NONCE_BYTES &&
                  crypto_box_SEEDBYTES == PP_NKEY_RAW_BYTES &&
                  crypto_box_PUBLICKEYBYTES == PP_NKEY_RAW_BYTES &&
                  MARK_BYTES + crypto_box_NONCEBYTES + crypto_box_MACBYTES == PP_XKEY_EXTRA_BYTES,
              "a box is NaCl's");

void pp_xkey_new(uint8_t out_seed[PP_NKEY_RAW_BYTES], uint8_t out_key[PP_NKEY_RAW_BYTES])
{
    randombytes_buf(out_seed, PP_NKEY_RAW_BYTES);
    pp_nkey_public(PP_NKEY_CURVE, out_seed, out_key);
}

pipit_err pp_xkey_seal_with(const uint8_t seed[PP_NKEY_RAW_BYTES],
                            const uint8_t key[PP_NKEY_RAW_BYTES],
                            const uint8_t nonce[PP_XKEY_NONCE_BYTES], pp_str message, pp_buf *out)
{
    pipit_err err = pp_buf_reserve(out, PP_XKEY_EXTRA_BYTES + message.len);
    uint8_t *to;

    if (err)
        return err;
    to = (uint8_t *)out->ptr + out->len;
    memcpy(to, MARK, MARK_BYTES);
    memcpy(to + MARK_BYTES, nonce, PP_XKEY_NONCE_BYTES);
    /* The seed is the scalar itself, as NATS has it: not hashed first. */
    if (crypto_box_easy(to + MARK_BYTES + PP_XKEY_NONCE_BYTES, (const uint8_t *)message.ptr,
                        message.len, nonce, key, seed) != 0)
        return PIPIT_EINVAL;
    out->len += PP_XKEY_EXTRA_BYTES + message.len;
    return PIPIT_OK;
}

pipit_err pp_xkey_seal(const uint8_t seed[PP_NKEY_RAW_BYTES], const uint8_t key[PP_NKEY_RAW_BYTES],
                       pp_str message, pp_buf *out)
{
    uint8_t nonce[PP_XKEY_NONCE_BYTES];

    randombytes_buf(nonce, sizeof(nonce));
    return pp_xkey_seal_with(seed, key, nonce, message, out);
}

pipit_err pp_xkey_open(const uint8_t seed[PP_NKEY_RAW_BYTES], const uint8_t key[PP_NKEY_RAW_BYTES],
                       pp_str box, pp_buf *out)
{
    const uint8_t *nonce = (const uint8_t *)box.ptr + MARK_BYTES;
    size_t sealed_len = box.len - MARK_BYTES - PP_XKEY_NONCE_BYTES;
    pipit_err err;

    if (box.len < PP_XKEY_EXTRA_BYTES || memcmp(box.ptr, MARK, MARK_BYTES) != 0)
        return PIPIT_EINVAL;
    err = pp_buf_reserve(out, box.len - PP_XKEY_EXTRA_BYTES + 1);
    if (err)
        return err;
    if (crypto_box_open_easy((uint8_t *)out->ptr + out->len, nonce + PP_XKEY_NONCE_BYTES,
                             sealed_len, nonce, key, seed) != 0)
        return PIPIT_EINVAL;
    out->len += box.len - PP_XKEY_EXTRA_BYTES;
    return PIPIT_OK;
}
