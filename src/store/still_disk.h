/* store/still_disk.h -- a disk that only seems to change: reads are those of the disk below,
 * whatever would change it is answered as done and is not. With it a store is looked at as it is.
 *
 * What was "written" cannot be read back: it is for opening, reading and closing, no more. A lock
 * is a true one, so that a store which is in use is not looked at. */
#ifndef PP_STORE_STILL_DISK_H
#define PP_STORE_STILL_DISK_H

#include "store/disk.h"

struct pp_still_disk {
    pp_disk disk;
    pp_disk *below;
};

/* below is borrowed. */
void pp_still_disk_init(struct pp_still_disk *still, pp_disk *below);

#endif
