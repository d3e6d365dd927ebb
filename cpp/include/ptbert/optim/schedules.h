#pragma once

#include <cstdint>
#include <functional>
#include <string>

/// Learning-rate multipliers. `progress` is step / t_total; `warmup` is the fraction of t_total
/// during which the multiplier rises linearly from 0 to 1 (0: no warm-up); `cycles` is the number
/// of cosine periods or restarts.

namespace ptbert {

/// Rises, then stays at 1.
double warmup_constant(double progress, double warmup);
/// Rises, then falls linearly to 0 at progress 1 and stays there.
double warmup_linear(double progress, double warmup);
/// Rises, then follows `cycles` periods of a cosine; half a period ends at 0.
double warmup_cosine(double progress, double warmup, double cycles = 0.5);
/// Rises, then falls `cycles` times from 1 to 0 along half a cosine.
double warmup_cosine_with_hard_restarts(double progress, double warmup, double cycles = 1);
/// Repeats `cycles` times: rises, then falls to 0 along half a cosine. Each rise takes `warmup` of
/// t_total.
double warmup_cosine_with_warmup_restarts(double progress, double warmup, double cycles = 1);

/// Returns the multiplier of the learning rate at a step, counted from 0.
using Schedule = std::function<double(int64_t step)>;

/// The schedule that the 2019 library calls `name`: "none", "warmup_constant", "warmup_cosine" or
/// "warmup_linear". `warmup` is in [0, 1), or -1 for no warm-up; with a negative `t_total` the
/// multiplier is always 1. Throws ValueError for other names and values of `warmup`.
Schedule make_schedule(const std::string& name, double warmup, int64_t t_total);

} // namespace ptbert
