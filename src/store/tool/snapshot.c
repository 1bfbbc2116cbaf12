/* snapshot and restore: a store as a stream of bytes, and back. */
#include "store/tool/command.h"

#include "base/alloc.h"
#include "store/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PIECE_BYTES = 1024 * 1024, PIECE_MAX = 256 * 1024 * 1024 };

static pipit_err write_out(pp_buf *piece)
{
    bool written = fwrite(piece->ptr, 1, piece->len, stdout) == piece->len;

    piece->len = 0;
    return written ? PIPIT_OK : PIPIT_EIO;
}

static pipit_err write_all(pp_store *store, uint64_t *out_messages)
{
    pp_store_snapshot *snapshot;
    bool end = false;
    pp_buf piece;
    pipit_err err = pp_store_snapshot_new(store, &snapshot);

    if (err)
        return err;
    pp_buf_init(&piece, PIECE_MAX);
    while (!err && !end) {
        err = pp_store_snapshot_next(snapshot, PIECE_BYTES, &piece, &end);
        if (!err)
            err = write_out(&piece);
    }
    *out_messages = pp_store_snapshot_messages(snapshot);
    pp_buf_fini(&piece);
    pp_store_snapshot_free(snapshot);
    return err;
}

int store_command_snapshot(const struct store_command *command)
{
    struct pp_store_findings findings = {0};
    char why[PP_STORE_WHY_BYTES] = "";
    pp_store_view *view;
    uint64_t messages = 0;
    uint32_t damage;
    pipit_err err;

    if (isatty(STDOUT_FILENO)) {
        (void)fprintf(stderr, "pipit-store: standard output is a terminal: name a file for it\n");
        return STORE_USAGE;
    }
    err = pp_store_view_open(&command->options, &findings, &view, why);
    if (!err) {
        err = write_all(pp_store_view_store(view), &messages);
        pp_store_view_close(view);
    }
    damage = pp_store_findings_damage(&findings);
    pp_store_findings_fini(&findings);
    if (err)
        return store_command_failed(command, err, why);
    (void)fprintf(stderr, "%" PRIu64 " messages%s\n", messages,
                  damage ? "; what is damaged is not among them" : "");
    return damage ? STORE_DAMAGED : STORE_WHOLE;
}

static pipit_err read_all(pp_restore *restore, char *why)
{
    char *piece = pp_alloc(PIECE_BYTES);
    pipit_err err = piece ? PIPIT_OK : PIPIT_ENOMEM;

    while (!err) {
        size_t got = fread(piece, 1, PIECE_BYTES, stdin);

        if (got == 0)
            break;
        err = pp_restore_add(restore, (pp_str){piece, got});
    }
    if (!err && ferror(stdin))
        err = PIPIT_EIO;
    if (!err)
        err = pp_restore_finish(restore);
    if (err == PIPIT_EDAMAGED)
        (void)snprintf(
            why, PP_STORE_WHY_BYTES,
            "standard input is not a whole snapshot; what was made of it is in *.restoring");
    pp_free(piece);
    return err;
}

int store_command_restore(const struct store_command *command)
{
    char why[PP_STORE_WHY_BYTES] = "";
    pp_restore *restore;
    pipit_err err = pp_restore_new(&command->options, &restore, why);

    if (err)
        return store_command_failed(command, err, why);
    err = read_all(restore, why);
    pp_restore_free(restore);
    return err ? store_command_failed(command, err, why) : STORE_WHOLE;
}
