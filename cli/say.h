/* cli/say.h -- what goes wrong, said on standard error in one line. */
#ifndef CLI_SAY_H
#define CLI_SAY_H

/* Print "pipit: " and a sentence. Texts of others in it must be safe to show (cli/escape.h).
 * Returns status, so that a command can `return cli_fail(...)`. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for what is worth knowing and ends nothing. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
