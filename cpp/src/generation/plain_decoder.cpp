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
  PlainDecoder(int64_t window, int64_t vocabulary, bool has_past, Forward forward)
      : window_(window), vocabulary_(vocabulary), has_past_(has_past),
        forward_(std::move(forward)) {}

  int64_t window() const override { return window_; }
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
      auto ids = tokens[row];
      const auto count = static_cast<int64_t>(ids.size());
      if (!has_past_)
        ids.insert(ids.begin(), state.tokens()[row].begin(), state.tokens()[row].end());
      const auto output = forward_(torch::tensor(ids, torch::kLong).unsqueeze(0), pasts[row]);
      const auto of_row = output.select(0, 0); // [1, seq, vocabulary] -> [seq, vocabulary]
      const auto wanted = all ? count : 1;
      scores.push_back(of_row.narrow(0, of_row.size(0) - wanted, wanted));
    }
    return torch::cat(scores).cpu();
  }

private:
  int64_t window_, vocabulary_;
  bool has_past_;
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
      [forward = std::move(forward)](const Tensor& ids, std::vector<Tensor>&) {
        return forward(ids);
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

} // namespace ptbert
