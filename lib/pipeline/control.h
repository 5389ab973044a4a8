/* SPDX-License-Identifier: MIT
 *
 * ControlNets of a pipeline (Zhang et al. 2023): each looks at a hint picture and at what the U-Net
 * sees, and adds to the U-Net's skips. Several are summed.
 */
#ifndef SDI_PIPELINE_CONTROL_H
#define SDI_PIPELINE_CONTROL_H

#include "pipeline/denoise.h"

typedef struct sdi_control_params {
    const float *hint; // [3, height, width] in [0, 1], copied
    int64_t height, width;
    double weight;
    double start, end; // the part of the steps in which it is heard, 0 … 1
    int32_t guess;     // weaker at the outer skips, and silent on the negative side
} sdi_control_params;

typedef struct sdi_control {
    sdi_network network; // of the session
    const sdi_model_config *config;
    sdi_control_params params; // its hint is owned
    /* Of the present call. */
    sdi_plan *plan; // NULL: no row listens
    int32_t first;  // of the U-Net's rows
    int32_t rows;
} sdi_control;

typedef struct sdi_controls {
    sdi_control *items;
    int32_t count;
    /* Of the present call: residuals of all, one after the other. */
    int32_t residuals;                         // down.0 …, then mid
    int64_t channels[SDI_UNET_MAX_SKIPS + 1];  // and pixels of a row of each
    int64_t pixels[SDI_UNET_MAX_SKIPS + 1];
    float *sum, *part; // [rows] of the largest residual's size times their number, and of one
    float *sample;     // [rows, channels, h, w] as a ControlNet takes it
    int32_t silent;    // the U-Net's residuals are zero
} sdi_controls;

/* Adds a ControlNet; it has to fit the session's U-Net. */
sdiff_status sdi_controls_add(sdi_session *session, sdi_controls *controls, sdi_model *model,
                              const sdi_control_params *params);
void sdi_controls_clear(sdi_session *session, sdi_controls *controls);

/* For denoisers whose `controls` are set, in this order: plans; allocates and gives the hints; on
 * each change of texts [rows, tokens, width]; before each run of the U-Net. */
sdiff_status sdi_controls_plan(sdi_denoiser *d);
sdiff_status sdi_controls_begin(sdi_denoiser *d);
sdiff_status sdi_controls_set_texts(sdi_denoiser *d, const float *contexts);
sdiff_status sdi_controls_apply(sdi_denoiser *d, const sdi_ask *ask);
void sdi_controls_end(sdi_denoiser *d);
uint64_t sdi_controls_bytes(const sdi_denoiser *d); // that a call allocates
/* Floating-point operations of `evaluations` of the U-Net, and once a call. */
double sdi_controls_work(const sdi_denoiser *d, double evaluations);

#endif
