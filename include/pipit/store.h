/* pipit/store.h -- the directory of a stopped store: looked at, put right, taken out and brought
 * back.
 *
 * Nothing here is for a store that a server has open: that one is refused. Looking changes nothing.
 * Repairing never removes a file and never overwrites a record. docs/disk-format.md says what is in
 * such a directory.
 *
 * Thread: one at a time for each store. */
#ifndef PIPIT_STORE_H
#define PIPIT_STORE_H

#include "pipit/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pipit_store pipit_store;

/* Set everything to zero first: that is the default for each. Texts are only read during calls. */
typedef struct pipit_store_options {
    size_t struct_bytes;  /* sizeof(pipit_store_options) */
    const char *dir;      /* of the store */
    const char *key_file; /* its keys, in a file that only its owner may read, or */
    const char *keys;     /* the keys: 64 hexadecimal digits each. Both NULL: it has none */
    bool compress;        /* restore: what gets smaller by it */
} pipit_store_options;

enum { PIPIT_STORE_WHY_BYTES = 256 };

/* Something that is not as it was written. */
typedef struct pipit_store_finding {
    const char *name;     /* a word, for scripts: "manifest", "messages", ... */
    const char *text;     /* a sentence without its full stop, for people */
    bool damage;          /* false: a crash, too, leaves it so, and nothing is lost */
    uint64_t segment;     /* its number; 0: of none */
    uint64_t at, bytes;   /* where in the file; bytes 0: nowhere */
    uint64_t first, last; /* sequences, or numbers of segments; last 0: none */
} pipit_store_finding;

typedef struct pipit_store_facts {
    uint64_t messages, bytes;
    uint64_t first_seq, last_seq;
    int64_t first_time_ns, last_time_ns; /* since the Unix epoch; where there are messages */
    uint64_t deleted, lost;
    uint64_t subjects, segments;
    uint64_t disk_bytes; /* that the files take */
    size_t findings;     /* so far, and */
    size_t damage;       /* how many of them are damage */
    bool incomplete;     /* there were more than could be kept */
} pipit_store_facts;

typedef struct pipit_store_message {
    uint64_t seq;
    int64_t time_ns;     /* since the Unix epoch */
    int64_t expires_ns;  /* 0: it has no time of its own */
    const char *subject; /* bytes without a NUL behind, like the rest */
    size_t subject_bytes;
    const void *headers;
    size_t headers_bytes;
    const void *payload;
    size_t payload_bytes;
} pipit_store_message;

typedef struct pipit_store_segment {
    uint64_t number;
    uint64_t messages, dead;
    uint64_t first_seq, last_seq;
    uint64_t record_bytes; /* up to where its records go */
    uint64_t file_bytes, disk_bytes;
    bool sealed, footer;
} pipit_store_segment;

/**
 * Open a store to look at it. It is not changed.
 *
 * out_why gets a sentence about what is wrong, here and below.
 *
 * Owner:  *out_store is the caller's, for pipit_store_close.
 * Errors: PIPIT_ENOTFOUND there is no store; PIPIT_EINUSE a process has it open; PIPIT_EPROTO
 *         another format; PIPIT_EDENIED keys are missing, others may read their file, or the system
 *         denies it; PIPIT_EINVAL what should be keys are none; PIPIT_EIO, PIPIT_ENOMEM.
 */
PIPIT_API pipit_err pipit_store_open(const pipit_store_options *options, pipit_store **out_store,
                                     char out_why[PIPIT_STORE_WHY_BYTES]);

/** NULL is fine. */
PIPIT_API void pipit_store_close(pipit_store *store);

/** Read all of it, and find what is wrong. Errors: PIPIT_EIO, PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_store_check(pipit_store *store);

/** What has been found so far: opening finds something, too. NULL: there are not so many. Owner:
 * the store's, until the next call. */
PIPIT_API const pipit_store_finding *pipit_store_finding_at(pipit_store *store, size_t index);

/** What it holds. Owner: the store's, until the next call. */
PIPIT_API const pipit_store_facts *pipit_store_measure(pipit_store *store);

/** Call visit for each segment, in order. */
PIPIT_API void pipit_store_segments(pipit_store *store,
                                    void (*visit)(void *context,
                                                  const pipit_store_segment *segment),
                                    void *context);

/** The first whole message from seq on whose subject falls under filter; NULL: any. Owner: the
 * store's, until the next call. Errors: PIPIT_ENOTFOUND there is none; PIPIT_EINVAL filter is no
 * subject; PIPIT_EIO, PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_store_next(pipit_store *store, const char *filter, uint64_t seq,
                                     const pipit_store_message **out_message);

/* How to repair. Set everything to zero first. */
typedef struct pipit_store_repair_options {
    size_t struct_bytes; /* sizeof(pipit_store_repair_options) */
    bool dry_run;        /* only tell */
    bool forget_lost;    /* take what is lost for deleted */
    /* Before each thing that is done, or would be; what is a verb: "write the manifest again". */
    void (*on_step)(void *context, const pipit_store_finding *finding, const char *what);
    void *context;
} pipit_store_repair_options;

/**
 * Read all of a store, and put right what can be: manifest, headers and footers are made again of
 * the records. Check it afterwards: that tells what is left.
 *
 * Errors: those of pipit_store_open; PIPIT_ENOSPC.
 */
PIPIT_API pipit_err pipit_store_repair(const pipit_store_options *options,
                                       const pipit_store_repair_options *repair,
                                       char out_why[PIPIT_STORE_WHY_BYTES]);

/** Write all whole messages, with checks, neither compressed nor encrypted. write answers whether
 * it has taken the bytes. Errors: PIPIT_EIO write has not; PIPIT_ENOMEM. */
PIPIT_API pipit_err pipit_store_snapshot(pipit_store *store,
                                         bool (*write)(void *context, const void *bytes,
                                                       size_t count),
                                         void *context, uint64_t *out_messages);

/**
 * Make a store of a snapshot, in options' directory, which is not there yet. It is made beside it,
 * and has its name when all of it is on disk. read fills up to count bytes and answers how many it
 * has: 0 at the end, -1 if it cannot.
 *
 * Errors: PIPIT_EEXIST the directory is there; PIPIT_EDAMAGED it is no whole snapshot; PIPIT_EPROTO
 *         of another version; PIPIT_EIO, also if read cannot; PIPIT_ENOSPC; PIPIT_ENOMEM; those of
 *         keys.
 */
PIPIT_API pipit_err pipit_store_restore(const pipit_store_options *options,
                                        ptrdiff_t (*read)(void *context, void *bytes, size_t count),
                                        void *context, char out_why[PIPIT_STORE_WHY_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
