#include "ptbert/files/tf_weights.h"

#include <algorithm>

#include "ptbert/errors.h"
#include "ptbert/models/bert_heads.h"
#include "ptbert/models/gpt2_heads.h"
#include "ptbert/models/loading.h"
#include "ptbert/models/transfo_xl_heads.h"
#include "support.h"

namespace ptbert {
namespace {

const std::filesystem::path kSamples = golden_folder() / "tf_checkpoints";

using Names = std::vector<std::string>;

torch::Tensor ids_of(const nlohmann::ordered_json& rows) {
  std::vector<torch::Tensor> tensors;
  for (const auto& row : rows)
    tensors.push_back(torch::tensor(row.get<std::vector<int64_t>>()));
  return torch::stack(tensors);
}

std::vector<float> numbers_of(const nlohmann::ordered_json& nested) {
  if (!nested.is_array())
    return {nested.get<float>()};
  std::vector<float> numbers;
  for (const auto& item : nested) {
    const auto inner = numbers_of(item);
    numbers.insert(numbers.end(), inner.begin(), inner.end());
  }
  return numbers;
}

void expect_numbers(const torch::Tensor& actual, const nlohmann::ordered_json& expected) {
  expect_close(actual.flatten(), torch::tensor(numbers_of(expected)), 1e-6);
}

TEST(TfWeightsTest, BertGivesTheScoresOfTensorFlow) {
  const auto golden = read_golden("tf_checkpoints.json").at("outputs").at("bert");
  const auto folder = kSamples / "bert";
  BertForPreTraining model(BertConfig::from_json_file(folder / "bert_config.json"));
  const auto report = load_tf_pretrained(*model, folder.string());
  EXPECT_EQ(report.missing, Names());
  EXPECT_EQ(report.unused, Names());
  model->eval();
  torch::NoGradGuard no_grad;
  const auto result =
      model->forward(ids_of(golden.at("input_ids")), ids_of(golden.at("token_type_ids")),
                     ids_of(golden.at("attention_mask")));
  expect_numbers(result.scores.prediction_scores, golden.at("words"));
  expect_numbers(result.scores.seq_relationship_score, golden.at("next_sentence"));
}

TEST(TfWeightsTest, Gpt2GivesTheScoresOfTensorFlow) {
  const auto golden = read_golden("tf_checkpoints.json").at("outputs").at("gpt2");
  GPT2Config config;
  config.vocab_size = 20;
  config.n_positions = config.n_ctx = 12;
  config.n_embd = 8;
  config.n_layer = config.n_head = 2;
  GPT2LMHeadModel model(config);
  const auto report = load_tf_pretrained(*model, (kSamples / "gpt2").string());
  EXPECT_EQ(report.missing, Names());
  EXPECT_EQ(report.unused, Names());
  model->eval();
  torch::NoGradGuard no_grad;
  expect_numbers(model->forward(ids_of(golden.at("input_ids"))).logits, golden.at("scores"));
}

TEST(TfWeightsTest, SortsACheckpointOfAUsers) {
  const auto variables = load_tf_variables((kSamples / "custom").string());
  auto sorted = sort_tf_variables(variables, "bert");
  EXPECT_EQ(sorted.unknown, (Names{"crf/transitions", "student/tower/bert/pooler/dense/bias"}));
  EXPECT_EQ(sorted.weights.size(), sorted.variables.size());
  EXPECT_EQ(sorted.weights.size() + sorted.training_state.size() + sorted.unknown.size(),
            variables.size());
  const auto has = [](const Names& names, const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto* name : {"global_step", "beta1_power", "tower/bert/pooler/dense/Adam_1"})
    EXPECT_TRUE(has(sorted.training_state, name)) << name;
  const std::map<std::string, torch::Tensor> weights(sorted.weights.begin(), sorted.weights.end());
  const std::map<std::string, torch::Tensor> given(variables.begin(), variables.end());
  expect_equal(weights.at("bert.pooler.dense.weight"), given.at("tower/bert/pooler/dense").t());
  expect_equal(weights.at("bert.pooler.dense.bias"), given.at("tower/bert/pooler/dense/bias"));
  expect_equal(weights.at("classifier.weight"), given.at("output_weights"));
}

TEST(TfWeightsTest, ReportsVariablesByTheirNames) {
  const auto folder = kSamples / "custom";
  BertForPreTraining model(BertConfig::from_json_file(folder / "bert_config.json"));
  const auto report = load_tf_pretrained(*model, folder.string());
  EXPECT_EQ(report.unused, (Names{"output_bias", "output_weights", "crf/transitions",
                                  "student/tower/bert/pooler/dense/bias"}));
  EXPECT_EQ(report.missing.size(), 7); // cls.*, the decoder being tied
}

TEST(TfWeightsTest, GuessesTheFamily) {
  for (const auto& [folder, family] :
       {std::pair("bert", "bert"), std::pair("custom", "bert"), std::pair("gpt2", "gpt2"),
        std::pair("transfo_xl", "transfo-xl")}) {
    Names names;
    for (const auto& [name, tensor] : load_tf_variables((kSamples / folder).string()))
      names.push_back(name);
    EXPECT_EQ(tf_family(names), family);
  }
  EXPECT_EQ(tf_family({"dense/kernel", "dense/bias"}), "");
}

TEST(TfWeightsTest, KnowsTransformerXL) {
  const auto three = torch::zeros({2, 4, 8});
  const auto sorted =
      sort_tf_variables({{"transformer/adaptive_embed/cutoff_1/proj_W", torch::zeros({16, 32})},
                         {"transformer/adaptive_softmax/cutoff_1/b", torch::zeros({20})},
                         {"transformer/adaptive_softmax/cutoff_0/cluster_W", torch::zeros({1, 32})},
                         {"transformer/layer_1/ff/layer_2/kernel", torch::zeros({64, 32})},
                         {"transformer/r_w_bias", three},
                         {"transformer/r_r_bias", three[0]}},
                        "transfo-xl");
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, tensor] : sorted.weights)
    shapes[name] = tensor.sizes().vec();
  EXPECT_EQ(shapes, (std::map<std::string, std::vector<int64_t>>{
                        {"transformer.word_emb.emb_projs.1", {32, 16}},
                        {"crit.out_layers.1.bias", {20}},
                        {"crit.cluster_weight", {1, 32}},
                        {"transformer.layers.1.pos_ff.CoreNet.3.weight", {32, 64}},
                        {"transformer.layers.0.dec_attn.r_w_bias", {4, 8}},
                        {"transformer.layers.1.dec_attn.r_w_bias", {4, 8}},
                        {"transformer.r_r_bias", {4, 8}}}));
}

TEST(TfWeightsTest, AProjectionThatTransformerXLLeavesOutIsTheIdentity) {
  const auto folder = kSamples / "transfo_xl";
  TransfoXLLMHeadModel model(TransfoXLConfig::from_json_file(folder / "config.json"));
  const auto report = load_tf_pretrained(*model, folder.string());
  EXPECT_EQ(report.missing, Names());
  EXPECT_EQ(report.unused, Names());
  expect_equal((*model->transformer->word_emb->emb_projs)[0], torch::eye(8));
}

TEST(TfWeightsTest, RefusesUnknownFamiliesAndOtherShapes) {
  EXPECT_EQ(message_of<KeyError>([] { sort_tf_variables({}, "xlnet"); }),
            "`family` must be that of a model, such as \"bert\", but is \"xlnet\".");
  const auto folder = kSamples / "bert";
  auto config = BertConfig::from_json_file(folder / "bert_config.json");
  config.vocab_size = 21;
  BertModel model(config);
  EXPECT_EQ(message_of<FormatError>([&] { load_tf_pretrained(*model, folder.string()); }),
            "`embeddings.word_embeddings.weight` must be of shape [21, 8], but is of shape [20, 8] "
            "in the checkpoint.");
}

} // namespace
} // namespace ptbert
