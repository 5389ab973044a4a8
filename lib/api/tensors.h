/* SPDX-License-Identifier: MIT
 *
 * Inside sdiff_tensors: a list of named tensors.
 */
#ifndef SDI_API_TENSORS_H
#define SDI_API_TENSORS_H

#include "api/handle.h"
#include "io/tensor_file.h"

struct sdiff_tensors {
    sdiff_context *context;
    sdi_error error;
    sdi_env env;
    sdi_tensor_out *list; // names and data are owned
    int32_t count, capacity;
};

/* NULL where the name is absent. */
const sdi_tensor_out *sdi_tensors_find(const sdiff_tensors *tensors, const char *name);
uint64_t sdi_tensor_elements(const sdi_tensor_out *tensor);

#endif
