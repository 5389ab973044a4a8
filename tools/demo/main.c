/* SPDX-License-Identifier: MIT
 *
 * sd-demo: draws what a sentence says. A thin user of the public headers: options.c says what can
 * be asked for, request.c asks the library.
 */
#include "demo.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    demo d = {0};
    int code = demo_read_settings(&d, argc, argv);
    if (!code && d.settings.help)
        settings_print_help(stdout);
    else if (!code && d.settings.version)
        printf("sd-demo %s\n", sdiff_version_string());
    else if (!code && d.settings.list_samplers)
        list_samplers();
    else if (!code && !(code = demo_open(&d)) && d.settings.prompt) // else depth alone
        code = demo_draw(&d);
    demo_close(&d);
    if (!code && (fflush(stdout) != 0 || ferror(stdout)))
        code = fail(SDIFF_ERROR_IO, "standard output cannot be written");
    return code;
}
