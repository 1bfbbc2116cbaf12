/* Tokens of accounts from an HTTP server. */
#include "auth/jwt.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/operators/operators.h"

#include <curl/curl.h>
#include <stdio.h>

enum { URL_MAX = 2048, OK = 200, NOT_FOUND = 404 };

struct answer {
    pp_buf *out; /* NULL: nobody wants it */
    pipit_err err;
    const atomic_bool *hurry;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct answer *answer = arg;

    if (answer->out)
        answer->err = pp_buf_add(answer->out, bytes, size * count);
    return answer->err ? 0 : size * count; /* 0 ends it */
}

/* Asked about once a second: go on? */
static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct answer *answer = arg;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return answer->hurry && atomic_load(answer->hurry);
}

static pipit_err get(const char *url, int64_t timeout_ns, struct answer *answer)
{
    CURL *curl = pp_fault("curl") ? NULL : curl_easy_init();
    long status = 0;
    CURLcode code;

    if (!curl)
        return PIPIT_ENOMEM;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* there are other threads */
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ns / PP_NS_PER_MS));
    (void)curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)PP_JWT_BYTES_MAX);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (answer->err)
        return answer->err;
    if (code != CURLE_OK)
        return PIPIT_EIO;
    return status == OK ? PIPIT_OK : PIPIT_ENOTFOUND;
}

pipit_err pp_fetch_url(const char *base, const char *key, int64_t timeout_ns,
                       const atomic_bool *hurry, pp_buf *out)
{
    size_t len = strlen(base);
    struct answer answer = {.out = out, .hurry = hurry};
    char url[URL_MAX];

    if ((size_t)snprintf(url, sizeof(url), "%s%s%s", base, len && base[len - 1] == '/' ? "" : "/",
                         key) >= sizeof(url))
        return PIPIT_ETOOBIG;
    return get(url, timeout_ns, &answer);
}

pipit_err pp_fetch_url_probe(const char *base, int64_t timeout_ns)
{
    struct answer answer = {0};

    return get(base, timeout_ns, &answer);
}
