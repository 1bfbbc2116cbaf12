#include "proto/nats/reader.h"

#include "base/assert.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    ARGS_MAX = 5,
    BARE_MAX = 512, /* more behind PING, PONG or +OK is not kept until its LF comes */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* --- the usual publish -------------------------------------------------------------------- */

/* The first byte at or after p that is a blank or a control character; NULL: not within reach. */
static inline const char *token_end(const char *p, const char *end)
{
#if defined(__SSE2__)
    const __m128i blank = _mm_set1_epi8(' ');

    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, blank), bytes));

        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    for (; p < end; p++) {
        if ((unsigned char)*p <= ' ')
            return p;
    }
    return NULL;
}

/* Digits from p on up to a byte that is none; NULL: none, or too many. */
static inline const char *parse_size(const char *p, const char *end, uint32_t *out_value)
{
    const char *start = p;
    uint32_t value = 0;

    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';

        if (digit > 9)
            break;
        if (p - start == PP_NATS_SIZE_DIGITS_MAX)
            return NULL;
        value = value * 10 + digit;
    }
    *out_value = value;
    return p == start ? NULL : p;
}

/* Are the first len bytes the same? Both can be read from in steps of 16. */
static inline bool same_line(const char *a, const char *b, size_t len)
{
#if defined(__SSE2__)
    for (size_t i = 0; i < len; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + i));
        __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + i));
        unsigned differ = 0xffff & ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));

        if (len - i < 16)
            differ &= (1u << (len - i)) - 1;
        if (differ)
            return false;
    }
    return true;
#else
    return memcmp(a, b, len) == 0;
#endif
}

/* Does the last line stand at the front again, with a payload that ends where it should? */
static inline __attribute__((always_inline)) bool repeats(const pp_nats_memo *memo, pp_str window)
{
    size_t end = (size_t)memo->len + memo->size;

    return memo->len && window.len >= memo->need && same_line(window.ptr, memo->line, memo->len) &&
           window.ptr[end] == '\r' && window.ptr[end + 1] == '\n';
}

static inline bool read_repeated(const pp_nats_memo *memo, pp_str window, pp_nats_op *op,
                                 size_t *out_used)
{
    const char *p = window.ptr;

    if (!repeats(memo, window))
        return false;
    op->verb = PP_NATS_PUB;
    op->repeats = true;
    op->msg.subject = (pp_str){p + 4, memo->subject_len};
    op->msg.wire = (pp_str){p + 5 + memo->subject_len, memo->wire_len};
    op->msg.reply = (pp_str){op->msg.wire.ptr, memo->reply_len};
    op->msg.data = (pp_str){p + memo->len, memo->size};
    op->msg.header_len = 0;
    *out_used = memo->len + memo->size + 2;
    return true;
}

size_t pp_nats_read_repeats(const pp_nats_reader *r, pp_str window, size_t *out_used)
{
    const pp_nats_memo *memo = r->memo;
    size_t count = 0, each = memo ? (size_t)memo->len + memo->size + 2 : 0;

    while (memo && repeats(memo, (pp_str){window.ptr + count * each, window.len - count * each}))
        count++;
    *out_used = count * each;
    return count;
}

static inline void remember(pp_nats_memo *memo, const char *line, size_t len, const pp_msg *msg)
{
    memo->len = 0;
    if (len > PP_NATS_MEMO_MAX)
        return;
    memcpy(memo->line, line, len);
    memo->len = (uint32_t)len;
    memo->size = (uint32_t)msg->data.len;
    memo->subject_len = (uint32_t)msg->subject.len;
    memo->reply_len = (uint32_t)msg->reply.len;
    memo->wire_len = (uint32_t)msg->wire.len;
    memo->need = len + msg->data.len + 2;
    if (memo->need < PP_NATS_MEMO_MAX)
        memo->need = PP_NATS_MEMO_MAX;
}

bool pp_nats_read_plain(pp_nats_reader *r, pp_str window, pp_nats_op *out_op, size_t *out_used)
{
    const char *p = window.ptr, *end = p + window.len, *subject, *subject_end, *args, *line_end;
    pp_msg *msg = &out_op->msg;
    uint32_t size;

    if (r->memo && read_repeated(r->memo, window, out_op, out_used))
        return true;
    if (window.len < 12 || memcmp(p, "PUB ", 4) != 0)
        return false;
    subject = p + 4;
    subject_end = token_end(subject, end);
    if (!subject_end || subject_end == subject || *subject_end != ' ')
        return false;
    args = subject_end + 1;
    msg->reply = (pp_str){args, 0};
    line_end = parse_size(args, end, &size);
    if (!line_end || line_end == end || *line_end != '\r') {
        /* Not a size alone: a reply before it. */
        const char *reply_end = token_end(args, end);

        if (!reply_end || reply_end == args || *reply_end != ' ')
            return false;
        msg->reply.len = (size_t)(reply_end - args);
        line_end = parse_size(reply_end + 1, end, &size);
        if (!line_end || line_end == end || *line_end != '\r')
            return false;
    }
    if (end - line_end < 2 || line_end[1] != '\n' || (size_t)(line_end - subject) > r->line_max ||
        (r->payload_max >= 0 && size > r->payload_max))
        return false;
    line_end += 2;
    if ((size_t)(end - line_end) < (size_t)size + 2 || line_end[size] != '\r' ||
        line_end[size + 1] != '\n')
        return false;
    out_op->verb = PP_NATS_PUB;
    out_op->repeats = false;
    msg->subject = (pp_str){subject, (size_t)(subject_end - subject)};
    msg->wire = (pp_str){args, (size_t)(line_end - args)};
    msg->data = (pp_str){line_end, size};
    msg->header_len = 0;
    *out_used = (size_t)(line_end - p) + size + 2;
    if (r->memo)
        remember(r->memo, p, (size_t)(line_end - p), msg);
    return true;
}

/* --- everything else ---------------------------------------------------------------------- */

struct verb {
    const char *name;
    uint8_t len;
    uint8_t verb; /* pp_nats_verb */
    enum { BLANK_NEEDED, TEXT, NOTHING_NEEDED } after;
};

/* No two share their first two letters, but for PUB, PING and PONG, which are told apart in the
 * order in which they stand here. */
static const struct verb verbs[] = {
    {"SUB", 3, PP_NATS_SUB, BLANK_NEEDED},     {"UNSUB", 5, PP_NATS_UNSUB, BLANK_NEEDED},
    {"HPUB", 4, PP_NATS_HPUB, BLANK_NEEDED},   {"PUB", 3, PP_NATS_PUB, BLANK_NEEDED},
    {"PING", 4, PP_NATS_PING, NOTHING_NEEDED}, {"PONG", 4, PP_NATS_PONG, NOTHING_NEEDED},
    {"+OK", 3, PP_NATS_OK, NOTHING_NEEDED},    {"CONNECT", 7, PP_NATS_CONNECT, TEXT},
    {"-ERR", 4, PP_NATS_ERR, BLANK_NEEDED},    {"INFO", 4, PP_NATS_INFO, TEXT},
};

static size_t same_letters(pp_str window, const struct verb *verb)
{
    size_t n = 0;

    while (n < window.len && n < verb->len) {
        char c = window.ptr[n];

        if (c != verb->name[n] && (c < 'a' || c > 'z' || c - ('a' - 'A') != verb->name[n]))
            break;
        n++;
    }
    return n;
}

/* Which verb stands at the front? Refuses as soon as no verb can. */
static pipit_err read_verb(pp_str window, const struct verb **out_verb)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const struct verb *verb = &verbs[i];
        size_t same = same_letters(window, verb);

        if (same == verb->len) {
            if (verb->after == BLANK_NEEDED && window.len > same && !is_blank(window.ptr[same]))
                return PIPIT_EPROTO;
            *out_verb = verb;
            return PIPIT_OK;
        }
        if (same == window.len)
            return PIPIT_EAGAIN;
    }
    return PIPIT_EPROTO;
}

/* The line without its end. A CR that is not before LF is no part of any line. */
static pipit_err find_line(pp_nats_reader *r, pp_str window, size_t verb_len, pp_str *out_line,
                           size_t *out_used)
{
    const char *lf = window.len > r->scanned
                         ? memchr(window.ptr + r->scanned, '\n', window.len - r->scanned)
                         : NULL;
    size_t len = lf ? (size_t)(lf - window.ptr) : window.len;
    size_t args = verb_len;

    *out_used = len + 1;
    if (lf && len > 0 && window.ptr[len - 1] == '\r')
        len--;
    while (args < len && is_blank(window.ptr[args]))
        args++;
    if (len - args > (size_t)r->line_max) {
        /* An unfinished line may end with the CR that will be dropped. */
        if (lf || len - args > (size_t)r->line_max + 1 || window.ptr[len - 1] != '\r')
            return PIPIT_ELIMIT;
    }
    /* Blanks before the arguments are not counted, but they do not last for ever. */
    if (len > (size_t)r->line_max * 2 + 64)
        return PIPIT_ELIMIT;
    if (!lf) {
        r->scanned = (uint32_t)window.len;
        return PIPIT_EAGAIN;
    }
    r->scanned = 0;
    *out_line = (pp_str){window.ptr + args, len - args};
    return PIPIT_OK;
}

/* Split at runs of blanks; returns how many, ARGS_MAX + 1 if there are more than fit. */
static size_t split(pp_str line, pp_str args[ARGS_MAX])
{
    size_t count = 0, at = 0;

    for (;;) {
        size_t start;

        while (at < line.len && is_blank(line.ptr[at]))
            at++;
        if (at == line.len)
            return count;
        start = at;
        while (at < line.len && !is_blank(line.ptr[at]))
            at++;
        if (count == ARGS_MAX)
            return ARGS_MAX + 1;
        args[count++] = (pp_str){line.ptr + start, at - start};
    }
}

static bool size_arg(pp_str arg, uint32_t *out_size)
{
    const char *end = parse_size(arg.ptr, arg.ptr + arg.len, out_size);

    return end == arg.ptr + arg.len;
}

/* "[reply] size" or "[reply] header-size size": exactly one blank between, CR LF behind. */
static pp_str usual_form(pp_str first, pp_str last, size_t tokens_bytes, size_t token_count,
                         const char *line_end)
{
    const char *end = last.ptr + last.len;

    if ((size_t)(end - first.ptr) != tokens_bytes + token_count - 1 || end[0] != '\r' ||
        end + 2 != line_end || memchr(first.ptr, '\t', (size_t)(end - first.ptr)))
        return (pp_str){NULL, 0};
    return (pp_str){first.ptr, (size_t)(line_end - first.ptr)};
}

/* PUB subject [reply] size, HPUB subject [reply] header-size size. */
static pipit_err read_publish(pp_nats_reader *r, pp_str line, pp_str window, pp_nats_op *op,
                              size_t *inout_used)
{
    bool has_header = op->verb == PP_NATS_HPUB;
    size_t sizes = has_header ? 2 : 1;
    pp_str args[ARGS_MAX];
    size_t count = split(line, args), bytes = 0;
    uint32_t size = 0, header_len = 0;
    size_t line_used = *inout_used;

    if (has_header && !r->headers)
        return PIPIT_EDENIED;
    if (count != sizes + 1 && count != sizes + 2)
        return PIPIT_EINVAL;
    if (!size_arg(args[count - 1], &size) ||
        (has_header && !size_arg(args[count - 2], &header_len)) || header_len > size)
        return PIPIT_EINVAL;
    op->msg.subject = args[0];
    op->msg.header_len = header_len;
    op->msg.data = (pp_str){window.ptr + line_used, size}; /* perhaps not there yet */
    if (r->payload_max >= 0 && size > r->payload_max)
        return PIPIT_ETOOBIG;
    if (window.len < line_used + size + 2) {
        /* Say what is wrong with the end as soon as it can be seen. */
        if (window.len == line_used + size + 1 && window.ptr[line_used + size] != '\r')
            return PIPIT_EPROTO;
        *inout_used = line_used + size + 2;
        return PIPIT_EAGAIN;
    }
    if (memcmp(window.ptr + line_used + size, "\r\n", 2) != 0)
        return PIPIT_EPROTO;
    op->repeats = false;
    if (r->memo)
        r->memo->len = 0; /* what repeats is the line of the publish right before */
    op->msg.reply = count == sizes + 2 ? args[1] : (pp_str){NULL, 0};
    for (size_t i = 1; i < count; i++)
        bytes += args[i].len;
    op->msg.wire = usual_form(args[1], args[count - 1], bytes, count - 1, window.ptr + line_used);
    if (has_header && header_len == 0)
        op->msg.wire = (pp_str){NULL, 0}; /* goes on as a message without headers */
    *inout_used = line_used + size + 2;
    return PIPIT_OK;
}

static pipit_err read_sub(pp_str line, pp_nats_op *op)
{
    pp_str args[ARGS_MAX];
    size_t count = split(line, args);

    if (count != 2 && count != 3)
        return PIPIT_EINVAL;
    op->msg.subject = args[0];
    op->queue = count == 3 ? args[1] : (pp_str){NULL, 0};
    /* Field by field: clang 14 drops the copy of the whole at -O2. */
    op->sid.ptr = args[count - 1].ptr;
    op->sid.len = args[count - 1].len;
    return op->sid.len <= UINT16_MAX && op->queue.len <= UINT16_MAX ? PIPIT_OK : PIPIT_ELIMIT;
}

static pipit_err read_unsub(pp_str line, pp_nats_op *op)
{
    pp_str args[ARGS_MAX];
    size_t count = split(line, args);
    uint32_t max = 0;

    if (count != 1 && count != 2)
        return PIPIT_EINVAL;
    op->sid = args[0];
    /* Source: section 6: a max that is no number counts as none. */
    op->max = count == 2 && size_arg(args[1], &max) ? max : 0;
    return PIPIT_OK;
}

/* PING, PONG, +OK: whatever stands behind them up to the LF is passed over, however long. */
static pipit_err read_bare(pp_nats_reader *r, pp_str window, pp_nats_verb verb, pp_nats_op *op,
                           size_t *out_used)
{
    const char *lf = memchr(window.ptr, '\n', window.len);

    *out_used = 0;
    if (!lf && !r->passing && window.len <= BARE_MAX)
        return PIPIT_EAGAIN;
    op->verb = lf ? verb : PP_NATS_NOTHING;
    r->passing = !lf;
    r->passing_verb = (uint8_t)verb;
    *out_used = lf ? (size_t)(lf - window.ptr) + 1 : window.len;
    return PIPIT_OK;
}

pipit_err pp_nats_read_any(pp_nats_reader *r, pp_str window, pp_nats_op *out_op, size_t *out_used)
{
    const struct verb *verb;
    pipit_err err;
    pp_str line;

    *out_used = 0;
    if (r->passing)
        return read_bare(r, window, (pp_nats_verb)r->passing_verb, out_op, out_used);
    err = read_verb(window, &verb);
    if (err)
        return err;
    if (verb->after == NOTHING_NEEDED)
        return read_bare(r, window, (pp_nats_verb)verb->verb, out_op, out_used);
    out_op->verb = (pp_nats_verb)verb->verb;
    err = find_line(r, window, verb->len, &line, out_used);
    if (err) {
        *out_used = 0;
        return err;
    }
    if (memchr(line.ptr, '\r', line.len))
        return PIPIT_EPROTO;
    switch (out_op->verb) {
    case PP_NATS_PUB:
    case PP_NATS_HPUB:
        return read_publish(r, line, window, out_op, out_used);
    case PP_NATS_SUB:
        return read_sub(line, out_op);
    case PP_NATS_UNSUB:
        return read_unsub(line, out_op);
    case PP_NATS_CONNECT:
    case PP_NATS_INFO:
    case PP_NATS_ERR:
        out_op->text = line;
        return PIPIT_OK;
    case PP_NATS_PING:
    case PP_NATS_PONG:
    case PP_NATS_OK:
    case PP_NATS_NOTHING:
        break; /* read above */
    }
    return PIPIT_EPROTO;
}
