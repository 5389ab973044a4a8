/* SPDX-License-Identifier: MIT
 *
 * The samplers by name: which function writes the table, on which family of levels.
 */
#ifndef SDI_SAMPLE_REGISTRY_H
#define SDI_SAMPLE_REGISTRY_H

#include "sample/plan.h"

typedef struct sdi_sampler_entry {
    const char *name;
    void (*plan)(sdi_plan *plan);
    sdi_family family;
    sdi_final final;
    int32_t order, variant; // meaning: the sampler's file
    double eta;             // where the host gives none
} sdi_sampler_entry;

/* NULL if there is none of that name. */
const sdi_sampler_entry *sdi_sampler_find(const char *name);

#endif
