/* Who does not keep up. Two looks tell a connection that takes nothing from one that takes too
 * little. */
#include "cli/doctor.h"

#include "cli/json.h"
#include "cli/memory.h"
#include "cli/turn.h"
#include "cli/value.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOKED_AT = 64, /* those with the most that waits */
    CLOSED_LOOKED_AT = 1024,
    PENDING_LEAST = 65536, /* that is worth a word */
    KINDS_SHOWN = 20,
};

static json_t *ask(cli_inquiry *inquiry, json_t *options)
{
    json_t *answers = cli_inquiry_try(inquiry, NULL, "CONNZ", options);
    json_t *list = json_incref(
        json_object_get(json_object_get(json_array_get(answers, 0), "data"), "connections"));

    json_decref(answers);
    return list;
}

static json_t *ask_slow(cli_inquiry *inquiry)
{
    json_t *options = cli_json_object();

    cli_json_set_text(options, "sort", "pending");
    cli_json_set_count(options, "limit", LOOKED_AT);
    cli_json_set_flag(options, "auth", 1);
    return ask(inquiry, options);
}

static const json_t *find_same(const json_t *list, uint64_t cid)
{
    json_t *connection;
    size_t i;

    json_array_foreach(list, i, connection)
    {
        if (cli_json_count_at(connection, "cid") == cid)
            return connection;
    }
    return NULL;
}

/* Why one is slow, in a sentence of the tool's. Owner: the caller, for free(). */
static char *explain(const json_t *before, const json_t *now, double seconds)
{
    double queued = cli_json_real_at(now, "out_bytes") - cli_json_real_at(before, "out_bytes");
    double grown =
        cli_json_real_at(now, "pending_bytes") - cli_json_real_at(before, "pending_bytes");
    double taken = queued - grown;
    char taken_text[CLI_VALUE_BYTES], queued_text[CLI_VALUE_BYTES];

    if (taken < 1)
        return cli_format("it takes nothing: it is stopped, busy with something else, or does not "
                          "read");
    cli_size_format(taken / seconds, taken_text);
    cli_size_format(queued / seconds, queued_text);
    if (grown <= 0)
        return cli_format("it catches up: it takes %s/s and is sent %s/s", taken_text, queued_text);
    return cli_format("it takes %s/s but is sent %s/s: too slow itself, or the network is (RTT %s)",
                      taken_text, queued_text, cli_json_text_at(now, "rtt", NULL));
}

static void tell_slow(cli_doctor *doctor, const json_t *before, const json_t *now,
                      uint64_t max_pending, double seconds)
{
    uint64_t pending = cli_json_count_at(now, "pending_bytes");
    char text[CLI_VALUE_BYTES];
    char *why = explain(before, now, seconds);

    cli_size_format((double)pending, text);
    cli_doctor_find(doctor, max_pending && pending > max_pending / 2 ? CLI_BAD : CLI_WARN, "slow",
                    max_pending && pending > max_pending / 2
                        ? "It is closed as a slow consumer when max_pending waits."
                        : NULL,
                    "connection %llu \"%s\" (%s, account %s): %s waits; %s",
                    (unsigned long long)cli_json_count_at(now, "cid"),
                    cli_json_text_at(now, "name", NULL), cli_json_text_at(now, "ip", NULL),
                    *cli_json_text_at(now, "account", NULL) ? cli_json_text_at(now, "account", NULL)
                                                            : "$G",
                    text, why);
    free(why);
}

void cli_doctor_look_slow(cli_doctor *doctor, const json_t *varz, cli_inquiry *inquiry,
                          int64_t interval_ns)
{
    uint64_t max_pending = cli_json_count_at(varz, "max_pending"), slow = 0;
    json_t *before = ask_slow(inquiry), *now, *connection;
    size_t i;

    if (!before || cli_turn_wait(interval_ns)) {
        json_decref(before);
        return;
    }
    now = ask_slow(inquiry);
    json_array_foreach(now, i, connection)
    {
        const json_t *then = find_same(before, cli_json_count_at(connection, "cid"));

        if (then && cli_json_count_at(then, "pending_bytes") >= PENDING_LEAST &&
            cli_json_count_at(connection, "pending_bytes") >= PENDING_LEAST) {
            tell_slow(doctor, then, connection, max_pending, (double)interval_ns / 1e9);
            slow++;
        }
    }
    json_decref(before);
    json_decref(now);
    if (!slow)
        cli_doctor_find(doctor, CLI_FINE, "slow", NULL, "nobody lags behind");
    if (cli_json_count_at(varz, "stalled_clients"))
        cli_doctor_find(doctor, CLI_NOTE, "slow", NULL,
                        "waits of publishers for slow recipients since the start: %llu",
                        (unsigned long long)cli_json_count_at(varz, "stalled_clients"));
    if (cli_json_count_at(varz, "slow_consumers"))
        cli_doctor_find(doctor, CLI_NOTE, "slow", NULL, "slow consumers since the start: %llu",
                        (unsigned long long)cli_json_count_at(varz, "slow_consumers"));
}

/* --- closed ----------------------------------------------------------------------------------- */

/* Reasons that somebody should look after; who ends a connection by himself is none. */
static const struct {
    const char *begins, *advice;
} reasons[] = {
    {"Slow Consumer", "Let them read faster, send them less, or raise max_pending."},
    {"Authentication", "Somebody has wrong credentials: pipit events shows who."},
    {"Maximum", "They, or a limit, are not as they should be."},
    {"Stale Connection", "They, or the network, were gone without a word."},
    {"Credentials Revoked", NULL},
    {"Protocol Violation", "That is no NATS client, or a broken one."},
    {"Parse Error", "That is no NATS client, or a broken one."},
    {"TLS Handshake Failure", "Do they have the right authority, and speak TLS at all?"},
};

/* Count by reason and name. */
static void count(json_t *kinds, const json_t *connection, size_t reason)
{
    char *key = cli_format("%zu %s", reason, cli_json_text_at(connection, "name", NULL));
    json_t *kind = json_object_get(kinds, key);

    if (!kind && json_object_size(kinds) < KINDS_SHOWN) {
        kind = cli_json_object();
        cli_json_set(kind, "why", json_incref(json_object_get(connection, "reason")));
        cli_json_set_text(kind, "name", cli_json_text_at(connection, "name", NULL));
        cli_json_set_text(kind, "ip", cli_json_text_at(connection, "ip", NULL));
        cli_json_set_text(kind, "stop", cli_json_text_at(connection, "stop", NULL));
        cli_json_set(kind, "reason", json_integer((json_int_t)reason));
        cli_json_set(kinds, key, json_incref(kind));
        json_decref(kind);
    }
    if (kind)
        cli_json_set_count(kind, "count", cli_json_count_at(kind, "count") + 1);
    free(key);
}

void cli_doctor_look_closed(cli_doctor *doctor, cli_inquiry *inquiry)
{
    json_t *options = cli_json_object(), *kinds = cli_json_object(), *list, *connection, *kind;
    const char *key;
    size_t i;

    cli_json_set_text(options, "sort", "stop");
    cli_json_set_count(options, "state", 1);
    cli_json_set_count(options, "limit", CLOSED_LOOKED_AT);
    list = ask(inquiry, options);
    json_array_foreach(list, i, connection)
    {
        const char *why = cli_json_text_at(connection, "reason", NULL);

        for (size_t k = 0; k < sizeof(reasons) / sizeof(reasons[0]); k++) {
            if (strncmp(why, reasons[k].begins, strlen(reasons[k].begins)) == 0) {
                count(kinds, connection, k);
                break;
            }
        }
    }
    json_object_foreach(kinds, key, kind)
    {
        cli_doctor_find(doctor, CLI_NOTE, "closed",
                        reasons[cli_json_count_at(kind, "reason")].advice,
                        "%llu %s closed for \"%s\": name \"%s\", the last from %s at %s",
                        (unsigned long long)cli_json_count_at(kind, "count"),
                        cli_json_count_at(kind, "count") == 1 ? "was" : "were",
                        cli_json_text_at(kind, "why", NULL), cli_json_text_at(kind, "name", NULL),
                        cli_json_text_at(kind, "ip", NULL), cli_json_text_at(kind, "stop", NULL));
    }
    json_decref(list);
    json_decref(kinds);
}
