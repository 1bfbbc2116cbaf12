#include "net/conn_inside.h"

#include "base/alloc.h"

static void table_grow(pp_loop *loop)
{
    size_t count = (loop->conn_mask + 1) * 2;
    pp_conn **table = pp_calloc(count, sizeof(pp_conn *));

    if (!table)
        return; /* longer chains, no harm */
    for (size_t i = 0; i <= loop->conn_mask; i++) {
        while (loop->conn_table[i]) {
            pp_conn *conn = loop->conn_table[i];

            loop->conn_table[i] = conn->next_in_table;
            conn->next_in_table = table[conn->id & (count - 1)];
            table[conn->id & (count - 1)] = conn;
        }
    }
    pp_free(loop->conn_table);
    loop->conn_table = table;
    loop->conn_mask = count - 1;
}

void pp_conn_table_add(pp_loop *loop, pp_conn *conn)
{
    pp_conn **slot;

    if (++loop->conn_count > loop->conn_mask)
        table_grow(loop);
    slot = &loop->conn_table[conn->id & loop->conn_mask];
    conn->next_in_table = *slot;
    *slot = conn;
    loop->aside_count += conn->door->aside;
}

void pp_conn_table_remove(pp_loop *loop, pp_conn *conn)
{
    pp_conn **at = &loop->conn_table[conn->id & loop->conn_mask];

    while (*at != conn)
        at = &(*at)->next_in_table;
    *at = conn->next_in_table;
    loop->conn_count--;
    loop->aside_count -= conn->door->aside;
}

pp_conn *pp_conn_find(pp_loop *loop, uint64_t id)
{
    pp_conn *conn = loop->conn_table[id & loop->conn_mask];

    while (conn && conn->id != id)
        conn = conn->next_in_table;
    return conn && !conn->closing ? conn : NULL;
}

pp_conn *pp_conn_any(pp_loop *loop, size_t *at)
{
    for (size_t i = 0; i <= loop->conn_mask; i++, (*at)++) {
        for (pp_conn *conn = loop->conn_table[*at & loop->conn_mask]; conn;
             conn = conn->next_in_table) {
            if (!conn->closing && !conn->door->aside)
                return conn;
        }
    }
    return NULL;
}

void pp_conn_each(pp_loop *loop, void (*visit)(pp_conn *conn, void *arg), void *arg)
{
    for (size_t i = 0; i <= loop->conn_mask; i++) {
        for (pp_conn *conn = loop->conn_table[i], *next; conn; conn = next) {
            next = conn->next_in_table;
            if (!conn->closing)
                visit(conn, arg);
        }
    }
}

/* Count up from the highest bit down. What is done when the table doubles is then done in the new
 * one, too: both halves of a place that was visited come before *at in this order. */
static bool next_place(size_t mask, size_t *at)
{
    size_t bit = (mask + 1) / 2;

    while (bit && (*at & bit)) {
        *at &= ~bit;
        bit /= 2;
    }
    *at |= bit;
    return bit != 0;
}

bool pp_conn_walk(pp_loop *loop, size_t *at, void (*visit)(pp_conn *conn, void *arg), void *arg)
{
    for (pp_conn *conn = loop->conn_table[*at & loop->conn_mask], *next; conn; conn = next) {
        next = conn->next_in_table;
        if (!conn->closing)
            visit(conn, arg);
    }
    return next_place(loop->conn_mask, at);
}
