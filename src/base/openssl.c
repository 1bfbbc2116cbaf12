#include "base/openssl.h"

#include "base/fault.h"

#include <assert.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* libcrypto comes with it, and is searched when it is. */
static const char library_name[] = "libssl.so." TEXT(OPENSSL_SHLIB_VERSION);

static const char *const names[] = {
#define NAME(name) #name,
    PP_OPENSSL_FUNCTIONS(NAME)
#undef NAME
};

typedef void *entry; /* POSIX: what dlsym returns may be a function's address */

static_assert(sizeof(struct pp_openssl) == sizeof(names) / sizeof(*names) * sizeof(entry),
              "an entry for each name, in the same order");

struct pp_openssl pp_openssl;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool loaded; /* once set, the table does not change */

static bool fill(void *library)
{
    struct pp_openssl table;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        entry function = dlsym(library, names[i]);

        if (!function)
            return false;
        memcpy((char *)&table + i * sizeof(entry), &function, sizeof(entry));
    }
    pp_openssl = table;
    return true;
}

static pipit_err load(pp_buf *error)
{
    void *library =
        pp_fault("openssl") ? NULL : dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const char *why;

    if (library && fill(library)) {
        (void)dlclose(library); /* it stays all the same */
        return PIPIT_OK;
    }
    why = dlerror();
    if (error)
        (void)pp_buf_addf(error, "OpenSSL is not to be had: %s", why ? why : library_name);
    if (library)
        (void)dlclose(library);
    return PIPIT_EIO;
}

pipit_err pp_openssl_load(pp_buf *error)
{
    pipit_err err = PIPIT_OK;

    if (atomic_load_explicit(&loaded, memory_order_acquire))
        return PIPIT_OK;
    (void)pthread_mutex_lock(&loading);
    if (!atomic_load_explicit(&loaded, memory_order_relaxed)) {
        err = load(error);
        atomic_store_explicit(&loaded, !err, memory_order_release);
    }
    (void)pthread_mutex_unlock(&loading);
    return err;
}
