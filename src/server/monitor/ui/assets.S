/* The files of the page, gzipped by the build, as bytes in the program: pp_ui_NAME up to
 * pp_ui_NAME_end. */
        .section .note.GNU-stack, "", %progbits
        .section .rodata

        .macro asset name, file
        .global pp_ui_\name
        .hidden pp_ui_\name
        .global pp_ui_\name\()_end
        .hidden pp_ui_\name\()_end
pp_ui_\name:
        .incbin "\file"
pp_ui_\name\()_end:
        .endm

        asset page_html, "page.html.gz"
        asset page_css, "page.css.gz"
        asset page_js, "page.js.gz"
        asset console_client_js, "console_client.js.gz"
