/* core/import.h -- what an account takes from others.
 *
 * An import is a subscription of the server's own that stands in no account's index, but where
 * routes are looked up: that of a stream among the importers of the exporting account, that of a
 * service among the importing account's services. So a route has it as it has any recipient, with
 * the subject on the other side worked out beforehand.
 *
 *   stream:   publish in E --> E's index, and E's importers --inward--> I's index
 *   service:  publish in I --> I's index, and I's services --outward--> publish in E
 *
 * Imports are made whole from an account's settings. All of them is immutable but what each is
 * linked with: the export that it means, as the exporting account has it now. */
#ifndef PP_CORE_IMPORT_H
#define PP_CORE_IMPORT_H

#include "base/list.h"
#include "core/account.h"
#include "core/client.h"
#include "core/export.h"
#include "core/pairing.h"

typedef struct pp_import {
    pp_client client; /* of sub alone */
    pp_sub *sub;
    pp_account *importer;
    pp_account *exporter;
    pp_pairing pairing; /* there: the exporter's subject */
    bool is_service;
    bool share;
    bool allow_trace;
    bool activated;
    bool inactive; /* whatever the exporter says */
    bool up;       /* a stream that stands among the exporter's importers */
    /* What it means. NULL: nothing (any more), and nothing passes. */
    _Atomic(const pp_export *) export;
    pp_link link; /* among the exporter's imported_by; guarded by the lock of accounts */
} pp_import;

/* What one import is made of. */
typedef struct pp_import_entry {
    pp_account *exporter; /* counted in its named_by, which is the import's from then on */
    const char *subject;  /* there */
    const char *local;    /* NULL: the same */
    const char *prefix;   /* of streams; NULL: none */
    bool is_service;
    bool share;
    bool allow_trace;
    bool activated;
    bool inactive;
} pp_import_entry;

typedef struct pp_imports {
    size_t count;
    size_t stream_count;
    pp_sublist *services; /* by the subject in the importing account; NULL: there are none */
    pp_import *items;
} pp_imports;

/**
 * Make the imports of account; they are linked with nothing yet.
 *
 * Owner:  entries are read only for the call.
 * Errors: PIPIT_EINVAL, and error (which may be NULL) says why; PIPIT_ETOOBIG; PIPIT_ENOMEM.
 */
pipit_err pp_imports_new(pp_imports **out_imports, pp_account *account,
                         const pp_import_entry *entries, size_t count, pp_buf *error);
/* Only when they have been taken down, and no loop can look at them. NULL is fine. */
void pp_imports_free(pp_imports *imports);

/* Put them up: from now on messages pass, as far as the exporters of now allow it.
 * Thread: any, with the lock of accounts held. Errors: PIPIT_ENOMEM, some pass nothing. */
pipit_err pp_imports_put_up(pp_imports *imports);
/* Before they go; loops may look at them until they end their turn. Thread: the same. */
void pp_imports_take_down(pp_imports *imports);

/* Why an import is not linked. */
typedef enum pp_link_state {
    PP_LINK_GOOD,
    PP_LINK_INACTIVE,   /* its own settings say so */
    PP_LINK_NO_ACCOUNT, /* the exporter is not there */
    PP_LINK_REFUSED,    /* there is no such export, or it is not for this account */
} pp_link_state;

/* Link it with what the exporter has now. Routes that know better are made stale. Thread: any, with
 * the lock of accounts held. */
pp_link_state pp_import_relink(pp_import *import);

/* What an import would be linked with, were exports those of its exporter. */
pp_link_state pp_import_judge(const pp_import *import, const pp_exports *exports,
                              const pp_export **out_export);

static inline pp_import *pp_import_of(const pp_sub *sub)
{
    return PP_CONTAINER(sub->client, pp_import, client);
}

/* Tell the exporters of streams that those under pattern here may be heard by others than before;
 * all: every stream. Thread: any, holding imports_lock or in a turn. */
void pp_imports_note(const pp_imports *imports, pp_str pattern);
void pp_imports_note_all(const pp_imports *imports);

/* Those of streams: nobody delivers to them, routes have who subscribes in the importing account in
 * their place. */
extern const struct pp_client_ops pp_stream_import_ops;
/* crossing.c: those of services. */
extern const struct pp_client_ops pp_service_import_ops;

#endif
