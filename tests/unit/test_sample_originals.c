/* SPDX-License-Identifier: MIT
 *
 * Runs that the golden files lack, against figures of the originals: diffusers (0.26 where a
 * sampler is in it, else 0.40), k-diffusion (0.1.1 and later) and the restart sampler of A1111's
 * web UI, all in double precision on the stand-in model of the fixtures' README. Start, noise of
 * image to image and draws are sines, so that nothing needs to be stored.
 */
#include "support/support.h"

#include "sample/sampler.h"

#include <math.h>

enum { COUNT = 64, SHOWN = 3 };

typedef struct original {
    const char *name, *schedule;
    int32_t steps;
    double strength; // below 1: from the clean start and its noise
    int32_t prediction, spacing;
    double eta;
    int32_t final;
    double clip; // clip_sample_range; 0: none
    int32_t zero_snr;
    double s_churn;
    double out[SHOWN]; // numbers 0, 21 and 58 of the last state
} original;

static const original originals[] = {
    {"tcd", NULL, 1, 1, 0, 0, -1, 0, 0, 0, 0, {5.346315, 5.01169, 5.369658}},
    {"tcd", NULL, 4, 1, 0, 0, 0.3, 0, 0, 0, 0, {13.94339, 14.16823, 11.99928}},
    {"tcd", NULL, 8, 0.6, 1, 0, 1, 0, 0, 0, 0, {0.9817965, 1.037384, -0.228588}},
    {"tcd", NULL, 50, 1, 0, 0, 0, 0, 0, 0, 0, {13.4851, 12.69361, 13.54099}},
    {"lcm", NULL, 8, 0.6, 0, 0, -1, 0, 0, 0, 0, {3.743584, 3.807087, -0.1350703}},
    {"lcm", NULL, 50, 1, 1, 0, -1, 0, 0, 0, 0, {0.2642926, 0.2743664, -0.1321214}},
    {"dpmpp_sde", NULL, 3, 1, 0, 0, -1, 0, 0, 0, 0, {4.609584, 4.703624, 3.379325}},
    {"dpmpp_sde", "karras", 20, 1, 1, 2, -1, 0, 0, 0, 0, {0.04523666, 0.05577501, 0.08510153}},
    {"dpmpp_sde", NULL, 20, 0.5, 0, 1, -1, 0, 0, 0, 0, {1.62019, 1.593853, -0.1745023}},
    {"dpmpp_2m", "exponential", 20, 1, 0, 0, -1, 0, 0, 0, 0, {13.43449, 12.66549, 13.48471}},
    {"dpmpp_2m", NULL, 5, 1, 1, 2, -1, 0, 0, 1, 0, {0.3916556, 0.3637094, 0.3936272}},
    {"dpmpp_3m", NULL, 50, 0.3, 0, 2, -1, 0, 0, 0, 0, {0.9738383, 0.9497265, 0.1548395}},
    {"dpmpp_2m", NULL, 2, 1, 0, 1, -1, 1, 0, 0, 0, {8.27265, 7.708044, 8.31296}},
    {"dpm2", "exponential", 3, 1, 0, 1, -1, 0, 0, 0, 0, {16.19473, 15.64882, 16.23408}},
    {"unipc", NULL, 5, 1, 0, 0, -1, 2, 0, 0, 0, {5.488965, 5.134946, 5.512089}},
    {"unipc_3", "karras", 20, 1, 0, 0, -1, 2, 0, 0, 0, {14.13665, 13.25515, 14.19063}},
    {"unipc", NULL, 5, 1, 0, 0, -1, 0, 0, 0, 0, {5.554578, 5.19528, 5.578158}},
    {"unipc_bh1", NULL, 50, 0.3, 0, 0, -1, 0, 0, 0, 0, {0.9621143, 0.9379072, 0.1687601}},
    {"ddim", NULL, 3, 1, 2, 0, -1, 0, 0.125, 0, 0, {0.08593684, 0.08320627, 0.08610809}},
    {"deis_3", NULL, 16, 0.5, 1, 0, -1, 0, 0, 0, 0, {0.9479678, 0.9308716, 0.02279153}},
    {"heun", NULL, 3, 1, 0, 2, -1, 0, 0, 0, 0, {20.45942, 19.26737, 20.52515}},
    {"dpm2_a", "karras", 10, 0.5, 0, 0, -1, 0, 0, 0, 0, {0.8984984, 0.8750762, -0.04784968}},
    {"euler_a", NULL, 2, 1, 1, 2, -1, 0, 0, 1, 0, {0.1308773, 0.214767, 0.2160428}},
    {"pndm", NULL, 10, 0.5, 0, 0, -1, 0, 0, 0, 0, {1.509129, 1.491051, -0.0002122756}},
    {"restart", NULL, 20, 1, 0, 0, -1, 0, 0, 0, 0, {14.10443, 13.45347, 14.44424}},
    {"restart", NULL, 50, 0.8, 1, 0, -1, 0, 0, 0, 0, {0.9164649, 1.025442, -0.0947222}},
    {"restart", "karras", 80, 1, 0, 0, -1, 0, 0, 0, 0, {15.83208, 15.479, 13.79073}},
    {"k_euler", NULL, 10, 0.5, 0, 0, -1, 0, 0, 0, 5, {4.318772, 4.49073, -0.2848629}},
    {"k_heun", NULL, 5, 1, 1, 0, -1, 0, 0, 0, 20, {1.809807, 1.840985, -0.4565551}},
    {"k_dpm2", "karras", 10, 0.5, 0, 0, -1, 0, 0, 0, 3, {1.568698, 1.605661, -0.04189386}},
    {"k_dpmpp_3m_sde", NULL, 3, 1, 0, 0, 0.5, 0, 0, 0, 0, {13.69463, 13.54805, 14.53732}},
    {"k_dpmpp_3m_sde",
     "exponential",
     50,
     0.4,
     0,
     0,
     -1,
     0,
     0,
     0,
     0,
     {0.7222322, 0.7042894, 0.1829051}},
    {"k_lms", NULL, 50, 0.5, 1, 0, -1, 0, 0, 0, 0, {0.8902803, 0.8746503, 0.006523699}},
    {"k_dpm2_a", NULL, 3, 1, 0, 0, 0.5, 0, 0, 0, 0, {-9.582995, -9.117335, -9.697391}},
    {"k_dpmpp_sde", NULL, 2, 1, 0, 0, -1, 0, 0, 0, 0, {4.573365, 4.384457, 4.624452}},
};

static sdiff_status draw(void *user, int64_t number, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(1.1 * sin(2.1 * (double)i + 0.7 * (double)number + 0.3));
    return SDIFF_OK;
}

static sdi_sampler_params params_of(const original *o)
{
    sdi_sampler_params params = {.name = o->name,
                                 .schedule = o->schedule,
                                 .steps = o->steps,
                                 .strength = o->strength,
                                 .eta = o->eta,
                                 .count = COUNT,
                                 .noise = draw,
                                 .s_churn = o->s_churn,
                                 .final_sigma_min = o->final};
    sdi_schedule_config_init(&params.config);
    params.config.prediction = (sdi_prediction)o->prediction;
    params.config.spacing = (sdi_spacing)o->spacing;
    params.config.clip_sample = o->clip > 0;
    params.config.clip_sample_range = o->clip > 0 ? o->clip : 1;
    params.config.zero_terminal_snr = o->zero_snr;
    return params;
}

static void start(const sdi_sampler *s, const original *o, float *x)
{
    float clean[COUNT], noise[COUNT];
    for (int i = 0; i < COUNT; i++) {
        clean[i] = (float)(1.2 * sin(1.3 * i + 0.5));
        noise[i] = (float)cos(0.9 * i);
        x[i] = (float)((double)clean[i] * sdi_sampler_init_sigma(s));
    }
    if (o->strength < 1)
        sdi_sampler_add_noise(s, 0, clean, noise, x);
}

static void stand_in(const float *input, double timestep, float *output)
{
    const double c = cos((double)(float)timestep / 200);
    for (int i = 0; i < COUNT; i++)
        output[i] = (float)(0.7 * (double)input[i] * c + 0.1 * sin(3.0 * (double)input[i]));
}

/* Largest difference over the tolerance of the fixtures' README, 1e-4 * max(1, |x|max). */
static double compare(const float *x, const original *o)
{
    static const int shown[SHOWN] = {0, 21, 58};
    double error = 0, size = 1;
    for (int i = 0; i < COUNT; i++)
        size = fmax(size, fabs((double)x[i]));
    for (int k = 0; k < SHOWN; k++)
        error = fmax(error, fabs((double)x[shown[k]] - o->out[k]));
    return error / (1e-4 * size);
}

static void test_runs_end_where_the_originals_do(void **state)
{
    double worst = 0;
    for (size_t k = 0; k < SDI_COUNT(originals); k++) {
        const original *o = &originals[k];
        sdi_env env = test_env_new();
        const sdi_sampler_params params = params_of(o);
        sdi_sampler *s = NULL;
        test_ok(&env, sdi_sampler_new(&env, &params, &s));
        float x[COUNT], input[COUNT], output[COUNT];
        start(s, o, x);
        test_ok(&env, sdi_sampler_begin(&env, s, x));
        sdi_ask ask;
        while (sdi_sampler_request(s, input, &ask)) {
            stand_in(input, ask.timestep, output);
            test_ok(&env, sdi_sampler_supply(&env, s, output));
        }
        const double ratio = compare(sdi_sampler_latents(s), o);
        if (!(ratio <= 1))
            fail_msg("%s, %d steps, row %zu: %.3g times the tolerance", o->name, (int)o->steps, k,
                     ratio);
        worst = fmax(worst, ratio);
        sdi_sampler_free(&env, s);
        test_env_free(&env);
    }
    print_message("worst of %zu runs: %.3f of the tolerance\n", SDI_COUNT(originals), worst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_end_where_the_originals_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
