#include "ptbert/generation/decoder.h"

#include <algorithm>

namespace ptbert {
namespace {

/// Presents of each row, or nothing for a model without.
class PastState : public DecoderState {
public:
  explicit PastState(int64_t rows) : pasts(rows) { tokens_.resize(rows); }

  void select_rows(const std::vector<int64_t>& rows) override {
    DecoderState::select_rows(rows);
    std::vector<std::vector<Tensor>> selected;
    for (const auto row : rows)
      selected.push_back(pasts.at(row));
    pasts = std::move(selected);
  }

  std::unique_ptr<DecoderState> copy() const override { return std::make_unique<PastState>(*this); }

  std::vector<std::vector<Tensor>> pasts;
};

/// The scores [1, seq, vocabulary] after some ids [1, seq]; changes the row's past.
using Forward = std::function<Tensor(const Tensor&, std::vector<Tensor>&)>;

class PlainDecoder : public Decoder {
public:
  PlainDecoder(int64_t window, int64_t vocabulary, bool has_past, bool has_memory, Forward forward)
      : window_(window), vocabulary_(vocabulary), has_past_(has_past), has_memory_(has_memory),
        forward_(std::move(forward)) {}

  int64_t window() const override { return window_; }
  bool has_memory() const override { return has_memory_; }
  int64_t vocabulary() const override { return vocabulary_; }

  std::unique_ptr<DecoderState> new_state(int64_t rows, int64_t) const override {
    return std::make_unique<PastState>(rows);
  }

  bool can_use(const DecoderState& state) const override {
    const auto* past = dynamic_cast<const PastState*>(&state);
    return past != nullptr && has_past_ == !past->pasts.front().empty();
  }

  /// The states are the scores already.
  Tensor scores(const Tensor& states) const override { return states; }

protected:
  Tensor compute_states(DecoderState& state, const TokenRows& tokens, bool all) const override {
    auto& pasts = dynamic_cast<PastState&>(state).pasts;
    std::vector<Tensor> scores;
    for (size_t row = 0; row < tokens.size(); ++row) {
      auto ids = torch::tensor(tokens[row], torch::kLong);
      const auto count = ids.size(0);
      if (!has_past_)
        ids = torch::cat({torch::tensor(state.tokens()[row], torch::kLong), ids});
      const auto wanted = ids.size(0) - (all ? count : 1);             // the first one
      for (int64_t begin = 0; begin < ids.size(0); begin += window_) { // one, without memory
        const auto seq = std::min(window_, ids.size(0) - begin);
        const auto output = forward_(ids.narrow(0, begin, seq).unsqueeze(0), pasts[row]);
        const auto first = std::clamp<int64_t>(wanted - begin, 0, seq);
        scores.push_back(output.select(0, 0).slice(0, first)); // -> [wanted, vocabulary]
      }
    }
    return torch::cat(scores).cpu();
  }

private:
  int64_t window_, vocabulary_;
  bool has_past_, has_memory_;
  Forward forward_;
};

template <typename Config> int64_t vocabulary_of(const Config& config) {
  return config.predict_special_tokens ? config.total_tokens_embeddings() : config.vocab_size;
}

void check_no_dropout(const torch::nn::Module& model) {
  for (const auto& module : model.modules()) {
    const auto* dropout = module->as<DropoutImpl>();
    TORCH_CHECK_VALUE(dropout == nullptr || !dropout->is_dropping(),
                      "`model` must be in evaluation mode, but dropout is on; call eval() first.");
  }
}

} // namespace

std::shared_ptr<Decoder>
make_plain_decoder(const GPT2Config& config,
                   std::function<GPT2LMOutput(const Tensor&, const std::vector<Tensor>&)> forward) {
  return std::make_shared<PlainDecoder>(
      std::min(config.n_positions, config.n_ctx), vocabulary_of(config), /*has_past=*/true,
      /*has_memory=*/false,
      [forward = std::move(forward)](const Tensor& ids, std::vector<Tensor>& past) {
        auto output = forward(ids, past);
        past = std::move(output.presents);
        return output.logits;
      });
}

std::shared_ptr<Decoder> make_plain_decoder(const OpenAIGPTConfig& config,
                                            std::function<Tensor(const Tensor&)> forward) {
  return std::make_shared<PlainDecoder>(
      std::min(config.n_positions, config.n_ctx), vocabulary_of(config), /*has_past=*/false,
      /*has_memory=*/false,
      [forward = std::move(forward)](const Tensor& ids, std::vector<Tensor>&) {
        return forward(ids);
      });
}

std::shared_ptr<Decoder> make_plain_decoder(
    const TransfoXLConfig& config,
    std::function<TransfoXLLMOutput(const Tensor&, const std::vector<Tensor>&)> forward) {
  TORCH_CHECK_VALUE(config.attn_type == 0 || config.attn_type == 1,
                    "`attn_type` must be 0 or 1 to generate or score with memory, but is ",
                    config.attn_type, ".");
  TORCH_CHECK_VALUE(config.mem_len > 0, "`mem_len` must be above 0 to generate or score, but is ",
                    config.mem_len, "; see reset_length().");
  TORCH_CHECK_VALUE(config.ext_len == 0, "`ext_len` must be 0 to generate or score, but is ",
                    config.ext_len, "; see reset_length().");
  return std::make_shared<PlainDecoder>(
      config.tgt_len, config.n_token, /*has_past=*/true, /*has_memory=*/true,
      [forward = std::move(forward)](const Tensor& ids, std::vector<Tensor>& memory) {
        auto output = forward(ids, memory);
        memory = std::move(output.new_mems);
        return output.softmax_output;
      });
}

std::shared_ptr<Decoder> decoder_of(GPT2LMHeadModel model) {
  check_no_dropout(*model);
  if (why_not_decoded(model) == nullptr)
    return make_decoder(model);
  const auto device = model->transformer->wte->weight.device();
  return make_plain_decoder(
      model->config, [model, device](const Tensor& ids, const std::vector<Tensor>& past) mutable {
        return model(ids.to(device), Tensor(), Tensor(), Tensor(), past, Tensor());
      });
}

std::shared_ptr<Decoder> decoder_of(OpenAIGPTLMHeadModel model) {
  check_no_dropout(*model);
  if (why_not_decoded(model) == nullptr)
    return make_decoder(model);
  const auto device = model->transformer->tokens_embed->weight.device();
  return make_plain_decoder(model->config, [model, device](const Tensor& ids) mutable {
    return model(ids.to(device), Tensor(), Tensor(), Tensor(), Tensor()).logits;
  });
}

std::shared_ptr<Decoder> decoder_of(TransfoXLLMHeadModel model) {
  check_no_dropout(*model);
  if (why_not_decoded(model) == nullptr)
    return make_decoder(model);
  const auto& trunk = model->transformer;
  auto config = model->config;
  config.tgt_len = trunk->tgt_len;
  config.ext_len = trunk->ext_len;
  config.mem_len = trunk->mem_len;
  const auto device = trunk->word_emb->emb_layers->items.front()->weight.device();
  return make_plain_decoder(
      config, [model, device](const Tensor& ids, const std::vector<Tensor>& memory) mutable {
        return model(ids.to(device), Tensor(), memory);
      });
}

} // namespace ptbert
