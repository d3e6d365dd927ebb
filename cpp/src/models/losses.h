#pragma once

#include <utility>

#include "checks.h"
#include "ptbert/speed/fast_paths.h"
#include "speed/linear_cross_entropy.h"

namespace ptbert {

using torch::Tensor;

// The default of torch, used by the 2019 classifiers; the 2019 language-model heads ignore -1.
inline constexpr int64_t kIgnoredClass = -100;
inline constexpr int64_t kIgnoredToken = -1;

/// Mean cross-entropy of `logits` [*, classes] at `labels` [*], or [batch, 1] for sequences.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const c10::SymInt& ignored);

/// Mean cross-entropy of `logits` [*, seq, vocab] at the label of the next position, `lm_labels`
/// [*, seq]; -1 is not counted.
Tensor next_token_loss(const Tensor& logits, const Tensor& lm_labels);

/// Mean cross-entropy of the scores [batch, choices] of a multiple-choice head.
Tensor multiple_choice_loss(const Tensor& logits, const Tensor& mc_labels);

/// The positions of the flattened batch from which a label of `lm_labels` [*, seq] is predicted,
/// and those labels; [count] each.
std::pair<Tensor, Tensor> predicting_positions(const Tensor& lm_labels);

/// Mean cross-entropy of the scores that a language-model head without overrides gives to `states`
/// [count, width], at `labels` [count], token ids that all count.
template <typename Head>
Tensor language_model_loss(Head& head, const Tensor& states, const Tensor& labels) {
  const auto& weight = head->decoder->weight; // [rows, width]
  const auto classes = head->predict_special_tokens ? weight.size(0) : head->vocab_size;
  check_classes("lm_labels", labels, classes, kIgnoredToken);
  const auto* why_not = head->decoder->bias.defined()
                            ? "the decoder has a bias"
                            : why_not_linear_cross_entropy(states, weight);
  PathRecorder::note("scores", why_not ? "all in memory" : "a few rows at a time",
                     why_not ? why_not : "only the loss is asked for");
  if (why_not)
    return cross_entropy(head(states), labels, kIgnoredToken);
  const bool all = classes == weight.size(0);
  return linear_cross_entropy(states, all ? weight : weight.narrow(0, 0, classes), labels);
}

} // namespace ptbert
