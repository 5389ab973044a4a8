/* SPDX-License-Identifier: MIT
 *
 * The memory of a call, known before it works. Without a limit everything runs as fast as it can;
 * under one, what does not fit is done in ways that need less, the mildest first:
 *
 *   weights that are streamed (model/residency.c)      the same bits, slower
 *   rows of guidance one after the other                the same up to float rounding, slower
 *   the autoencoder in tiles (pipeline/tiling.c)        nearly the same
 *
 * and what cannot be done at all is refused with the number of bytes that it needs.
 */
#ifndef SDI_PIPELINE_BUDGET_H
#define SDI_PIPELINE_BUDGET_H

#include "pipeline/start.h"

typedef struct sdi_budget {
    sdi_session *session;
    sdi_denoiser *denoiser;
    sdi_start *start;
    sdi_plan **decoder;    // where its plan goes; NULL: nothing is decoded
    uint64_t sampler;      // bytes of a sampler
    /* Filled in: */
    uint64_t others;       // bytes beside weights, plans and arena
    uint64_t arena, spare; // and of the arena: needed, and to be had for weights beyond that
} sdi_budget;

/* Settles how the call works: plans what is left to plan, splits and tiles, as far as that helps.
 * Everything else is planned. */
sdiff_status sdi_budget_fit(sdi_budget *b);
/* Takes the arena, or refuses. */
sdiff_status sdi_budget_reserve(const sdi_budget *b);
/* Bytes that the call holds beside the model's weights. */
uint64_t sdi_budget_bytes(const sdi_budget *b);

#endif
