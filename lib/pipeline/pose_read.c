/* SPDX-License-Identifier: MIT
 *
 * Key points of people from JSON, in the orders that OpenPose and COCO have.
 */
#include "pipeline/pose_read.h"

#include "base/memory.h"
#include "io/json.h"

#include <jansson.h>
#include <math.h>

enum { NECK = 1, RIGHT_SHOULDER = 2, LEFT_SHOULDER = 5, NUMBERS = 3 * 25 };

/* Where each of our points is in BODY_25 and in COCO's 17; -1: nowhere. */
static const int8_t body25[SDI_POSE_POINTS] = {0, 1,  2,  3,  4,  5,  6,  7,  9,
                                               10, 11, 12, 13, 14, 15, 16, 17, 18};
static const int8_t coco17[SDI_POSE_POINTS] = {0,  -1, 6,  8,  10, 5, 7, 9, 12,
                                               14, 16, 11, 13, 15, 2, 1, 4, 3};

typedef struct reading {
    const sdi_env *env;
    const char *name;
    float largest; // coordinate of all
} reading;

static sdiff_status read_numbers(const reading *r, const json_t *list, float *out, size_t *count)
{
    *count = json_array_size(list);
    if (*count != 51 && *count != 54 && *count != 75)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: a person has %zu numbers; 54 (18 points of COCO with x, y and "
                        "confidence), 75 (BODY_25) or 51 (17 points) were needed", r->name, *count);
    for (size_t i = 0; i < *count; i++) {
        const json_t *item = json_array_get(list, i);
        const double value = json_is_null(item) ? 0 : json_number_value(item);
        if (!json_is_null(item) && (!json_is_number(item) || !(fabs(value) <= 1e6)))
            return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                            "%s: number %zu of a person is none between -1000000 and 1000000",
                            r->name, i);
        out[i] = (float)value;
    }
    return SDIFF_OK;
}

static void place(reading *r, const float *numbers, size_t count, sdi_pose *pose)
{
    for (int32_t k = 0; k < SDI_POSE_POINTS; k++) {
        const int32_t from = count == 75 ? body25[k] : count == 51 ? coco17[k] : k;
        if (from < 0)
            continue;
        const float *n = numbers + 3 * from;
        pose->points[k] = (sdi_pose_point){n[0], n[1], n[2] > 0};
        if (n[2] > 0)
            r->largest = SDI_MAX(r->largest, SDI_MAX(n[0], n[1]));
    }
    const sdi_pose_point *a = &pose->points[RIGHT_SHOULDER], *b = &pose->points[LEFT_SHOULDER];
    if (count == 51)
        pose->points[NECK] =
            (sdi_pose_point){(a->x + b->x) / 2, (a->y + b->y) / 2, a->seen && b->seen};
}

static sdiff_status read_people(reading *r, const json_t *people, sdi_pose *poses)
{
    static const char *const keys[] = {"pose_keypoints_2d", "keypoints"};
    for (size_t i = 0; i < json_array_size(people); i++) {
        float numbers[NUMBERS];
        size_t count = 0;
        const json_t *person = json_array_get(people, i), *list = json_object_get(person, keys[0]);
        if (!list)
            list = json_object_get(person, keys[1]);
        if (!json_is_array(list))
            return sdi_fail(r->env, SDIFF_ERROR_FORMAT, "%s: person %zu has no '%s'", r->name, i,
                            keys[0]);
        SDI_TRY(read_numbers(r, list, numbers, &count));
        place(r, numbers, count, &poses[i]);
    }
    return SDIFF_OK;
}

static sdiff_status canvas(const reading *r, const json_t *json, const char *key, int32_t side,
                           double *out)
{
    int64_t given = r->largest <= 1 ? 1 : side;
    if (r->largest > 1)
        SDI_TRY(sdi_json_get_int(r->env, r->name, json, key, 1, 1 << 20, &given));
    *out = (double)side / (double)given;
    return SDIFF_OK;
}

static sdiff_status read(reading *r, const json_t *json, int32_t width, int32_t height,
                         sdi_pose **out, int32_t *count)
{
    const json_t *people = json_object_get(json, "people");
    const size_t size = json_array_size(people);
    double across = 1, down = 1;
    if (!json_is_array(people) || size > SDI_POSE_MAX_PEOPLE)
        return sdi_fail(r->env, SDIFF_ERROR_FORMAT,
                        "%s: 'people' has to be a list of up to %d, as OpenPose writes it", r->name,
                        SDI_POSE_MAX_PEOPLE);
    sdi_pose *poses = sdi_zalloc(r->env, size + 1, sizeof *poses);
    if (!poses)
        return SDIFF_ERROR_NO_MEMORY;
    sdiff_status status = read_people(r, people, poses);
    if (status == SDIFF_OK)
        status = canvas(r, json, "canvas_width", width, &across);
    if (status == SDIFF_OK)
        status = canvas(r, json, "canvas_height", height, &down);
    if (status != SDIFF_OK) {
        sdi_free(r->env, poses);
        return status;
    }
    for (size_t i = 0; i < size; i++)
        for (int32_t k = 0; k < SDI_POSE_POINTS; k++) {
            poses[i].points[k].x *= (float)across;
            poses[i].points[k].y *= (float)down;
        }
    *out = poses;
    *count = (int32_t)size;
    return SDIFF_OK;
}

sdiff_status sdi_pose_read(const sdi_env *env, const char *name, const char *text, size_t size,
                           int32_t width, int32_t height, sdi_pose **out, int32_t *count)
{
    reading r = {.env = env, .name = name};
    json_t *json = NULL;
    *out = NULL;
    *count = 0;
    SDI_TRY(sdi_json_parse(env, name, text, size, &json));
    const json_t *first = json_is_array(json) ? json_array_get(json, 0) : json;
    const sdiff_status status = read(&r, first, width, height, out, count);
    json_decref(json);
    return status;
}
