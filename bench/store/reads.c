/* Reading, and what an index takes. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

/* Bytes in memory for each message, while all is loaded. */
static void show_index(pp_store *store)
{
    struct pp_store_state state;

    pp_store_state(store, &state);
    show("index in memory, of a message", (double)state.index_bytes / (double)state.messages, "B",
         0, 8, true);
}

void bench_reads(void)
{
    uint64_t messages = settings.messages < 2000000 ? settings.messages : 2000000;
    pp_store *store = fill_store("reads", messages, 4, SMALL, 0);
    double values[ROUNDS_MAX];

    for (unsigned i = 0; i < settings.rounds; i++) {
        struct pp_store_message message;
        double began = now_s();

        for (uint64_t seq = 1; seq <= messages; seq++)
            must(pp_store_read(store, seq, &message), "read");
        values[i] = (double)messages / (now_s() - began);
    }
    show("256 B, read one after another", median(values, settings.rounds), "/s", 0, 3e6, false);
    for (unsigned i = 0; i < settings.rounds; i++) {
        struct pp_store_message message;
        double began = now_s();
        uint64_t count = 0;

        for (uint64_t seq = 1; pp_store_next(store, PP_STR("bench.*"), seq, &message) == PIPIT_OK;
             seq = message.seq + 1)
            count++;
        values[i] = (double)count / (now_s() - began);
    }
    show("the same, by a filter with a wildcard", median(values, settings.rounds), "/s", 0, 0,
         false);
    show_index(store);
    pp_store_close(store);
    remove_store("reads");
}

void bench_last(void)
{
    enum { ASKED = 1000 * 1000, SUBJECTS = 1000 * 1000 };
    pp_store *store = fill_store("last", SUBJECTS, SUBJECTS, 16, 0);
    uint64_t random = 1;
    double values[ROUNDS_MAX];

    for (unsigned i = 0; i < settings.rounds; i++) {
        double began = now_s();

        for (unsigned n = 0; n < ASKED; n++) {
            struct pp_store_subject found;
            char subject[32];
            int len;

            random = random * 6364136223846793005u + 1442695040888963407u;
            len = snprintf(subject, sizeof(subject), "bench.%" PRIu64, (random >> 33) % SUBJECTS);
            must(pp_store_subject(store, (pp_str){subject, (size_t)len}, &found), "subject");
        }
        values[i] = (now_s() - began) * 1e6 / ASKED;
    }
    show("the last of a subject, among 1 M, at random", median(values, settings.rounds), "us", 0, 2,
         true);
    pp_store_close(store);
    remove_store("last");
}
