/* net/conn_inside.h -- what the files that make up a connection say to each other.
 *
 * conn.c       opening, closing, layers
 * conn_table.c a loop's connections by id
 * reading.c    from the socket to the door
 * pause.c      when not to read
 * notice.c     what the owner hears of its output: sent, stuck, too slow
 * peer.c       who is at the other end
 *
 * All of it on the connection's loop. */
#ifndef PP_NET_CONN_INSIDE_H
#define PP_NET_CONN_INSIDE_H

#include "net/conn.h"

enum { PP_STALL_NS = 10000000 }; /* the longest a publisher waits for a recipient per read */

void pp_conn_table_add(pp_loop *loop, pp_conn *conn);
void pp_conn_table_remove(pp_loop *loop, pp_conn *conn);

/* Its turn to be read comes; read_again: there is more than the socket would tell of. */
void pp_conn_mark_ready(pp_conn *conn);
void pp_conn_read_again(pp_conn *conn);

/* It does not read a large operation any more while memory is short: another may. */
void pp_conn_not_late(pp_conn *conn);

/* All is sent, or nothing can be sent any more. Otherwise ask to be told. */
bool pp_conn_nothing_left(pp_conn *conn);

/* All that came before the layer to come has gone. */
void pp_conn_enter_layer(pp_conn *conn);

/* Try again to finish closing. */
void pp_conn_look_at_closing(pp_conn *conn);

void pp_conn_on_event(pp_source *source, uint32_t events);
void pp_conn_on_notice(pp_task *task);
void pp_conn_on_ungate(pp_task *task);

#endif
