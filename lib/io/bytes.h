/* SPDX-License-Identifier: MIT
 *
 * Little-endian numbers at any address.
 */
#ifndef SDI_IO_BYTES_H
#define SDI_IO_BYTES_H

#include <stdint.h>

static inline uint16_t sdi_le16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t sdi_le32(const unsigned char *p)
{
    return sdi_le16(p) | (uint32_t)sdi_le16(p + 2) << 16;
}

static inline uint64_t sdi_le64(const unsigned char *p)
{
    return sdi_le32(p) | (uint64_t)sdi_le32(p + 4) << 32;
}

#endif
