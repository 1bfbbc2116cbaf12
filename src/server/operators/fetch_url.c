/* Tokens of accounts from an HTTP server. */
#include "auth/jwt.h"
#include "base/clock.h"
#include "base/fault.h"
#include "server/operators/operators.h"

#define CURL_DISABLE_TYPECHECK /* its functions are called by pointers */
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

enum { URL_MAX = 2048, OK = 200, NOT_FOUND = 404 };

struct answer {
    pp_buf *out; /* NULL: nobody wants it */
    pipit_err err;
    const atomic_bool *hurry;
};

/* libcurl, and all that it needs in turn, take 4 MB and 3 ms of every start: it is loaded by who
 * asks by URL, and stays. */
struct curl {
    __typeof__(curl_easy_init) *init;
    __typeof__(curl_easy_setopt) *setopt;
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_getinfo) *getinfo;
    __typeof__(curl_easy_cleanup) *cleanup;
};

/* Before 7.84 no two threads may begin with it at the same time. */
static void begin(void *library)
{
    static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;
    static bool begun; /* for the process, as the library is */
    __typeof__(curl_global_init) *init =
        (__typeof__(curl_global_init) *)dlsym(library, "curl_global_init");

    (void)pthread_mutex_lock(&beginning);
    if (!begun && init)
        begun = init(CURL_GLOBAL_DEFAULT) == CURLE_OK; /* else each handle tries by itself */
    (void)pthread_mutex_unlock(&beginning);
}

static bool load(struct curl *out)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (!library)
        return false;
    begin(library);
    out->init = (__typeof__(out->init))dlsym(library, "curl_easy_init");
    out->setopt = (__typeof__(out->setopt))dlsym(library, "curl_easy_setopt");
    out->perform = (__typeof__(out->perform))dlsym(library, "curl_easy_perform");
    out->getinfo = (__typeof__(out->getinfo))dlsym(library, "curl_easy_getinfo");
    out->cleanup = (__typeof__(out->cleanup))dlsym(library, "curl_easy_cleanup");
    (void)dlclose(library);
    return out->init && out->setopt && out->perform && out->getinfo && out->cleanup;
}

pipit_err pp_fetch_url_load(pp_buf *error)
{
    struct curl lib;
    const char *why;

    if (load(&lib))
        return PIPIT_OK;
    why = dlerror();
    if (error)
        (void)pp_buf_addf(error, "libcurl is not to be had: %s", why ? why : "it is another one");
    return PIPIT_EIO;
}

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

/* Whoever is asked by https is asked by nothing less, wherever it sends us. */
static void secure(const struct curl *lib, CURL *curl, const char *url, const pp_fetch_tls *tls)
{
    if (strncasecmp(url, "https:", 6) == 0)
        (void)lib->setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    if (tls->ca_file) {
        (void)lib->setopt(curl, CURLOPT_CAINFO, tls->ca_file);
        (void)lib->setopt(curl, CURLOPT_CAPATH, NULL); /* and nobody else */
    }
    if (tls->cert_file) {
        (void)lib->setopt(curl, CURLOPT_SSLCERT, tls->cert_file);
        (void)lib->setopt(curl, CURLOPT_SSLKEY, tls->key_file);
    }
    (void)lib->setopt(
        curl, CURLOPT_SSLVERSION,
        (long)(tls->min_version == 13 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2));
}

/* When the time is over while a name is being looked up: leave the thread that does so to itself,
 * else it is waited for, and that takes as long as the system's resolver likes. A library that is
 * older than this option passes it over. */
static void name_in_time(const struct curl *lib, CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075700
    (void)lib->setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#else
    (void)lib;
    (void)curl;
#endif
}

static pipit_err get(const char *url, const pp_fetch_tls *tls, int64_t timeout_ns,
                     struct answer *answer)
{
    struct curl lib;
    CURL *curl;
    long status = 0;
    CURLcode code;

    if (!load(&lib))
        return PIPIT_EIO;
    curl = pp_fault("curl") ? NULL : lib.init();
    if (!curl)
        return PIPIT_ENOMEM;
    (void)lib.setopt(curl, CURLOPT_URL, url);
    (void)lib.setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)lib.setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    secure(&lib, curl, url, tls);
    (void)lib.setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)lib.setopt(curl, CURLOPT_MAXREDIRS, 5L);
    (void)lib.setopt(curl, CURLOPT_NOSIGNAL, 1L); /* there are other threads */
    name_in_time(&lib, curl);
    (void)lib.setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ns / PP_NS_PER_MS));
    (void)lib.setopt(curl, CURLOPT_MAXFILESIZE, (long)PP_JWT_BYTES_MAX);
    (void)lib.setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)lib.setopt(curl, CURLOPT_WRITEDATA, answer);
    (void)lib.setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)lib.setopt(curl, CURLOPT_XFERINFODATA, answer);
    (void)lib.setopt(curl, CURLOPT_NOPROGRESS, 0L);
    code = lib.perform(curl);
    (void)lib.getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    lib.cleanup(curl);
    if (answer->err)
        return answer->err;
    if (code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT)
        return PIPIT_ENOMEM;
    if (code != CURLE_OK)
        return PIPIT_EIO;
    return status == OK ? PIPIT_OK : PIPIT_ENOTFOUND;
}

pipit_err pp_fetch_url(const char *base, const pp_fetch_tls *tls, const char *key,
                       int64_t timeout_ns, const atomic_bool *hurry, pp_buf *out)
{
    size_t len = strlen(base);
    struct answer answer = {.out = out, .hurry = hurry};
    char url[URL_MAX];

    if ((size_t)snprintf(url, sizeof(url), "%s%s%s", base, len && base[len - 1] == '/' ? "" : "/",
                         key) >= sizeof(url))
        return PIPIT_ETOOBIG;
    return get(url, tls, timeout_ns, &answer);
}

pipit_err pp_fetch_url_probe(const char *base, const pp_fetch_tls *tls, int64_t timeout_ns)
{
    struct answer answer = {0};

    return get(base, tls, timeout_ns, &answer);
}
