/* SPDX-License-Identifier: MIT
 *
 * A vocabulary built into the library (-Dclip_vocab=FILE), for single-file checkpoints.
 */
#ifndef SDI_TEXT_EMBEDDED_VOCAB_H
#define SDI_TEXT_EMBEDDED_VOCAB_H

#include <stddef.h>

/* The bytes of bpe_simple_vocab_16e6.txt.gz, or NULL where none was built in. */
const void *sdi_embedded_vocab(size_t *size);

#endif
