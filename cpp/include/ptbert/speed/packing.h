#pragma once

#include <torch/torch.h>

#include <optional>
#include <vector>

namespace ptbert {

using torch::Tensor;

/// How the tokens of a batch lie one sequence after the other, without the padding between them:
/// hidden states are then [tokens, hidden] in place of [batch, seq, hidden]. Sequences are ordered
/// by length; equally long ones make a block, which is computed as a batch without padding.
struct Packing {
  struct Block {
    int64_t sequences, length;
  };
  std::vector<Block> blocks;
  /// [tokens]: where each token stands in the flattened batch, [batch * seq].
  Tensor tokens;
  /// [batch]: where each sequence begins among the packed tokens.
  Tensor first_tokens;
  /// [batch]: where each row of the batch stands in the order of the packed sequences.
  Tensor ranks;
  /// batch * seq
  int64_t num_positions;

  /// `padded` [batch, seq] -> [tokens]
  Tensor pack(const Tensor& padded) const;
  /// [tokens, hidden] -> for each block [sequences, length, hidden]; [batch, hidden], one row for
  /// each sequence -> for each block [sequences, 1, hidden].
  std::vector<Tensor> split(const Tensor& packed) const;
  /// [tokens, hidden] -> [batch * seq, hidden], zero at padding
  Tensor unpack(const Tensor& packed) const;
  /// Where tokens of the flattened batch, `positions` [count], stand among the packed ones; nothing
  /// where one of them is padding.
  std::optional<Tensor> rows_of(const Tensor& positions) const;
};

/// Why `input_ids` [batch, seq] must not be packed by `attention_mask` (undefined: no padding):
/// it could change a result (a mask other than 0/1 or with a gradient, a row whose first token is
/// masked), or values are not on the CPU or stand for others (export, tracing, torch.func). nullptr
/// where nothing is in the way.
const char* why_not_packed(const Tensor& input_ids, const Tensor& attention_mask);

/// The packing of a batch, where there is no reason not to.
Packing make_packing(const Tensor& input_ids, const Tensor& attention_mask);

} // namespace ptbert
