/* SPDX-License-Identifier: MIT
 *
 * Progress on stderr: a bar on a terminal, a line a step elsewhere, nothing with --quiet.
 */
#include "demo.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 30 };

void progress_init(progress *p, const settings *s)
{
    p->quiet = s->quiet != 0;
    p->bar = !p->quiet && isatty(STDERR_FILENO);
    p->pictures = s->batch_count;
}

static void erase(progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = 0;
}

void progress_line(progress *p, const char *format, ...)
{
    va_list arguments;
    erase(p);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* "picture 2/4 " where there are several. */
static void put_picture(const progress *p)
{
    if (p->pictures > 1)
        fprintf(stderr, "picture %lld/%lld  ", (long long)p->picture + 1, (long long)p->pictures);
}

int progress_update(void *argument, const sdiff_progress *state)
{
    static const char *const phases[] = {"reading", "drawing", "decoding"};
    progress *p = argument;
    char cells[WIDTH + 1];
    if (!p->bar)
        return 0;
    const double all = ((double)p->picture + state->fraction) / (double)p->pictures;
    const int full = (int)(all * WIDTH + 0.5);
    memset(cells, '-', WIDTH);
    memset(cells, '#', (size_t)(full < WIDTH ? full : WIDTH));
    cells[WIDTH] = '\0';
    fprintf(stderr, "\r\033[K[%s] %3.0f %%  ", cells, 100 * all);
    put_picture(p);
    fputs(phases[state->phase >= 0 && state->phase <= 2 ? state->phase : 1], stderr);
    if (state->phase == 1)
        fprintf(stderr, " step %d/%d", p->step < p->steps ? p->step + 1 : p->step + !p->steps,
                state->steps);
    if (p->step)
        fprintf(stderr, "  %.2f s a step", p->step_seconds / p->step);
    fflush(stderr);
    p->drawn = 1;
    return 0;
}

void progress_step(progress *p, const sdiff_step *step)
{
    if (step->step == 0)
        p->step_seconds = 0;
    p->step = step->step + 1;
    p->steps = step->steps;
    p->step_seconds += step->seconds;
    if (p->bar || p->quiet)
        return;
    put_picture(p);
    fprintf(stderr, "step %d/%d  %.2f s\n", p->step, p->steps, step->seconds);
}

void progress_end(progress *p)
{
    erase(p);
    fflush(stderr);
}
