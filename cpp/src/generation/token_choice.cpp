#include "token_choice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_set>

namespace ptbert {
namespace {

constexpr float kImpossible = -std::numeric_limits<float>::infinity();

/// Tokens that may be drawn, with weights relative to the most probable one.
struct Candidates {
  std::vector<int64_t> ids;
  std::vector<double> weights;
};

/// The bijection of splitmix64, whose outputs look random. Steele et al., 2014.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// The `some` most probable tokens in order; equals in order of id.
std::vector<int64_t> best_of(const float* scores, int64_t count, int64_t some) {
  std::vector<int64_t> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  const auto before = [scores](int64_t a, int64_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  some = std::min(some, count);
  std::nth_element(ids.begin(), ids.begin() + (some - 1), ids.end(), before);
  ids.resize(some);
  std::sort(ids.begin(), ids.end(), before);
  return ids;
}

double sum_of(const std::vector<double>& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

/// The weights of `ids`, the first of which is the most probable.
Candidates weighted(std::vector<int64_t> ids, const float* scores, double temperature) {
  Candidates result{std::move(ids), {}};
  const double largest = scores[result.ids.front()];
  for (const auto id : result.ids)
    result.weights.push_back(std::exp((scores[id] - largest) / temperature));
  return result;
}

/// All tokens, in order of id.
Candidates all_of(const float* scores, int64_t count, double temperature) {
  Candidates result{std::vector<int64_t>(count), {}};
  std::iota(result.ids.begin(), result.ids.end(), 0);
  const double largest = *std::max_element(scores, scores + count);
  for (int64_t id = 0; id < count; ++id)
    result.weights.push_back(std::exp((scores[id] - largest) / temperature));
  return result;
}

/// Leaves the fewest candidates, the most probable first, whose share of `total` is at least
/// `top_p`, at least one; false if all of them have less.
bool cut_to_share(Candidates& candidates, double top_p, double total) {
  double sum = 0;
  for (size_t i = 0; i < candidates.ids.size(); ++i) {
    sum += candidates.weights[i];
    if (sum >= top_p * total) {
      candidates.ids.resize(i + 1);
      candidates.weights.resize(i + 1);
      return true;
    }
  }
  return false;
}

} // namespace

void penalize_repetition(const std::vector<int64_t>& row, double penalty, float* scores) {
  const auto factor = static_cast<float>(penalty);
  for (const auto id : std::unordered_set<int64_t>(row.begin(), row.end()))
    scores[id] = scores[id] < 0 ? scores[id] * factor : scores[id] / factor;
}

void ban_repeated_ngrams(const std::vector<int64_t>& row, int64_t size, float* scores) {
  const auto length = static_cast<int64_t>(row.size());
  if (length < size)
    return;
  const auto start = row.end() - (size - 1); // of the last size - 1 tokens
  for (int64_t i = 0; i + size <= length; ++i) {
    if (std::equal(start, row.end(), row.begin() + i))
      scores[row[i + size - 1]] = kImpossible;
  }
}

int64_t most_probable(const float* scores, int64_t count) {
  return std::max_element(scores, scores + count) - scores;
}

int64_t draw_token(const GenerationOptions& options, double uniform, const float* scores,
                   int64_t count) {
  const auto temperature = options.temperature;
  Candidates candidates;
  if (options.top_k > 0 && options.top_k < count) {
    candidates = weighted(best_of(scores, count, options.top_k), scores, temperature);
    if (options.top_p < 1)
      cut_to_share(candidates, options.top_p, sum_of(candidates.weights));
  } else {
    candidates = all_of(scores, count, temperature);
    if (options.top_p < 1) {
      // Few tokens mostly have the share that is asked for, so not all are sorted at first.
      const auto total = sum_of(candidates.weights);
      for (int64_t some = 256;; some *= 8) {
        candidates = weighted(best_of(scores, count, some), scores, temperature);
        if (cut_to_share(candidates, options.top_p, total) || some >= count)
          break;
      }
    }
  }
  if (options.min_p > 0) {
    for (auto& weight : candidates.weights)
      weight = weight < options.min_p ? 0 : weight;
  }
  double left = uniform * sum_of(candidates.weights);
  for (size_t i = 0; i < candidates.weights.size(); ++i) {
    left -= candidates.weights[i];
    if (left < 0)
      return candidates.ids[i];
  }
  return most_probable(scores, count); // rounding
}

double uniform_of(uint64_t seed, uint64_t stream, uint64_t step) {
  const auto bits = mix(mix(mix(seed) ^ stream) ^ step);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

} // namespace ptbert
