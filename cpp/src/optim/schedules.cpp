#include "ptbert/optim/schedules.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace ptbert {
namespace {

constexpr double kPi = 3.14159265358979323846;

double rise(double progress, double warmup) { return progress / warmup; }

/// Progress after the warm-up: 0 at its end, 1 at the end of training.
double after(double progress, double warmup) { return (progress - warmup) / (1 - warmup); }

double half_cosine(double x) { return 0.5 * (1 + std::cos(kPi * x)); }

} // namespace

double warmup_constant(double progress, double warmup) {
  return progress < warmup ? rise(progress, warmup) : 1;
}

double warmup_linear(double progress, double warmup) {
  return progress < warmup ? rise(progress, warmup) : std::max((progress - 1) / (warmup - 1), 0.0);
}

double warmup_cosine(double progress, double warmup, double cycles) {
  return progress < warmup ? rise(progress, warmup)
                           : half_cosine(2 * cycles * after(progress, warmup));
}

double warmup_cosine_with_hard_restarts(double progress, double warmup, double cycles) {
  if (progress < warmup)
    return rise(progress, warmup);
  return half_cosine(std::fmod(cycles * after(progress, warmup), 1));
}

double warmup_cosine_with_warmup_restarts(double progress, double warmup, double cycles) {
  const double in_cycle = std::fmod(progress * cycles, 1);
  const double warmup_of_cycle = warmup * cycles;
  if (in_cycle < warmup_of_cycle)
    return rise(in_cycle, warmup_of_cycle);
  return half_cosine(after(in_cycle, warmup_of_cycle));
}

Schedule make_schedule(const std::string& name, double warmup, int64_t t_total) {
  TORCH_CHECK_VALUE((warmup >= 0 && warmup < 1) || warmup == -1,
                    "`warmup` must be in [0, 1) or -1, but is ", warmup, ".");
  std::function<double(double, double)> multiplier;
  if (name == "none") {
    multiplier = [](double, double) { return 1.0; };
  } else if (name == "warmup_constant") {
    multiplier = warmup_constant;
  } else if (name == "warmup_cosine") {
    multiplier = [](double progress, double warmup) { return warmup_cosine(progress, warmup); };
  } else if (name == "warmup_linear") {
    multiplier = warmup_linear;
  } else {
    TORCH_CHECK_VALUE(false,
                      "`schedule` must be \"none\", \"warmup_constant\", \"warmup_cosine\" or "
                      "\"warmup_linear\", but is \"",
                      name, "\".");
  }
  if (t_total < 0)
    return [](int64_t) { return 1.0; };
  return [multiplier, warmup = std::max(warmup, 0.0), t_total](int64_t step) {
    return multiplier(static_cast<double>(step) / static_cast<double>(t_total), warmup);
  };
}

} // namespace ptbert
