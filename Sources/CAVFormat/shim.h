#pragma once
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/error.h>
#include <libavutil/opt.h>

// Macros with casts, which Swift cannot import.
static inline int cav_error(int number) { return AVERROR(number); }
static const int cav_error_end = AVERROR_EOF;
static const int64_t cav_no_timestamp = AV_NOPTS_VALUE;
