#include "config/document.h"

#include "base/alloc.h"
#include "config/build.h"
#include "config/digest.h"
#include "config/include.h"
#include "config/parser.h"

struct pp_document {
    pp_arena arena;
    const pp_value *root;
    char digest[PP_DIGEST_TEXT_BYTES];
};

/* One of the two: path names a file to be read, or name stands for a text that is here. */
struct origin {
    const char *path;
    const char *name, *include_dir;
    pp_str text;
};

/* File names outlive the caller's: values and messages point to them. */
static pipit_err read_origin(pp_config_build *build, const struct origin *origin,
                             pp_config_node **out)
{
    pp_str name, include_dir = {NULL, 0};
    pipit_err err =
        pp_arena_copy(&build->arena, pp_str_of(origin->path ? origin->path : origin->name), &name);

    if (!err && origin->include_dir)
        err = pp_arena_copy(&build->arena, pp_str_of(origin->include_dir), &include_dir);
    if (err)
        return err;
    if (origin->path)
        return pp_include_read_file(build, name.ptr, 0, out);
    if (origin->text.len > build->limits.bytes_max)
        return PIPIT_ETOOBIG;
    return pp_parser_read(build, name.ptr, origin->text, include_dir.ptr, 0, out);
}

static void report(const pp_config_build *build, const struct origin *origin, pipit_err err,
                   pp_diagnostics *d)
{
    pp_config_position file = {.file = origin->path ? origin->path : origin->name};

    if (build->failure.text[0])
        pp_diagnostics_error(d, build->failure.at, "%s", build->failure.text);
    else
        pp_diagnostics_error(d, file, "%s", pipit_strerror(err));
}

static pipit_err read_document(pp_document **out, const struct origin *origin,
                               const pp_document_limits *limits, pp_diagnostics *d)
{
    pp_config_position file = {.file = origin->path ? origin->path : origin->name};
    pp_config_build *build = pp_alloc(sizeof(*build)); /* large, for the texts of failures */
    pp_document *document = pp_calloc(1, sizeof(*document));
    pp_config_node *root;
    pipit_err err = PIPIT_ENOMEM;

    if (!build || !document) {
        pp_diagnostics_error(d, file, "%s", pipit_strerror(err));
        goto out;
    }
    pp_config_build_init(build, limits);
    err = read_origin(build, origin, &root);
    if (!err)
        err = pp_digest_compute(&root->value, document->digest);
    if (err)
        report(build, origin, err, d);
    pp_config_build_fini(build);
    document->arena = build->arena;
    if (err)
        goto out;
    if (root->value.map.count == 0)
        pp_diagnostics_warn(d, file, "config has no values or is empty");
    document->root = &root->value;
    *out = document;
    document = NULL; /* handed to the caller */
out:
    pp_document_free(document);
    pp_free(build);
    return err;
}

pipit_err pp_document_read_file_within(pp_document **out, const char *path,
                                       const pp_document_limits *limits, pp_diagnostics *d)
{
    return read_document(out, &(struct origin){.path = path}, limits, d);
}

pipit_err pp_document_read_text_within(pp_document **out, pp_str text, const char *name,
                                       const char *include_dir, const pp_document_limits *limits,
                                       pp_diagnostics *d)
{
    struct origin origin = {.text = text, .name = name, .include_dir = include_dir};

    return read_document(out, &origin, limits, d);
}

pipit_err pp_document_read_file(pp_document **out, const char *path, pp_diagnostics *d)
{
    return pp_document_read_file_within(out, path, NULL, d);
}

pipit_err pp_document_read_text(pp_document **out, pp_str text, const char *name,
                                const char *include_dir, pp_diagnostics *d)
{
    return pp_document_read_text_within(out, text, name, include_dir, NULL, d);
}

void pp_document_free(pp_document *document)
{
    if (!document)
        return;
    pp_arena_fini(&document->arena);
    pp_free(document);
}

const pp_value *pp_document_root(const pp_document *document)
{
    return document->root;
}

const char *pp_document_digest(const pp_document *document)
{
    return document->digest;
}
