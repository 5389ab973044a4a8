/* SPDX-License-Identifier: MIT
 *
 * The size of a packed float32 weight, and back to the logical order.
 */
#include "kernel/x86/products.h"

size_t sdi_x86_pack_bytes(const sdi_packed *w)
{
    return (size_t)(panel_count(w) * panel_floats(w)) * sizeof(float);
}

/* One logical row [k][taps] out of lane `lane` of a panel [taps][k][32]. */
static void unpack_lane(const sdi_packed *w, const float *panel, int32_t lane, float *out)
{
    const int64_t taps = (int64_t)w->kh * w->kw;
    for (int64_t k = 0; k < w->k; k++)
        for (int64_t tap = 0; tap < taps; tap++)
            out[k * taps + tap] = panel[(tap * w->k + k) * PANEL + lane];
}

void sdi_x86_unpack(const sdi_packed *w, int64_t row0, int64_t rows, float *out)
{
    const int64_t row_floats = w->k * w->kh * w->kw;
    for (int64_t panel = 0; panel < panel_count(w); panel++) {
        for (int32_t lane = 0; lane < PANEL; lane++) {
            const int64_t row = panel_row(w, panel, lane) - row0;
            if (row >= 0 && row < rows)
                unpack_lane(w, (const float *)w->data + panel * panel_floats(w), lane,
                            out + row * row_floats);
        }
    }
}
