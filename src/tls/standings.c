/* A table by the certificate's hash, and a list by age. Its file: standings_file.c. */
#include "tls/standings_inside.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"

#include <string.h>

/* --- life ----------------------------------------------------------------------------------- */

pipit_err pp_tls_standings_new(pp_tls_standings **out)
{
    pp_tls_standings *standings = pp_calloc(1, sizeof(*standings));

    if (!standings)
        return PIPIT_ENOMEM;
    (void)pthread_mutex_init(&standings->lock, NULL);
    pp_list_init(&standings->by_age);
    pp_random_bytes(&standings->seed, sizeof(standings->seed));
    standings->due_ns = INT64_MAX;
    *out = standings;
    return PIPIT_OK;
}

static void remove_locked(pp_tls_standings *standings, pp_tls_entry *entry)
{
    pp_table_remove(&standings->table, &entry->link);
    pp_list_remove(&entry->age);
    standings->bytes -= entry->answer_len;
    standings->counts[entry->known.finding.standing]--;
    pp_free(entry->answer);
    pp_free(entry);
}

void pp_tls_standings_forget_locked(pp_tls_standings *standings)
{
    while (!pp_list_empty(&standings->by_age))
        remove_locked(standings, PP_CONTAINER(standings->by_age.next, pp_tls_entry, age));
}

void pp_tls_standings_free(pp_tls_standings *standings)
{
    if (!standings)
        return;
    pp_tls_standings_forget_locked(standings);
    pp_table_fini(&standings->table);
    pp_free(standings->dir);
    (void)pthread_mutex_destroy(&standings->lock);
    pp_free(standings);
}

/* --- looking -------------------------------------------------------------------------------- */

static uint64_t hash_of(const pp_tls_standings *standings, const pp_tls_standing_key *key)
{
    return pp_hash(key->bytes, sizeof(key->bytes), standings->seed);
}

static pp_tls_entry *find_locked(const pp_tls_standings *standings, const pp_tls_standing_key *key)
{
    uint64_t hash = hash_of(standings, key);

    for (pp_table_entry *at = pp_table_first(&standings->table, hash); at; at = at->next) {
        pp_tls_entry *entry = PP_CONTAINER(at, pp_tls_entry, link);

        if (at->hash == hash && memcmp(&entry->key, key, sizeof(*key)) == 0)
            return entry;
    }
    return NULL;
}

bool pp_tls_standings_has_locked(const pp_tls_standings *standings, const pp_tls_standing_key *key)
{
    return find_locked(standings, key);
}

bool pp_tls_standings_find(pp_tls_standings *standings, const pp_tls_standing_key *key,
                           pp_tls_known *out, pp_buf *out_answer)
{
    const pp_tls_entry *entry;
    bool found;

    (void)pthread_mutex_lock(&standings->lock);
    entry = find_locked(standings, key);
    found = entry &&
            (!out_answer || pp_buf_add(out_answer, entry->answer, entry->answer_len) == PIPIT_OK);
    if (found)
        *out = entry->known;
    (void)pthread_mutex_unlock(&standings->lock);
    return found;
}

void pp_tls_standings_count(pp_tls_standings *standings, bool hit)
{
    (void)pthread_mutex_lock(&standings->lock);
    if (hit)
        standings->hits++;
    else
        standings->misses++;
    (void)pthread_mutex_unlock(&standings->lock);
}

void pp_tls_standings_look(pp_tls_standings *standings, pp_tls_standings_stats *out)
{
    (void)pthread_mutex_lock(&standings->lock);
    *out = (pp_tls_standings_stats){
        .on = standings->on,
        .in_file = standings->dir,
        .hits = standings->hits,
        .misses = standings->misses,
        .count = standings->table.count,
        .good = standings->counts[PP_TLS_GOOD],
        .revoked = standings->counts[PP_TLS_REVOKED],
        .unknown = standings->counts[PP_TLS_UNKNOWN],
    };
    (void)pthread_mutex_unlock(&standings->lock);
}

/* --- keeping -------------------------------------------------------------------------------- */

void pp_tls_standings_touch_locked(pp_tls_standings *standings)
{
    if (standings->dir && standings->due_ns == INT64_MAX)
        standings->due_ns = pp_clock_mono_ns() + standings->save_ns;
}

static bool is_preserved(const pp_tls_standings *standings, const pp_tls_entry *entry)
{
    return standings->preserves_revoked && entry->known.finding.standing == PP_TLS_REVOKED;
}

/* The oldest goes, of those that are to be preserved only if there are no others. */
static void make_room_locked(pp_tls_standings *standings, size_t more)
{
    while (standings->table.count >= PP_TLS_STANDINGS_MAX ||
           standings->bytes + more > PP_TLS_STANDINGS_BYTES_MAX) {
        pp_link *at = standings->by_age.next;

        while (at != &standings->by_age &&
               is_preserved(standings, PP_CONTAINER(at, pp_tls_entry, age)))
            at = at->next;
        if (at == &standings->by_age)
            at = at->next;
        remove_locked(standings, PP_CONTAINER(at, pp_tls_entry, age));
    }
}

void pp_tls_standings_add_locked(pp_tls_standings *standings, const pp_tls_standing_key *key,
                                 const pp_tls_known *known, pp_str answer)
{
    pp_tls_entry *entry = pp_calloc(1, sizeof(*entry));
    pp_tls_entry *old = find_locked(standings, key);

    if (entry)
        entry->answer = pp_memdupz(answer.ptr, answer.len);
    if (!entry || !entry->answer) {
        pp_free(entry);
        return;
    }
    if (old)
        remove_locked(standings, old);
    make_room_locked(standings, answer.len);
    entry->link.hash = hash_of(standings, key);
    entry->key = *key;
    entry->known = *known;
    entry->answer_len = answer.len;
    if (pp_table_add(&standings->table, &entry->link)) {
        pp_free(entry->answer);
        pp_free(entry);
        return;
    }
    pp_list_append(&standings->by_age, &entry->age);
    standings->bytes += answer.len;
    standings->counts[known->finding.standing]++;
}

void pp_tls_standings_put(pp_tls_standings *standings, const pp_tls_standing_key *key,
                          const pp_tls_finding *finding, pp_str answer)
{
    const pp_tls_known known = {.finding = *finding, .checked = true};

    (void)pthread_mutex_lock(&standings->lock);
    if (standings->on) {
        pp_tls_standings_add_locked(standings, key, &known, answer);
        pp_tls_standings_touch_locked(standings);
    }
    (void)pthread_mutex_unlock(&standings->lock);
}

void pp_tls_standings_check(pp_tls_standings *standings, const pp_tls_standing_key *key,
                            const pp_tls_finding *finding)
{
    pp_tls_entry *entry;

    (void)pthread_mutex_lock(&standings->lock);
    entry = find_locked(standings, key);
    if (entry && !entry->known.checked) {
        standings->counts[entry->known.finding.standing]--;
        standings->counts[finding->standing]++;
        entry->known = (pp_tls_known){.finding = *finding, .checked = true};
    }
    (void)pthread_mutex_unlock(&standings->lock);
}

void pp_tls_standings_drop(pp_tls_standings *standings, const pp_tls_standing_key *key, bool over)
{
    pp_tls_entry *entry;

    (void)pthread_mutex_lock(&standings->lock);
    entry = find_locked(standings, key);
    if (entry && !(over && is_preserved(standings, entry))) {
        remove_locked(standings, entry);
        pp_tls_standings_touch_locked(standings);
    }
    (void)pthread_mutex_unlock(&standings->lock);
}
