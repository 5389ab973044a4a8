/* SPDX-License-Identifier: MIT
 *
 * The names that a pickle may call: everything else is refused. None of them is executed either;
 * each stands for a value that this reader builds itself, or for data of no interest.
 */
#include "io/pickle_machine.h"

#include <string.h>

static const sdi_known known[] = {
    {"collections.OrderedDict", SDI_KNOWN_DICT, 0},
    {"collections.defaultdict", SDI_KNOWN_DICT, 0},
    {"__builtin__.dict", SDI_KNOWN_DICT, 0},
    {"builtins.dict", SDI_KNOWN_DICT, 0},

    {"torch._utils._rebuild_tensor", SDI_KNOWN_TENSOR, 0},
    {"torch._utils._rebuild_tensor_v2", SDI_KNOWN_TENSOR, 0},
    {"torch._utils._rebuild_parameter", SDI_KNOWN_PARAMETER, 0},
    {"torch._utils._rebuild_parameter_with_state", SDI_KNOWN_PARAMETER, 0},
    {"torch._tensor._rebuild_from_type_v2", SDI_KNOWN_FROM_TYPE, 0},

    {"torch.FloatStorage", SDI_KNOWN_STORAGE, SDI_F32},
    {"torch.HalfStorage", SDI_KNOWN_STORAGE, SDI_F16},
    {"torch.BFloat16Storage", SDI_KNOWN_STORAGE, SDI_BF16},
    {"torch.DoubleStorage", SDI_KNOWN_STORAGE, SDI_F64},
    {"torch.LongStorage", SDI_KNOWN_STORAGE, SDI_I64},
    {"torch.IntStorage", SDI_KNOWN_STORAGE, SDI_I32},
    {"torch.ShortStorage", SDI_KNOWN_STORAGE, SDI_I16},
    {"torch.CharStorage", SDI_KNOWN_STORAGE, SDI_I8},
    {"torch.ByteStorage", SDI_KNOWN_STORAGE, SDI_U8},
    {"torch.BoolStorage", SDI_KNOWN_STORAGE, SDI_BOOL},

    {"torch.nn.modules.container.ParameterDict", SDI_KNOWN_OBJECT, 0},
    {"torch.nn.modules.container.ParameterList", SDI_KNOWN_OBJECT, 0},

    {"torch.Size", SDI_KNOWN_OPAQUE, 0},
    {"torch.device", SDI_KNOWN_OPAQUE, 0},
    {"numpy.core.multiarray.scalar", SDI_KNOWN_OPAQUE, 0},
    {"numpy.core.multiarray._reconstruct", SDI_KNOWN_OPAQUE, 0},
    {"numpy._core.multiarray.scalar", SDI_KNOWN_OPAQUE, 0},
    {"numpy._core.multiarray._reconstruct", SDI_KNOWN_OPAQUE, 0},
    {"numpy.dtype", SDI_KNOWN_OPAQUE, 0},
    {"numpy.ndarray", SDI_KNOWN_OPAQUE, 0},
    {"_codecs.encode", SDI_KNOWN_OPAQUE, 0},
    {"__builtin__.set", SDI_KNOWN_OPAQUE, 0},
    {"builtins.set", SDI_KNOWN_OPAQUE, 0},
    {"__builtin__.frozenset", SDI_KNOWN_OPAQUE, 0},
    {"builtins.frozenset", SDI_KNOWN_OPAQUE, 0},
    {"__builtin__.complex", SDI_KNOWN_OPAQUE, 0},
    {"builtins.complex", SDI_KNOWN_OPAQUE, 0},
    {"__builtin__.bytearray", SDI_KNOWN_OPAQUE, 0},
    {"builtins.bytearray", SDI_KNOWN_OPAQUE, 0},
};

int32_t sdi_known_find(const char *name, uint64_t length)
{
    for (size_t i = 0; i < SDI_COUNT(known); i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, name, (size_t)length) == 0)
            return (int32_t)i;
    return -1;
}

const sdi_known *sdi_known_at(int32_t index)
{
    return &known[index];
}
