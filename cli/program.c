#include "cli/program.h"

#include "cli/command.h"
#include "cli/memory.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORDS_MAX = 128,
    OUTPUT_MAX = 64 * 1024 * 1024,
    READ_BYTES = 64 * 1024,
    BODY_MAX = 64 * 1024
};

struct cli_program {
    cli_template *words[WORDS_MAX];
    size_t count;
};

/* --- words -------------------------------------------------------------------------------- */

/* Read one word from *at into word, which is as large as the line. False: a quote is not closed. */
static bool next_word(const char **at, char *word)
{
    char quote = 0;

    for (; **at && (quote || !strchr(" \t\n", **at)); ++*at) {
        char c = **at;

        if (quote ? c == quote : c == '\'' || c == '"') {
            quote = quote ? 0 : c;
        } else if (c == '\\' && quote != '\'' && (*at)[1]) {
            *word++ = *++*at;
        } else {
            *word++ = c;
        }
    }
    *word = '\0';
    return !quote;
}

int cli_program_read(const char *line, cli_program **out)
{
    cli_program *program = cli_alloc(sizeof(*program));
    char *word = cli_alloc(strlen(line) + 1);
    int status = CLI_DONE;

    for (line += strspn(line, " \t\n"); *line && !status; line += strspn(line, " \t\n")) {
        if (program->count == WORDS_MAX)
            status = cli_fail(CLI_USAGE, "a command has at most %d words", WORDS_MAX);
        else if (!next_word(&line, word))
            status = cli_fail(CLI_USAGE, "the command has a quote that is not closed");
        else
            status = cli_template_read(word, false, &program->words[program->count]);
        program->count += !status;
    }
    if (!status && !program->count)
        status = cli_fail(CLI_USAGE, "the command is empty");
    free(word);
    if (status)
        cli_program_free(program);
    else
        *out = program;
    return status;
}

void cli_program_free(cli_program *program)
{
    if (!program)
        return;
    for (size_t i = 0; i < program->count; i++)
        cli_template_free(program->words[i]);
    free(program);
}

/* --- running ------------------------------------------------------------------------------ */

struct child {
    pid_t pid;
    int in, out; /* pipes to and from it; -1: closed */
};

/* A variable holds no NUL, and what is too long for one stays away. */
static void tell(const char *name, const void *text, size_t bytes)
{
    char *value = bytes <= BODY_MAX && !memchr(text, 0, bytes) ? cli_copy(text, bytes) : NULL;

    if (value)
        (void)setenv(name, value, 1);
    free(value);
}

/* In the child. */
static _Noreturn void become(const cli_program *program, const cli_program_input *input,
                             const int in[2], const int out[2])
{
    char *argv[WORDS_MAX + 1] = {NULL};
    sigset_t none;
    size_t bytes;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
        _exit(127);
    for (size_t i = 0; i < program->count; i++)
        argv[i] = cli_template_fill(program->words[i], input->values, &bytes);
    if (input->tells_request && input->values->subject) {
        tell("NATS_REQUEST_SUBJECT", input->values->subject, input->values->subject_bytes);
        tell("NATS_REQUEST_BODY", input->bytes ? input->bytes : "", input->count);
    }
    (void)execvp(argv[0], argv);
    (void)cli_fail(CLI_FAILED, "cannot run %s: %s", argv[0], strerror(errno));
    _exit(127);
}

static bool start(const cli_program *program, const cli_program_input *input, struct child *out)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) != 0)
        return false;
    if (pipe2(from, O_CLOEXEC) != 0) {
        (void)close(to[0]);
        (void)close(to[1]);
        return false;
    }
    out->pid = fork();
    if (out->pid == 0)
        become(program, input, to, from);
    (void)close(to[0]);
    (void)close(from[1]);
    *out = (struct child){out->pid, to[1], from[0]};
    (void)fcntl(out->in, F_SETFL, O_NONBLOCK);
    return true;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Feed it and read it, both at once: it may do either first. False: it writes too much. */
static bool talk(struct child *child, const cli_program_input *input, char **text, size_t *len)
{
    size_t fed = 0, room = 0;

    while (child->out >= 0) {
        struct pollfd fds[2] = {{.fd = child->in, .events = POLLOUT},
                                {.fd = child->out, .events = POLLIN}};
        ssize_t n;

        if (fed == input->count)
            close_end(&child->in);
        fds[0].fd = child->in;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return false;
        if (child->in >= 0 && fds[0].revents) {
            n = write(child->in, (const char *)input->bytes + fed, input->count - fed);
            if (n > 0)
                fed += (size_t)n;
            else if (n < 0 && errno != EAGAIN && errno != EINTR)
                fed = input->count; /* it does not want more */
        }
        if (!fds[1].revents)
            continue;
        if (*len == OUTPUT_MAX)
            return false;
        if (room - *len < READ_BYTES) {
            room += room + READ_BYTES;
            *text = cli_realloc(*text, room + 1);
        }
        n = read(child->out, *text + *len, READ_BYTES);
        if (n > 0)
            *len += (size_t)n > OUTPUT_MAX - *len ? OUTPUT_MAX - *len : (size_t)n;
        else if (n == 0 || errno != EINTR)
            close_end(&child->out);
    }
    return true;
}

int cli_program_run(const cli_program *program, const cli_program_input *input, char **out_text,
                    size_t *out_bytes)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    struct child child = {.in = -1, .out = -1};
    int status = -1;
    bool whole;

    *out_text = cli_alloc(1);
    *out_bytes = 0;
    if (!start(program, input, &child))
        return -1;
    (void)sigaction(SIGPIPE, &ignore, &before); /* it may end without reading */
    whole = child.pid > 0 && talk(&child, input, out_text, out_bytes);
    close_end(&child.in);
    close_end(&child.out);
    if (child.pid > 0 && !whole)
        (void)kill(child.pid, SIGKILL);
    while (child.pid > 0 && waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
        ;
    (void)sigaction(SIGPIPE, &before, NULL);
    (*out_text)[*out_bytes] = '\0';
    return whole && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
