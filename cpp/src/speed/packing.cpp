#include "ptbert/speed/packing.h"

#include "ptbert/speed/fast_paths.h"
#include "readable_values.h"

namespace ptbert {
namespace {

Packing pack_all(int64_t batch, int64_t seq, const torch::TensorOptions& options) {
  return {.blocks = {{batch, seq}},
          .tokens = torch::arange(batch * seq, options),
          .first_tokens = torch::arange(0, batch * seq, seq, options),
          .ranks = torch::arange(batch, options),
          .num_positions = batch * seq};
}

std::vector<Packing::Block> blocks_of(const Tensor& sorted_lengths) {
  std::vector<Packing::Block> blocks;
  const auto lengths = sorted_lengths.accessor<int64_t, 1>();
  for (int64_t i = 0; i < lengths.size(0); ++i) {
    if (blocks.empty() || blocks.back().length != lengths[i])
      blocks.push_back({0, lengths[i]});
    ++blocks.back().sequences;
  }
  return blocks;
}

} // namespace

Tensor Packing::pack(const Tensor& padded) const {
  return padded.flatten().index_select(0, tokens); // [batch, seq] -> [batch * seq] -> [tokens]
}

std::vector<Tensor> Packing::split(const Tensor& packed) const {
  const bool one_row_each = packed.size(0) == first_tokens.size(0);
  std::vector<int64_t> rows;
  for (const auto& block : blocks)
    rows.push_back(one_row_each ? block.sequences : block.sequences * block.length);
  auto parts = packed.split_with_sizes(rows); // [tokens, hidden] -> [rows of a block, hidden]
  for (size_t i = 0; i < parts.size(); ++i)
    // [rows of a block, hidden] -> [sequences, length, hidden]
    parts[i] = parts[i].view({blocks[i].sequences, -1, packed.size(1)});
  return parts;
}

Tensor Packing::unpack(const Tensor& packed) const {
  return packed.new_zeros({num_positions, packed.size(1)}).index_copy(0, tokens, packed);
}

std::optional<Tensor> Packing::rows_of(const Tensor& positions) const {
  const auto row_of_position = torch::full({num_positions}, -1, tokens.options())
                                   .index_copy_(0, tokens, torch::arange(tokens.size(0)));
  const auto rows = row_of_position.index_select(0, positions);
  if (rows.lt(0).any().item<bool>())
    return std::nullopt;
  return rows;
}

const char* why_not_packed(const Tensor& input_ids, const Tensor& attention_mask) {
  if (!has_readable_values(input_ids))
    return kUnreadable;
  if (!attention_mask.defined())
    return nullptr;
  if (!has_readable_values(attention_mask))
    return kUnreadable;
  if (attention_mask.requires_grad() || attention_mask._fw_grad(/*level=*/0).defined())
    return "the mask has a gradient";
  const auto real = attention_mask.eq(1);
  if (!real.logical_or(attention_mask.eq(0)).all().item<bool>())
    return "the mask holds other values than 0 and 1";
  if (!real.select(1, 0).all().item<bool>()) // [batch, seq] -> [batch]
    return "the mask hides the first token of a row";
  return nullptr;
}

Packing make_packing(const Tensor& input_ids, const Tensor& attention_mask) {
  const auto options = torch::TensorOptions().dtype(torch::kLong);
  const auto batch = input_ids.size(0), seq = input_ids.size(1);
  if (!attention_mask.defined())
    return pack_all(batch, seq, options);
  const auto real = attention_mask.eq(1);
  // [batch, seq] -> [batch]
  const auto [lengths, rows] = real.sum(1).sort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  // (row in order of length, column) of each token: [batch, seq] -> [tokens, 2]
  const auto tokens = real.index_select(0, rows).nonzero();
  return {.blocks = blocks_of(lengths),
          // [tokens, 2] -> [tokens]: row * seq + column
          .tokens = rows.index_select(0, tokens.select(1, 0)) * seq + tokens.select(1, 1),
          .first_tokens = lengths.cumsum(0) - lengths,
          .ranks = rows.argsort(),
          .num_positions = batch * seq};
}

void note_packing(const Packing& packing, const Tensor& rows) {
  if (!PathRecorder::is_listening())
    return;
  const auto tokens = packing.tokens.size(0);
  const auto share = [](int64_t part, int64_t all) {
    return std::to_string(part) + " of " + std::to_string(all);
  };
  PathRecorder::note("padding", "left out",
                     share(tokens, packing.num_positions) + " positions are computed, of " +
                         std::to_string(packing.blocks.size()) + " different lengths");
  if (rows.defined())
    PathRecorder::note("last layer", "where it is used", share(rows.size(0), tokens) + " tokens");
}

} // namespace ptbert
