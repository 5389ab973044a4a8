/* SPDX-License-Identifier: MIT
 *
 * sd-probe: runs one component of a model on the tensors of a safetensors file and writes its
 * outputs to another, to compare a checkpoint with any other program tensor by tensor.
 */
#include "probe.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sd-probe COMPONENT -m MODEL [options] [key=value …]\n"
    "\n"
    "components:\n"
    "  info        what the model is (--json: as JSON)\n"
    "  tokenize    prompt=\"…\" or prompts=FILE (a JSON string a line): ids as JSON arrays;\n"
    "              padded=1: the 77 ids fed to the model; variant=hf_fast|hf_slow|openai\n"
    "  prompt      prompt= or prompts=FILE, steps=20 backtrack=20: weights, chunks and schedules\n"
    "              as JSON\n"
    "  sampler     a sampler on the stand-in model 0.7 s cos(t/200) + 0.1 sin(3 s): in x\n"
    "              (standard normal), noise.N; out traj.N, out; sampler= schedule= steps=\n"
    "              prediction= spacing= eta= strength=\n"
    "  text        in input_ids [b,77]; out hidden_states.N, last_hidden_state, context;\n"
    "              clip_skip=N\n"
    "  unet        in sample, timestep, context [, down_residual.N, mid_residual]; out out\n"
    "              with --controlnet also hint\n"
    "  controlnet  of -m or --controlnet: in sample, timestep, context, hint [b,3,8h,8w] in\n"
    "              [0,1]; out down.N, mid\n"
    "  vae-encode  in image [b,3,h,w] in [-1,1]; out mean, logvar\n"
    "  vae-decode  in z, divided by the scaling factor; out image\n"
    "  depth       in pixel_values [b,3,h,w], (x - 0.5) / 0.5 of pixels in [0,1]; out depth\n"
    "  convert     format=ldm|diffusers dtype=keep|fp32|fp16|bf16 schedule=0|1: writes the\n"
    "              model, LoRAs merged, to --out (a file, or a folder)\n"
    "  randn       seed=S n=N rng=torch|philox; out noise\n"
    "  txt2img     prompt= negative= steps= cfg= sampler= schedule= eta= spacing= rescale=\n"
    "              clip_skip= seed= final=model|sigma_min|zero emphasis=none|original|no_norm|\n"
    "              interpolate|ignore class=N decode=0|1 brownian=0|1; in noise [b,c,h,w],\n"
    "              noise.N (draws of the sampler; without noise the start is noise.0); out\n"
    "              latents.N, latents, image; with --controlnet also hint [1,3,h,w] (hint.N for\n"
    "              several); guess=0|1\n"
    "  img2img     the same and strength= encode=sample|mode from_image=0|1 (at strength 1);\n"
    "              in image [1,3,h,w] in [0,1], noise.N (all draws: of the encoder, added, of\n"
    "              the sampler)\n"
    "  inpaint     the same and keep=0|1 (pixels outside of the mask); in image, mask [1,1,h,w]\n"
    "  depth2img   as img2img; in image, depth [1,1,h,w] of any size\n"
    "\n"
    "options:\n"
    "  -m, --model PATH      diffusers folder or single-file checkpoint\n"
    "      --config FILE     configuration of a single-file checkpoint (flat JSON or LDM yaml)\n"
    "      --vae PATH        a VAE that replaces the model's\n"
    "      --vocab PATH      folder with vocab.json and merges.txt, or\n"
    "                        bpe_simple_vocab_16e6.txt.gz\n"
    "      --compute TYPE    f32 (default), bf16, bf16x3 or auto\n"
    "      --kernels LIST    kernel sets that may be used, e.g. ref,openblas\n"
    "      --prediction P    epsilon, v or sample, in place of what the model says\n"
    "      --ema             EMA weights\n"
    "      --lora F[:SCALE]  LoRA merged into the weights (again for more); keys that find no\n"
    "                        place are listed on stderr\n"
    "      --embedding F     textual inversion (again for more); ids behind the vocabulary's\n"
    "                        stand for the vectors, in the order given\n"
    "      --controlnet F[:WEIGHT[:START[:END]]]  ControlNet (again for more), heard from START\n"
    "                        to END of the steps (default 1:0:1)\n"
    "  -t, --threads N       default: physical cores\n"
    "      --in FILE         input tensors (safetensors)\n"
    "      --out FILE        output tensors (safetensors)\n"
    "      --json            info as JSON\n"
    "  -v, --verbose         log to stderr\n";

/* ---- keys ------------------------------------------------------------------------------------ */

int probe_fail(const char *sentence)
{
    return complain("sd-probe", SDIFF_ERROR_INVALID_ARGUMENT, sentence);
}

const char *probe_key(const probe *p, const char *key, const char *otherwise)
{
    for (int i = 0; i < p->key_count; i++)
        if (strcmp(p->keys[2 * i], key) == 0)
            return p->keys[2 * i + 1];
    return otherwise;
}

static int bad_key(const char *key, const char *text)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s=%.100s is not a number that fits", key, text);
    probe_fail(sentence);
    return 0;
}

int probe_int(const probe *p, const char *key, long long low, long long high, long long *value)
{
    const char *text = probe_key(p, key, NULL);
    return !text || parse_int(text, low, high, value) || bad_key(key, text);
}

int probe_seed(const probe *p, int64_t *seed)
{
    const char *text = probe_key(p, "seed", NULL);
    long long number = *seed;
    char *end = NULL;
    errno = 0;
    const unsigned long long large = text && *text != '-' ? strtoull(text, &end, 10) : 0;
    if (large > INT64_MAX && !*end && !errno) {
        *seed = (int64_t)large;
        return 1;
    }
    if (!probe_int(p, "seed", INT64_MIN, INT64_MAX, &number))
        return 0;
    *seed = number;
    return 1;
}

int probe_real(const probe *p, const char *key, double *value)
{
    const char *text = probe_key(p, key, NULL);
    return !text || parse_real(text, value) || bad_key(key, text);
}

/* ---- arguments ------------------------------------------------------------------------------- */

enum { OPT_CONFIG = 256, OPT_VAE, OPT_VOCAB, OPT_COMPUTE, OPT_KERNELS, OPT_PREDICTION, OPT_EMA,
       OPT_IN, OPT_OUT, OPT_JSON, OPT_LORA, OPT_EMBEDDING,
       OPT_CONTROLNET };

static const struct option options[] = {
    {"model", required_argument, NULL, 'm'},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"vae", required_argument, NULL, OPT_VAE},
    {"vocab", required_argument, NULL, OPT_VOCAB},
    {"compute", required_argument, NULL, OPT_COMPUTE},
    {"kernels", required_argument, NULL, OPT_KERNELS},
    {"prediction", required_argument, NULL, OPT_PREDICTION},
    {"ema", no_argument, NULL, OPT_EMA},
    {"lora", required_argument, NULL, OPT_LORA},
    {"embedding", required_argument, NULL, OPT_EMBEDDING},
    {"controlnet", required_argument, NULL, OPT_CONTROLNET},
    {"threads", required_argument, NULL, 't'},
    {"in", required_argument, NULL, OPT_IN},
    {"out", required_argument, NULL, OPT_OUT},
    {"json", no_argument, NULL, OPT_JSON},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* The index of text in a NULL-terminated list, or -1. */
static int choice(const char *const *list, const char *text)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], text) == 0)
            return i;
    return -1;
}

static int set_choice(const char *flag, const char *const *list, const char *text, int32_t *value)
{
    char sentence[256];
    const int index = choice(list, text);
    if (index >= 0) {
        *value = index;
        return 1;
    }
    snprintf(sentence, sizeof sentence, "%s %.100s does not exist", flag, text);
    probe_fail(sentence);
    return 0;
}

static int add_key(probe *p, char *argument)
{
    char *equals = strchr(argument, '=');
    if (!equals || p->key_count == MAX_KEYS) {
        probe_fail(equals ? "too many keys"
                          : "arguments behind the component have the form key=value");
        return 0;
    }
    *equals = '\0';
    p->keys[2 * p->key_count] = argument;
    p->keys[2 * p->key_count + 1] = equals + 1;
    p->key_count++;
    return 1;
}

static int add_adapter(probe *p, char *text, int is_lora)
{
    if (p->adapter_count == MAX_ADAPTERS) {
        probe_fail("too many --lora and --embedding");
        return 0;
    }
    adapter *a = &p->adapters[p->adapter_count++];
    *a = (adapter){.path = text, .scale = 1, .is_lora = is_lora};
    if (is_lora)
        split_scale(text, &a->scale);
    return 1;
}

static void log_line(void *user, int32_t level, const char *message)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s\n", message);
}

static int take_option(probe *p, sdiff_context_params *c, int option)
{
    static const char *const computes[] = {"auto", "f32", "bf16", "bf16x3", NULL};
    static const char *const predictions[] = {"model", "epsilon", "v", "sample", NULL};
    long long number = 0;
    switch (option) {
    case 'm': p->model_path = optarg; return 1;
    case OPT_CONFIG: p->model_params.config = optarg; return 1;
    case OPT_VAE: p->model_params.vae = optarg; return 1;
    case OPT_VOCAB: p->vocab = p->model_params.vocab = optarg; return 1;
    case OPT_COMPUTE: return set_choice("--compute", computes, optarg, &p->model_params.compute);
    case OPT_PREDICTION:
        return set_choice("--prediction", predictions, optarg, &p->model_params.prediction);
    case OPT_EMA: p->model_params.use_ema = 1; return 1;
    case OPT_LORA: return add_adapter(p, optarg, 1);
    case OPT_EMBEDDING: return add_adapter(p, optarg, 0);
    case OPT_CONTROLNET: return probe_add_control(p, optarg);
    case OPT_KERNELS: c->kernels = optarg; return 1;
    case OPT_IN: p->in_path = optarg; return 1;
    case OPT_OUT: p->out_path = optarg; return 1;
    case OPT_JSON: p->json = 1; return 1;
    case 't':
        if (!parse_int(optarg, 0, 1024, &number)) {
            probe_fail("--threads: 0 to 1024 are possible");
            return 0;
        }
        c->threads = (int32_t)number;
        return 1;
    case 'v': c->log = log_line; c->log_level = SDIFF_LOG_LEVEL_DEBUG; return 1;
    default: return 0;
    }
}

static int take_arguments(probe *p, sdiff_context_params *c, int argc, char **argv)
{
    for (int option; (option = getopt_long(argc, argv, "m:t:vh", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        }
        if (!take_option(p, c, option))
            return 0;
    }
    if (optind == argc) {
        fputs(usage, stderr);
        return 0;
    }
    p->component = argv[optind];
    for (int i = optind + 1; i < argc; i++)
        if (!add_key(p, argv[i]))
            return 0;
    return 1;
}

/* ---- running --------------------------------------------------------------------------------- */

int probe_open_model(probe *p)
{
    if (!p->model_path)
        return probe_fail("which model? (-m MODEL)");
    const sdiff_status status = sdiff_model_open(p->context, p->model_path, &p->model_params,
                                                 &p->model);
    if (status != SDIFF_OK)
        return complain("sd-probe", status, sdiff_context_error(p->context));
    return probe_adapt(p);
}

#define GENERATE_KEYS                                                                            \
    " prompt negative steps cfg sampler schedule eta spacing rescale clip_skip seed final "     \
    "emphasis class decode guess brownian "

static const struct {
    const char *name;
    int (*run)(probe *p);
    int has_input, has_output; // of tensors
    const char *keys;          // " key key "
} components[] = {
    {"info", probe_info, 0, 0, ""},
    {"tokenize", probe_tokenize, 0, 0, " prompt prompts padded variant "},
    {"prompt", probe_tokenize, 0, 0, " prompt prompts steps backtrack variant "},
    {"convert", probe_convert, 0, 0, " format dtype schedule "},
    {"randn", probe_randn, 0, 1, " seed n rng "},
    {"sampler", probe_sampler, 1, 1,
     " sampler schedule steps steps_offset prediction spacing eta strength "},
    {"text", probe_component, 1, 1, " clip_skip "},
    {"unet", probe_component, 1, 1, ""},
    {"vae-encode", probe_component, 1, 1, ""},
    {"vae-decode", probe_component, 1, 1, ""},
    {"controlnet", probe_controlnet, 1, 1, ""},
    {"depth", probe_component, 1, 1, ""},
    {"txt2img", probe_generate, 0, 1, GENERATE_KEYS},
    {"img2img", probe_generate, 1, 1, GENERATE_KEYS "strength encode from_image "},
    {"inpaint", probe_generate, 1, 1, GENERATE_KEYS "strength encode from_image keep "},
    {"depth2img", probe_generate, 1, 1, GENERATE_KEYS "strength encode from_image "},
};

/* A misspelt key would silently leave a default. */
static void warn_of_keys(const probe *p, const char *known)
{
    for (int i = 0; i < p->key_count; i++) {
        char key[64];
        snprintf(key, sizeof key, " %.60s ", p->keys[2 * i]);
        if (!strstr(known, key))
            fprintf(stderr, "sd-probe: warning: %s has no key '%.60s'\n", p->component,
                    p->keys[2 * i]);
    }
}

static int run_on_files(probe *p, int index)
{
    warn_of_keys(p, components[index].keys);
    if (components[index].has_input && !p->in_path)
        return probe_fail("this component needs input tensors (--in FILE)");
    if (components[index].has_output && !p->out_path)
        return probe_fail("where do the results go? (--out FILE)");
    sdiff_status status = p->in_path ? sdiff_tensors_open(p->context, p->in_path, &p->in)
                                     : sdiff_tensors_new(p->context, &p->in);
    if (status == SDIFF_OK)
        status = sdiff_tensors_new(p->context, &p->out);
    if (status != SDIFF_OK)
        return complain("sd-probe", status, sdiff_context_error(p->context));
    const int code = components[index].run(p);
    if (code || !components[index].has_output)
        return code;
    status = sdiff_tensors_save(p->out, p->out_path);
    return status == SDIFF_OK ? 0 : complain("sd-probe", status, sdiff_tensors_error(p->out));
}

static int run(probe *p)
{
    for (size_t i = 0; i < sizeof components / sizeof components[0]; i++)
        if (strcmp(components[i].name, p->component) == 0)
            return run_on_files(p, (int)i);
    char sentence[256];
    snprintf(sentence, sizeof sentence, "there is no component '%.100s'", p->component);
    return probe_fail(sentence);
}

int main(int argc, char **argv)
{
    probe p = {0};
    sdiff_context_params c;
    sdiff_context_params_init(&c, sizeof c);
    sdiff_model_params_init(&p.model_params, sizeof p.model_params);
    p.model_params.compute = SDIFF_COMPUTE_F32; // a probe is exact unless told otherwise
    if (!take_arguments(&p, &c, argc, argv))
        return EXIT_USAGE;
    const sdiff_status status = sdiff_context_new(&c, &p.context);
    if (status != SDIFF_OK)
        return complain("sd-probe", status,
                        c.kernels ? "the context cannot be made (is --kernels a list of ref, "
                                    "openblas, avx2, avx512, avx512bf16, amx or all?)"
                                  : NULL);
    const int code = run(&p);
    sdiff_tensors_free(p.in);
    sdiff_tensors_free(p.out);
    sdiff_model_free(p.model);
    sdiff_context_free(p.context);
    return code;
}
