/* base/assert.h -- impossible states stop the program, in release builds too.
 *
 * Input is checked, never asserted. PP_DASSERT is for walks that cost too much in release. */
#ifndef PP_BASE_ASSERT_H
#define PP_BASE_ASSERT_H

#include <assert.h> /* static_assert */

#define PP_LIKELY(x) __builtin_expect(!!(x), 1)
#define PP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Write the text to stderr and abort. */
_Noreturn void pp_panic(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

#define PP_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (PP_UNLIKELY(!(cond)))                                                                  \
            pp_panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond);                    \
    } while (0)

#ifdef NDEBUG
#define PP_DASSERT(cond) ((void)0)
#else
#define PP_DASSERT(cond) PP_ASSERT(cond)
#endif

#endif
