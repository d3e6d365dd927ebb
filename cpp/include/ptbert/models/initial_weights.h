#pragma once

#include <torch/torch.h>

#include <functional>
#include <vector>

/// How new weights get their values: all modules use these functions. Random numbers are those of
/// torch's default generator, in the order of the original library, so that equal seeds give equal
/// weights.

namespace ptbert {

using torch::Tensor;

/// Fills `weight`; nothing happens on `meta`.
void draw_normal(const Tensor& weight, double mean, double standard_deviation);
void draw_uniform(const Tensor& weight, double smallest, double largest);
void fill(const Tensor& weight, double value);
/// A copy of a new weight, without gradient; no random numbers are drawn.
Tensor copy_of(const Tensor& weight);

/// While an instance lives, new weights made in its thread are not filled, since a checkpoint will
/// fill them, which saves most of the time of loading. The generator moves on as if they were, so
/// that everything drawn later is the same.
class DeferredWeights {
public:
  DeferredWeights();
  ~DeferredWeights();
  DeferredWeights(const DeferredWeights&) = delete;
  DeferredWeights& operator=(const DeferredWeights&) = delete;

  /// Gives some of the weights, which the checkpoint does not have, the values that they would have
  /// had.
  void fill(const std::vector<Tensor>& weights);

private:
  friend class WeightFilling;
  /// What was left out: the weight, the state of the generator before, and how to fill it.
  struct Filling {
    Tensor weight, generator_state;
    std::function<void(Tensor)> fill;
  };

  DeferredWeights* previous_;
  std::vector<Filling> fillings_;
};

} // namespace ptbert
