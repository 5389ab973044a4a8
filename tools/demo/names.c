/* SPDX-License-Identifier: MIT
 *
 * Samplers and schedules as A1111's web UI shows them (docs/samplers.md). Its samplers are
 * k-diffusion's; those of diffusers are shown by the same name, and parameters.c adds which is
 * meant.
 */
#include "demo.h"

#include <string.h>
#include <strings.h>

typedef struct shown {
    const char *name, *shown;
    const char *automatic; // the schedule that "Automatic" stands for, NULL: the default
} shown;

/* The first of several that are shown alike is the one that A1111 means. */
static const shown samplers[] = {
    {"ddim", "DDIM", NULL},
    {"plms", "PLMS", NULL},
    {"unipc", "UniPC", NULL},
    {"k_lcm", "LCM", NULL},
    {"k_euler", "Euler", NULL},
    {"k_euler_a", "Euler a", NULL},
    {"k_heun", "Heun", NULL},
    {"k_dpm2", "DPM2", "karras"},
    {"k_dpm2_a", "DPM2 a", "karras"},
    {"k_lms", "LMS", NULL},
    {"k_dpmpp_2s_a", "DPM++ 2S a", "karras"},
    {"k_dpmpp_sde", "DPM++ SDE", "karras"},
    {"k_dpmpp_2m", "DPM++ 2M", "karras"},
    {"k_dpmpp_2m_sde", "DPM++ 2M SDE", "exponential"},
    {"k_dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun", "exponential"},
    {"k_dpmpp_3m_sde", "DPM++ 3M SDE", "exponential"},
    {"k_dpm_fast", "DPM fast", NULL},
    {"k_dpm_adaptive", "DPM adaptive", NULL},
    {"restart", "Restart", "karras"},
    {"pndm", "PLMS", NULL},
    {"ddpm", "DDPM", NULL},
    {"lcm", "LCM", NULL},
    {"tcd", "TCD", NULL},
    {"euler", "Euler", NULL},
    {"euler_a", "Euler a", NULL},
    {"heun", "Heun", NULL},
    {"dpm2", "DPM2", NULL},
    {"dpm2_a", "DPM2 a", NULL},
    {"lms", "LMS", NULL},
    {"dpmpp_sde", "DPM++ SDE", NULL},
    {"dpmpp_2m", "DPM++ 2M", NULL},
    {"dpmpp_2m_heun", "DPM++ 2M", NULL},
    {"dpmpp_2m_sde", "DPM++ 2M SDE", NULL},
    {"dpmpp_2s_a", "DPM++ 2S a", NULL},
    {"dpmpp_3m_sde", "DPM++ 3M SDE", NULL},
    {"unipc_3", "UniPC", NULL},
    {"unipc_bh1", "UniPC", NULL},
};

static const shown schedules[] = {
    {"karras", "Karras", NULL},
    {"exponential", "Exponential", NULL},
    {"polyexponential", "Polyexponential", NULL},
    {"sgm_uniform", "SGM Uniform", NULL},
    {"simple", "Simple", NULL},
    {"beta", "Beta", NULL},
    {"ays", "Align Your Steps", NULL},
    {"time_uniform", "Time Uniform", NULL},
    {"default", "Uniform", NULL},
    {"default", "Normal", NULL},
};

enum {
    SAMPLERS = sizeof samplers / sizeof samplers[0],
    SCHEDULES = sizeof schedules / sizeof schedules[0]
};

typedef const char *name_at(int32_t index);

static int library_has(name_at *at, const char *name)
{
    const char *known = NULL;
    for (int32_t i = 0; (known = at(i)); i++)
        if (strcmp(known, name) == 0)
            return 1;
    return 0;
}

const char *shown_sampler(const char *name)
{
    for (int i = 0; i < SAMPLERS; i++)
        if (strcmp(samplers[i].name, name) == 0)
            return samplers[i].shown;
    return name;
}

const char *shown_schedule(const char *name)
{
    if (strcmp(name, "default") == 0 || strcmp(name, "discrete") == 0)
        return NULL; // A1111's, which it leaves unsaid
    for (int i = 0; i < SCHEDULES; i++)
        if (strcmp(schedules[i].name, name) == 0)
            return schedules[i].shown;
    return name;
}

/* `size` characters of text, compared as A1111 does: without case. */
static const shown *find(const shown *list, int count, const char *text, size_t size)
{
    for (int i = 0; i < count; i++)
        if (strlen(list[i].shown) == size && strncasecmp(list[i].shown, text, size) == 0 &&
            library_has(list == samplers ? sdiff_sampler_name : sdiff_schedule_name, list[i].name))
            return &list[i];
    return NULL;
}

/* "DPM++ 2M Karras": a sampler, and a schedule behind it. */
static const shown *split(const char *text, const char **schedule)
{
    const shown *sampler = find(samplers, SAMPLERS, text, strlen(text));
    for (int i = 0; !sampler && i < SCHEDULES; i++) {
        const size_t whole = strlen(text), tail = strlen(schedules[i].shown);
        if (whole <= tail + 1 || text[whole - tail - 1] != ' ' ||
            strcasecmp(text + whole - tail, schedules[i].shown) != 0)
            continue;
        sampler = find(samplers, SAMPLERS, text, whole - tail - 1);
        *schedule = schedules[i].name;
    }
    return sampler;
}

int sampler_from_shown(const char *sampler, const char *schedule, const char **name,
                       const char **schedule_name)
{
    *schedule_name = "default";
    const shown *found = split(sampler, schedule_name);
    const shown *kind = schedule ? find(schedules, SCHEDULES, schedule, strlen(schedule)) : NULL;
    *name = found ? found->name : sampler;
    if (kind)
        *schedule_name = kind->name;
    else if (found && schedule && strcasecmp(schedule, "Automatic") == 0)
        *schedule_name = found->automatic ? found->automatic : "default";
    else if (schedule)
        *schedule_name = schedule;
    return library_has(sdiff_sampler_name, *name);
}

void list_samplers(void)
{
    const char *name = NULL;
    puts("samplers, and what A1111's web UI calls them:");
    for (int32_t i = 0; (name = sdiff_sampler_name(i)); i++) {
        const char *meant = NULL, *schedule = NULL;
        sampler_from_shown(shown_sampler(name), NULL, &meant, &schedule);
        printf("  %-22s%s\n", name, strcmp(meant, name) == 0 ? shown_sampler(name) : "");
    }
    puts("schedules:");
    for (int32_t i = 0; (name = sdiff_schedule_name(i)); i++)
        printf("  %-22s%s\n", name, shown_schedule(name) ? shown_schedule(name) : "");
}
