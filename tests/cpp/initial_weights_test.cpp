#include "ptbert/models/initial_weights.h"

#include "gpt_support.h"
#include "ptbert/models/bert_heads.h"
#include "transfo_xl_support.h"

namespace ptbert {
namespace {

class InitialWeightsTest : public SeededTest {};

/// Of a model made by `make`, every second weight is left out of the checkpoint.
template <typename Make> void expect_same_model(const Make& make) {
  torch::manual_seed(3);
  const auto expected = make();
  const auto next_numbers = torch::rand({5});

  torch::manual_seed(3);
  DeferredWeights deferred;
  const auto model = make();
  const auto parameters = model->parameters();
  std::vector<Tensor> missing;
  {
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (i % 2 == 0)
        Tensor(parameters[i]).copy_(expected->parameters()[i]);
      else
        missing.push_back(parameters[i]);
    }
  }
  deferred.fill(missing);
  expect_equal(torch::rand({5}), next_numbers);
  for (size_t i = 0; i < parameters.size(); ++i)
    expect_equal(parameters[i], expected->parameters()[i]);
}

TEST_F(InitialWeightsTest, DeferredModelsAreThoseThatAreDrawn) {
  expect_same_model([] {
    BertConfig config;
    config.vocab_size = 1003; // blocks of 16 numbers do not fit
    config.hidden_size = 12;
    config.num_attention_heads = 2;
    config.intermediate_size = 7;
    config.num_hidden_layers = 3;
    return BertForSequenceClassification(config, 3);
  });
  expect_same_model([] { return GPT2DoubleHeadsModel(tiny_gpt_config<GPT2Config>()); });
  expect_same_model([] { return OpenAIGPTLMHeadModel(tiny_gpt_config<OpenAIGPTConfig>()); });
  expect_same_model([] { return TransfoXLLMHeadModel(tiny_transfo_xl()); });
}

TEST_F(InitialWeightsTest, ScopesEnd) {
  {
    const DeferredWeights outer;
    const DeferredWeights inner;
  }
  const auto weight = torch::full({4}, -1.0);
  fill(weight, 2);
  expect_equal(weight, torch::full({4}, 2.0));
}

} // namespace
} // namespace ptbert
