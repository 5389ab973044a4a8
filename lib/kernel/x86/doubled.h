/* SPDX-License-Identifier: MIT
 *
 * A 3x3 convolution of an image doubled by repetition is four 2x2 convolutions of the image itself,
 * one for each parity of row and column of the output (phase = 2 * row + column), whose taps are
 * sums of the nine. Included after vec_<isa>.h.
 */
#ifndef SDI_KERNEL_X86_DOUBLED_H
#define SDI_KERNEL_X86_DOUBLED_H

/* Row or column i of three becomes {0}, {1 + 2} for the even outputs, {0 + 1}, {2} for the odd. */
static inline void doubled_line(const vec in[3], vec out[4])
{
    out[0] = in[0];
    out[1] = vec_add(in[1], in[2]);
    out[2] = vec_add(in[0], in[1]);
    out[3] = in[2];
}

/* The nine taps of some lanes to those of the four phases: out[phase][tap]. */
static inline void doubled_taps(vec in[3][3], vec out[4][4])
{
    vec columns[3][4]; // [kx][y], y = phase * 2 + tap
    for (int kx = 0; kx < 3; kx++) {
        const vec lines[3] = {in[0][kx], in[1][kx], in[2][kx]};
        doubled_line(lines, columns[kx]);
    }
    for (int y = 0; y < 4; y++) {
        const vec lines[3] = {columns[0][y], columns[1][y], columns[2][y]};
        vec line[4];
        doubled_line(lines, line);
        for (int x = 0; x < 4; x++)
            out[y / 2 * 2 + x / 2][y % 2 * 2 + x % 2] = line[x];
    }
}

#endif
