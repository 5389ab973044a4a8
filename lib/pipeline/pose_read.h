/* SPDX-License-Identifier: MIT
 *
 * Key points of people from JSON.
 */
#ifndef SDI_PIPELINE_POSE_READ_H
#define SDI_PIPELINE_POSE_READ_H

#include "image/pose.h"

enum { SDI_POSE_MAX_PEOPLE = 64 };

/* OpenPose's own form ({"people": [{"pose_keypoints_2d": [x, y, c, …]}]} with 18 points of COCO or
 * 25 of BODY_25), or a list of such objects of which the first counts; 17 points of COCO (without
 * neck) are taken too. Coordinates are pixels of "canvas_width" x "canvas_height", of the wanted
 * picture where these are missing, or parts of it where none is above 1. *out is to be freed. */
sdiff_status sdi_pose_read(const sdi_env *env, const char *name, const char *text, size_t size,
                           int32_t width, int32_t height, sdi_pose **out, int32_t *count);

#endif
