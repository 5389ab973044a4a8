# SPDX-License-Identifier: MIT
"""A picture from a sentence, through the library's ABI and the standard library of Python alone:

    python3 txt2img.py models/tinysd "a gray cat with green eyes" cat.png

A host that is not C needs no more than this: functions by name, opaque handles, a status, and
structs that say how large they are.
"""
import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p


class GenerateParams(ctypes.Structure):
    """sdiff_generate_params of <stablediff/pipeline.h>. What later versions append is not needed."""
    _fields_ = [
        ('struct_size', c_size_t),
        ('prompt', c_char_p), ('negative_prompt', c_char_p),
        ('sampler', c_char_p), ('schedule', c_char_p),
        ('image', c_void_p), ('mask', c_void_p), ('depth', c_void_p), ('init_latents', c_void_p),
        ('noise', c_void_p), ('noise_user', c_void_p),
        ('on_step', c_void_p), ('step_user', c_void_p),
        ('on_progress', c_void_p), ('progress_user', c_void_p),
        ('cfg', c_void_p), ('cfg_user', c_void_p),
        ('guide', c_void_p), ('guide_user', c_void_p),
        ('cfg_scale', c_double), ('cfg_rescale', c_double), ('eta', c_double),
        ('strength', c_double),
        ('seed', c_int64),
        ('width', c_int32), ('height', c_int32), ('steps', c_int32), ('batch_count', c_int32),
        ('rng', c_int32), ('spacing', c_int32), ('clip_skip', c_int32), ('no_decode', c_int32),
        ('emphasis', c_int32), ('class_label', c_int32), ('final_sigma_min', c_int32),
        ('depth_width', c_int32), ('depth_height', c_int32), ('encode_mode', c_int32),
        ('keep_unmasked', c_int32), ('start_from_image', c_int32), ('tile', c_int32),
        ('reserved', c_int32),
    ]


def load_library():
    """libstablediff.so.1 with the types of the functions that are called here."""
    lib = ctypes.CDLL(os.environ.get('SDIFF_LIBRARY', 'libstablediff.so.1'))
    handle = POINTER(c_void_p)
    for name, result, arguments in (
            ('sdiff_context_new', c_int32, (c_void_p, handle)),
            ('sdiff_context_error', c_char_p, (c_void_p,)),
            ('sdiff_context_free', None, (c_void_p,)),
            ('sdiff_model_open', c_int32, (c_void_p, c_char_p, c_void_p, handle)),
            ('sdiff_model_free', None, (c_void_p,)),
            ('sdiff_pipeline_new', c_int32, (c_void_p, handle)),
            ('sdiff_pipeline_generate', c_int32, (c_void_p, POINTER(GenerateParams))),
            ('sdiff_pipeline_image', c_void_p, (c_void_p, c_int32)),
            ('sdiff_pipeline_error', c_char_p, (c_void_p,)),
            ('sdiff_pipeline_free', None, (c_void_p,)),
            ('sdiff_generate_params_init', None, (POINTER(GenerateParams), c_size_t)),
            ('sdiff_image_save_png', c_int32, (c_void_p, c_void_p, c_char_p, c_void_p))):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def draw(lib, model_path, sentence, picture):
    """None, or the sentence that says what went wrong."""
    context, model, pipeline = c_void_p(), c_void_p(), c_void_p()
    request = GenerateParams()
    lib.sdiff_generate_params_init(byref(request), ctypes.sizeof(request))
    request.prompt = os.fsencode(sentence)
    request.seed = 42
    try:
        if lib.sdiff_context_new(None, byref(context)):
            return 'no context'
        if lib.sdiff_model_open(context, os.fsencode(model_path), None, byref(model)) or \
                lib.sdiff_pipeline_new(model, byref(pipeline)):
            return lib.sdiff_context_error(context).decode()
        if lib.sdiff_pipeline_generate(pipeline, byref(request)):
            return lib.sdiff_pipeline_error(pipeline).decode()
        image = lib.sdiff_pipeline_image(pipeline, 0)
        if lib.sdiff_image_save_png(context, image, os.fsencode(picture), None):
            return lib.sdiff_context_error(context).decode()
        return None
    finally:
        lib.sdiff_pipeline_free(pipeline)
        lib.sdiff_model_free(model)
        lib.sdiff_context_free(context)


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit(f'usage: {sys.argv[0]} MODEL SENTENCE PICTURE.png')
    sys.exit(draw(load_library(), *sys.argv[1:]))
