#pragma once

/// Text generation and scoring with GPT and GPT-2: generate(), score(), and the Decoder that both
/// use.

#include "ptbert/generation/decoder.h"
#include "ptbert/generation/generate.h"
#include "ptbert/generation/options.h"
#include "ptbert/generation/score.h"
