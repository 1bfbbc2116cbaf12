/* pipit/error.h -- what a call can answer.
 *
 * Every pipit function that can fail returns a pipit_err. Codes say what happened, not what to
 * tell a peer about it. */
#ifndef PIPIT_ERROR_H
#define PIPIT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PIPIT_API __attribute__((visibility("default")))
#else
#define PIPIT_API
#endif

typedef enum pipit_err {
    PIPIT_OK = 0,
    PIPIT_EAGAIN,    /* give more input or call again later; never logged as an error */
    PIPIT_EINVAL,    /* an argument is wrong */
    PIPIT_ENOMEM,    /* an allocation failed */
    PIPIT_ETOOBIG,   /* over a limit of size */
    PIPIT_ELIMIT,    /* over a limit of number */
    PIPIT_EPROTO,    /* the peer broke the protocol */
    PIPIT_EAUTH,     /* the peer is not who it says it is, or did not say */
    PIPIT_EDENIED,   /* known, but not allowed */
    PIPIT_ENOTFOUND, /* there is no such thing */
    PIPIT_EEXIST,    /* there is one already */
    PIPIT_EINUSE,    /* somebody else holds it */
    PIPIT_ECLOSED,   /* closed or stopped */
    PIPIT_ETIMEOUT,  /* the deadline passed */
    PIPIT_EIO,       /* the system refused; errno told why */
    PIPIT_ENOSPC,    /* the disk is full */
    PIPIT_EDAMAGED,  /* what was stored is not what is read */
} pipit_err;

/** Name the code in a few English words. Thread: any. The text is constant. */
PIPIT_API const char *pipit_strerror(pipit_err err);

#ifdef __cplusplus
}
#endif
#endif
