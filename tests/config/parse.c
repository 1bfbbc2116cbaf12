/* parse -- say of each configuration file whether it is in the language.
 *
 * usage: parse FILE...
 * One line for each: "valid DIGEST" or "invalid FIRST-ERROR". */
#include "base/buf.h"
#include "config/diagnostics.h"
#include "config/document.h"

#include <stdio.h>

static void say_first_error(const pp_diagnostics *d)
{
    printf("invalid %s\n", d->errors.kept ? d->errors.lines[0] : "without a reason");
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        pp_document *document;
        pp_diagnostics d;

        pp_diagnostics_init(&d);
        if (pp_document_read_file(&document, argv[i], &d)) {
            say_first_error(&d);
        } else {
            printf("valid %s\n", pp_document_digest(document));
            pp_document_free(document);
        }
        pp_diagnostics_fini(&d);
    }
    return 0;
}
