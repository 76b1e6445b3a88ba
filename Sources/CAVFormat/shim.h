#pragma once
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/error.h>
#include <libavutil/channel_layout.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>

// Macros with casts, which Swift cannot import.
static inline int cav_error(int number) { return AVERROR(number); }
static const int cav_error_end = AVERROR_EOF;
static const int64_t cav_no_timestamp = AV_NOPTS_VALUE;
static const int cav_error_again = AVERROR(EAGAIN);
