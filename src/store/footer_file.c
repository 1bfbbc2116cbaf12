#include "store/footer_file.h"

#include "base/alloc.h"

static pipit_err read_section(const struct pp_footer_file *file, uint64_t at, size_t bytes,
                              char **out_section)
{
    char *section = pp_alloc(bytes + 1);
    size_t got;
    pipit_err err =
        section ? pp_disk_read(file->disk, file->fd, section, bytes, at, &got) : PIPIT_ENOMEM;

    if (!err && got < bytes)
        err = PIPIT_EDAMAGED;
    if (err) {
        pp_free(section);
        return err;
    }
    *out_section = section;
    return PIPIT_OK;
}

static pipit_err read_trailer(const struct pp_footer_file *file, struct pp_footer *out_footer)
{
    int64_t size = file->disk->ops->size(file->disk, file->fd);
    size_t got;
    pipit_err err;

    if (size < (int64_t)sizeof(*out_footer))
        return size < 0 ? PIPIT_EIO : PIPIT_EDAMAGED;
    err = pp_disk_read(file->disk, file->fd, out_footer, sizeof(*out_footer),
                       (uint64_t)size - sizeof(*out_footer), &got);
    if (err)
        return err;
    if (got < sizeof(*out_footer) ||
        !pp_footer_true(out_footer, (uint64_t)size, file->number, file->seed))
        return PIPIT_EDAMAGED;
    return PIPIT_OK;
}

pipit_err pp_footer_read_front(const struct pp_footer_file *file, struct pp_footer *out_footer,
                               char **out_front)
{
    size_t subjects, lists;
    char *front = NULL;
    pipit_err err = read_trailer(file, out_footer);

    if (err)
        return err;
    subjects = (size_t)out_footer->subjects_bytes;
    lists = (size_t)pp_footer_lists_bytes(out_footer);
    err = read_section(file, out_footer->at, subjects + lists, &front);
    if (err)
        return err;
    if (pp_footer_check(front, subjects, file->seed) != out_footer->subjects_check ||
        pp_footer_check(front + subjects, lists, file->seed) != out_footer->lists_check) {
        pp_free(front);
        return PIPIT_EDAMAGED;
    }
    *out_front = front;
    return PIPIT_OK;
}

static uint32_t *copy_array(const char *section, size_t bytes)
{
    uint32_t *array = pp_alloc(bytes + 1);

    if (array)
        memcpy(array, section, bytes);
    return array;
}

/* Places, subjects, sizes and gaps stand one behind another. */
static pipit_err take_arrays(struct pp_footer_index *index, const char *section)
{
    size_t stride = index->footer.count * sizeof(uint32_t);
    bool dense = index->footer.flags & PP_FOOTER_DENSE;

    index->places = copy_array(section, stride);
    index->subjects = copy_array(section + stride, stride);
    index->gaps = dense ? NULL : copy_array(section + 3 * stride, stride);
    return index->places && index->subjects && (dense || index->gaps) ? PIPIT_OK : PIPIT_ENOMEM;
}

static pipit_err read_rest(const struct pp_footer_file *file, struct pp_footer_index *index)
{
    const struct pp_footer *footer = &index->footer;
    uint64_t at = footer->at + footer->subjects_bytes + pp_footer_lists_bytes(footer);
    size_t bytes = (size_t)pp_footer_index_bytes(footer);
    bool sealed = footer->flags & PP_FOOTER_SEALED;
    char *section = NULL;
    pipit_err err = read_section(file, at, bytes, &section);

    if (!err && pp_footer_check(section, bytes, file->seed) != footer->index_check)
        err = PIPIT_EDAMAGED;
    if (!err && !sealed)
        err = pp_footer_front_possible(footer, index->front)
                  ? pp_footer_check_index(footer, index->front, section)
                  : PIPIT_EDAMAGED;
    if (!err)
        err = take_arrays(index, section);
    if (!err && sealed) {
        index->unchecked = section;
        section = NULL;
    }
    pp_free(section);
    return err;
}

pipit_err pp_footer_read_index(const struct pp_footer_file *file, struct pp_footer_index *out_index)
{
    struct pp_footer_index index = {0};
    pipit_err err = pp_footer_read_front(file, &index.footer, &index.front);

    if (!err)
        err = read_rest(file, &index);
    if (err)
        pp_footer_index_fini(&index);
    else
        *out_index = index;
    return err;
}

void pp_footer_index_fini(struct pp_footer_index *index)
{
    pp_free(index->front);
    pp_free(index->places);
    pp_free(index->subjects);
    pp_free(index->gaps);
    pp_free(index->unchecked);
    *index = (struct pp_footer_index){0};
}
