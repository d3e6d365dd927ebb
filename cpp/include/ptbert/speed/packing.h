#pragma once

#include <torch/torch.h>

#include <optional>
#include <vector>

namespace ptbert {

using torch::Tensor;

/// The layout of a packed batch: the tokens of all sequences one after the other, without padding,
/// so that hidden states are [tokens, hidden] instead of [batch, seq, hidden]. Sequences are sorted
/// by length; those of equal length form a block, which attention handles as an unpadded batch.
struct Packing {
  struct Block {
    int64_t sequences, length;
  };
  std::vector<Block> blocks;
  /// [tokens]: index of each packed token in the flattened batch, [batch * seq].
  Tensor tokens;
  /// [batch]: index of each packed sequence's first token among the packed tokens.
  Tensor first_tokens;
  /// [batch]: index of each batch row's sequence among the packed sequences.
  Tensor ranks;
  /// batch * seq
  int64_t num_positions;

  /// `padded` [batch, seq] -> [tokens]
  Tensor pack(const Tensor& padded) const;
  /// [tokens, hidden] -> for each block [sequences, length, hidden]; or, with one row for each
  /// sequence, [batch, hidden] -> for each block [sequences, 1, hidden].
  std::vector<Tensor> split(const Tensor& packed) const;
  /// [tokens, hidden] -> [batch * seq, hidden], zeros at padding.
  Tensor unpack(const Tensor& packed) const;
  /// The packed rows of the tokens at `positions` [count] of the flattened batch; std::nullopt if
  /// one of the positions is padding.
  std::optional<Tensor> rows_of(const Tensor& positions) const;
};

/// The reason why `input_ids` [batch, seq] cannot be packed by `attention_mask` (undefined: no
/// padding), or nullptr if they can. Packing must not change results, so the mask must be 0/1,
/// without a gradient, and 1 at every first token; and it reads values, so they must be on the CPU
/// and concrete (not under export, tracing or torch.func).
const char* why_not_packed(const Tensor& input_ids, const Tensor& attention_mask);

/// The packing of a batch; why_not_packed() must be nullptr.
Packing make_packing(const Tensor& input_ids, const Tensor& attention_mask);

/// Notes how many positions are left out, and that the last layer is computed for `rows` only.
void note_packing(const Packing& packing, const Tensor& rows);

} // namespace ptbert
