/* tests/store/bad_disk.h -- the real disk, of which some files cannot be read, that is full, or
 * whose writes wait; it knows which files are read as a whole.
 *
 * There is one for each program. What is not behind a function is looked at and changed
 * while no other thread reads. */
#ifndef PIPIT_TESTS_STORE_BAD_DISK_H
#define PIPIT_TESTS_STORE_BAD_DISK_H

#include "store/disk.h"
#include "store/store.h"

#include <sys/types.h>

/* A part of a file. */
struct bad_disk_part {
    ino_t file; /* 0: none */
    uint64_t at;
    uint64_t end;
};

struct bad_disk {
    pp_disk disk;
    struct pp_disk_ops ops;
    ino_t files[2];                /* they cannot be read; 0: none */
    struct bad_disk_part parts[2]; /* nor can these */
    int why;                       /* errno */
    unsigned reads, whole_reads;   /* that were made, */
    unsigned bad_reads;            /* and could not be */
};

/* For cmocka_run_group_tests(), with a folder; folder_remove() goes with it. */
int bad_disk_make(void **state);
struct bad_disk *bad_disk(void);

/* The nth of the files that cannot be read is this one, or none; while others read, too. */
void bad_disk_lose(unsigned nth, ino_t file);

/* Reads of this file wait until it is another one, or none. */
void bad_disk_hold(ino_t file);

/* Writes wait until it is not shut any more. */
void bad_disk_shut(bool shut);
/* It has no room for more files. */
void bad_disk_fill(bool full);

/* How often room was reserved. */
unsigned bad_disk_reservations(void);
/* Until it was once more than before, and a store has told of progress since. */
void bad_disk_await_reservation(unsigned before);
/* Until so many reads ahead are not all that the store has made. */
void bad_disk_await_read(pp_store *store, uint64_t before);
/* What stores with threads tell their progress to. */
void bad_disk_on_progress(void *ctx);

#endif
