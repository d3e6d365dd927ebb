#include "ptbert/models/initial_weights.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

namespace ptbert {
namespace {

thread_local DeferredWeights* deferred_weights = nullptr;

/// torch draws a tensor of so many numbers or more from a normal distribution in blocks of as many.
constexpr int64_t kBlock = 16;

at::CPUGeneratorImpl& default_generator() {
  return *at::check_generator<at::CPUGeneratorImpl>(at::detail::getDefaultCPUGenerator());
}

/// The engine's state for the next block of 32-bit numbers: Matsumoto and Nishimura, 1998.
void twist(std::array<uint32_t, at::MERSENNE_STATE_N>& state) {
  constexpr auto kSize = at::MERSENNE_STATE_N, kMiddle = at::MERSENNE_STATE_M;
  const auto next = [&state](int i, int following, int middle) {
    const auto mixed = (state[i] & at::UMASK) | (state[following] & at::LMASK);
    state[i] = state[middle] ^ (mixed >> 1) ^ ((0U - (state[following] & 1U)) & at::MATRIX_A);
  };
  for (int i = 0; i < kSize - kMiddle; ++i)
    next(i, i + 1, i + kMiddle);
  for (int i = kSize - kMiddle; i < kSize - 1; ++i)
    next(i, i + 1, i + kMiddle - kSize);
  next(kSize - 1, 0, kMiddle - 1);
}

/// Moves a generator on by `count` 32-bit numbers.
void skip(at::CPUGeneratorImpl& generator, int64_t count) {
  auto engine = generator.engine();
  auto data = engine.data();
  while (count >= data.left_) {
    count -= data.left_;
    twist(data.state_);
    data.left_ = at::MERSENNE_STATE_N;
    data.next_ = 1;
  }
  data.left_ -= static_cast<int>(count);
  data.next_ += static_cast<uint32_t>(count);
  engine.set_data(data);
  generator.set_engine(engine);
}

/// How many numbers torch draws for `count` elements of float32.
int64_t drawn_for_normal(int64_t count) { return count + (count % kBlock == 0 ? 0 : kBlock); }

/// Whether this version of torch draws so many numbers as is assumed here.
bool can_skip() {
  static const bool can = [] {
    const torch::NoGradGuard no_grad;
    constexpr int64_t kCount = 5 * at::MERSENNE_STATE_N + 3;
    auto drawing = at::detail::createCPUGenerator(1), skipping = at::detail::createCPUGenerator(1);
    torch::empty({kCount}, torch::kFloat).normal_(0, 1, drawing);
    torch::empty({kCount}, torch::kFloat).uniform_(0, 1, drawing);
    skip(*at::check_generator<at::CPUGeneratorImpl>(skipping), drawn_for_normal(kCount) + kCount);
    return torch::equal(drawing.get_state(), skipping.get_state());
  }();
  return can;
}

} // namespace

/// Fills a weight, now or when DeferredWeights is asked to.
class WeightFilling {
public:
  /// `numbers`: how many 32-bit numbers `fill` draws.
  static void run(const Tensor& weight, int64_t numbers, std::function<void(Tensor)> fill) {
    if (weight.is_meta())
      return;
    const torch::NoGradGuard no_grad;
    const bool is_deferred = deferred_weights != nullptr && weight.is_cpu() &&
                             weight.scalar_type() == torch::kFloat && weight.is_contiguous() &&
                             can_skip();
    if (!is_deferred)
      return fill(weight);
    auto& generator = default_generator();
    Tensor state; // of a filling without random numbers undefined
    if (numbers > 0) {
      const std::lock_guard lock(generator.mutex_);
      state = at::detail::getDefaultCPUGenerator().get_state();
      skip(generator, numbers);
    }
    deferred_weights->fillings_.push_back({weight.detach(), state, std::move(fill)});
  }

  /// Leaves out for a copy what was left out for `weight`; false if that was nothing.
  static bool copy(const Tensor& weight, const Tensor& copy) {
    if (deferred_weights == nullptr || weight.is_meta())
      return false;
    auto& fillings = deferred_weights->fillings_;
    const auto count = fillings.size();
    for (size_t i = 0; i < count; ++i) {
      if (fillings[i].weight.const_data_ptr() == weight.const_data_ptr())
        fillings.push_back({copy, fillings[i].generator_state, fillings[i].fill});
    }
    return fillings.size() > count;
  }
};

void draw_normal(const Tensor& weight, double mean, double standard_deviation) {
  const auto draw = [=](Tensor x) { x.normal_(mean, standard_deviation); };
  const auto count = weight.numel();
  if (count < kBlock && !weight.is_meta()) { // drawn in another way, which is not worth skipping
    const torch::NoGradGuard no_grad;
    const auto drawn = torch::empty_like(weight);
    draw(drawn);
    return WeightFilling::run(weight, 0, [drawn](Tensor x) { x.copy_(drawn); });
  }
  WeightFilling::run(weight, drawn_for_normal(count), draw);
}

void draw_uniform(const Tensor& weight, double smallest, double largest) {
  WeightFilling::run(weight, weight.numel(), [=](Tensor x) { x.uniform_(smallest, largest); });
}

void fill(const Tensor& weight, double value) {
  WeightFilling::run(weight, 0, [value](Tensor x) { x.fill_(value); });
}

Tensor copy_of(const Tensor& weight) {
  const auto copy = torch::empty_like(weight.detach());
  return WeightFilling::copy(weight, copy) ? copy : copy.copy_(weight.detach());
}

DeferredWeights::DeferredWeights() : previous_(deferred_weights) { deferred_weights = this; }

DeferredWeights::~DeferredWeights() { deferred_weights = previous_; }

void DeferredWeights::fill(const std::vector<Tensor>& weights) {
  const torch::NoGradGuard no_grad;
  auto generator = at::detail::getDefaultCPUGenerator();
  const auto state = generator.get_state();
  for (auto& [weight, before, fill_weight] : fillings_) {
    const auto* data = weight.const_data_ptr();
    const bool is_wanted =
        std::any_of(weights.begin(), weights.end(), [data](const Tensor& wanted) {
          return wanted.is_cpu() && wanted.const_data_ptr() == data;
        });
    if (!is_wanted)
      continue;
    if (before.defined())
      generator.set_state(before);
    fill_weight(weight);
  }
  generator.set_state(state);
}

} // namespace ptbert
