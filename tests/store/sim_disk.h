/* tests/store/sim_disk.h -- a disk in memory whose power can be cut, that can fail, and be full.
 *
 * It has two states: what programs see, and what would be there after a cut. A sync carries a
 * file's sectors (512 bytes) and size from one to the other; a sync of the directory carries names.
 * At a cut each sector, size and name that was not synced is as it was before or as it is now, as a
 * seed has it. Not for several threads at once. */
#ifndef PIPIT_TESTS_STORE_SIM_DISK_H
#define PIPIT_TESTS_STORE_SIM_DISK_H

#include "store/disk.h"

#ifndef SIM_FILES_MAX
#define SIM_FILES_MAX 512 /* ever made */
#endif
#ifndef SIM_FDS_MAX
#define SIM_FDS_MAX 64
#endif
enum { SIM_SECTOR = 512 };

struct sim_file {
    char *now;
    char *disk;
    unsigned char *dirty; /* by sector */
    uint64_t size_now;
    uint64_t size_disk;
    uint64_t cap;
};

struct sim_name {
    char path[128];
    struct sim_file *now;
    struct sim_file *disk;
};

struct sim_disk {
    pp_disk disk;
    struct sim_file *files[SIM_FILES_MAX];
    unsigned file_count;
    struct sim_name names[SIM_FILES_MAX];
    unsigned name_count;
    struct sim_file *fds[SIM_FDS_MAX];
    unsigned fds_open;
    uint64_t ops;     /* calls that change something or ask for it to be kept */
    uint64_t calls;   /* all calls that may fail */
    uint64_t cut_at;  /* the power goes at this op (from 1); 0: never */
    bool dead;        /* it has gone */
    uint64_t fail_at; /* this call (from 1) fails; 0: none */
    int fail_with;    /* an errno; 0: half of what is asked for is done */
    bool failed;      /* it did */
    uint64_t limit;   /* bytes of all files; 0: no limit */
};

void sim_init(struct sim_disk *sim);
void sim_fini(struct sim_disk *sim);

/* The power comes back: what was not synced is there or not, sector by sector. how: 0 nothing of
 * it, 1 all of it, else by chance. */
void sim_power_on(struct sim_disk *sim, uint64_t seed, unsigned how);

/* A file as programs see it; NULL: there is none. */
struct sim_file *sim_find(struct sim_disk *sim, const char *path);
/* Make both states of the file these bytes. */
void sim_set(struct sim_file *file, const char *bytes, uint64_t size);

#endif
