#include "net/outlet_inside.h"

#include "net/slow.h"

/* More waiting makes publishers wait. Source: NATS client protocol, section 15: 75 %. */
static size_t gate_bytes(const pp_conn *conn, const pp_loop *loop)
{
    size_t most = pp_conn_pending_max(conn) / 4 * 3;

    return loop->pressed && most > PP_SLOW_PRESSED_BYTES ? PP_SLOW_PRESSED_BYTES : most;
}

static void ungate_locked(pp_conn *conn, pp_outlet *outlet)
{
    if (outlet->gate == PP_GATE_OPEN || (outlet->gate == PP_GATE_QUEUE && conn->box.pending_bytes))
        return;
    outlet->gate = PP_GATE_OPEN;
    if (outlet->ungate_posted)
        return; /* one that is under way looks at the gate when it arrives */
    outlet->ungate_posted = true;
    pp_outbox_post_locked(conn, outlet->loop, &outlet->ungate);
}

/* The recipient has caught up: publishers that wait on other loops may go on. */
void pp_outbox_open_gate_locked(pp_conn *conn)
{
    for (pp_outlet *outlet = conn->box.outlets; outlet; outlet = outlet->next_of_conn)
        ungate_locked(conn, outlet);
    ungate_locked(conn, &conn->own);
}

void pp_gate_note_progress_locked(pp_conn *conn, const pp_loop *loop)
{
    if (conn->box.pending_bytes < gate_bytes(conn, loop))
        pp_outbox_open_gate_locked(conn);
}

void pp_gate_close_locked(pp_outlet *outlet)
{
    const pp_outbox *box = &outlet->conn->box;

    if (box->policy != PP_SLOW_DISCONNECT)
        return;
    if (box->pending_bytes > gate_bytes(outlet->conn, outlet->loop)) {
        outlet->gated = true;
        outlet->gated_pressed = outlet->loop->pressed;
        outlet->gate = PP_GATE_LAGS;
    } else if (outlet->loop->borrowed && !outlet->gated) {
        outlet->gate = PP_GATE_QUEUE;
        outlet->loop->refused = outlet;
    }
}

bool pp_outlet_lags(pp_outlet *outlet)
{
    pp_conn *conn = outlet->conn;

    pp_mutex_lock(&conn->box.lock);
    if (conn->box.pending_bytes <= gate_bytes(conn, outlet->loop)) {
        outlet->gated = false;
        outlet->gate = PP_GATE_OPEN;
    }
    outlet->gated_pressed = outlet->gated && outlet->loop->pressed;
    pp_mutex_unlock(&conn->box.lock);
    return outlet->gated;
}
