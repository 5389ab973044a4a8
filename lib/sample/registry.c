/* SPDX-License-Identifier: MIT
 *
 * The list of samplers, in the order of docs/samplers.md.
 */
#include "sample/registry.h"

#include "sample/sampler.h"

#include <string.h>

static const sdi_sampler_entry entries[] = {
    {"ddim", sdi_plan_ddim, SDI_FAMILY_DDIM, 0, 1, 0, 0},
    {"euler", sdi_plan_euler, SDI_FAMILY_EULER, 0, 1, 0, 0},
    {"euler_a", sdi_plan_euler_a, SDI_FAMILY_EULER, 0, 1, 0, 1},
    {"dpmpp_2m", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 2, 0, 0},
    {"dpmpp_2m_heun", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 2, SDI_DPM_HEUN, 0},
    {"dpmpp_3m", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 3, 0, 0},
    {"dpmpp_2m_sde", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 2, SDI_DPM_SDE, 0},
    {"dpm_solver_2m", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_TABLE_MIN, 2, SDI_DPM_NOISE, 0},
};

const sdi_sampler_entry *sdi_sampler_find(const char *name)
{
    for (size_t i = 0; name && i < SDI_COUNT(entries); i++)
        if (strcmp(name, entries[i].name) == 0)
            return &entries[i];
    return NULL;
}

const char *sdi_sampler_name_at(int32_t index)
{
    return index >= 0 && index < (int32_t)SDI_COUNT(entries) ? entries[index].name : NULL;
}
