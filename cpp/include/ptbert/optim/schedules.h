#pragma once

#include <cstdint>
#include <functional>
#include <string>

/// Learning-rate multipliers. `progress` is step / t_total; `warmup` is the fraction of t_total in
/// which the multiplier rises linearly from 0 to 1, 0 for none; `cycles` counts repetitions of the
/// cosine.

namespace ptbert {

/// Rises, then stays at 1.
double warmup_constant(double progress, double warmup);
/// Rises, then falls linearly to 0 at progress 1 and stays there.
double warmup_linear(double progress, double warmup);
/// Rises, then follows `cycles` periods of a cosine; one half reaches 0 at progress 1.
double warmup_cosine(double progress, double warmup, double cycles = 0.5);
/// Rises, then falls `cycles` times from 1 to 0 along half a cosine.
double warmup_cosine_with_hard_restarts(double progress, double warmup, double cycles = 1);
/// `cycles` times a rise over `warmup` of a cycle and a fall to 0 along half a cosine.
double warmup_cosine_with_warmup_restarts(double progress, double warmup, double cycles = 1);

/// Multiplier of the learning rate at a step, counted from 0.
using Schedule = std::function<double(int64_t step)>;

/// The schedule of a 2019 name: "none", "warmup_constant", "warmup_cosine" or "warmup_linear".
/// `warmup` in [0, 1), or -1 for none; a negative `t_total` gives 1 throughout. Throws ValueError
/// for other names and values.
Schedule make_schedule(const std::string& name, double warmup, int64_t t_total);

} // namespace ptbert
