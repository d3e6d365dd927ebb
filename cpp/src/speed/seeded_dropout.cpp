#include "seeded_dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "readable_values.h"
#include "vectorized.h"

namespace ptbert {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Number of consecutive elements that use one subsequence of the generator.
constexpr int64_t kRun = 1024;
using Draws = std::array<uint32_t, kRun>;

/// Philox4x32-10 (Salmon et al., 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"): the first
/// `kRun` numbers of the subsequence `run`. They are not in counter order: each vector lane works
/// on another counter.
PTBERT_VECTORIZED void draw(uint64_t seed, uint64_t run, Draws& draws) {
  constexpr int64_t kLanes = 8, kRounds = 10, kWords = 4;
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier2 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int64_t block = 0; block < kRun; block += kLanes * kWords) {
    uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      c0[lane] = static_cast<uint32_t>(block / kWords + lane);
      c1[lane] = 0;
      c2[lane] = static_cast<uint32_t>(run);
      c3[lane] = static_cast<uint32_t>(run >> 32);
    }
    auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int64_t round = 0; round < kRounds; ++round) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const uint64_t product0 = kMultiplier0 * c0[lane], product2 = kMultiplier2 * c2[lane];
        c0[lane] = static_cast<uint32_t>(product2 >> 32) ^ c1[lane] ^ key0;
        c1[lane] = static_cast<uint32_t>(product2);
        c2[lane] = static_cast<uint32_t>(product0 >> 32) ^ c3[lane] ^ key1;
        c3[lane] = static_cast<uint32_t>(product0);
      }
      key0 += kWeyl0;
      key1 += kWeyl1;
    }
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      draws[block + lane] = c0[lane];
      draws[block + kLanes + lane] = c1[lane];
      draws[block + 2 * kLanes + lane] = c2[lane];
      draws[block + 3 * kLanes + lane] = c3[lane];
    }
  }
}

PTBERT_VECTORIZED void multiply(const float* x, const uint32_t* draws, uint32_t dropped, float kept,
                                float* result, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    result[i] = x[i] * (draws[i] < dropped ? 0.0f : kept);
}

/// Multiplies each element by 0 with probability `p`, else by 1 / (1 - p). Numbers are drawn in the
/// logical order of elements, whatever the strides.
Tensor drop_and_scale(const Tensor& input, double p, uint64_t seed) {
  const auto x = input.contiguous();
  auto result = torch::empty_like(x);
  const auto dropped = static_cast<uint32_t>(p * 0x1p32); // drop where the draw is below this
  const auto kept = static_cast<float>(1 / (1 - p));
  const auto* from = x.const_data_ptr<float>();
  auto* to = result.mutable_data_ptr<float>();
  const auto count = x.numel();
  constexpr int64_t kMinRunsPerThread = 16;
  at::parallel_for(0, (count + kRun - 1) / kRun, kMinRunsPerThread,
                   [=](int64_t first, int64_t last) {
                     Draws draws;
                     for (int64_t run = first; run < last; ++run) {
                       draw(seed, run, draws);
                       const auto begin = run * kRun;
                       multiply(from + begin, draws.data(), dropped, kept, to + begin,
                                std::min(kRun, count - begin));
                     }
                   });
  return result;
}

class SeededDropout : public torch::autograd::Function<SeededDropout> {
public:
  static Tensor forward(AutogradContext* context, const Tensor& x, double p, int64_t seed) {
    context->saved_data["p"] = p;
    context->saved_data["seed"] = seed;
    return drop_and_scale(x, p, static_cast<uint64_t>(seed));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto p = context->saved_data["p"].toDouble();
    const auto seed = context->saved_data["seed"].toInt();
    const auto& gradient = gradients[0];
    if (has_readable_values(gradient))
      return {apply(gradient, p, seed), {}, {}};
    // A batch of gradients (vmap): all share the same dropped elements.
    const auto ones = torch::ones(gradient.sizes(), torch::kFloat);
    return {gradient * drop_and_scale(ones, p, static_cast<uint64_t>(seed)), {}, {}};
  }
};

} // namespace

Tensor seeded_dropout(const Tensor& x, double p) {
  auto generator = at::detail::getDefaultCPUGenerator();
  const auto seed = [&generator] {
    const std::lock_guard lock(generator.mutex());
    return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
  }();
  return SeededDropout::apply(x, p, static_cast<int64_t>(seed));
}

} // namespace ptbert
