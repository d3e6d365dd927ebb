#pragma once

#include <mutex>
#include <optional>

#include "ptbert/models/layers.h"

/// What the attention of GPT and that of GPT-2 share: the causal mask, a buffer of each attention
/// layer, [1, 1, n_ctx, n_ctx], 1 where the key is not after the query, otherwise 0; and the fused
/// kernel.

namespace ptbert {

/// A new mask on DefaultDevice::current().
Tensor make_causal_mask(int64_t n_ctx);

/// The part of `mask` for `scores` [batch, heads, query, key], whose queries are the last of the
/// positions: [1, 1, query, key].
Tensor mask_of_scores(const Tensor& mask, const Tensor& scores);

/// softmax(Q K^T / sqrt(head_size)) with `masked` as the score of keys that the mask hides; [batch,
/// heads, query or key, head_size] -> [batch, heads, query, key]. Without `scale` scores are not
/// divided.
Tensor causal_weights(const Tensor& queries, const Tensor& keys, const Tensor& mask, bool scale,
                      double masked);

/// Whether a mask is one of make_causal_mask(), which loading or the user may have changed. Looks
/// at all values, and again only after a change.
class CausalMaskCheck {
public:
  bool operator()(const Tensor& mask);

private:
  std::mutex mutex_;
  std::optional<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> seen_;
  uint32_t version_ = 0;
  bool answer_ = false;
};

/// softmax(Q K^T / sqrt(head_size) + causal mask) V by one kernel; [batch, heads, query or key,
/// head_size] -> [batch, heads, query, head_size]. Queries are the last of the positions. Without
/// `scale` scores are not divided.
Tensor causal_attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                        bool scale);

/// Position of each token in its row, after `past` others: [rows, seq] -> [rows, seq].
Tensor positions_after(const c10::SymInt& past, const Tensor& input_ids);

} // namespace ptbert
