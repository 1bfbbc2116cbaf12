/* tests/store/holey.h -- stores on the bad disk whose sequences have gaps, of which messages have
 * been deleted and erased, and how their files are damaged. */
#ifndef PIPIT_TESTS_STORE_HOLEY_H
#define PIPIT_TESTS_STORE_HOLEY_H

#include "store/store.h"

#include <sys/stat.h>

enum {
    HOLEY_MESSAGES = 2000,
    HOLEY_STEP = 3, /* from one sequence to the next */
    HOLEY_PAYLOAD_BYTES = 300,
    HOLEY_BODY_LOST = 10, /* the message whose body is damaged, */
    HOLEY_HEAD_LOST = 60, /* and the one of whose head nothing is left */
};

/* What of a footer is damaged; and the records of deletes between two messages in the middle. */
typedef enum holey_part { HOLEY_INDEX, HOLEY_FRONT, HOLEY_FRONT_AND_DELETES } holey_part;

/* Open or create one with small segments that keeps only the index that was used last. */
pp_store *holey_open(const char *name);
/* Append the nth message. */
pipit_err holey_try_append(pp_store *store, unsigned n);
void holey_append(pp_store *store, unsigned n);

/* A store of HOLEY_MESSAGES. Half of what is deleted is so while there is more to come, so that
 * other footers tell of it. */
pp_store *holey_make(const char *name);
bool holey_is_deleted(unsigned n);
unsigned holey_count_left(void);
uint64_t holey_messages_of(pp_store *store);
/* What there is can be read, and nothing else. */
void holey_read_all(pp_store *store);
/* Indexes that deletes have loaded go for that of the last one. */
void holey_let_indexes_go(pp_store *store, unsigned from);
/* Until the disk gives the index that a message is in. */
void holey_await(pp_store *store, uint64_t seq);

/* Damage the messages that are to be lost and a part of the footer, of one file or of all. */
void holey_damage_file(const char *path, holey_part part);
void holey_damage(const char *name, holey_part part);

/* All of a file; the caller frees it. */
char *holey_read_whole(int fd, struct stat *out_about);
/* What stands between the nth message and the next: records of deletes. False: they are not both in
 * it. */
bool holey_find_between(const char *from, size_t len, unsigned n, size_t *out_at, size_t *out_end);

#endif
