/* SPDX-License-Identifier: MIT
 *
 * From a picture to its depth, by the model's own estimator.
 */
#ifndef SDI_PIPELINE_DEPTH_ESTIMATE_H
#define SDI_PIPELINE_DEPTH_ESTIMATE_H

#include "pipeline/session.h"

/* The size of the map for a picture of h x w pixels: what the feature extractor resizes it to. */
void sdi_depth_size(const sdi_model_config *config, int64_t h, int64_t w, int64_t *map_h,
                    int64_t *map_w);
/* Plans the estimator for a picture of h x w pixels, without running it. */
sdiff_status sdi_depth_plan(sdi_session *session, int64_t h, int64_t w, sdi_plan **out);
/* image [3, h, w] in [0, 1] -> depth [map_h, map_w]: inverse depth (near is large), no particular
 * scale. */
sdiff_status sdi_depth_estimate(sdi_session *session, const float *image, int64_t h, int64_t w,
                                float *depth);

#endif
