/* SPDX-License-Identifier: MIT
 *
 * What prompt weights do to the hidden states of the text encoder.
 */
#ifndef SDI_TEXT_EMPHASIS_H
#define SDI_TEXT_EMPHASIS_H

#include <stdint.h>

typedef enum sdi_emphasis {
    SDI_EMPHASIS_ORIGINAL = 0,    // A1111: times the weight, then the mean of the chunk restored
    SDI_EMPHASIS_NO_NORM = 1,     // times the weight
    SDI_EMPHASIS_INTERPOLATE = 2, // ComfyUI: from the empty prompt's states, by the weight
    SDI_EMPHASIS_IGNORE = 3       // brackets are read, weights have no effect
} sdi_emphasis;

/* In place on z [chunks, tokens, width] with multipliers [chunks, tokens]; tokens is 77. `empty`
 * [tokens, width] are the states of the empty prompt, used by INTERPOLATE alone (else NULL).
 * Chunks whose multipliers are all 1 keep their bits. */
void sdi_emphasis_apply(sdi_emphasis mode, float *z, const float *multipliers, const float *empty,
                        int32_t chunks, int32_t tokens, int32_t width);

#endif
