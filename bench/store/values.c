/* The last value of each of 1000 subjects; one message in a thousand is of a subject that does not
 * come again, and would hold a segment as large as the others. */
#include "bench.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

void bench_last_values(void)
{
    enum { HOT = 1000, PAYLOAD = 100 };
    struct how how = {.sync_interval_ns = 10 * PP_NS_PER_S, .per_subject = 1};
    pp_store *store = open_store("values", &how);
    struct pp_store_message message = {0};
    static char payload[PAYLOAD];
    struct pp_store_state state;
    uint64_t seen = 0, written = 0;
    double began = now_s();
    char subject[32];

    fill(payload, sizeof(payload));
    message.payload = (pp_str){payload, sizeof(payload)};
    for (uint64_t i = 0; i < settings.messages; i++) {
        int len = i % HOT == 0 ? snprintf(subject, sizeof(subject), "cold.%" PRIu64, i / HOT)
                               : snprintf(subject, sizeof(subject), "hot.%" PRIu64, i * 7919 % HOT);

        message.time_ns = (int64_t)i;
        message.subject = (pp_str){subject, (size_t)len};
        append(store, &message, &seen);
        written += 30 + message.subject.len + message.payload.len;
    }
    must(pp_store_wait(store, pp_store_issued(store)), "wait");
    show("last values: messages", (double)settings.messages / (now_s() - began), "/s", 0, 0, false);
    pp_store_state(store, &state);
    pp_store_close(store);
    began = now_s();
    store = open_store("values", &how);
    show("last values: open", (now_s() - began) * 1e3, "ms", 0, 0, true);
    pp_store_state(store, &state);
    show("last values: counted bytes that were written", (double)written / 1e6, "MB", 0, 0, true);
    show("last values: of these, still there", (double)state.bytes / 1e6, "MB", 0, 0, true);
    show("last values: on disk", (double)state.disk_bytes / 1e6, "MB", 0, 0, true);
    show("last values: segments", state.segments, "", 0, 0, true);
    show("last values: index in memory", (double)state.index_bytes / 1e6, "MB", 0, 0, true);
    pp_store_close(store);
    remove_store("values");
}
