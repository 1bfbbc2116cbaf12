#include "cli/fetch.h"

#include "cli/memory.h"
#include "cli/say.h"

#define CURL_DISABLE_TYPECHECK /* its functions are called by pointers */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a server with very many connections tells of them all. */
enum { PAGE_MAX = 256 * 1024 * 1024 };

struct cli_fetch {
    /* libcurl takes 3 ms of each start, and most commands do not need it. Once there it stays: not
     * all that it brings along can be unloaded again. */
    __typeof__(curl_easy_init) *init;
    __typeof__(curl_easy_setopt) *setopt;
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_getinfo) *getinfo;
    __typeof__(curl_easy_cleanup) *cleanup;
    CURL *curl;
    char *page;
    size_t bytes, cap;
    char error[CURL_ERROR_SIZE];
};

static bool load(cli_fetch *fetch)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return false;
    fetch->init = (__typeof__(fetch->init))dlsym(library, "curl_easy_init");
    fetch->setopt = (__typeof__(fetch->setopt))dlsym(library, "curl_easy_setopt");
    fetch->perform = (__typeof__(fetch->perform))dlsym(library, "curl_easy_perform");
    fetch->getinfo = (__typeof__(fetch->getinfo))dlsym(library, "curl_easy_getinfo");
    fetch->cleanup = (__typeof__(fetch->cleanup))dlsym(library, "curl_easy_cleanup");
    return fetch->init && fetch->setopt && fetch->perform && fetch->getinfo && fetch->cleanup;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    cli_fetch *fetch = arg;
    size_t more = size * count;

    if (fetch->bytes + more > PAGE_MAX)
        return 0; /* which ends it */
    if (fetch->bytes + more > fetch->cap) {
        fetch->cap = 2 * fetch->cap > fetch->bytes + more ? 2 * fetch->cap : fetch->bytes + more;
        fetch->page = cli_realloc(fetch->page, fetch->cap);
    }
    memcpy(fetch->page + fetch->bytes, bytes, more);
    fetch->bytes += more;
    return more;
}

cli_fetch *cli_fetch_new(int64_t timeout_ns, const char *tls_ca)
{
    cli_fetch *fetch = cli_alloc(sizeof(*fetch));

    if (load(fetch))
        fetch->curl = fetch->init();
    if (!fetch->curl) {
        (void)cli_fail(1, "libcurl (libcurl.so.4), which asks by HTTP, cannot be loaded");
        cli_fetch_free(fetch);
        return NULL;
    }
    fetch->cap = 64 * 1024;
    fetch->page = cli_alloc(fetch->cap);
    (void)fetch->setopt(fetch->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)fetch->setopt(fetch->curl, CURLOPT_NOSIGNAL, 1L); /* the client has a thread */
    (void)fetch->setopt(fetch->curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ns / 1000000));
    (void)fetch->setopt(fetch->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)fetch->setopt(fetch->curl, CURLOPT_WRITEDATA, fetch);
    (void)fetch->setopt(fetch->curl, CURLOPT_ERRORBUFFER, fetch->error);
    if (tls_ca)
        (void)fetch->setopt(fetch->curl, CURLOPT_CAINFO, tls_ca);
    return fetch;
}

void cli_fetch_free(cli_fetch *fetch)
{
    if (!fetch)
        return;
    if (fetch->curl)
        fetch->cleanup(fetch->curl);
    free(fetch->page);
    free(fetch);
}

const char *cli_fetch_get(cli_fetch *fetch, const char *url, size_t *out_bytes, long *out_status,
                          char out_wrong[CLI_FETCH_WRONG_BYTES])
{
    CURLcode code;

    fetch->bytes = 0;
    fetch->error[0] = '\0';
    *out_status = 0;
    (void)fetch->setopt(fetch->curl, CURLOPT_URL, url);
    code = fetch->perform(fetch->curl);
    if (code != CURLE_OK) {
        (void)snprintf(out_wrong, CLI_FETCH_WRONG_BYTES, "%s",
                       *fetch->error ? fetch->error
                                     : "the address is none, or the answer too long");
        return NULL;
    }
    (void)fetch->getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, out_status);
    *out_bytes = fetch->bytes;
    return fetch->page;
}
