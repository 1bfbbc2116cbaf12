#include "auth/gate.h"

#include "base/alloc.h"
#include "base/assert.h"

struct pp_gate {
    const pp_users *users;
    pp_authority *operators;
    pp_authority *callout;
    atomic_int_fast64_t waiting; /* logins */
};

enum step { ASK_WHO, AWAIT_WHO, ASK_CALLOUT, AWAIT_CALLOUT, DECIDED };

pipit_err pp_gate_new(pp_gate **out_gate, const pp_gate_setup *setup)
{
    pp_gate *gate = pp_calloc(1, sizeof(*gate));

    if (!gate)
        return PIPIT_ENOMEM;
    gate->users = setup->users;
    gate->operators = setup->operators;
    gate->callout = setup->callout;
    *out_gate = gate;
    return PIPIT_OK;
}

void pp_gate_free(pp_gate *gate)
{
    PP_ASSERT(!gate || pp_gate_idle(gate));
    pp_free(gate);
}

static atomic_int_fast64_t *waiting_of(const pp_gate *gate)
{
    return &((pp_gate *)gate)->waiting;
}

bool pp_gate_idle(const pp_gate *gate)
{
    return atomic_load(waiting_of(gate)) == 0;
}

/* --- what everybody is told --------------------------------------------------------------- */

bool pp_gate_required(const pp_gate *gate, pp_entrance entrance)
{
    (void)entrance;
    return gate->operators || pp_users_required(gate->users);
}

bool pp_gate_announced(const pp_gate *gate, pp_entrance entrance)
{
    (void)entrance;
    return gate->operators || pp_users_announced(gate->users);
}

bool pp_gate_wants_nonce(const pp_gate *gate)
{
    return gate->operators != NULL;
}

const pp_user *pp_gate_anybody(const pp_gate *gate, pp_entrance entrance, uint16_t connection_type)
{
    const pp_user *user;

    (void)entrance;
    if (gate->operators || gate->callout)
        return NULL;
    user = pp_users_anybody(gate->users);
    return user && (user->connection_types & connection_type) ? user : NULL;
}

/* --- one login ---------------------------------------------------------------------------- */

static pipit_err ask_table(const pp_gate *gate, pp_login *login)
{
    const pp_login_shown *shown = &login->shown;
    const pp_user *user = pp_users_check(gate->users, shown->user, shown->pass, shown->token);

    if (user && !(user->connection_types & shown->connection_type))
        user = NULL;
    if (user) {
        pp_user_hold(user);
        pp_login_admit(login, user);
    } else {
        pp_login_refuse(login, PP_LOGIN_DENIED, NULL);
    }
    return PIPIT_OK;
}

/* One step; EAGAIN: and somebody works on the next. */
static pipit_err take_step(pp_login *login)
{
    const pp_gate *gate = login->gate;

    switch ((enum step)login->step) {
    case ASK_WHO:
        login->step = AWAIT_WHO;
        return gate->operators ? gate->operators->ask(gate->operators, login)
                               : ask_table(gate, login);
    case AWAIT_WHO:
        login->step = ASK_CALLOUT;
        return PIPIT_OK;
    case ASK_CALLOUT:
        login->step = AWAIT_CALLOUT;
        return gate->callout ? gate->callout->ask(gate->callout, login) : PIPIT_OK;
    case AWAIT_CALLOUT:
    case DECIDED:
        login->step = DECIDED;
        return PIPIT_OK;
    }
    return PIPIT_OK;
}

static void forget_verdict(pp_login *login)
{
    if (login->verdict.user)
        pp_user_let_go(login->verdict.user);
    login->verdict = (pp_login_verdict){0};
}

static pipit_err proceed(pp_login *login)
{
    while (login->step != DECIDED) {
        pipit_err err = take_step(login);

        if (err == PIPIT_EAGAIN)
            return err;
        if (err) {
            forget_verdict(login);
            pp_login_refuse(login, PP_LOGIN_NO_MEMORY, NULL);
            login->step = DECIDED;
        }
    }
    return PIPIT_OK;
}

pipit_err pp_gate_ask(const pp_gate *gate, pp_login *login)
{
    pipit_err err;

    login->gate = gate;
    login->step = ASK_WHO;
    /* It may be woken, on another thread, before this returns: but it goes on here. */
    (void)atomic_fetch_add(waiting_of(gate), 1);
    err = proceed(login);
    if (err != PIPIT_EAGAIN)
        (void)atomic_fetch_sub(waiting_of(gate), 1);
    return err;
}

pipit_err pp_gate_go_on(pp_login *login)
{
    pipit_err err = proceed(login);

    if (err != PIPIT_EAGAIN)
        (void)atomic_fetch_sub(waiting_of(login->gate), 1);
    return err;
}

void pp_gate_drop(pp_login *login)
{
    forget_verdict(login);
    if (login->step != DECIDED) {
        login->step = DECIDED;
        (void)atomic_fetch_sub(waiting_of(login->gate), 1);
    }
}

/* --- after a reload ----------------------------------------------------------------------- */

const pp_user *pp_gate_renew(const pp_gate *gate, const pp_user *old, bool *out_gone)
{
    const pp_user *user = NULL;

    *out_gone = false;
    if (!old->table) {
        pp_authority *authority = gate->operators ? gate->operators : gate->callout;

        return authority ? authority->renew(authority, old, out_gone) : NULL;
    }
    if (!gate->operators)
        user = pp_users_renew(gate->users, old, out_gone);
    if (user)
        pp_user_hold(user);
    return user;
}
