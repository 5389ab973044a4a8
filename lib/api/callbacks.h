/* SPDX-License-Identifier: MIT
 *
 * The host's functions of a request run in the host's floating-point mode.
 */
#ifndef SDI_API_CALLBACKS_H
#define SDI_API_CALLBACKS_H

#include "base/float_mode.h"
#include "stablediff/pipeline.h"

typedef struct sdi_callbacks {
    fenv_t mode; // the host's
    sdiff_generate_params host;
} sdi_callbacks;

/* Puts functions in the place of the request's that change the mode around them. `callbacks` lives
 * as long as the request. */
void sdi_callbacks_wrap(sdi_callbacks *callbacks, const fenv_t *mode,
                        sdiff_generate_params *request);

#endif
