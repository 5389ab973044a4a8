/* SPDX-License-Identifier: MIT
 *
 * What is behind sdiff_pipeline.
 */
#ifndef SDI_API_PIPELINE_H
#define SDI_API_PIPELINE_H

#include "api/handle.h"
#include "pipeline/control.h"

struct sdiff_pipeline {
    sdiff_model *model;
    sdi_error error;
    sdi_session session;
    sdi_controls controls;
    sdi_pictures pictures;
    sdiff_image **images; // [pictures.count], made when asked for
};

#endif
