/* The inlet of a server's loop is held: it routes nothing, and does all else. */
#ifndef PIPIT_TESTS_CLIENT_INLET_HOLD_H
#define PIPIT_TESTS_CLIENT_INLET_HOLD_H

#include "pipit/server.h"

#include <stdbool.h>

/* Until it is let go, that of the first loop. */
void inlet_hold(pipit_server *server);
void inlet_let_go(pipit_server *server);

#endif
