/* What sessions tell the server: who keeps records and who tells others get to know it here. */
#include "server/monitor/history.h"
#include "server/server.h"
#include "server/system/conns.h"
#include "server/system/events.h"

static void on_connected(void *context, pp_nats_session *session)
{
    pipit_server *server = context;

    pp_events_connected(&server->system, session);
}

static void on_refused(void *context, pp_nats_session *session)
{
    pipit_server *server = context;

    pp_events_refused(&server->system, session);
}

static void on_closed(void *context, pp_nats_session *session)
{
    pipit_server *server = context;

    pp_history_note(server->history, session->conn);
    pp_events_closed(&server->system, session);
}

static void on_counted(void *context, pp_account *account)
{
    pipit_server *server = context;

    pp_system_note_count(&server->system, account);
    pp_conns_note(&server->system, account);
}

void pp_server_observe(pipit_server *server)
{
    server->nats_door.observer = (pp_nats_observer){
        .connected = on_connected,
        .refused = on_refused,
        .closed = on_closed,
        .counted = on_counted,
        .context = server,
    };
}
