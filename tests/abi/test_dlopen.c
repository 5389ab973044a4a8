/* SPDX-License-Identifier: MIT
 *
 * Loading the shared library changes nothing in the process: not the floating-point mode (which a
 * link with -ffast-math would), not the locale, not the signal handlers, and unloading works.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

typedef struct process {
    unsigned control;
    int rounding;
    char locale[64];
    void (*handlers[32])(int);
} process;

static process look(void)
{
    process p;
    memset(&p, 0, sizeof p);
#if defined(__SSE2__)
    p.control = _mm_getcsr();
#endif
    p.rounding = fegetround();
    snprintf(p.locale, sizeof p.locale, "%s", setlocale(LC_ALL, NULL));
    for (int i = 1; i < 32; i++) {
        struct sigaction action;
        if (sigaction(i, NULL, &action) == 0)
            p.handlers[i] = action.sa_handler;
    }
    return p;
}

static int differs(const process *a, const process *b, const char *when)
{
    if (memcmp(a, b, sizeof *a) == 0)
        return 0;
    fprintf(stderr, "%s: the process changed (control %x -> %x)\n", when, a->control, b->control);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    const process before = look();
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    const process loaded = look();
    int (*version)(void) = NULL;
    void *symbol = dlsym(library, "sdiff_version_number");
    memcpy(&version, &symbol, sizeof version);
    int failed = differs(&before, &loaded, "after loading");
    if (!version || version() < 10000) {
        fprintf(stderr, "sdiff_version_number is not there\n");
        failed = 1;
    }
    failed |= dlclose(library) != 0;
    const process after = look();
    failed |= differs(&before, &after, "after unloading");
    return failed;
}
