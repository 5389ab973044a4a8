/* SPDX-License-Identifier: MIT
 *
 * The list of samplers, in the order of docs/samplers.md.
 */
#include "sample/registry.h"

#include "sample/sampler.h"

#include <string.h>

static const sdi_sampler_entry entries[] = {
    {"ddim", sdi_plan_ddim, SDI_FAMILY_DDIM, SDI_FINAL_ZERO, 1, 0, 0},
    {"ddpm", sdi_plan_ddpm, SDI_FAMILY_DDIM, SDI_FINAL_ZERO, 1, 0, 0},
    {"pndm", sdi_plan_pndm, SDI_FAMILY_DDIM, SDI_FINAL_ZERO, 1, 0, 0},
    {"plms", sdi_plan_pndm, SDI_FAMILY_DDIM, SDI_FINAL_ZERO, 1, 0, 0},
    {"lcm", sdi_plan_lcm, SDI_FAMILY_LCM, SDI_FINAL_ZERO, 1, 0, 0},
    {"tcd", sdi_plan_tcd, SDI_FAMILY_LCM, SDI_FINAL_ZERO, 1, 0, 0.3},
    {"euler", sdi_plan_euler, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 1, 0, 0},
    {"euler_a", sdi_plan_euler_a, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 1, 0, 1},
    {"heun", sdi_plan_heun, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 2, 0, 0},
    {"dpm2", sdi_plan_dpm2, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 2, 0, 0},
    {"dpm2_a", sdi_plan_dpm2_a, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 2, 0, 1},
    {"lms", sdi_plan_lms, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 4, 0, 0},
    {"dpmpp_sde", sdi_plan_dpmpp_sde, SDI_FAMILY_EULER, SDI_FINAL_ZERO, 2, 0, 1},
    {"dpmpp_2m", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 2, 0, 0},
    {"dpmpp_2m_heun", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 2, SDI_DPM_HEUN, 0},
    {"dpmpp_3m", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 3, 0, 0},
    {"dpmpp_2m_sde", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_ZERO, 2, SDI_DPM_SDE, 1},
    {"dpm_solver_2m", sdi_plan_dpm_multistep, SDI_FAMILY_DPM, SDI_FINAL_SIGMA_MIN, 2, SDI_DPM_NOISE,
     0},
    {"dpmpp_2s", sdi_plan_dpm_single, SDI_FAMILY_DPM_SINGLE, SDI_FINAL_ZERO, 2, 0, 0},
    {"dpmpp_3s", sdi_plan_dpm_single, SDI_FAMILY_DPM_SINGLE, SDI_FINAL_ZERO, 3, 0, 0},
    {"deis", sdi_plan_deis, SDI_FAMILY_DPM, SDI_FINAL_SIGMA_MIN, 2, 0, 0},
    {"deis_3", sdi_plan_deis, SDI_FAMILY_DPM, SDI_FINAL_SIGMA_MIN, 3, 0, 0},
    {"unipc", sdi_plan_unipc, SDI_FAMILY_DPM, SDI_FINAL_SIGMA_MIN, 2, 2, 0},
    {"unipc_3", sdi_plan_unipc, SDI_FAMILY_DPM, SDI_FINAL_SIGMA_MIN, 3, 2, 0},
    {"unipc_bh1", sdi_plan_unipc, SDI_FAMILY_DPM, SDI_FINAL_SIGMA_MIN, 2, 1, 0},
    {"k_euler", sdi_plan_euler, SDI_FAMILY_K, SDI_FINAL_ZERO, 1, 0, 0},
    {"k_euler_a", sdi_plan_euler_a, SDI_FAMILY_K, SDI_FINAL_ZERO, 1, 0, 1},
    {"k_heun", sdi_plan_heun, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 0},
    {"k_dpm2", sdi_plan_dpm2, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 0},
    {"k_dpm2_a", sdi_plan_dpm2_a, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 1},
    {"k_lms", sdi_plan_lms, SDI_FAMILY_K, SDI_FINAL_ZERO, 4, 0, 0},
    {"k_dpmpp_2s_a", sdi_plan_dpmpp_2s_a, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 1},
    {"dpmpp_2s_a", sdi_plan_dpmpp_2s_a, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 1},
    {"k_dpmpp_sde", sdi_plan_dpmpp_sde, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 1},
    {"k_dpmpp_2m", sdi_plan_dpmpp_2m_sde, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 0},
    {"k_dpmpp_2m_sde", sdi_plan_dpmpp_2m_sde, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 1},
    {"k_dpmpp_2m_sde_heun", sdi_plan_dpmpp_2m_sde, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, SDI_DPM_HEUN,
     1},
    {"k_dpmpp_3m_sde", sdi_plan_dpmpp_3m_sde, SDI_FAMILY_K, SDI_FINAL_ZERO, 3, 0, 1},
    {"dpmpp_3m_sde", sdi_plan_dpmpp_3m_sde, SDI_FAMILY_K, SDI_FINAL_ZERO, 3, 0, 1},
    {"k_lcm", sdi_plan_k_lcm, SDI_FAMILY_K, SDI_FINAL_ZERO, 1, 0, 0},
    {"k_dpm_fast", sdi_plan_dpm_fast, SDI_FAMILY_K, SDI_FINAL_ZERO, 3, 0, 0},
    {"k_dpm_adaptive", sdi_plan_dpm_adaptive, SDI_FAMILY_K, SDI_FINAL_ZERO, 3, 0, 0},
    {"restart", sdi_plan_restart, SDI_FAMILY_K, SDI_FINAL_ZERO, 2, 0, 0},
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
