/* SPDX-License-Identifier: MIT
 *
 * Skeletons as OpenPose draws them (Cao et al. 2019): a flat ellipse for each limb in its colour at
 * 60 % of its brightness, then a disk for each point.
 */
#include "image/pose.h"

#include <math.h>

enum { LIMBS = 17 };

static const uint8_t colours[SDI_POSE_POINTS][3] = {
    {255, 0, 0},   {255, 85, 0},  {255, 170, 0}, {255, 255, 0}, {170, 255, 0}, {85, 255, 0},
    {0, 255, 0},   {0, 255, 85},  {0, 255, 170}, {0, 255, 255}, {0, 170, 255}, {0, 85, 255},
    {0, 0, 255},   {85, 0, 255},  {170, 0, 255}, {255, 0, 255}, {255, 0, 170}, {255, 0, 85}};

/* In the order of their colours. */
static const uint8_t limbs[LIMBS][2] = {
    {1, 2},  {1, 5},   {2, 3},   {3, 4},  {5, 6},  {6, 7},   {1, 8},  {8, 9},  {9, 10},
    {1, 11}, {11, 12}, {12, 13}, {1, 0},  {0, 14}, {14, 16}, {0, 15}, {15, 17}};

static void put(sdi_image *image, int64_t y, int64_t x, const uint8_t colour[3], double part)
{
    uint8_t *pixel = image->pixels + 3 * (y * image->width + x);
    for (int32_t c = 0; c < 3; c++)
        pixel[c] = (uint8_t)(colour[c] * part);
}

/* An ellipse with half axes a along (cos, sin) and b across it. */
static void ellipse(sdi_image *image, double cx, double cy, double a, double b, double cosine,
                    double sine, const uint8_t colour[3], double part)
{
    const double reach = SDI_MAX(a, b) + 1;
    const int64_t top = (int64_t)floor(SDI_MAX(cy - reach, 0));
    const int64_t left = (int64_t)floor(SDI_MAX(cx - reach, 0));
    const int64_t bottom = (int64_t)ceil(SDI_MIN(cy + reach, image->height - 1.0));
    const int64_t right = (int64_t)ceil(SDI_MIN(cx + reach, image->width - 1.0));
    for (int64_t y = top; y <= bottom; y++)
        for (int64_t x = left; x <= right; x++) {
            const double dx = (double)x - cx, dy = (double)y - cy;
            const double u = (dx * cosine + dy * sine) / a, v = (dy * cosine - dx * sine) / b;
            if (u * u + v * v <= 1)
                put(image, y, x, colour, part);
        }
}

static void draw_limb(sdi_image *image, const sdi_pose *pose, int32_t limb, double thickness)
{
    const sdi_pose_point *a = &pose->points[limbs[limb][0]], *b = &pose->points[limbs[limb][1]];
    const double dx = (double)b->x - a->x, dy = (double)b->y - a->y, length = hypot(dx, dy);
    if (!a->seen || !b->seen)
        return;
    const double cosine = length > 0 ? dx / length : 1, sine = length > 0 ? dy / length : 0;
    ellipse(image, ((double)a->x + b->x) / 2, ((double)a->y + b->y) / 2,
            SDI_MAX(length / 2, 0.5), thickness, cosine, sine, colours[limb], 0.6);
}

sdiff_status sdi_pose_draw(const sdi_env *env, const sdi_pose *poses, int32_t count, int32_t width,
                           int32_t height, sdi_image **out)
{
    SDI_TRY(sdi_image_new(env, width, height, 3, NULL, out));
    const double thickness = SDI_MAX(4.0 * SDI_MIN(width, height) / 512, 1);
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < LIMBS; k++)
            draw_limb(*out, &poses[i], k, thickness);
    for (int32_t i = 0; i < count; i++)
        for (int32_t k = 0; k < SDI_POSE_POINTS; k++) {
            const sdi_pose_point *p = &poses[i].points[k];
            if (p->seen)
                ellipse(*out, p->x, p->y, thickness, thickness, 1, 0, colours[k], 1);
        }
    return SDIFF_OK;
}
