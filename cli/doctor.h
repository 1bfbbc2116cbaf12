/* cli/doctor.h -- `pipit doctor`: what is wrong, or soon will be, with a configuration and the
 * server that runs with it. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/inquiry.h"
#include "pipit/config.h"

extern const cli_command cli_doctor_command;

typedef enum cli_level { CLI_FINE, CLI_NOTE, CLI_WARN, CLI_BAD } cli_level;

/* What has been found so far. */
typedef struct cli_doctor cli_doctor;

/* A finding, and what to do about it; advice NULL: nothing. Texts may hold what others say. */
void cli_doctor_find(cli_doctor *doctor, cli_level level, const char *topic, const char *advice,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A setting's text; "" if there is none. */
const char *cli_doctor_setting(const pipit_config *config, const char *name);
/* May anybody but this machine connect to a host that is listened on? */
bool cli_doctor_is_open(const char *host);

/* --- looking; config and varz may be NULL ---------------------------------------------------- */

/* The file alone (doctor_config.c). */
void cli_doctor_look_config(cli_doctor *doctor, const pipit_config *config, const char *path);
/* The file beside what runs, and the last reload (doctor_reload.c). */
void cli_doctor_look_reload(cli_doctor *doctor, const pipit_config *config, const json_t *varz,
                            cli_inquiry *inquiry);
/* Settings that let in more than they should, and limits that are near (doctor_limits.c). */
void cli_doctor_look_risks(cli_doctor *doctor, const json_t *varz);
void cli_doctor_look_limits(cli_doctor *doctor, const pipit_config *config, const json_t *varz);
/* Who is slow, and why; who has been closed for what (doctor_slow.c). */
void cli_doctor_look_slow(cli_doctor *doctor, const json_t *varz, cli_inquiry *inquiry,
                          int64_t interval_ns);
void cli_doctor_look_closed(cli_doctor *doctor, cli_inquiry *inquiry);

#endif
