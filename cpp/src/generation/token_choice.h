#pragma once

#include <cstdint>
#include <vector>

#include "ptbert/generation/options.h"

/// Choosing the next token by its scores, an array of `count` numbers.

namespace ptbert {

/// Divides the scores of tokens that the row holds by `penalty` if positive, otherwise multiplies
/// them.
void penalize_repetition(const std::vector<int64_t>& row, double penalty, float* scores);

/// Makes tokens impossible that would complete a sequence of `size` tokens that the row has.
void ban_repeated_ngrams(const std::vector<int64_t>& row, int64_t size, float* scores);

/// The token of the highest score; the first of equals.
int64_t most_probable(const float* scores, int64_t count);

/// Draws a token by temperature, `top_k`, `top_p` and `min_p`. `uniform` is in [0, 1).
int64_t draw_token(const GenerationOptions& options, double uniform, const float* scores,
                   int64_t count);

/// A number in [0, 1) that depends on nothing but the arguments.
double uniform_of(uint64_t seed, uint64_t stream, uint64_t step);

} // namespace ptbert
