#include "proto/message_broker/reader.h"

#include <string.h>

static const pp_str topic_prefix = {"topic:", 6};

/* What is read, and how far. */
struct scan {
    pp_str left;
    size_t used;
    size_t want;
    pp_mb_op *op;
};

static uint16_t read_u16(const char *from)
{
    const unsigned char *b = (const unsigned char *)from;

    return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t read_u32(const char *from)
{
    return (uint32_t)read_u16(from) << 16 | read_u16(from + 2);
}

/* Are so many bytes there? If not, say so. */
static bool has(struct scan *scan, size_t bytes)
{
    if (scan->left.len >= bytes)
        return true;
    scan->want = bytes;
    return false;
}

static void take(struct scan *scan, size_t bytes)
{
    scan->left.ptr += bytes;
    scan->left.len -= bytes;
    scan->used += bytes;
}

/* Parts answer PIPIT_OK when there is an operation, PIPIT_EAGAIN when more is needed, and GO_ON
 * when the next part comes. */
#define GO_ON PIPIT_EEXIST

static pipit_err refuse(pp_mb_reader *reader, struct scan *scan, const char *error, pp_mb_part next)
{
    *scan->op = (pp_mb_op){.kind = PP_MB_OP_BAD, .error = error, .over = next == PP_MB_PART_OVER};
    reader->part = next;
    return PIPIT_OK;
}

/* --- subscribers -------------------------------------------------------------------------- */

static pipit_err read_action(pp_mb_reader *reader, struct scan *scan)
{
    if (!has(scan, 2))
        return PIPIT_EAGAIN;
    reader->action = read_u16(scan->left.ptr);
    take(scan, 2);
    if (reader->action == PP_MB_SUBSCRIBE || reader->action == PP_MB_UNSUBSCRIBE) {
        reader->part = PP_MB_PART_LIST;
        return GO_ON;
    }
    if (reader->part == PP_MB_PART_ACTION) {
        *scan->op = (pp_mb_op){.kind = PP_MB_OP_ANSWER, .action = reader->action};
        return PIPIT_OK;
    }
    if (reader->action != PP_MB_PUBLISH)
        return refuse(reader, scan, "unknown action", PP_MB_PART_OVER);
    reader->part = PP_MB_PART_TOPIC;
    return GO_ON;
}

static pipit_err take_list(pp_mb_reader *reader, struct scan *scan, uint32_t len)
{
    bool subscribes = reader->action == PP_MB_SUBSCRIBE;
    pipit_err err = pp_mb_list_read(&reader->list, (pp_str){scan->left.ptr + 4, len});

    if (err == PIPIT_ENOMEM)
        return err;
    take(scan, 4 + (size_t)len);
    if (err)
        return refuse(reader, scan, "invalid topic data provided",
                      subscribes ? PP_MB_PART_SKIP_START : PP_MB_PART_ACTION);
    reader->part = subscribes ? PP_MB_PART_START : PP_MB_PART_ACTION;
    if (subscribes)
        return GO_ON;
    *scan->op = (pp_mb_op){.kind = PP_MB_OP_UNSUBSCRIBE};
    return PIPIT_OK;
}

static pipit_err read_list(pp_mb_reader *reader, struct scan *scan)
{
    bool subscribes = reader->action == PP_MB_SUBSCRIBE;
    uint32_t len;

    if (!has(scan, 4))
        return PIPIT_EAGAIN;
    len = read_u32(scan->left.ptr);
    if (len > PP_MB_LIST_BYTES_MAX)
        return refuse(reader, scan, "invalid data length of topics provided", PP_MB_PART_OVER);
    if (len == 0) {
        take(scan, 4);
        return refuse(reader, scan, "data length of topics is 0",
                      subscribes ? PP_MB_PART_SKIP_START : PP_MB_PART_ACTION);
    }
    return has(scan, 4 + (size_t)len) ? take_list(reader, scan, len) : PIPIT_EAGAIN;
}

static pipit_err read_start(pp_mb_reader *reader, struct scan *scan)
{
    uint16_t start;

    if (!has(scan, 2))
        return PIPIT_EAGAIN;
    start = read_u16(scan->left.ptr);
    take(scan, 2);
    if (reader->part == PP_MB_PART_SKIP_START) {
        reader->skip = start == PP_MB_FROM ? 2 : 0;
        reader->part = PP_MB_PART_ACTION;
        return GO_ON;
    }
    if (start > PP_MB_FROM)
        return refuse(reader, scan, "invalid start up type provided", PP_MB_PART_ACTION);
    if (start == PP_MB_FROM) {
        reader->part = PP_MB_PART_OFFSET;
        return GO_ON;
    }
    *scan->op = (pp_mb_op){.kind = PP_MB_OP_SUBSCRIBE, .start = (pp_mb_start)start};
    reader->part = PP_MB_PART_ACTION;
    return PIPIT_OK;
}

static pipit_err read_offset(pp_mb_reader *reader, struct scan *scan)
{
    if (!has(scan, 2))
        return PIPIT_EAGAIN;
    *scan->op = (pp_mb_op){
        .kind = PP_MB_OP_SUBSCRIBE, .start = PP_MB_FROM, .offset = read_u16(scan->left.ptr)};
    take(scan, 2);
    reader->part = PP_MB_PART_ACTION;
    return PIPIT_OK;
}

/* --- publishers --------------------------------------------------------------------------- */

/* Most frames lie there as a whole, and nothing of them need be kept. */
static bool take_whole(struct scan *scan, pp_str topic, size_t data_max)
{
    size_t head = 2 + topic.len;
    uint32_t len;

    if (scan->left.len < head + 4)
        return false;
    len = read_u32(scan->left.ptr + head);
    if (len == 0 || len > data_max || scan->left.len - head - 4 < len)
        return false;
    *scan->op = (pp_mb_op){
        .kind = PP_MB_OP_PUBLISH, .topic = topic, .data = {scan->left.ptr + head + 4, len}};
    take(scan, head + 4 + len);
    return true;
}

static pipit_err keep_topic(pp_mb_reader *reader, struct scan *scan, pp_str topic)
{
    pipit_err err;

    pp_buf_fini(&reader->topic);
    pp_buf_init(&reader->topic, UINT16_MAX);
    err = pp_buf_add(&reader->topic, topic.ptr, topic.len);
    if (err)
        return PIPIT_ENOMEM;
    take(scan, 2 + topic.len);
    reader->part = PP_MB_PART_DATA;
    return GO_ON;
}

static pipit_err read_topic(pp_mb_reader *reader, struct scan *scan)
{
    pp_str topic;

    /* A length of nothing is the upper half of one of four bytes, as the original's README has it.
     * Source: message-broker, section 8, 1. */
    while (scan->left.len >= 2 && read_u16(scan->left.ptr) == 0)
        take(scan, 2);
    if (!has(scan, 2))
        return PIPIT_EAGAIN;
    topic.len = read_u16(scan->left.ptr);
    if (!has(scan, 2 + topic.len))
        return PIPIT_EAGAIN;
    topic.ptr = scan->left.ptr + 2;
    if (!pp_str_starts(topic, topic_prefix)) {
        take(scan, 2 + topic.len);
        return refuse(reader, scan, "topic data does not contain 'topic:' prefix",
                      PP_MB_PART_SKIP_DATA);
    }
    if (take_whole(scan, topic, reader->data_max)) {
        scan->op->topic.ptr += topic_prefix.len;
        scan->op->topic.len -= topic_prefix.len;
        return PIPIT_OK;
    }
    return keep_topic(reader, scan, topic);
}

static pipit_err read_data(pp_mb_reader *reader, struct scan *scan)
{
    uint32_t len;

    if (!has(scan, 4))
        return PIPIT_EAGAIN;
    len = read_u32(scan->left.ptr);
    if (len > reader->data_max)
        return refuse(reader, scan, "invalid data length of data provided", PP_MB_PART_OVER);
    if (reader->part == PP_MB_PART_SKIP_DATA) {
        take(scan, 4);
        reader->skip = len;
        reader->part = PP_MB_PART_TOPIC;
        return GO_ON;
    }
    if (!has(scan, 4 + (size_t)len))
        return PIPIT_EAGAIN;
    *scan->op = (pp_mb_op){
        .kind = PP_MB_OP_PUBLISH,
        .topic = {reader->topic.ptr + topic_prefix.len, reader->topic.len - topic_prefix.len},
        .data = {scan->left.ptr + 4, len}};
    take(scan, 4 + (size_t)len);
    reader->part = PP_MB_PART_TOPIC;
    return len ? PIPIT_OK : GO_ON; /* nothing is not a message */
}

/* --- all ---------------------------------------------------------------------------------- */

static bool skip(pp_mb_reader *reader, struct scan *scan)
{
    size_t part = scan->left.len < reader->skip ? scan->left.len : (size_t)reader->skip;

    take(scan, part);
    reader->skip -= part;
    return reader->skip == 0;
}

static pipit_err read_part(pp_mb_reader *reader, struct scan *scan)
{
    switch (reader->part) {
    case PP_MB_PART_FIRST:
    case PP_MB_PART_ACTION:
        return read_action(reader, scan);
    case PP_MB_PART_LIST:
        return read_list(reader, scan);
    case PP_MB_PART_START:
    case PP_MB_PART_SKIP_START:
        return read_start(reader, scan);
    case PP_MB_PART_OFFSET:
        return read_offset(reader, scan);
    case PP_MB_PART_TOPIC:
        return read_topic(reader, scan);
    case PP_MB_PART_DATA:
    case PP_MB_PART_SKIP_DATA:
        return read_data(reader, scan);
    case PP_MB_PART_OVER:
        take(scan, scan->left.len);
        break;
    }
    return PIPIT_EAGAIN;
}

static bool is_between_frames(const pp_mb_reader *reader)
{
    return reader->part == PP_MB_PART_ACTION || reader->part == PP_MB_PART_TOPIC ||
           reader->part == PP_MB_PART_OVER;
}

pipit_err pp_mb_read(pp_mb_reader *reader, pp_str window, pp_mb_op *out_op, size_t *out_used,
                     size_t *out_want)
{
    struct scan scan = {.left = window, .op = out_op};
    pipit_err err = GO_ON;

    while (err == GO_ON)
        err = skip(reader, &scan) ? read_part(reader, &scan) : PIPIT_EAGAIN;
    *out_used = scan.used;
    *out_want = scan.want;
    reader->in_frame = !is_between_frames(reader) || reader->skip || scan.left.len;
    return err;
}

void pp_mb_reader_fini(pp_mb_reader *reader)
{
    pp_mb_list_fini(&reader->list);
    pp_buf_fini(&reader->topic);
}
