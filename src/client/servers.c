#include "client/servers.h"

#include "base/alloc.h"
#include "base/random.h"

enum { ROUNDS_DOUBLED = 5, WAIT_FACTOR_MAX = 20 };

static void entry_free(pp_server_entry *entry)
{
    if (entry)
        pp_remote_free(entry->remote);
    pp_free(entry);
}

/* Whoever is found by way of another is told the same. Remotes stay as long as the list. */
static void set_credentials(pp_server_entry *entry, const pp_remote *like)
{
    const pp_remote *from = entry->remote->user || !like ? entry->remote : like;

    entry->has_credentials = from->user != NULL;
    if (from->password) {
        entry->credentials.user = from->user;
        entry->credentials.password = from->password;
    } else {
        entry->credentials.token = from->user;
    }
}

static pipit_err add(pp_servers *servers, pp_str url, const pp_remote *like)
{
    pp_server_entry *entry, **grown;
    pipit_err err;

    if (servers->count >= PP_SERVERS_MAX)
        return PIPIT_ELIMIT;
    grown = pp_realloc(servers->entries, (servers->count + 1) * sizeof(entry));
    if (!grown)
        return PIPIT_ENOMEM;
    servers->entries = grown;
    entry = pp_calloc(1, sizeof(*entry));
    if (!entry)
        return PIPIT_ENOMEM;
    err = pp_remote_new(&entry->remote, url, like);
    if (err) {
        entry_free(entry);
        return err;
    }
    entry->discovered = like != NULL;
    set_credentials(entry, like);
    servers->entries[servers->count++] = entry;
    return PIPIT_OK;
}

static pp_str next_url(pp_str *rest)
{
    const char *comma = memchr(rest->ptr, ',', rest->len);
    pp_str url = {rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len};
    size_t skip = url.len + (comma != NULL);

    *rest = (pp_str){rest->ptr + skip, rest->len - skip};
    while (url.len && *url.ptr == ' ') {
        url.ptr++;
        url.len--;
    }
    while (url.len && url.ptr[url.len - 1] == ' ')
        url.len--;
    return url;
}

static void shuffle(pp_servers *servers)
{
    for (size_t i = servers->count; i > 1; i--) {
        size_t other = pp_random_below(&servers->random, (uint32_t)i);
        pp_server_entry *entry = servers->entries[i - 1];

        servers->entries[i - 1] = servers->entries[other];
        servers->entries[other] = entry;
    }
}

pipit_err pp_servers_init(pp_servers *servers, pp_str urls, bool keep_order)
{
    pipit_err err = PIPIT_OK;

    *servers = (pp_servers){.random = pp_random_seed()};
    while (!err && urls.len)
        err = add(servers, next_url(&urls), NULL);
    if (!err && !servers->count)
        err = PIPIT_EINVAL;
    if (err)
        pp_servers_fini(servers);
    else if (!keep_order)
        shuffle(servers);
    return err;
}

void pp_servers_fini(pp_servers *servers)
{
    for (size_t i = 0; i < servers->count; i++)
        entry_free(servers->entries[i]);
    pp_free(servers->entries);
    *servers = (pp_servers){0};
}

pp_server_entry *pp_servers_next(pp_servers *servers)
{
    pp_server_entry *entry = servers->entries[servers->next % servers->count];

    servers->next = (servers->next + 1) % servers->count;
    return entry;
}

size_t pp_servers_rounds(const pp_servers *servers)
{
    return servers->failures / servers->count;
}

/* Within a round the next server is tried at once, since it is another. */
int64_t pp_servers_failed(pp_servers *servers, int64_t wait_ns)
{
    size_t rounds;
    int64_t wait;

    servers->failures++;
    if (servers->failures % servers->count != 0)
        return 0;
    rounds = pp_servers_rounds(servers);
    wait = rounds > ROUNDS_DOUBLED ? wait_ns * WAIT_FACTOR_MAX : wait_ns << (rounds - 1);
    return wait + (int64_t)(pp_random_next(&servers->random) % ((uint64_t)wait / 2 + 1));
}

void pp_servers_worked(pp_servers *servers)
{
    servers->failures = 0;
}

bool pp_servers_discover(pp_servers *servers, const char *place, const pp_remote *like)
{
    pp_remote *remote;
    bool known = false;

    if (pp_remote_new(&remote, pp_str_of(place), like))
        return false;
    for (size_t i = 0; i < servers->count && !known; i++)
        known = pp_remote_same(remote, servers->entries[i]->remote);
    pp_remote_free(remote);
    return !known && !add(servers, pp_str_of(place), like);
}
