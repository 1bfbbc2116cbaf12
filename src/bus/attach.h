/* bus/attach.h -- a bus on a stream that is connected already. */
#ifndef PP_BUS_ATTACH_H
#define PP_BUS_ATTACH_H

#include "pipit/bus.h"

/* Owner: fd, which does not block, is the bus's, or closed. Errors: as pipit_bus_connect. */
pipit_err pp_bus_attach(pipit_bus **out_bus, int fd);

#endif
