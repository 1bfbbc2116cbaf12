/* A hostile server: whatever it says in whatever pieces, the client's conversation reads within
 * what it was given, ends at the first fault, and says the same whichever way the pieces are cut.
 */
#include "client/dialog.h"

#include <stdlib.h>

static const pp_credentials nobody;
static const pp_dialog_rules rules = {
    .credentials = &nobody,
    .connect_timeout_ns = 1000000,
    .ping_interval_ns = 1000000,
    .pings_out_max = 2,
};

struct outcome {
    pipit_err err;
    size_t used, events, bytes;
};

/* The first byte of the input says how long pieces are. */
static struct outcome play(const uint8_t *data, size_t len, size_t piece)
{
    struct outcome o = {PIPIT_EAGAIN, 0, 0, 0};
    size_t end = 0;
    pp_dialog dialog;

    pp_dialog_init(&dialog, &rules);
    pp_dialog_begin(&dialog, NULL, false, false, 0);
    while (o.err == PIPIT_OK || (o.err == PIPIT_EAGAIN && end < len)) {
        char *window;
        pp_dialog_event event;
        pp_feed_op op;
        size_t used;

        if (o.err == PIPIT_EAGAIN)
            end = end + piece < len ? end + piece : len;
        window = malloc(end - o.used + 1);
        if (!window)
            abort();
        memcpy(window, data + o.used, end - o.used);
        o.err = pp_dialog_read(&dialog, (pp_str){window, end - o.used}, 1, &op, &event, &used);
        if (!o.err) {
            if (!used || used > end - o.used)
                abort();
            o.used += used;
            o.events = 31 * o.events + event;
            if (event == PP_DIALOG_MSG)
                o.bytes += op.payload.len + op.header.len + op.subject.len + op.reply.len;
            if (event == PP_DIALOG_SECURE && pp_dialog_secured(&dialog, 1))
                abort();
        }
        free(window);
        dialog.out.len = 0;
    }
    pp_dialog_fini(&dialog);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct outcome whole, cut;

    if (len < 1)
        return 0;
    whole = play(data + 1, len - 1, len);
    cut = play(data + 1, len - 1, 1 + data[0] % 16);
    if (whole.err != cut.err || whole.used != cut.used || whole.events != cut.events ||
        whole.bytes != cut.bytes)
        abort();
    return 0;
}
