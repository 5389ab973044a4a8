/* SPDX-License-Identifier: MIT
 *
 * Skeletons as OpenPose draws them: the hint of pose ControlNets.
 */
#ifndef SDI_IMAGE_POSE_H
#define SDI_IMAGE_POSE_H

#include "image/image.h"

/* COCO's points with a neck: nose, neck, right shoulder, elbow, wrist, the left ones, right hip,
 * knee, ankle, the left ones, eyes and ears, right before left. */
enum { SDI_POSE_POINTS = 18 };

typedef struct sdi_pose_point {
    float x, y; // pixels of the picture
    int32_t seen;
} sdi_pose_point;

typedef struct sdi_pose {
    sdi_pose_point points[SDI_POSE_POINTS];
} sdi_pose;

/* On black, RGB. Limbs are as thick as OpenPose's on 512 pixels. */
sdiff_status sdi_pose_draw(const sdi_env *env, const sdi_pose *poses, int32_t count, int32_t width,
                           int32_t height, sdi_image **out);

#endif
