#include "losses.h"

#include "checks.h"

namespace ptbert {

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const c10::SymInt& ignored) {
  return torch::cross_entropy_loss_symint(logits.flatten(0, -2), // [*, classes] -> [count, classes]
                                          labels.reshape({-1}),  // [*] -> [count]
                                          /*weight=*/{}, at::Reduction::Mean, ignored);
}

Tensor next_token_loss(const Tensor& logits, const Tensor& lm_labels) {
  const auto predictions = logits.slice(-2, 0, -1); // [*, seq, vocab] -> [*, seq - 1, vocab]
  const auto labels = lm_labels.slice(-1, 1);       // [*, seq] -> [*, seq - 1]
  check_classes("lm_labels", labels, logits.sym_size(-1), kIgnoredToken);
  return cross_entropy(predictions, labels, kIgnoredToken);
}

Tensor multiple_choice_loss(const Tensor& logits, const Tensor& mc_labels) {
  check_sequence_labels("mc_labels", mc_labels, logits.sym_size(0));
  check_classes("mc_labels", mc_labels, logits.sym_size(1), kIgnoredClass);
  return cross_entropy(logits, mc_labels, kIgnoredClass);
}

std::pair<Tensor, Tensor> predicting_positions(const Tensor& lm_labels) {
  const auto seq = lm_labels.size(-1);
  const auto rows = lm_labels.reshape({-1, seq}); // [*, seq] -> [batch, seq]
  const auto next = rows.roll(-1, 1);             // the label of the next position
  auto counted = next.ne(kIgnoredToken);
  counted.select(1, seq - 1).fill_(false); // the last position predicts nothing
  const auto positions = counted.flatten().nonzero().squeeze(1); // -> [count]
  return {positions, next.flatten().index_select(0, positions)};
}

} // namespace ptbert
