#pragma once
#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

// The init functions are macros, and the control calls variadic: Swift imports neither.
static inline vpx_codec_err_t cvpx_decoder_init(vpx_codec_ctx_t *context, vpx_codec_iface_t *codec,
                                                const vpx_codec_dec_cfg_t *configuration) {
  return vpx_codec_dec_init(context, codec, configuration, 0);
}
static inline vpx_codec_err_t cvpx_encoder_init(vpx_codec_ctx_t *context, vpx_codec_iface_t *codec,
                                                const vpx_codec_enc_cfg_t *configuration) {
  return vpx_codec_enc_init(context, codec, configuration, 0);
}
static inline vpx_codec_err_t cvpx_set_cpu_used(vpx_codec_ctx_t *context, int value) {
  return vpx_codec_control(context, VP8E_SET_CPUUSED, value);
}
