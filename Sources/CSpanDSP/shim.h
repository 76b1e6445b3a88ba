#pragma once
// Only what is used: the whole of spandsp.h drags in the headers of libtiff.
#include <stdint.h>
#include <stddef.h>
#include <spandsp/telephony.h>
#include <spandsp/complex.h>
#include <spandsp/logging.h>
#include <spandsp/tone_detect.h>
#include <spandsp/super_tone_rx.h>
#include <spandsp/g722.h>
#include <spandsp/dtmf.h>
